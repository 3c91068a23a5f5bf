"""Read the images: packed bits, mapped into memory and shared by all jobs of a machine.

96 % of all pixels are zero and an object of a known size and position lights only a small window. Whatever is linear
in the pixels (the first layer of an encoder, a projection, a Gram matrix) need only see that window:
`lit_chunks` hands out images that share one.
"""

from __future__ import annotations

import itertools
import tokenize
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from betavae.errors import UserError
from betavae.factors import FactorGrid
from betavae.shapes import PIXELS

BYTES = PIXELS // 8
# What h5py and NumPy raise on files that are damaged, or something else altogether.
UNREADABLE = (
    OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError, EOFError, OverflowError,
    MemoryError, SystemError, SyntaxError, tokenize.TokenError,
)  # fmt: skip
TILE = 4  # positions a side of the square of positions whose images share a window: 4 measured fastest


def open_bits(path: Path, images: int | None = None) -> np.ndarray:
    """The packed images of dsprites_bits.npy, (images, 512) uint8, mapped (copy on write, never copied).

    images: how many the data set has; UserError where the file has another number, or is something else.
    """
    try:
        bits = np.load(path, mmap_mode="c", allow_pickle=False)
    except UNREADABLE as error:
        raise UserError(f"{path}: no packed images ({error}); delete it and run the same command again") from error
    if not isinstance(bits, np.ndarray):
        raise UserError(
            f"{path}: several arrays, expected one, uint8 of shape (images, {BYTES}); delete it and run again"
        )
    wrong = bits.dtype != np.uint8 or bits.ndim != 2 or bits.shape[1] != BYTES
    if wrong or len(bits) != (images or len(bits)):
        expected = f"uint8 of shape ({images or 'images'}, {BYTES})"
        raise UserError(f"{path}: {bits.dtype} of shape {bits.shape}, expected {expected}; delete it and run again")
    return bits


def open_grid(path: Path) -> FactorGrid:
    """The factor grid of a data set file (dsprites.h5)."""
    try:
        with h5py.File(path) as file:
            return FactorGrid.from_attributes(file.attrs)
    except UNREADABLE as error:
        raise UserError(f"{path}: not a data set file of this workflow ({error}); delete it and run again") from error


def pack(images: np.ndarray) -> np.ndarray:
    """Images (n, 64, 64) of 0 and 1 as bits: (n, 512) uint8."""
    return np.packbits(images.reshape(len(images), PIXELS), axis=1)


def unpack(bits: np.ndarray) -> np.ndarray:
    """Bits (..., B) as pixels: (..., 8 B) uint8, 0 or 1."""
    return np.unpackbits(bits, axis=-1)


def tiles(grid: FactorGrid, by_shape: bool = False) -> Iterator[np.ndarray]:
    """Image numbers, grouped so that a group's images light the same few pixels: of one scale, at positions close
    together; with `by_shape`, of one shape too.
    """
    numbers = np.arange(grid.images).reshape(grid.sizes)
    shapes = range(grid.size("shape")) if by_shape else [slice(None)]
    places = [range(0, grid.size(name), TILE) for name in ("posX", "posY")]
    for shape, scale, x, y in itertools.product(shapes, range(grid.size("scale")), *places):
        yield numbers[shape, scale, ..., x : x + TILE, y : y + TILE].reshape(-1)


def ever_lit(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What any of the packed images (n, 512) lights: the bytes that are not zero in all of them, and the pixels, among
    the pixels of these bytes.
    """
    ever = np.bitwise_or.reduce(bits, axis=0)
    used = np.flatnonzero(ever)
    return used, np.flatnonzero(unpack(ever[used]))


def lit_chunk(bits: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of `images` (n,) that is not zero in all of them.

    Returns pixels (n, P) float32 and the columns (P,) that they have among the 4096; all others are zero.
    """
    chunk = bits[images]
    used, lit = ever_lit(chunk)
    return unpack(chunk[:, used])[:, lit].astype(np.float32), used[lit // 8] * 8 + lit % 8


def lit_chunks(bits: np.ndarray, grid: FactorGrid) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All images in chunks: (image numbers (n,), pixels (n, P) float32, columns (P,))."""
    for images in tiles(grid):
        yield (images, *lit_chunk(bits, images))
