"""The images of any data set as they are stored: 2D shapes (packed bits) and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from betavae.factors import FactorGrid
from betavae.images import BYTES, lit_chunks, open_bits, open_grid, unpack
from betavae.picture_set import open_factors, open_images
from betavae.shapes import SIDE

AT_ONCE = 128  # pictures encoded together: their maps fit a CPU's cache


def open_factor_grid(dataset: Path) -> FactorGrid:
    """The factor grid of a data set's HDF5 file: dsprites.h5, or a picture set's images.h5.

    Of pictures that are no whole product of known factors it is that of one factor, the image's number.
    """
    if dataset.name == "dsprites.h5":
        return open_grid(dataset)
    factors = open_factors(dataset)
    known = factors.grid() if factors is not None else None
    if known is not None:
        return known
    with h5py.File(dataset) as file:
        return FactorGrid((np.arange(len(file["images"])),), ("image",))


def open_data(images: Path, dataset: Path) -> tuple[np.ndarray, FactorGrid]:
    """The stored images of a data set, mapped, and its factor grid.

    images: dsprites_bits.npy → (N, 512) uint8, packed, or a picture set's images.npy → (N, 64, 64, C) uint8; dataset:
    the HDF5 file beside it.
    """
    grid = open_factor_grid(dataset)
    stored = open_bits(images, grid.images) if images.name == "dsprites_bits.npy" else open_images(images)
    return stored, grid


def open_taught_grid(dataset: Path) -> FactorGrid:
    """The factor grid of what a system learns from labels: as `open_factor_grid`, and of pictures that are not quite
    every combination, or come in another order, the part of them that is a whole product.
    """
    factors = open_factors(dataset)
    part = factors.part() if factors is not None and factors.grid() is None else None
    return part or open_factor_grid(dataset)


def shown_images(stored: np.ndarray) -> np.ndarray:
    """Stored images to look at: (n, 64, 64), in colour (n, 64, 64, 3), float32 in [0, 1]."""
    if stored.shape[-1] == BYTES:
        return unpack(stored).reshape(-1, SIDE, SIDE).astype(np.float32)
    return (stored if stored.shape[-1] > 1 else stored[..., 0]) / np.float32(255)


def chunks(images: np.ndarray, grid: FactorGrid) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All images, in parts: numbers (n,), pixels (n, P) float32, and the columns (P,) outside which they are zero."""
    if images.ndim == 2:
        yield from lit_chunks(images, grid)
        return
    every = np.arange(images[0].size)
    for first in range(0, len(images), AT_ONCE):
        numbers = np.arange(first, min(first + AT_ONCE, len(images)))
        planes = np.moveaxis(images[numbers], -1, 1).reshape(len(numbers), -1)
        yield numbers, planes / np.float32(255), every
