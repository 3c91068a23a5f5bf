"""The generative factors of the 2D shapes and the grid that their product spans (section 4.2).

The grid serves any other set of factors too (the rendered stand-ins). Images are numbered in the original
file's order: the first factor (shape) slowest, the last (posY) fastest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

FACTORS = ("shape", "scale", "orientation", "posX", "posY")

FULL_VALUES: dict[str, np.ndarray] = {
    "shape": np.array([1.0, 2.0, 3.0]),  # square, ellipse, heart
    "scale": np.linspace(0.5, 1.0, 6),
    "orientation": np.linspace(0.0, 2.0 * np.pi, 40),  # inclusive: class 39 looks like class 0
    "posX": np.linspace(0.0, 1.0, 32),
    "posY": np.linspace(0.0, 1.0, 32),
}

SHAPE_NAMES = ("square", "ellipse", "heart")


def levels(first: float, last: float, count: int) -> np.ndarray:
    """`count` evenly spaced values from `first` to `last`; one alone is the middle."""
    return np.linspace(first, last, count) if count > 1 else np.array([(first + last) / 2])


@dataclass(frozen=True)
class FactorGrid:
    """The product of the factors' values, in the order of `names`: those of the 2D shapes unless others are given."""

    values: tuple[np.ndarray, ...]
    names: tuple[str, ...] = FACTORS

    @classmethod
    def thinned(cls, strides: dict[str, int]) -> FactorGrid:
        """Every `strides[factor]`-th value of each factor of the full grid (absent: all of them)."""
        return cls(tuple(FULL_VALUES[name][:: strides.get(name, 1)] for name in FACTORS))

    @classmethod
    def from_attributes(cls, attributes: Any) -> FactorGrid:
        """The grid that a data set file's attributes describe (see `dataset`).

        ValueError where they are not some of the full grid's values, ascending.
        """
        found = {name: np.asarray(attributes[f"{name}_values"]) for name in FACTORS}
        for name, values in found.items():
            full = FULL_VALUES[name]
            if values.dtype != full.dtype or values.ndim != 1 or not len(values):
                raise ValueError(
                    f"{name}_values: {values.dtype} of shape {values.shape}, expected {full.dtype} of (n,)"
                )
            if not np.isin(values, full).all() or (np.diff(values) <= 0).any():
                raise ValueError(f"{name}_values: expected some of the 2D shapes' {len(full)} values, ascending")
        return cls(tuple(found.values()))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each factor takes."""
        return tuple(len(values) for values in self.values)

    @property
    def images(self) -> int:
        """How many images the grid has."""
        return int(np.prod(self.sizes))

    def size(self, factor: str) -> int:
        """How many values `factor` takes."""
        return len(self.values[self.names.index(factor)])

    def index(self, classes: np.ndarray) -> np.ndarray:
        """Image numbers (...) of factor classes (..., factors)."""
        strides = np.cumprod((1, *self.sizes[:0:-1]))[::-1]
        return np.asarray(classes) @ strides

    def classes(self, images: np.ndarray | None = None) -> np.ndarray:
        """Factor classes (..., factors), int64, of image numbers (...); of all images where none are given."""
        images = np.arange(self.images) if images is None else np.asarray(images)
        return np.stack(np.unravel_index(images, self.sizes), axis=-1)

    def factor_values(self) -> np.ndarray:
        """The factors' values of every image: (images, factors) float64."""
        return np.stack([v[c] for v, c in zip(self.values, self.classes().T, strict=True)], axis=1)


@dataclass(frozen=True)
class PartGrid(FactorGrid):
    """A whole product of factors among the images of a larger set, or in another order: `numbers` (images,) says which
    images of the set they are, in the product's order.
    """

    numbers: np.ndarray = field(kw_only=True)

    def index(self, classes: np.ndarray) -> np.ndarray:
        """Image numbers (...) in the set, of factor classes (..., factors)."""
        return self.numbers[super().index(classes)]

    def classes(self, images: np.ndarray | None = None) -> np.ndarray:
        """Factor classes (..., factors), int64, of image numbers (...) in the set that belong to the product; of all
        of it, in its order, where none are given.
        """
        order = np.argsort(self.numbers)
        places = None if images is None else order[np.searchsorted(self.numbers, images, sorter=order)]
        return super().classes(places)
