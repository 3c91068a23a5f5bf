"""How continuous a set of images is: the normalised Hamming distance of Figure 8 (appendix) → JSON.

Two images of the set are consecutive transforms of an object if they show the same shape, differ in one of scale,
orientation, posX and posY and no image of the set lies between them along that factor, whatever the number of absent
values there. Orientations are not closed to a circle. Over all such pairs, each counted once,

    distance = (mean number of pixels in which the two differ) / (mean number of pixels that the two light, averaged
    over the two),

0 where no transform changes a pixel, 2 where consecutive images share no lit pixel. The paper says no more than
"divided by the mean number of pixels the two occupy" (grade B); that all factors' pairs are pooled, and that the mean
over the two is meant rather than their union, is our reading.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from betavae import job
from betavae.factors import FACTORS, FactorGrid
from betavae.images import open_bits, open_grid
from betavae.subset import TRANSFORMS, subset

CHUNK = 1 << 14  # pairs compared at once


def consecutive(grid: FactorGrid, images: np.ndarray, factor: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of image numbers, (pairs,) each, that follow each other along `factor` among `images` (n,)."""
    axis = FACTORS.index(factor)
    by_line = np.moveaxis(np.arange(grid.images).reshape(grid.sizes), axis, -1).reshape(-1)
    present = np.zeros(grid.images, bool)
    present[images] = True
    ordered = by_line[present[by_line]]  # line by line, ascending along the factor within each
    line = ordered - grid.classes(ordered)[:, axis] * int(np.prod(grid.sizes[axis + 1 :]))
    together = line[1:] == line[:-1]
    return ordered[:-1][together], ordered[1:][together]


def compare(bits: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[int, float]:
    """Over image pairs of packed `bits` (images, 512): pixels that differ, and pixels lit, mean of the two; sums."""
    differ, lit = 0, 0
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        ours, theirs = (bits[numbers[part]].view(np.uint64) for numbers in (first, second))
        differ += int(np.bitwise_count(ours ^ theirs).sum(dtype=np.int64))
        lit += int(np.bitwise_count(ours).sum(dtype=np.int64) + np.bitwise_count(theirs).sum(dtype=np.int64))
    return differ, lit / 2


def distances(bits: np.ndarray, grid: FactorGrid, images: np.ndarray) -> dict[str, float | None]:
    """The normalised distance, in [0, 2], of the images numbered `images` (n,) of a grid.

    `all` is that over the pairs of all factors; beside it each factor's own. None where no two are consecutive.
    """
    sums = {factor: compare(bits, *consecutive(grid, images, factor)) for factor in TRANSFORMS}
    sums["all"] = tuple(map(sum, zip(*sums.values(), strict=True)))
    return {name: differ / lit if lit else None for name, (differ, lit) in sums.items()}


def main(*, bits: Path, dataset: Path, output: Path, settings: str) -> None:
    """Write the distance of one subset. settings: JSON; scale and subset (see `subset.subset`)."""
    chosen = json.loads(settings)
    grid = open_grid(dataset)
    images = subset(grid, chosen["subset"])
    found = distances(open_bits(bits, grid.images), grid, images)
    job.write_json(
        output,
        {
            "scale": chosen["scale"],
            "distance": found.pop("all"),
            "distance_by_factor": found,
            "images": len(images),
            "share": len(images) / grid.images,
            "settings": chosen,
            "provenance": job.provenance("hamming"),
        },
    )
