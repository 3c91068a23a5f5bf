"""Rendered stand-ins for CelebA's portraits (Liu et al. 2015): drawn, nobody's likeness, every factor known.

A head with hair and shoulders in colour. Light is linear in the colour of what it falls on: each material is cast once,
in white, and skin tone, background and saturation are weights with which these pictures are added.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from betavae.factors import FactorGrid, levels
from betavae.head import DARK, EYE, LIPS, SKIN, Head
from betavae.raycast import Solid, View, look, normals, pixels, surface, trace
from betavae.shapes import SIDE
from betavae.solids import ellipsoid, mirrored, smooth_cut, smooth_union

CHANNELS = 3
WHAT = "portraits that this project made up, of nobody; not CelebA's"
SAMPLES = 3  # the side of a pixel's square of rays

HAIR, CLOTHES, BACKGROUND = range(4, 7)  # materials besides the head's
LAMP = np.array([-0.38, 0.45, 0.81], np.float32)  # where light comes from, in the camera's frame
AMBIENT = 0.35  # light that comes from everywhere
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # how bright red, green and blue look
LIGHT_SKIN, DARK_SKIN = np.array([1.0, 0.83, 0.73]), np.array([0.40, 0.25, 0.17])
DARK_WALL, LIGHT_WALL = np.array([0.10, 0.14, 0.22]), np.array([0.86, 0.90, 0.93])

Layer = tuple[np.ndarray, np.ndarray, np.ndarray]  # depth, brightness in white, material, each (rays,)


def grid(sizes: dict[str, int]) -> FactorGrid:
    """The product of `sizes[factor]` values of azimuth (radians), fringe, smile, skin, background and saturation.

    fringe: how far the hair comes down, 0 not to 1 to the brows; smile: as `head.Head`'s; skin, background: 0 dark to
    1 light; saturation: 1 as painted.
    """
    ranges = {
        "azimuth": np.radians([-55, 55]),
        "fringe": [0.0, 1.0],
        "smile": [-0.05, 0.09],
        "skin": [0.0, 1.0],
        "background": [0.0, 1.0],
        "saturation": [0.1, 1.5],
    }
    return FactorGrid(tuple(levels(*ends, sizes[name]) for name, ends in ranges.items()), tuple(ranges))


def hair(points: np.ndarray, fringe: float) -> np.ndarray:
    """Hair to the jaw, open over the face."""
    folded, hairline = mirrored(points, 0), 0.8 - 0.43 * fringe
    cap = ellipsoid(folded, (0, 0.32, -0.16), (0.83, 0.84, 0.95))
    sides = ellipsoid(folded, (0.62, -0.4, -0.3), (0.26, 0.72, 0.42))
    opening = ellipsoid(folded, (0, -0.5, 0.75), (0.57, hairline + 0.5, 0.95))
    return smooth_cut(smooth_union(cap, sides, 0.2), opening, 0.06)


def shoulders(points: np.ndarray) -> np.ndarray:
    """Shoulders in a round collar."""
    folded = mirrored(points, 0)
    body = ellipsoid(folded, (0.3, -1.72, -0.3), (0.85, 0.55, 0.45))
    return smooth_cut(body, ellipsoid(folded, (0, -1.2, -0.15), (0.44, 0.2, 0.4)), 0.05)


def cast(view: View, solid: Solid, material: int | Head) -> Layer:
    """A solid by itself, in white; its material, or the head that is to be painted."""
    depth = trace(solid, view, centre=(0, -0.5, -0.1), radius=1.9)
    met, points = surface(view, depth)
    brightness = np.zeros_like(depth)
    brightness[met] = AMBIENT + (1 - AMBIENT) * np.maximum(LAMP @ normals(solid, view, points), 0)
    materials = np.full(len(depth), BACKGROUND)
    materials[met] = material.paint(points) if isinstance(material, Head) else material
    return depth, brightness, materials


def maps(layers: list[Layer]) -> np.ndarray:
    """How brightly each material shines in each pixel, (7, 64, 64), the nearest layer in front."""
    depths, brightnesses, materials = (np.stack(part) for part in zip(*layers, strict=True))
    nearest = depths.argmin(axis=0)[None]
    material = np.take_along_axis(materials, nearest, 0)[0]
    brightness = np.take_along_axis(brightnesses, nearest, 0)[0]
    brightness[material == BACKGROUND] = 1
    return pixels(np.where(material == np.arange(BACKGROUND + 1)[:, None], brightness, np.float32(0)))


def palettes(grid: FactorGrid) -> np.ndarray:
    """Colours of the materials, (skin · background · saturation, 7, 3), in the grid's order."""
    found = []
    for skin in grid.values[3]:
        for wall in grid.values[4]:
            colours = np.empty((BACKGROUND + 1, 3))
            colours[SKIN] = DARK_SKIN + skin * (LIGHT_SKIN - DARK_SKIN)
            colours[LIPS] = colours[SKIN] * (0.85, 0.5, 0.52)
            colours[EYE], colours[DARK], colours[HAIR] = 0.95, (0.13, 0.08, 0.06), (0.34, 0.2, 0.11)
            colours[CLOTHES] = 0.25, 0.4, 0.55
            colours[BACKGROUND] = DARK_WALL + wall * (LIGHT_WALL - DARK_WALL)
            grey = (colours @ GREY)[:, None]
            found += [grey + saturation * (colours - grey) for saturation in grid.values[5]]
    return np.stack(found).astype(np.float32)


def block(grid: FactorGrid, number: int) -> np.ndarray:
    """All portraits of one azimuth, the `number`-th: (images, 64, 64, 3) uint8."""
    azimuths, fringes, smiles, *_ = grid.values
    view = look(azimuths[number], 0.05, target=(0, -0.17, 0), half_width=1.22, distance=7, samples=SAMPLES)
    body = cast(view, shoulders, CLOTHES)
    heads = [cast(view, head.solid, head) for head in (Head(smile=smile) for smile in smiles)]
    colours, images = palettes(grid), []
    for fringe in fringes:
        top = cast(view, partial(hair, fringe=fringe), HAIR)
        for head in heads:
            light = maps([body, head, top]).reshape(BACKGROUND + 1, SIDE * SIDE)
            mixed = np.einsum("mp,nmc->npc", light, colours, optimize=True)
            images.append(np.rint(255 * np.clip(mixed, 0, 1)).astype(np.uint8))
    return np.concatenate(images).reshape(-1, SIDE, SIDE, CHANNELS)


def blocks(grid: FactorGrid) -> int:
    """How many blocks the grid has."""
    return grid.size("azimuth")
