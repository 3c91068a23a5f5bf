"""Synthesise the 2D shapes (section 4.2) to HDF5, in the layout of the original file, and to packed bits.

The original file (dSprites, HDF5 or NPZ) can stand in for the synthesis: it is checked, image by image
against the drawing rule, and written in the same two files, so that nothing else needs to know.
"""

from __future__ import annotations

import contextlib
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

import h5py
import numpy as np

from betavae import images as image_files
from betavae import job
from betavae.errors import UserError
from betavae.factors import FACTORS, SHAPE_NAMES, FactorGrid
from betavae.images import BYTES, pack
from betavae.shapes import SIDE, draw

COMPRESSION = 6
LATENTS = ("color", *FACTORS)  # the original names a colour latent first; it is always white, 1.0
TOLERANCE = 16  # pixels in which an image of the original may differ from ours (seen: 4; one position step: 18 or more)
# What zipfile and zlib raise, beside h5py and NumPy, on files that are damaged or something else altogether.
UNREADABLE = (*image_files.UNREADABLE, zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError)


def rendered_blocks(grid: FactorGrid) -> Iterator[np.ndarray]:
    """Images (posX · posY, 64, 64) uint8 for each shape, scale and orientation in the grid's order."""
    shapes, scales, orientations, pos_x, pos_y = grid.values
    for shape in shapes:
        for scale in scales:
            for orientation in orientations:
                yield draw(int(shape) - 1, scale, orientation, pos_x, pos_y).reshape(-1, SIDE, SIDE)


def check_array(path: Path, name: str, array: Any) -> None:
    """Refuse an array of the original file that has another shape or type than the original's; array: has both."""
    shape, kind = layout()[name]
    if not hasattr(array, "shape"):
        raise ValueError(f"{name} is a group, expected {np.dtype(kind)} of shape {shape}")
    if array.shape != shape or array.dtype != np.dtype(kind):
        raise UserError(
            f"{path}: {name}: {array.dtype} of shape {array.shape}, expected {np.dtype(kind)} of shape {shape}"
        )


def layout() -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and type of each array of the original file."""
    images = FactorGrid.thinned({}).images
    return {
        "imgs": ((images, SIDE, SIDE), np.uint8),
        "latents/values": ((images, len(LATENTS)), np.float64),
        "latents/classes": ((images, len(LATENTS)), np.int64),
    }


def check_latents(path: Path, values: np.ndarray, classes: np.ndarray) -> None:
    """Refuse latents that are not the full product grid in the original's order."""
    full = FactorGrid.thinned({})
    if classes[:, 0].any() or (values[:, 0] != 1.0).any():
        raise UserError(f"{path}: the first latent is not the original's colour, always white (class 0, value 1.0)")
    expected_values, expected = latents(full)
    for column, name in enumerate(FACTORS, start=1):
        wrong = np.flatnonzero(classes[:, column] != expected[:, column])
        if len(wrong):
            raise UserError(
                f"{path}: image {wrong[0]} has {name} class {classes[wrong[0], column]}, expected "
                f"{expected[wrong[0], column]}; the factors must come in the order {', '.join(LATENTS)}, "
                "the last varying fastest"
            )
        if not np.allclose(values[:, column], expected_values[:, column], atol=1e-6):
            raise UserError(f"{path}: latents/values of {name} differ from the original's")


def check_block(path: Path, first: int, images: np.ndarray, expected: np.ndarray) -> None:
    """Refuse images that are not the ones which their latents describe."""
    if images.max() > 1:
        raise UserError(f"{path}: images hold the value {images.max()}, expected 0 and 1 only")
    off = (images != expected).sum(axis=(1, 2))
    if off.max() > TOLERANCE:
        shape = SHAPE_NAMES[FactorGrid.thinned({}).classes(np.array(first))[0]]
        raise UserError(
            f"{path}: image {first + off.argmax()} differs in {off.max()} pixels from the {shape} that its latents "
            f"describe, expected at most {TOLERANCE}; are the images in the original's order?"
        )


def original_blocks_hdf5(path: Path, block: int) -> Iterator[np.ndarray]:
    """The original HDF5 file's images, `block` at a time. Shapes are checked before anything is read."""
    with h5py.File(path) as file:
        for name in layout():
            check_array(path, name, file[name])
        check_latents(path, file["latents/values"][:], file["latents/classes"][:])
        for first in range(0, len(file["imgs"]), block):
            yield file["imgs"][first : first + block]


class Header(NamedTuple):
    """What stands at the head of an array of an NPZ file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


@contextlib.contextmanager
def npz_array(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The bytes of an array of the original NPZ file, in C order, its header checked; nothing pickled is loaded."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name.replace('/', '_')}.npy") as member:
        version = np.lib.format.read_magic(member)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        header = Header(*read_header[version](member))
        check_array(path, name, header)
        if header.fortran:
            raise UserError(f"{path}: {name} are in Fortran order, expected C order")
        yield member


def original_blocks_npz(path: Path, block: int) -> Iterator[np.ndarray]:
    """The original NPZ file's images, `block` at a time: streamed, and its pickled `metadata` never read."""
    small = []
    for name in ("latents/values", "latents/classes"):
        shape, kind = layout()[name]
        with npz_array(path, name) as member:
            size = np.dtype(kind).itemsize * shape[0] * shape[1]
            small.append(np.frombuffer(member.read(size), kind).reshape(shape))
    check_latents(path, *small)
    with npz_array(path, "imgs") as member:
        for _ in range(0, layout()["imgs"][0][0], block):
            yield np.frombuffer(member.read(block * SIDE * SIDE), np.uint8).reshape(-1, SIDE, SIDE)


READERS = {".h5": original_blocks_hdf5, ".hdf5": original_blocks_hdf5, ".npz": original_blocks_npz}


def original_blocks(path: Path, strides: dict[str, int]) -> Iterator[np.ndarray]:
    """As `rendered_blocks`, from the original file at `path`, every image of it checked."""
    full = FactorGrid.thinned({})
    block = full.size("posX") * full.size("posY")
    step = [strides.get(name, 1) for name in FACTORS]
    try:
        blocks = READERS[path.suffix](path, block)
        for number, (images, expected) in enumerate(zip(blocks, rendered_blocks(full), strict=True)):
            check_block(path, number * block, images, expected)
            if not any(c % s for c, s in zip(full.classes(np.array(number * block))[:3], step, strict=False)):
                by_position = images.reshape(full.size("posX"), full.size("posY"), SIDE, SIDE)
                yield by_position[:: step[3], :: step[4]].reshape(-1, SIDE, SIDE)
    except UNREADABLE as error:
        raise UserError(f"{path}: not the original dSprites file ({error})") from error


def metadata(grid: FactorGrid, source: str) -> dict[str, object]:
    """What the data set says of itself, the original's keys among it."""
    sizes = (1, *grid.sizes)
    return {
        "title": "2D shapes (dSprites layout)",
        "source": source,
        "latents_names": list(LATENTS),
        "latents_sizes": np.array(sizes),
        **{f"{name}_values": values for name, values in zip(FACTORS, grid.values, strict=True)},
    }


def latents(grid: FactorGrid) -> tuple[np.ndarray, np.ndarray]:
    """Values (images, 6) float64 and classes (images, 6) int64, colour first."""
    values, classes = grid.factor_values(), grid.classes()
    return np.insert(values, 0, 1.0, axis=1), np.insert(classes, 0, 0, axis=1)


def write(
    h5: Path,
    bits: Path,
    grid: FactorGrid,
    blocks: Iterator[np.ndarray],
    attributes: dict[str, object],
    threads: int = 1,
) -> None:
    """Write the two files of a data set from its blocks of images; chunks are compressed in threads."""
    block = grid.size("posX") * grid.size("posY")
    with (
        job.atomic(h5) as h5_part,
        job.atomic(bits) as bits_part,
        h5py.File(h5_part, "w") as file,
        ThreadPoolExecutor(threads) as pool,
        job.progress(grid.images, f"data set {h5.parent.name}", "image") as bar,
    ):
        options = {"compression": "gzip", "compression_opts": COMPRESSION, "shuffle": True}
        for name, array in zip(("values", "classes"), latents(grid), strict=True):
            file.create_dataset(f"latents/{name}", data=array, chunks=(min(len(array), 16384), 6), **options)
        chunk = block // 4 if block % 4 == 0 else block
        images = file.create_dataset("imgs", (grid.images, SIDE, SIDE), np.uint8, chunks=(chunk, SIDE, SIDE), **options)
        packed = np.lib.format.open_memmap(bits_part, "w+", np.uint8, (grid.images, BYTES))
        job.reserve(bits_part)
        waiting: list[tuple[int, Future[bytes]]] = []

        def write_waiting(leave: int) -> None:
            while len(waiting) > leave:
                first, compressed = waiting.pop(0)
                images.id.write_direct_chunk((first, 0, 0), compressed.result())

        for number, drawn in enumerate(blocks):
            packed[number * block : (number + 1) * block] = pack(drawn)
            for first in range(0, block, chunk):
                # Shuffling single bytes leaves them where they are: the chunk's filters come down to deflate.
                part = drawn[first : first + chunk].tobytes()
                waiting.append((number * block + first, pool.submit(zlib.compress, part, COMPRESSION)))
            write_waiting(leave=4 * threads)
            bar.update(block)
        write_waiting(leave=0)
        packed.flush()
        file.attrs.update(job.settled(attributes))


def main(*, h5: Path, bits: Path, strides: str, original: Path | None = None, threads: int = 1) -> None:
    """Write results/data/{grid}/dsprites.h5 and dsprites_bits.npy.

    strides: JSON, the stride of each factor that is thinned; original: the original file, in place of ours;
    threads: how many compress.
    """
    if original and original.suffix not in READERS:
        raise UserError(f"{original}: expected the original dSprites file, .npz, .hdf5 or .h5")
    stride_of = json.loads(strides)
    grid = FactorGrid.thinned(stride_of)
    source = f"original file {original.name}" if original else "synthesised by betavae.shapes"
    blocks = original_blocks(original, stride_of) if original else rendered_blocks(grid)
    made = {"strides": strides, "provenance": lambda: json.dumps(job.provenance("dataset"))}
    write(h5, bits, grid, blocks, metadata(grid, source) | made, threads)
