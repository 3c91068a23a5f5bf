"""A sheet of a picture set: what each factor does to a picture, and pictures drawn at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from betavae import style
from betavae.picture_set import Factors, describe, open_factors, open_images
from betavae.pictures import show
from betavae.stream import stream

COLUMNS = 10
STARTS = 2  # rows a factor, each from another picture
RANDOM_ROWS = {True: 2, False: 8}  # where factors are known, and where they are not


def walk(factors: Factors, factor: int, start: int) -> np.ndarray:
    """Image numbers, at most COLUMNS of them, that differ from image `start` in one factor only, in its order."""
    others = np.delete(np.arange(len(factors.names)), factor)
    alike = np.flatnonzero((factors.classes[:, others] == factors.classes[start, others]).all(axis=1))
    alike = alike[np.argsort(factors.classes[alike, factor])]
    return alike[np.linspace(0, len(alike) - 1, min(COLUMNS, len(alike))).round().astype(int)]


def shown(images: np.ndarray, rows: list[np.ndarray]) -> np.ndarray:
    """The images of each row, float32 in [0, 1], white where a row is short: (rows, COLUMNS, 64, 64[, 3])."""
    sheet = np.ones((len(rows), COLUMNS, *images.shape[1:]), np.float32)
    for row, numbers in enumerate(rows):
        sheet[row, : len(numbers)] = images[numbers] / np.float32(255)
    return sheet[..., 0] if images.shape[-1] == 1 else sheet


def main(*, h5: Path, npy: Path, png: Path, pdf: Path) -> None:
    """Write the figure."""
    images, factors, said = open_images(npy), open_factors(h5), describe(h5)
    random = stream(0, "sheet of a picture set")
    rows: list[np.ndarray] = []
    words: list[str] = []
    if factors is not None:
        for factor, (name, size) in enumerate(zip(factors.names, factors.sizes, strict=True)):
            rows += [walk(factors, factor, start) for start in random.integers(len(images), size=STARTS)]
            words += [f"{name.replace('_', ' ')} ({size})", *[""] * (STARTS - 1)]
    for row in range(RANDOM_ROWS[factors is not None]):
        rows.append(random.integers(len(images), size=COLUMNS))
        words.append("" if row else "at random")
    figure, axis = style.plt.subplots(figsize=(6.4, 0.6 + 0.57 * len(rows)))
    show(axis, shown(images, rows), words)
    figure.suptitle(f"{h5.parent.name}: {len(images):,} images")
    style.save(figure, png, pdf, "any", said["source"])
