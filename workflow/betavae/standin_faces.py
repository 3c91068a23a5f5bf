"""Rendered stand-ins for the faces of the Basel Face Model (Paysan et al. 2009): ours, not theirs, every factor known.

A bald head on black, turned and nodding, lit by one lamp that stands still as the head turns. Identity is two shape
parameters. The head is cast once for all lamps.
"""

from __future__ import annotations

import numpy as np

from betavae.factors import FactorGrid, levels
from betavae.head import DARK, EYE, LIPS, SKIN, Head
from betavae.raycast import look, normals, pixels, surface, trace

CHANNELS = 1
WHAT = "heads that this project made up; not those of the Basel Face Model"
SAMPLES = 2  # the side of a pixel's square of rays

LAMP_ELEVATION = np.radians(25)
AMBIENT = 0.12  # light that comes from everywhere
TONES = np.zeros(4, np.float32)
TONES[[SKIN, EYE, DARK, LIPS]] = 0.85, 0.95, 0.16, 0.52


def grid(sizes: dict[str, int]) -> FactorGrid:
    """The product of `sizes[factor]` values of azimuth, elevation, lighting (radians), face width and jaw."""
    ranges = {
        "azimuth": np.radians([-75, 75]),
        "elevation": np.radians([-25, 25]),
        "face_width": [0.82, 1.2],
        "jaw": [-0.1, 0.14],
        "lighting": np.radians([-80, 80]),
    }
    return FactorGrid(tuple(levels(*ends, sizes[name]) for name, ends in ranges.items()), tuple(ranges))


def lamps(azimuths: np.ndarray) -> np.ndarray:
    """Where light comes from, (lamps, 3) in the camera's frame; at negative azimuths from the left."""
    flat = np.cos(LAMP_ELEVATION)
    height = np.full_like(azimuths, np.sin(LAMP_ELEVATION))
    return np.stack([flat * np.sin(azimuths), height, flat * np.cos(azimuths)], axis=1).astype(np.float32)


def block(grid: FactorGrid, number: int) -> np.ndarray:
    """One head seen from one side, the `number`-th of the grid, under all lamps: (lamps, 64, 64, 1) uint8."""
    azimuth, elevation, width, jaw = (
        grid.values[factor][level] for factor, level in enumerate(np.unravel_index(number, grid.sizes[:-1]))
    )
    head = Head(width=width, jaw=jaw)
    view = look(azimuth, elevation, target=(0, -0.02, 0), half_width=1.28, distance=8, samples=SAMPLES)
    depth = trace(head.solid, view, centre=(0, -0.3, -0.1), radius=1.7)
    met, points = surface(view, depth)
    tones = TONES[head.paint(points)]
    facing = np.maximum(lamps(grid.values[-1]) @ normals(head.solid, view, points), 0)
    brightness = np.zeros((grid.sizes[-1], len(depth)), np.float32)
    brightness[:, met] = tones * (AMBIENT + (1 - AMBIENT) * facing)
    return np.rint(255 * pixels(brightness)[..., None]).astype(np.uint8)


def blocks(grid: FactorGrid) -> int:
    """How many blocks the grid has."""
    return int(np.prod(grid.sizes[:-1]))
