"""Read pictures that somebody else packed: a folder, zip, tar or HDF5 file, one at a time, nothing unpacked to disk.

No name from an archive ever becomes a path. Links are not followed, in archives or out of a folder; what is larger
than a picture can be is refused before it is read, or decoded.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from betavae.errors import UserError
from betavae.shapes import SIDE

BYTES = 16 * 2**20  # of a picture's file, at most
PIXELS = 4096 * 4096  # of a picture, at most
MEMBERS = 1_000_000  # of an archive or folder, at most
# What tarfile, zipfile, zlib and h5py raise on files that are damaged, encrypted or something else altogether.
UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "PPM")


class Broken(Exception):
    """A picture that cannot be taken: why."""


Read = Callable[[str], bytes | np.ndarray]  # a file by its name: its bytes, or an array of pixels
Pictures = tuple[list[str], Read]  # the names of all files in a folder or archive, sorted, and how to read one


class _Bounded(io.FileIO):
    """A file that refuses to read more at once than a picture may hold: tar headers can ask for any size."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= BYTES:
            raise UserError(f"{self.name}: a member's header asks for {size} bytes, expected at most {BYTES}")
        return super().read(size)


def _checked(name: str, size: int) -> None:
    """Refuse a member larger than a picture."""
    if size > BYTES:
        raise Broken(f"{name}: {size} bytes, expected at most {BYTES}")


def _bounded(path: Path, names: list[str]) -> list[str]:
    """The names, sorted; an archive with too many, or one of them twice, is refused."""
    if len(names) > MEMBERS:
        raise UserError(f"{path}: more than {MEMBERS} files, expected the authors' archive")
    if len(set(names)) != len(names):
        twice = next(name for name, after in zip(sorted(names), sorted(names)[1:], strict=False) if name == after)
        raise UserError(f"{path}: holds {twice!r} twice, expected the authors' archive")
    return sorted(names)


@contextmanager
def _folder(path: Path) -> Iterator[Pictures]:
    root = path.resolve()

    def read(name: str) -> bytes:
        file = root / name
        if not file.resolve().is_relative_to(root):
            raise Broken(f"{name}: a link out of the folder")
        if not file.is_file():
            raise Broken(f"{name}: not a file")
        _checked(name, file.stat().st_size)
        return file.read_bytes()

    found: list[str] = []
    for folder, _, files in os.walk(root):
        found += [(Path(folder) / file).relative_to(root).as_posix() for file in files]
        if len(found) > MEMBERS:
            break
    yield _bounded(path, found), read


@contextmanager
def _zip(path: Path) -> Iterator[Pictures]:
    with zipfile.ZipFile(path) as archive:

        def read(name: str) -> bytes:
            _checked(name, archive.getinfo(name).file_size)
            with archive.open(name) as member:
                content = member.read(BYTES + 1)
            _checked(name, len(content))
            return content

        yield _bounded(path, [entry.filename for entry in archive.infolist() if not entry.is_dir()]), read


@contextmanager
def _tar(path: Path) -> Iterator[Pictures]:
    with _Bounded(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        entries: dict[str, tarfile.TarInfo] = {}
        names: list[str] = []
        for entry in archive:
            if entry.size < 0:  # would send tarfile back to where it has been
                raise UserError(f"{path}: {entry.name!r} has the size {entry.size}, expected the authors' archive")
            if entry.isdir():
                continue
            entries[entry.name] = entry
            names.append(entry.name)
            if len(names) > MEMBERS:
                break

        def read(name: str) -> bytes:
            entry = entries[name]
            if not entry.isreg() or entry.issparse():
                raise Broken(f"{name}: a link or a special file")
            _checked(name, entry.size)
            member = archive.extractfile(entry)
            return member.read(BYTES) if member else b""

        yield _bounded(path, names), read


def _own(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset that lies in this file itself: HDF5 can link to other files, or take its bytes from them."""
    parts = name.split("/")
    for depth in range(len(parts)):
        if not isinstance(file.get("/".join(parts[: depth + 1]), getlink=True), h5py.HardLink):
            raise UserError(f"{file.filename}: no dataset {name}, or a link in its place")
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise UserError(f"{file.filename}: {name} is no dataset with its bytes in this file")
    if found.chunks and np.prod(found.chunks) * found.dtype.itemsize > 16 * BYTES:
        raise UserError(f"{file.filename}: {name} has chunks of more than {16 * BYTES} bytes; write it in smaller ones")
    return found


@contextmanager
def _hdf5(path: Path) -> Iterator[Pictures]:
    with h5py.File(path) as file:
        images = _own(file, "images")
        shape = images.shape[:3] if images.shape[3:] in ((), (1,)) else ()
        if images.dtype != np.uint8 or len(shape) != 3 or shape[0] > MEMBERS or shape[1] * shape[2] > PIXELS:
            raise UserError(
                f"{path}: images are {images.dtype} of shape {images.shape}, expected uint8 of shape (images, height, "
                f"width), at most {MEMBERS} of {PIXELS} pixels"
            )
        yield [f"{number:07d}" for number in range(len(images))], lambda name: images[int(name)].reshape(shape[1:])


def hdf5_factors(path: Path) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Names (K,) and values (N, K) of the factors in an HDF5 file, /factors/values and its attribute factor_names."""
    with h5py.File(path) as file:
        if "factors" not in file:
            return None
        values = _own(file, "factors/values")
        names = tuple(json.loads(file.attrs["factor_names"]))
        images = len(_own(file, "images"))
        if values.shape != (images, len(names)) or not names:
            raise UserError(f"{path}: factors/values of shape {values.shape}, expected {(images, len(names))}")
        return names, values[:].astype(np.float64)


@contextmanager
def opened(path: Path) -> Iterator[Pictures]:
    """The pictures in a folder, a zip, an uncompressed tar or an HDF5 file; UserError where it is none of them."""
    kinds = {".zip": _zip, ".tar": _tar, ".h5": _hdf5, ".hdf5": _hdf5}
    if not path.is_dir() and path.suffix not in kinds:
        raise UserError(f"{path}: expected a folder or a file called {', '.join(f'*{kind}' for kind in kinds)}")
    with ExitStack() as stack:
        try:
            names, read = stack.enter_context((_folder if path.is_dir() else kinds[path.suffix])(path))
        except UNREADABLE as error:
            raise UserError(f"{path}: cannot be read ({error}); expected the file as its authors publish it") from error

        def guarded(name: str) -> bytes | np.ndarray:
            try:
                return read(name)
            except UNREADABLE as error:
                raise Broken(f"{type(error).__name__}: {error}") from error

        yield names, guarded


def small(content: bytes | np.ndarray, crop: int | None, channels: int) -> np.ndarray:
    """A picture's bytes, or its pixels (height, width), as (64, 64, channels) uint8.

    A square of `crop` pixels is cut from its middle (None: the largest) and reduced. Broken where that cannot be done.
    """
    try:
        image = Image.fromarray(content) if isinstance(content, np.ndarray) else _header(content)
        side = crop or min(image.size)
        if side > min(image.size):
            raise Broken(f"{image.width} × {image.height} pixels, smaller than the crop of {side}")
        left, top = (image.width - side) // 2, (image.height - side) // 2
        if image.has_transparency_data:  # on white, as the chairs are
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB").crop((left, top, left + side, top + side))
        reduced = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    except Broken:
        raise
    except Exception as error:  # decoders raise whatever comes on bytes that are no picture
        raise Broken(f"{type(error).__name__}: {error}") from error
    return np.asarray(reduced).reshape(SIDE, SIDE, channels)


def _header(content: bytes) -> Image.Image:
    """A picture, not decoded yet; Broken where it would be too large, or has more than eight bits a channel."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > PIXELS:
        raise Broken(f"{image.width} × {image.height} pixels, expected at most {PIXELS} in all")
    if image.mode[0] in "IF":
        raise Broken(f"pixels of kind {image.mode}, expected eight bits a channel")
    return image
