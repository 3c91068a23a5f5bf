"""Rendered stand-ins for the chairs of Aubry et al. (2014): ours, not theirs, with every factor known.

Chairs made of rounded boxes and rods, on white, seen from all around, a lamp above the camera. A chair and the lamp
are symmetric, so an azimuth and its negative are each other's mirror image. The parts of a chair (seat,
legs, back, arms) are cast one by one and put together by depth: few rays make many chairs.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from betavae.factors import FactorGrid, levels
from betavae.raycast import Solid, View, look, normals, pixels, surface, trace
from betavae.solids import box, capsule, mirrored, smooth_union, turned

CHANNELS = 1
WHAT = "chairs that this project made up; not those of Aubry et al. (2014)"
LEGS = ("four legs", "swivel base", "sled")
ARMS = ("without arms", "with arms")

SAMPLES = 3  # the side of a pixel's square of rays
ELEVATION = np.radians(22)
SEAT, DEPTH, THICK = 0.46, 0.5, 0.035  # height of the seat's middle, its depth and half thickness
LAMP = np.array([0.0, 0.75, 0.66], np.float32)  # where light comes from, in the camera's frame
WHITE = np.float32(1.0)

Part = tuple[np.ndarray, np.ndarray]  # depth and brightness, each (rays,)


def grid(sizes: dict[str, int]) -> FactorGrid:
    """The product of `sizes[factor]` values of each factor: azimuth (radians), width, legs, back height and arms."""
    values = {
        "azimuth": np.arange(sizes["azimuth"]) * 2 * np.pi / sizes["azimuth"],
        "width": levels(0.36, 0.76, sizes["width"]),
        "legs": np.arange(sizes["legs"], dtype=float),
        "back_height": levels(0.16, 0.68, sizes["back_height"]),
        "arms": np.arange(sizes["arms"], dtype=float),
    }
    return FactorGrid(tuple(values.values()), tuple(values))


def seat(points: np.ndarray, width: float) -> np.ndarray:
    """The seat, a cushion."""
    return box(points, (0, SEAT, 0), (width / 2, THICK, DEPTH / 2), 0.03)


def four_legs(points: np.ndarray, width: float) -> np.ndarray:
    """A leg at each corner, straight and square."""
    folded = mirrored(points, 0, 2)
    return box(folded, (width / 2 - 0.03, SEAT / 2, DEPTH / 2 - 0.03), (0.025, SEAT / 2, 0.025), 0.008)


def swivel_base(points: np.ndarray, width: float) -> np.ndarray:
    """An office chair's column on five spokes with castors; the width of the seat does not change it."""
    fold = 2 * np.pi / 5
    angle, reach = np.arctan2(points[0], points[2]), np.hypot(points[0], points[2])
    angle = np.abs(angle - fold * np.round(angle / fold))
    spoke = np.stack([reach * np.sin(angle), points[1], reach * np.cos(angle)])
    spokes = capsule(spoke, (0, 0.1, 0), (0, 0.06, 0.3), 0.022)
    castors = capsule(spoke, (0, 0.035, 0.29), (0, 0.035, 0.31), 0.035)
    column = capsule(points, (0, 0.1, 0), (0, SEAT - 0.05, 0), 0.034)
    return np.minimum(np.minimum(spokes, castors), column)


def sled(points: np.ndarray, width: float) -> np.ndarray:
    """On either side a runner on the floor, bent up to the seat at the front; nothing at the back."""
    folded, x = mirrored(points, 0), width / 2 - 0.025
    runner = capsule(folded, (x, 0.025, -DEPTH / 2 + 0.02), (x, 0.025, DEPTH / 2 - 0.04), 0.022)
    upright = capsule(folded, (x, 0.025, DEPTH / 2 - 0.04), (x, SEAT - 0.03, DEPTH / 2 - 0.04), 0.022)
    behind = capsule(folded, (0, 0.025, -DEPTH / 2 + 0.02), (x, 0.025, -DEPTH / 2 + 0.02), 0.022)
    return np.minimum(np.minimum(runner, upright), behind)


STANDS = (four_legs, swivel_base, sled)  # in the order of LEGS


def back(points: np.ndarray, width: float, height: float) -> np.ndarray:
    """The back, leaning, its lower edge at the seat."""
    leaning = turned(points - np.array([[0], [SEAT], [-DEPTH / 2 + 0.02]], np.float32), np.radians(9), (2, 1))
    return box(leaning, (0, height / 2, 0), (width / 2 - 0.005, height / 2, 0.028), 0.025)


def arms(points: np.ndarray, width: float) -> np.ndarray:
    """On either side an arm rest on a post at the front."""
    folded, x = mirrored(points, 0), width / 2 + 0.01
    rest = box(folded, (x, SEAT + 0.2, -0.01), (0.03, 0.022, DEPTH / 2 - 0.02), 0.015)
    post = capsule(folded, (x, SEAT - 0.02, DEPTH / 2 - 0.08), (x, SEAT + 0.19, DEPTH / 2 - 0.08), 0.022)
    return smooth_union(rest, post, 0.02)


def view(azimuth: float) -> View:
    """The camera of all chairs."""
    return look(azimuth, ELEVATION, target=(0, 0.53, 0), half_width=0.75, distance=3.2, samples=SAMPLES)


def cast(view: View, solid: Solid, tone: float) -> Part:
    """One part of a chair by itself, of a material of this `tone` (0 black, 1 white)."""
    depth = trace(solid, view, centre=(0, 0.55, 0), radius=0.8)
    brightness = np.full_like(depth, WHITE)
    met, points = surface(view, depth)
    facing = LAMP @ normals(solid, view, points)
    brightness[met] = tone * (0.3 + 0.7 * np.maximum(facing, 0) + 0.12 * np.minimum(facing, 0))
    return depth, brightness


def nearer(first: Part, second: Part) -> Part:
    """Two parts in one picture: along each ray the nearer."""
    return np.minimum(first[0], second[0]), np.where(first[0] <= second[0], first[1], second[1])


def block(grid: FactorGrid, number: int) -> np.ndarray:
    """All chairs of one azimuth and one width, the `number`-th pair: (legs · back heights · arms, 64, 64, 1) uint8."""
    azimuths, widths, legs, heights, with_arms = grid.values
    width = widths[number % len(widths)]
    seen = view(azimuths[number // len(widths)])
    sitting = cast(seen, lambda points: seat(points, width), 0.62)
    stands = [cast(seen, partial(STANDS[int(style)], width=width), 0.36) for style in legs]
    backs = [cast(seen, partial(back, width=width, height=height), 0.62) for height in heights]
    rests = [cast(seen, partial(arms, width=width), 0.36) if style else None for style in with_arms]
    chairs = []
    for stand in stands:
        stool = nearer(sitting, stand)
        for leaning in backs:
            chair = nearer(stool, leaning)
            chairs += [pixels((nearer(chair, rest) if rest else chair)[1]) for rest in rests]
    return np.rint(255 * np.stack(chairs)[..., None]).astype(np.uint8)


def blocks(grid: FactorGrid) -> int:
    """How many blocks the grid has."""
    return grid.size("azimuth") * grid.size("width")
