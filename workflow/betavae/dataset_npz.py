"""Write the data set as NPZ too, member by member as in the original file, for the loaders that read only that."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np

from betavae import job
from betavae.dataset import LATENTS, latents
from betavae.factors import FactorGrid
from betavae.images import open_bits, open_grid, unpack
from betavae.shapes import SIDE

BLOCK = 4096
FASTEST = 1  # deflate's fastest level: half the time of level 6; the HDF5 file is the small one


def metadata(grid: FactorGrid, title: str) -> np.ndarray:
    """The original's `metadata` member: a dictionary in a zero-dimensional object array."""
    values = dict(zip(LATENTS, (np.array([1.0]), *grid.values), strict=True))
    return np.array(
        {
            "title": title,
            "latents_names": LATENTS,
            "latents_sizes": np.array([len(v) for v in values.values()]),
            "latents_possible_values": values,
        },
        dtype=object,
    )


def main(*, h5: Path, bits: Path, npz: Path) -> None:
    """Write dsprites.npz from dsprites.h5 and dsprites_bits.npy, a block of images at a time."""
    grid = open_grid(h5)
    packed = open_bits(bits, grid.images)
    with h5py.File(h5) as file:
        title = str(file.attrs["title"])
    values, classes = latents(grid)
    with (
        job.atomic(npz) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=FASTEST) as archive,
    ):
        small = {"metadata": metadata(grid, title), "latents_values": values, "latents_classes": classes}
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=name == "metadata")
        with archive.open("imgs.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (grid.images, SIDE, SIDE)}
            np.lib.format.write_array_header_1_0(member, header)
            for first in range(0, grid.images, BLOCK):
                member.write(unpack(packed[first : first + BLOCK]).tobytes())
