"""A sheet of a picture set: what each factor does to a picture, and pictures drawn at random."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from betavae import style
from betavae.picture_set import Factors, describe, open_factors, open_images
from betavae.pictures import show
from betavae.stream import stream

COLUMNS = 10
RANDOM_ROWS = {True: 3, False: 8}  # where factors are known, and where they are not
BLANK = -1  # in place of an image's number


def walk(factors: Factors, factor: int, start: int) -> np.ndarray:
    """Image numbers, at most COLUMNS of them, that differ from image `start` in one factor only, in its order."""
    others = np.delete(np.arange(len(factors.names)), factor)
    alike = np.flatnonzero((factors.classes[:, others] == factors.classes[start, others]).all(axis=1))
    alike = alike[np.argsort(factors.classes[alike, factor])]
    return alike[np.linspace(0, len(alike) - 1, min(COLUMNS, len(alike))).round().astype(int)]


def walks(factors: Factors, factor: int, starts: Iterator[int]) -> list[int]:
    """As many walks as fit in a row, a blank between two; `starts` gives the image that each begins from."""
    row = walk(factors, factor, next(starts)).tolist()
    while len(another := [BLANK, *walk(factors, factor, next(starts)).tolist()]) <= COLUMNS - len(row):
        row += another
    return row


def shown(images: np.ndarray, rows: list[list[int]]) -> np.ndarray:
    """The images of each row, float32 in [0, 1], white where there is none: (rows, COLUMNS, 64, 64[, 3])."""
    sheet = np.ones((len(rows), COLUMNS, *images.shape[1:]), np.float32)
    for row, numbers in enumerate(rows):
        for column, number in enumerate(numbers):
            if number != BLANK:
                sheet[row, column] = images[number] / np.float32(255)
    return sheet[..., 0] if images.shape[-1] == 1 else sheet


def main(*, h5: Path, npy: Path, png: Path, pdf: Path) -> None:
    """Write the figure."""
    images, factors, said = open_images(npy), open_factors(h5), describe(h5)
    random = stream(0, "sheet of a picture set")
    starts = (int(random.integers(len(images))) for _ in count())
    rows: list[tuple[str, list[int]]] = []
    for factor, name in enumerate(factors.names if factors else ()):
        rows.append((f"{name.replace('_', ' ')} ({factors.sizes[factor]})", walks(factors, factor, starts)))
    for row in range(RANDOM_ROWS[factors is not None]):
        rows.append(("" if row else "at random", [next(starts) for _ in range(COLUMNS)]))
    figure, axis = style.plt.subplots(figsize=(6.4, 0.6 + 0.57 * len(rows)))
    show(axis, shown(images, [numbers for _, numbers in rows]), [words for words, _ in rows])
    figure.suptitle(f"{h5.parent.name}: {len(images):,} images")
    style.save(figure, png, pdf, "any", said["source"])
