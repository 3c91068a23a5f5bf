"""Sparser training sets: which images of a factor grid a training may see (Figure 8, appendix: data continuity).

How the paper thinned its data is not stated; these three ways are ours. All keep every shape.

- `stride` n: every n-th value of scale, orientation, posX and posY, but at least two values of each. Neighbours move
  apart and the amount of data falls with them, by up to n⁴.
- `random` n: one image in n, drawn from all. The next image along a factor lies about n values away, as with stride n,
  yet 1/n of the data stays: density and amount come apart.
- `continuous` n: the first n % of the orientations, all else whole. Neighbours stay neighbours, the amount falls.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from betavae.factors import FACTORS, FactorGrid
from betavae.stream import stream

TRANSFORMS = ("scale", "orientation", "posX", "posY")  # the factors along which an object is transformed


def product_of(grid: FactorGrid, kept: dict[str, np.ndarray]) -> tuple[FactorGrid, np.ndarray]:
    """The part of a grid with only the classes `kept[factor]` of some factors: as a grid, and its image numbers."""
    chosen = [kept.get(name, np.arange(size)) for name, size in zip(FACTORS, grid.sizes, strict=True)]
    numbers = np.arange(grid.images).reshape(grid.sizes)[np.ix_(*chosen)].reshape(-1)
    return FactorGrid(tuple(v[c] for v, c in zip(grid.values, chosen, strict=True))), numbers


def every_nth(grid: FactorGrid, strides: dict[str, int]) -> tuple[FactorGrid, np.ndarray]:
    """Every `strides[factor]`-th value, the first among them, but two or more: as a grid, and its image numbers."""
    kept = {}
    for name, stride in strides.items():
        size = grid.size(name)
        kept[name] = np.arange(0, size, min(stride, max(1, size - 1)))
    return product_of(grid, kept)


@cache
def _numbers(sizes: tuple[int, ...], kind: str, number: int, seed: int) -> np.ndarray:
    grid = FactorGrid(tuple(np.arange(size) for size in sizes))
    if kind == "stride":
        images = every_nth(grid, dict.fromkeys(TRANSFORMS, number))[1]
    elif kind == "random":
        kept = max(1, grid.images // number)
        images = np.sort(stream(seed, "subset", number).choice(grid.images, kept, replace=False))
    elif kind == "continuous":
        kept = max(1, round(number / 100 * grid.size("orientation")))
        images = product_of(grid, {"orientation": np.arange(kept)})[1]
    else:
        raise ValueError(f"no subset is called {kind!r}")
    images.flags.writeable = False  # every caller gets the same array
    return images


def subset(grid: FactorGrid, chosen: dict[str, Any] | None) -> np.ndarray:
    """The image numbers (n,), ascending and read-only, of a subset of a grid; of all images where none is chosen.

    chosen: kind (stride, random or continuous), number and seed, which only `random` depends on.
    """
    return _numbers(grid.sizes, **(chosen or {"kind": "stride", "number": 1, "seed": 0}))
