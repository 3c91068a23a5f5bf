"""What few labels say of a representation, and what its latents follow: codes → few_labels/{model}.json.

The paper chooses β by its metric where some labels exist and by looking at traversals where none do. Both need the
codes, which the sweep does not keep; this step keeps the little that `choose_beta` asks for.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from betavae import job
from betavae.codes import Representation, StoredCodes
from betavae.factor_shares import SHARES, responses, shares
from betavae.factors import FactorGrid
from betavae.images import open_grid
from betavae.zdiff import adagrad, confusion, z_diff


def split(points: int, settings: dict[str, Any]) -> tuple[int, int]:
    """How many of so many labelled points the classifier learns from and is tested on, in the metric's proportion."""
    share = settings["train_points"] / (settings["train_points"] + settings["test_points"])
    train = min(max(round(points * share), 1), points - 1)
    return train, points - train


def accuracies(
    representation: Representation, replica: int, grid: FactorGrid, factors: list[str], settings: dict[str, Any]
) -> np.ndarray:
    """Accuracy (points, draws) of one replica where only `factors` are labelled, at each number of labelled points.

    A draw is one set of labels, the same for every model and replica; its smaller numbers of points are the first of
    its larger ones. settings: see `main`.
    """
    sizes = [split(points, settings) for points in settings["points"]]
    labelled = {"factors": factors, "pairs": settings["pairs"]}
    pools = []
    for purpose, count in zip(("few, train", "few, test"), np.max(sizes, axis=0), strict=True):
        drawn = [z_diff(representation, replica, grid, seed, purpose, count, labelled) for seed in settings["seeds"]]
        pools.append([np.stack(arrays) for arrays in zip(*drawn, strict=True)])
    (x, y), (x_test, y_test) = pools
    found = []
    for train, test in sizes:
        chosen = settings["classifier"]
        options = {key: chosen[key] for key in ("batch", "learning_rate", "initial_accumulator")}
        fits = adagrad(x[:, :train], y[:, :train], len(factors), settings["seeds"], **options)
        fitted = next(itertools.islice(fits, chosen["steps"] - 1, None))
        counts = confusion(*fitted, x_test[:, :test], y_test[:, :test], len(factors))
        found.append(np.trace(counts, axis1=1, axis2=2) / test)
    return np.array(found)


def few_labels(representation: StoredCodes, grid: FactorGrid, settings: dict[str, Any], label: str) -> dict[str, Any]:
    """What the file says, provenance aside; a diverged replica's accuracies and shares are null."""
    labels = [
        {"factors": factors, "points": n, "accuracy": []} for factors in settings["factors"] for n in settings["points"]
    ]
    explained, diverged = [], []
    with job.progress(representation.replicas, f"{label}: few labels", "replica") as bar:
        for replica in range(representation.replicas):
            if representation.diverged(replica):
                diverged.append(replica)
                found = [None] * len(labels)
                explained.append(None)
            else:
                of_sets = [
                    accuracies(representation, replica, grid, chosen, settings) for chosen in settings["factors"]
                ]
                found = np.concatenate(of_sets).tolist()
                of_factors = shares(responses(representation.codes(replica), grid))
                explained.append(np.stack([of_factors[name] for name in SHARES], axis=1))
            for entry, own in zip(labels, found, strict=True):
                entry["accuracy"].append(own)
            bar.update()
    return {"labels": labels, "shares": explained, "diverged": diverged}


def main(*, codes: Path, dataset: Path, output: Path, settings: str) -> None:
    """Write the file: for each set of labelled factors and number of points, accuracy (replicas, draws); shares
    (replicas, M, 5) of each latent's variance that each factor explains (SHARES' order).

    settings: JSON; model, scale, factors (the sets of factors that are labelled), points (numbers of labelled z_diff
    points), seeds (of the draws), classifier (its steps, batch, learning_rate and initial_accumulator), and the
    metric's pairs, train_points and test_points, in whose proportion the points are divided.
    """
    chosen = json.loads(settings)
    grid = open_grid(dataset)
    found = few_labels(StoredCodes(codes, grid.images), grid, chosen, chosen["model"])
    job.write_json(
        output,
        {
            "model": chosen["model"],
            "scale": chosen["scale"],
            **found,
            "settings": chosen,
            "provenance": job.provenance("few_labels"),
        },
    )
