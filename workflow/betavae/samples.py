"""Samples on which the training of a generator is watched: how much they light, how they differ, what they show."""

from __future__ import annotations

import numpy as np

from betavae.factors import FactorGrid
from betavae.images import unpack
from betavae.shapes import PIXELS, SIDE

LIT = 128  # of 255: from here on a pixel counts as lit
LIT_AREA = (0.01, 0.10)  # share of lit pixels outside of which a replica has collapsed; the data's is 0.02 to 0.07
DIVERSITY = 0.1  # below this, too
SHIFTS = (-1, 0, 1)  # pixels by which a sample is moved about its centroid to find the image that it resembles
ALIKE = 0.8  # intersection over union from which on a sample shows what the data's image shows


def lit_area(samples: np.ndarray) -> np.ndarray:
    """Mean share of lit pixels of samples (R, n, 4096) uint8: (R,)."""
    return (samples >= LIT).mean((1, 2))


def diversity(samples: np.ndarray) -> np.ndarray:
    """Of the pixels that two samples light, the share that only one of them does, mean over neighbouring pairs.

    samples (R, n, 4096) uint8 → (R,): 0 where all samples are alike (or dark), 1 where no two overlap.
    """
    lit = samples >= LIT
    either, both = (lit | np.roll(lit, 1, axis=1)).sum(2), (lit & np.roll(lit, 1, axis=1)).sum(2)
    return 1 - np.where(either > 0, both / np.maximum(either, 1), 1).mean(1)


def collapsed(samples: np.ndarray) -> list[int]:
    """Replicas whose samples (R, n, 4096) uint8 light far too little or too much, or are all alike."""
    area, (least, most) = lit_area(samples), LIT_AREA
    return np.flatnonzero((area < least) | (area > most) | (diversity(samples) < DIVERSITY)).tolist()


def centred(lit: np.ndarray) -> np.ndarray:
    """Images (n, 64, 64) rolled, by whole pixels, so that the centroid of what is lit is the middle."""
    moved = np.zeros_like(lit)
    for number, image in enumerate(lit):
        if image.any():
            rows, columns = np.nonzero(image)
            shift = SIDE // 2 - round(rows.mean()), SIDE // 2 - round(columns.mean())
            moved[number] = np.roll(image, shift, axis=(0, 1))
    return moved


def resemblance(samples: np.ndarray, bits: np.ndarray, grid: FactorGrid) -> tuple[np.ndarray, np.ndarray]:
    """The intersection over union (n,) of samples (n, 4096) uint8 with the most similar image of the data, wherever it
    stands, and that image's shape (n,), an index on the grid.

    bits (images, 512) uint8. Images of all shapes, scales and orientations are taken at the middle position.
    """
    numbers = np.arange(grid.images).reshape(grid.sizes)
    middle = numbers[..., grid.size("posX") // 2, grid.size("posY") // 2].reshape(grid.size("shape"), -1)
    known = centred(unpack(bits[middle.ravel()]).reshape(-1, SIDE, SIDE)).reshape(-1, PIXELS).astype(np.float32)
    shown = centred((samples >= LIT).reshape(-1, SIDE, SIDE))
    best = np.zeros((len(samples), len(known)), np.float32)
    for shift in ((row, column) for row in SHIFTS for column in SHIFTS):
        moved = np.roll(shown, shift, axis=(1, 2)).reshape(-1, PIXELS).astype(np.float32)
        both = moved @ known.T
        either = moved.sum(1)[:, None] + known.sum(1) - both
        best = np.maximum(best, both / np.maximum(either, 1))
    return best.max(1), best.argmax(1) // middle.shape[1]
