"""Samples of a generator through its training, a block a replica, and a table of what can be counted on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from betavae import style
from betavae.factors import SHAPE_NAMES, FactorGrid
from betavae.images import open_bits, open_grid
from betavae.samples import ALIKE, diversity, lit_area, resemblance
from betavae.shapes import SIDE
from betavae.tables import write_table

COLUMNS, STEPS, REPLICAS = 16, 6, 4  # samples, steps and replicas at most that the figure shows


def verdict(replica: int, diverged: list[int], collapsed: list[int]) -> str:
    """What became of a replica, in a word."""
    return "diverged" if replica in diverged else "collapsed" if replica in collapsed else "trained"


def rows(
    sheets: np.ndarray, steps: np.ndarray, verdicts: list[str], seeds: list[int], bits: np.ndarray, grid: FactorGrid
) -> list[dict[str, Any]]:
    """The table: a row a replica and step, of sheets (S, R, n, 4096) uint8 after `steps` (S,)."""
    found = []
    for replica, seed in enumerate(seeds):
        for step, samples in zip(steps, sheets[:, replica], strict=True):
            alike, shape = resemblance(samples, bits, grid)
            kind = np.where(alike >= ALIKE, grid.values[0][shape], 0)  # 1, 2, 3 as in the data set
            found.append(
                {
                    "seed": seed,
                    "step": int(step),
                    "lit area (%)": 100 * float(lit_area(samples[None])[0]),
                    "diversity": float(diversity(samples[None])[0]),
                    "likeness to data": float(alike.mean()),
                    **{f"{name}s (%)": 100 * float(np.mean(kind == k)) for k, name in enumerate(SHAPE_NAMES, 1)},
                    "at the end": verdicts[replica],
                }
            )
    return found


def draw(
    sheets: np.ndarray, steps: np.ndarray, verdicts: list[str], seeds: list[int], png: Path, pdf: Path, scale: str
) -> None:
    """The picture: a line a step and a block a replica, every column the same codes and noise."""
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(STEPS, len(steps))).round().astype(int))
    replicas = range(min(REPLICAS, len(seeds)))
    height = 6.5 * len(chosen) / COLUMNS
    figure, axes = style.plt.subplots(len(replicas), 1, figsize=(7.2, 0.5 + (height + 0.25) * len(replicas)))
    for replica, axis in zip(replicas, np.atleast_1d(axes), strict=True):
        lines = sheets[chosen, replica, :COLUMNS].reshape(len(chosen), COLUMNS, SIDE, SIDE)
        framed = np.pad(lines, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=110)
        axis.imshow(framed.transpose(0, 2, 1, 3).reshape(len(chosen) * (SIDE + 2), -1), cmap="gray", vmin=0, vmax=255)
        axis.set_yticks((np.arange(len(chosen)) + 0.5) * (SIDE + 2), [f"step {steps[k]:,}" for k in chosen])
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(f"seed {seeds[replica]}: {verdicts[replica]}", fontsize=8, loc="left")
    more = f"the first {REPLICAS} of {len(seeds)} seeds" if len(seeds) > REPLICAS else ""
    style.save(figure, png, pdf, scale, "; ".join(filter(None, ("a column: the same codes and noise", more))))


def main(*, history: Path, bits: Path, dataset: Path, png: Path, pdf: Path, csv: Path, md: Path, scale: str) -> None:
    """Write picture and table from the sheets in {model}.history.h5."""
    with h5py.File(history) as file:
        sheets, steps = file["sheet"][:], file["sheet_step"][:]
        seeds = json.loads(file.attrs["settings"])["seeds"]
        lost, fallen = (json.loads(file.attrs[name]) for name in ("diverged", "collapsed"))
    verdicts = [verdict(replica, lost, fallen) for replica in range(len(seeds))]
    model = history.name.removesuffix(".history.h5")
    caption = (
        f"# Samples of {model} through training, scale `{scale}`\n\n"
        "Diversity: of the pixels that two samples light, the share that only one does, mean over pairs. Likeness: "
        "intersection over union with the most similar image of the data, wherever it stands, mean over samples. "
        f"Squares, ellipses, hearts: samples whose likeness to one is {ALIKE} or more. A replica has collapsed where "
        "its last samples light less than 1 % or more than 10 % of the image, or are all alike (diversity below 0.1)."
    )
    write_table(csv, md, rows(sheets, steps, verdicts, seeds, open_bits(bits), open_grid(dataset)), caption)
    draw(sheets, steps, verdicts, seeds, png, pdf, scale)
