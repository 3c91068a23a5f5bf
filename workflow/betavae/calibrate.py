"""Calibrate what the paper leaves open in its metric: L, the number of training points, the classifier's stop.

Raw pixels and PCA need no training, so their published scores (45.75 and 84.9) tell these settings: each is
scored over L, for the classifier stopped after some numbers of steps and for the converged one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from betavae import job
from betavae.codes import PixelCodes, Representation, StoredCodes
from betavae.factors import FactorGrid
from betavae.images import open_grid
from betavae.paper import FIGURE6_LEFT
from betavae.tables import write_table
from betavae.zdiff import adagrad, confusion, fit_converged, z_diff


def accuracies(representation: Representation, grid: FactorGrid, pairs: int, settings: dict) -> Iterator[dict]:
    """Rows of one representation at one L: a row for each number of training points and stop, means over seeds."""
    metric, classes = settings["metric"], len(settings["metric"]["factors"])
    options = {k: metric["classifier"][k] for k in ("batch", "learning_rate", "initial_accumulator")}
    drawn = metric | {"pairs": pairs}
    found: dict[tuple[int, str], list[float]] = {}
    for seed in range(settings["seeds"]):
        x, y = z_diff(representation, 0, grid, seed, "train", max(settings["train_points"]), drawn)
        test = z_diff(representation, 0, grid, seed, "test", metric["test_points"], drawn)

        def accuracy(weight: np.ndarray, bias: np.ndarray, test: tuple[np.ndarray, np.ndarray] = test) -> float:
            counts = confusion(weight, bias, *test, classes)[0]
            return float(np.trace(counts) / counts.sum())

        for points in settings["train_points"]:
            seen = x[:points], y[:points], classes
            fits = adagrad(*seen, [seed], **options)
            before = 0
            for steps in sorted(settings["steps"]):
                weight, bias = next(itertools.islice(fits, steps - before - 1, None))
                found.setdefault((points, str(steps)), []).append(accuracy(weight, bias))
                before = steps
            found.setdefault((points, "converged"), []).append(accuracy(*fit_converged(*seen, penalty=0.0)))
    for (points, steps), scores in found.items():
        yield {"train_points": points, "steps": steps, "accuracy": float(np.mean(scores)), "seeds": len(scores)}


def main(*, dataset: Path, bits: Path, pca: Path, csv: Path, md: Path, settings: str) -> None:
    """Write the table.

    settings: JSON; lists of pairs, train_points and steps, seeds, and metric (the settings of zdiff).
    """
    chosen = json.loads(settings)
    grid = open_grid(dataset)
    representations = {"pca": StoredCodes(pca, grid.images), "raw_pixels": PixelCodes(bits, grid.images)}
    rows = []
    with job.progress(len(representations) * len(chosen["pairs"]), "calibration", "setting") as bar:
        for (name, representation), pairs in itertools.product(representations.items(), chosen["pairs"]):
            published = FIGURE6_LEFT[name][1].mean
            for row in accuracies(representation, grid, pairs, chosen):
                rows.append({"row": name, "L": pairs} | row | {"paper": published})
                print(json.dumps(rows[-1]), flush=True)
            bar.update()
    write_table(csv, md, rows, "Raw pixels and PCA over L, number of training points and stop of the classifier.")
