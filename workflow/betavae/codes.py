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
from betavae.images import open_bits, unpack

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
        try:
            self._file = h5py.File(path)
            self._mean = self._file["mean"]
            self.attributes = dict(self._file.attrs.items())
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: not a codes file ({error}); expected HDF5 with /mean") from error
        if not isinstance(self._mean, h5py.Dataset) or self._mean.dtype.kind != "f":
            raise UserError(f"{path}: /mean is no array of floating-point numbers, expected float32")
        shape = self._mean.shape
        if len(shape) != 3 or shape[1] != images or not all(shape):
            raise UserError(f"{path}: /mean has shape {shape}, expected (replicas, {images}, latents)")
        self.replicas = shape[0]
        self.groups = self._file["group"][:] if "group" in self._file else np.zeros(self.replicas, np.int64)
        if self.groups.shape != (self.replicas,):
            raise UserError(f"{path}: /group has shape {self.groups.shape}, expected ({self.replicas},)")
        self._loaded: tuple[int, np.ndarray] = (-1, np.empty(0))

    def codes(self, replica: int) -> np.ndarray:
        """One replica's codes, (images, M) float32; the last replica asked for is kept."""
        if self._loaded[0] != replica:
            self._loaded = (replica, self._mean[replica].astype(np.float32))
        return self._loaded[1]

    def logvar(self, replica: int) -> np.ndarray | None:
        """One replica's log-variances, (images, M) float32; none where the codes have no posterior."""
        if "logvar" not in self._file:
            return None
        if self._file["logvar"].shape != self._mean.shape:
            raise UserError(f"{self._file.filename}: /logvar and /mean differ in shape, expected {self._mean.shape}")
        return self._file["logvar"][replica].astype(np.float32)

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

    def __init__(self, bits: Path) -> None:
        self._bits = open_bits(bits)
        ever = np.bitwise_or.reduce(self._bits, axis=0)
        self._bytes = np.flatnonzero(ever)
        self._lit = np.flatnonzero(unpack(ever[self._bytes]))  # among the pixels of these bytes
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
    """Arrays (replicas, images, M) float32 to fill, mapped into a codes file that appears when the block ends."""
    with job.atomic(path) as part:
        with h5py.File(part, "w") as file:
            offsets = {}
            for name in names:
                data = file.create_dataset(name, shape, np.float32)
                data[-1, -1, -1] = 0.0  # allocates the contiguous block
                offsets[name] = data.id.get_offset()
            if "group" in attributes:
                file["group"] = np.asarray(attributes.pop("group"), np.int64)
            file.attrs.update({k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()})
        job.reserve(part)
        arrays = {name: np.memmap(part, np.float32, "r+", offset, shape) for name, offset in offsets.items()}
        yield arrays
        for array in arrays.values():
            array.flush()
