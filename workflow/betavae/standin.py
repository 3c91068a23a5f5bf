"""Render a stand-in for a picture set that cannot be handed on: every combination of its factors, once.

A stand-in is a module `standin_{chairs,faces,celeba}` with CHANNELS, WHAT (one line of words), SAMPLES, `grid(sizes)`,
`blocks(grid)` and `block(grid, number)`, the images (n, 64, 64, CHANNELS) uint8 in the grid's order. Nothing
in a stand-in is random: the same settings give the same bytes.
"""

from __future__ import annotations

import importlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from betavae import job
from betavae.picture_set import Factors, writing


def main(*, name: str, sizes: str, h5: Path, npy: Path, threads: int = 1) -> None:
    """Write images.h5 and images.npy of the stand-in `name`.

    sizes: JSON, how many values each factor takes; threads: how many render and compress.
    """
    module = importlib.import_module(f"betavae.{name}")
    grid = module.grid(json.loads(sizes))
    with (
        writing(h5, npy, module.CHANNELS, threads) as writer,
        job.progress(grid.images, f"data set {name}", "image") as bar,
        ThreadPoolExecutor(threads) as pool,
    ):
        for images in pool.map(lambda number: module.block(grid, number), range(module.blocks(grid))):
            writer.append(images)
            bar.update(len(images))
        writer.finish(
            f"{name}: rendered by betavae.{name}, {module.WHAT}",
            f"cast with {module.SAMPLES} × {module.SAMPLES} rays a pixel, averaged",
            Factors.of_grid(grid),
            "standin",
            name,
        )
