"""Import a real picture set from what its authors publish: CelebA, the chairs of Aubry et al., Basel faces.

Pictures are read one by one, decoded, cropped and reduced in threads, and written in the order of their names. Those
that cannot be taken are named in the log and left out.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from betavae import job
from betavae.errors import UserError
from betavae.picture_files import Broken, Read, hdf5_factors, opened, small
from betavae.picture_set import Factors, writing
from betavae.picture_sources import SOURCES

NAMED = 5  # broken pictures that the one line on the terminal names; the log names all


@dataclass(frozen=True)
class Layout:
    """What a set's pictures are called, and how many channels they are to have."""

    pattern: re.Pattern[str]
    expected: str
    channels: int


LAYOUTS = {
    "celeba": Layout(re.compile(r"(?:.*/)?\d{6}\.(?:jpg|png)"), "img_align_celeba/000001.jpg", 3),
    "chairs": Layout(
        re.compile(r"(?:.*/)?(?P<identity>[^/\n]+)/renders/image_\d+_p(?P<elevation>\d+)_t(?P<azimuth>\d+)_r\d+\.png"),
        "rendered_chairs/<chair>/renders/image_001_p020_t011_r096.png",
        1,
    ),
    "faces": Layout(
        re.compile(r"(?:.*/)?[^/.\n][^/\n]*\.(?:png|jpe?g|bmp|tiff?|pgm)|\d{7}", re.IGNORECASE), "*.png", 1
    ),
}


def chair_factors(names: list[str]) -> Factors:
    """Identity (chairs numbered by name), elevation and azimuth (radians), as the pictures' names tell them."""
    found = [LAYOUTS["chairs"].pattern.fullmatch(name) for name in names]
    number = {chair: at for at, chair in enumerate(sorted({match["identity"] for match in found}))}
    angles = np.radians([[float(match["elevation"]), float(match["azimuth"])] for match in found])
    identities = np.array([[number[match["identity"]]] for match in found], np.float64)
    return Factors.of_values(("identity", "elevation", "azimuth"), np.hstack([identities, angles]))


def known_factors(name: str, source: Path, pictures: list[str], taken: np.ndarray) -> Factors | None:
    """The factors of the pictures taken, a mask over `pictures`; None where nobody tells."""
    if name == "chairs":
        return chair_factors([picture for picture, kept in zip(pictures, taken, strict=True) if kept])
    if name == "faces" and source.is_file() and source.suffix in (".h5", ".hdf5"):
        labelled = hdf5_factors(source)
        return None if labelled is None else Factors.of_values(labelled[0], labelled[1][taken])
    return None


def reduced(
    names: list[str], read: Read, crop: int | None, channels: int, threads: int
) -> Iterator[np.ndarray | Broken]:
    """Each picture as (64, 64, channels) uint8, or why not, in the order of the names."""
    waiting: deque[Future[np.ndarray] | Broken] = deque()

    def result(first: Future[np.ndarray] | Broken) -> np.ndarray | Broken:
        try:
            return first if isinstance(first, Broken) else first.result()
        except Broken as broken:
            return broken

    with ThreadPoolExecutor(threads) as pool:
        for name in names:
            try:
                waiting.append(pool.submit(small, read(name), crop, channels))
            except Broken as broken:
                waiting.append(broken)
            if len(waiting) > 8 * threads:
                yield result(waiting.popleft())
        while waiting:
            yield result(waiting.popleft())


def main(
    *,
    name: str,
    source: Path,
    h5: Path,
    npy: Path,
    broken: int,
    crop: int | None = None,
    threads: int = 1,
) -> None:
    """Write images.h5 and images.npy of the real set `name` from its authors' file or folder at `source`.

    crop: side of the square cut from the middle, pixels (none: the largest); broken: at most so many pictures are left
    out; threads: how many decode and compress.
    """
    layout = LAYOUTS[name]
    left_out: list[str] = []
    with opened(source) as (files, read), writing(h5, npy, layout.channels, threads) as writer:
        names = [file for file in files if layout.pattern.fullmatch(file)]
        if not names:
            raise UserError(
                f"{source}: none of its {len(files)} files is called like {layout.expected}; expected {SOURCES[name]}"
            )
        print(f"{len(names)} pictures; {len(files) - len(names)} other files are not read", file=sys.stderr)
        taken = np.ones(len(names), bool)
        with job.progress(len(names), f"data set {name}", "image") as bar:
            for at, picture in enumerate(reduced(names, read, crop, layout.channels, threads)):
                bar.update()
                if isinstance(picture, Broken):
                    taken[at] = False
                    left_out.append(names[at])
                    print(f"left out: {names[at]}: {picture}", file=sys.stderr)
                    if len(left_out) > broken:
                        raise UserError(
                            f"{source}: more than {broken} pictures cannot be taken: {', '.join(left_out[:NAMED])} "
                            f"(the last because: {picture}); mend it or raise `pictures.{name}.broken` in the config"
                        )
                else:
                    writer.append(picture[None])
        if not taken.any():
            raise UserError(f"{source}: none of its pictures can be taken, {names[0]} first; mend the source")
        told = f"square of {crop or 'the largest size'} from the middle, reduced to 64 × 64 (Lanczos)"
        factors = known_factors(name, source, names, taken)
        writer.finish(f"{name}: {source.name}, {len(left_out)} left out", told, factors, "import_pictures")
    if left_out:
        shown = ", ".join(left_out[:NAMED]) + (", …" if len(left_out) > NAMED else "")
        job.tell(f"{name}: {len(left_out)} of {len(names)} pictures left out: {shown}")
