"""The joint of the house: what a model says of every image, as a file, and as the metric sees it.

A codes file is HDF5 with /mean (replicas, images, M) float32, uncompressed, and /logvar where there is one;
its attributes name data set, scale and origin. Whatever can write one gets the metric, the tables and the
plots. Raw pixels, too large to store, offer the same interface without the file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from betavae import job
from betavae.errors import UserError
from betavae.images import UNREADABLE, ever_lit, open_bits, unpack

CHUNK = 1 << 22  # numbers compared at once: small enough for the cache, large enough for NumPy


class Representation(Protocol):
    """Codes of every image, for each replica."""

    replicas: int
    groups: np.ndarray  # (replicas,): scores are sorted, halved and averaged within a group first
    attributes: dict[str, Any]

    def diverged(self, replica: int) -> bool:
        """Whether the replica's codes are not finite."""

    def mean_difference(self, replica: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Mean over L of |code − code'| of the image pairs `first`, `second` (points, L): (points, M) float32."""


class StoredCodes:
    """The codes in a file."""

    def __init__(self, path: Path, images: int) -> None:
        self._path = path
        with self._reading():
            self._file = h5py.File(path)
            self._mean = self._array("mean", (None, images, None))
            self.attributes = dict(self._file.attrs.items())
            self.replicas = self._mean.shape[0]
            self.groups = self._file["group"][:] if "group" in self._file else np.zeros(self.replicas, np.int64)
        if self.groups.shape != (self.replicas,) or self.groups.dtype.kind not in "iu":
            raise UserError(
                f"{path}: /group is {self.groups.dtype} of shape {self.groups.shape}, "
                f"expected integers of shape ({self.replicas},)"
            )
        self._loaded: tuple[int, np.ndarray] = (-1, np.empty(0))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            raise UserError(f"{self._path}: not a codes file ({error}); expected HDF5 with /mean") from error

    def _array(self, name: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
        """An array of the file, of floating-point numbers and of this shape (None: any length but 0)."""
        found = self._file[name]
        if not isinstance(found, h5py.Dataset) or found.dtype.kind != "f":
            raise UserError(f"{self._path}: /{name} is no array of floating-point numbers, expected float32")
        lengths = found.shape or ()
        if len(lengths) != len(shape) or any(not n or n != (m or n) for n, m in zip(lengths, shape, strict=True)):
            expected = tuple(n or word for n, word in zip(shape, ("replicas", "images", "latents"), strict=True))
            raise UserError(
                f"{self._path}: /{name} has shape {found.shape}, expected ({', '.join(map(str, expected))})"
            )
        return found

    def codes(self, replica: int) -> np.ndarray:
        """One replica's codes, (images, M) float32; the last replica asked for is kept."""
        if self._loaded[0] != replica:
            with self._reading(), np.errstate(over="ignore"):
                self._loaded = (replica, self._mean[replica].astype(np.float32))
        return self._loaded[1]

    def logvar(self, replica: int) -> np.ndarray | None:
        """One replica's log-variances, (images, M) float32; none where the codes have no posterior."""
        if "logvar" not in self._file:
            return None
        with self._reading(), np.errstate(over="ignore"):
            return self._array("logvar", self._mean.shape)[replica].astype(np.float32)

    def diverged(self, replica: int) -> bool:
        return not np.isfinite(self.codes(replica)).all()

    def mean_difference(self, replica: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        codes = self.codes(replica)
        points, pairs = first.shape
        means = np.empty((points, codes.shape[1]), np.float32)
        for part in _parts(points, pairs * codes.shape[1]):
            means[part] = np.abs(codes[first[part]] - codes[second[part]]).mean(1)
        return means


class HeldCodes(StoredCodes):
    """Codes in memory: `mean` (replicas, images, M) float32."""

    def __init__(self, mean: np.ndarray) -> None:
        self._mean = mean
        self.attributes = {}
        self.replicas = len(mean)
        self.groups = np.zeros(self.replicas, np.int64)
        self._loaded = (-1, np.empty(0))


class PixelCodes:
    """Raw pixels as codes, no training, no file: those of the 4096 that any image lights; the rest never differ."""

    def __init__(self, bits: Path, images: int | None = None) -> None:
        self._bits = open_bits(bits, images)
        self._bytes, self._lit = ever_lit(self._bits)
        self.replicas = 1
        self.groups = np.zeros(1, np.int64)
        self.attributes = {"origin": "raw pixels"}

    def diverged(self, replica: int) -> bool:
        return False

    def mean_difference(self, replica: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        points, pairs = first.shape
        means = np.empty((points, len(self._lit)), np.float32)
        for part in _parts(points, pairs * len(self._bytes) * 8):
            differ = unpack((self._bits[first[part]] ^ self._bits[second[part]])[..., self._bytes])
            means[part] = differ.sum(1, dtype=np.uint16)[:, self._lit]
        return means / pairs


def _parts(points: int, numbers_a_point: int) -> Iterator[slice]:
    size = max(1, CHUNK // numbers_a_point)
    return (slice(first, first + size) for first in range(0, points, size))


@contextlib.contextmanager
def write_codes(
    path: Path, shape: tuple[int, int, int], names: tuple[str, ...] = ("mean",), **attributes: Any
) -> Iterator[dict[str, np.ndarray]]:
    """Arrays (replicas, images, M) float32 to fill, mapped into a codes file that appears when the block ends.

    attributes: as text, all else as JSON; of functions what they return then (see `job.settled`).
    """
    with job.atomic(path) as part:
        with h5py.File(part, "w") as file:
            offsets = {}
            for name in names:
                data = file.create_dataset(name, shape, np.float32)
                data[-1, -1, -1] = 0.0  # gives the contiguous block its place in the file
                offsets[name] = data.id.get_offset()
            if "group" in attributes:
                file["group"] = np.asarray(attributes.pop("group"), np.int64)
        job.reserve(part)
        arrays = {name: np.memmap(part, np.float32, "r+", offset, shape) for name, offset in offsets.items()}
        yield arrays
        for array in arrays.values():
            array.flush()
        with h5py.File(part, "r+") as file:
            for name, value in job.settled(attributes).items():
                file.attrs[name] = value if isinstance(value, str) else json.dumps(value)
