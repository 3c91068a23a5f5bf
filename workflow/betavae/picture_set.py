"""The files of a picture set (CelebA, chairs, faces and their stand-ins): how they are written and read.

images.h5: /images (N, 64, 64, C) uint8, C = 1 or 3, in compressed chunks; where factors are known, /factors/values
(N, K) float64 and /factors/classes (N, K) int64; attributes source, preprocessing (words), factor_names,
factor_sizes (JSON lists; both empty where no factor is known), provenance (JSON). images.npy: the images alone,
uncompressed, to be mapped into memory.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from betavae import job
from betavae.errors import UserError
from betavae.factors import FactorGrid, PartGrid
from betavae.shapes import SIDE

COMPRESSION = 4
CHUNK = 128  # images that are compressed together
WHOLE = 0.9  # of all combinations of factors that must be there for what is whole among them to be sought
AGAIN = "delete it and run the same command again"


@dataclass(frozen=True)
class Factors:
    """What is known of a set's factors: `values` (N, K) float64, `classes` (N, K) int64, K `names` and `sizes`."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    values: np.ndarray
    classes: np.ndarray

    @classmethod
    def of_grid(cls, grid: FactorGrid) -> Factors:
        """The factors of all images of a product grid, in its order."""
        return cls(grid.names, grid.sizes, grid.factor_values(), grid.classes())

    @classmethod
    def of_values(cls, names: tuple[str, ...], values: np.ndarray) -> Factors:
        """Factors from the values (N, K) of each image; a factor's values are numbered in ascending order."""
        numbered = [np.unique(column, return_inverse=True) for column in values.T]
        sizes = tuple(len(found) for found, _ in numbered)
        return cls(names, sizes, values, np.stack([classes for _, classes in numbered], axis=1).astype(np.int64))

    def grid(self) -> FactorGrid | None:
        """The product grid that the images are, in its order; None where combinations lack or come otherwise."""
        levels = [np.unique(column) for column in self.values.T]
        grid = FactorGrid(tuple(levels), self.names)
        whole = grid.images == len(self.classes) and grid.sizes == self.sizes
        return grid if whole and np.array_equal(grid.classes(), self.classes) else None

    def part(self) -> PartGrid | None:
        """The product that is whole once values with gaps are left out, in whatever order the images come: a chair of
        which one view is broken goes, all others stay. None where too many combinations lack.
        """
        levels = [np.unique(column) for column in self.values.T]
        if tuple(map(len, levels)) != self.sizes or WHOLE * math.prod(self.sizes) > len(self.classes):
            return None
        numbers = np.full(self.sizes, -1)
        numbers[tuple(self.classes.T)] = np.arange(len(self.classes))
        axes = range(numbers.ndim)
        while (numbers < 0).any():
            gaps = [(numbers < 0).mean(axis=tuple(set(axes) - {axis})) for axis in axes]
            worst = max(axes, key=lambda axis: gaps[axis].max())
            value = gaps[worst].argmax()
            numbers = np.delete(numbers, value, worst)
            levels[worst] = np.delete(levels[worst], value)
        return PartGrid(tuple(levels), self.names, numbers=numbers.ravel())


class Writer:
    """Takes a set's images as they come: any number of `append`, then one `finish`. Made by `writing`."""

    def __init__(self, file: h5py.File, npy: IO[bytes], channels: int, pool: ThreadPoolExecutor, ahead: int) -> None:
        self.file, self.npy, self.pool, self.ahead = file, npy, pool, ahead
        self.shape = (SIDE, SIDE, channels)
        self.count = 0
        self.held: list[np.ndarray] = []
        self.waiting: list[tuple[int, Future[bytes]]] = []
        self._header()
        self.images = file.create_dataset(
            "images",
            (0, *self.shape),
            np.uint8,
            maxshape=(None, *self.shape),
            chunks=(CHUNK, *self.shape),
            compression="gzip",
            compression_opts=COMPRESSION,
        )

    def _header(self) -> None:
        """Write the header of images.npy; NumPy leaves room for any count, so that it can be written over."""
        self.npy.seek(0)
        described = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.npy, described)

    def _compress(self, leave: int) -> None:
        """Give held images to the pool in whole chunks; write what is compressed, but for the last `leave`."""
        held = np.concatenate(self.held) if self.held else np.empty((0, *self.shape), np.uint8)
        first = self.count - len(held)
        while len(held) >= CHUNK or (len(held) and not leave):
            part, held = held[:CHUNK], held[CHUNK:]
            whole = np.zeros((CHUNK, *self.shape), np.uint8)
            whole[: len(part)] = part
            self.waiting.append((first, self.pool.submit(zlib.compress, whole.tobytes(), COMPRESSION)))
            first += len(part)
        self.held = [held]
        while len(self.waiting) > leave:
            at, compressed = self.waiting.pop(0)
            self.images.resize(max(len(self.images), min(at + CHUNK, self.count)), axis=0)
            self.images.id.write_direct_chunk((at, 0, 0, 0), compressed.result())

    def append(self, images: np.ndarray) -> None:
        """Images (n, 64, 64, C) uint8, of any n."""
        self.npy.write(np.ascontiguousarray(images).data)
        self.held.append(images)
        self.count += len(images)
        if sum(map(len, self.held)) >= CHUNK:
            self._compress(leave=self.ahead)

    def finish(self, source: str, preprocessing: str, factors: Factors | None, *steps: str) -> None:
        """The last chunk, the factors of the images written and what the set says of itself; `steps` made it."""
        self._compress(leave=0)
        self._header()
        if factors is not None:
            for name in ("values", "classes"):
                array = getattr(factors, name)
                options = {"compression": "gzip", "chunks": (min(len(array), 16384), len(factors.names))}
                self.file.create_dataset(f"factors/{name}", data=array, **options)
        self.file.attrs.update(
            {
                "source": source,
                "preprocessing": preprocessing,
                "factor_names": json.dumps(factors.names if factors else []),
                "factor_sizes": json.dumps(factors.sizes if factors else []),
                "provenance": json.dumps(job.provenance(*steps)),
            }
        )


@contextmanager
def writing(h5: Path, npy: Path, channels: int, threads: int = 1) -> Iterator[Writer]:
    """A writer of the two files, which take their names only once the block ends without error.

    channels: 1 or 3; threads: how many compress.
    """
    with (
        job.atomic(h5) as h5_part,
        job.atomic(npy) as npy_part,
        h5py.File(h5_part, "w") as file,
        npy_part.open("wb") as plain,
        ThreadPoolExecutor(threads) as pool,
    ):
        yield Writer(file, plain, channels, pool, 4 * threads)


def open_images(path: Path) -> np.ndarray:
    """The images of images.npy, (N, 64, 64, C) uint8, mapped (copy on write, never copied)."""
    try:
        images = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: no images ({error}); {AGAIN}") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] not in ((SIDE, SIDE, 1), (SIDE, SIDE, 3)):
        raise UserError(
            f"{path}: {images.dtype} of shape {images.shape}, expected uint8 of shape (images, {SIDE}, {SIDE}, 1 or 3)"
        )
    if not len(images):
        raise UserError(f"{path}: holds no image; {AGAIN}")
    return images


def open_factors(path: Path) -> Factors | None:
    """The factors in images.h5; None where the set's factors are not known."""
    try:
        with h5py.File(path) as file:
            images = len(file["images"])
            names, sizes = (tuple(json.loads(file.attrs[f"factor_{key}"])) for key in ("names", "sizes"))
            if not names:
                return None
            factors = Factors(names, sizes, file["factors/values"][:], file["factors/classes"][:])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not a picture set of this workflow ({error}); {AGAIN}") from error
    expected = (images, len(names))
    if factors.values.shape != expected or factors.classes.shape != expected or len(sizes) != len(names):
        raise UserError(
            f"{path}: factors of shape {factors.values.shape} and {factors.classes.shape}, expected {expected}; {AGAIN}"
        )
    if (factors.classes < 0).any() or (factors.classes >= np.array(sizes)).any():
        raise UserError(f"{path}: factor classes outside the sizes {sizes} that the file names; {AGAIN}")
    return factors


def describe(path: Path) -> dict[str, Any]:
    """The attributes of images.h5: source, preprocessing, factor_names, factor_sizes, provenance."""
    try:
        with h5py.File(path) as file:
            plain = {key: str(file.attrs[key]) for key in ("source", "preprocessing")}
            return plain | {key: json.loads(file.attrs[key]) for key in ("factor_names", "factor_sizes", "provenance")}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a picture set of this workflow ({error}); {AGAIN}") from error
