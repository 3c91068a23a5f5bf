"""One Gram matrix a shape: what PCA, and ICA on pairs of shapes, need to know of all the pixels."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from betavae import job
from betavae.factors import FactorGrid
from betavae.images import lit_chunk, open_bits, open_grid, tiles
from betavae.shapes import PIXELS


def gram_matrices(bits: np.ndarray, grid: FactorGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """XᵀX (shapes, 4096, 4096), column sums (shapes, 4096), both float32 and exact, and image counts (shapes,)."""
    shapes = grid.size("shape")
    grams = np.zeros((shapes, PIXELS, PIXELS), np.float32)
    sums = np.zeros((shapes, PIXELS), np.float32)
    counts = np.zeros(shapes, np.int64)
    for images in tiles(grid, by_shape=True):
        shape = grid.classes(images[:1])[0, 0]
        pixels, columns = lit_chunk(bits, images)
        # Whole numbers below 2²⁴: float32 holds them exactly.
        grams[shape][np.ix_(columns, columns)] += pixels.T @ pixels
        sums[shape, columns] += pixels.sum(0)
        counts[shape] += len(images)
    return grams, sums, counts


def main(*, bits: Path, dataset: Path, gram: Path) -> None:
    """Write gram.h5: /gram (shapes, 4096, 4096), /sum (shapes, 4096), /count (shapes,)."""
    grid = open_grid(dataset)
    arrays = gram_matrices(open_bits(bits, grid.images), grid)
    with job.atomic(gram) as part, h5py.File(part, "w") as file:
        for name, array in zip(("gram", "sum", "count"), arrays, strict=True):
            file[name] = array
