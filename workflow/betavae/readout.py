"""How much of each factor's VALUE a linear classifier reads from codes (Table 2): → results/…/readout/{model}.json.

Multinomial logistic regression on standardised codes, a classifier for each factor, the same images for all models.
The paper does not give the penalty; it is calibrated on PCA's row (docs/calibration.md).
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np

from betavae import job
from betavae.codes import StoredCodes
from betavae.factors import FACTORS, FactorGrid
from betavae.images import open_grid
from betavae.paper import TABLE2
from betavae.stream import stream

# Turns after which a square, an ellipse and a heart look the same: this many to a full circle.
SYMMETRIES = np.array([4, 2, 1])
# Read besides the five factors: rotation up to the shape's symmetry, by which the paper seems to count.
SYMMETRIC = "orientation_symmetric"
READ = (*FACTORS, SYMMETRIC)
ITERATIONS = 1000  # of L-BFGS at most; the default penalty takes fewer


def targets(grid: FactorGrid, images: np.ndarray) -> dict[str, np.ndarray]:
    """What is read of each image: the class of each factor, (n,) int64 each, and rotation up to symmetry.

    The latter numbers an ellipse's rotations within half a circle and a square's within a quarter, as if they stood
    evenly (40, 20 and 10 classes for heart, ellipse, square on the full grid; a guess at the paper's labels, ours).
    """
    classes = dict(zip(FACTORS, grid.classes(images).T, strict=True))
    shapes = np.rint(grid.values[0]).astype(np.int64)[classes["shape"]] - 1
    distinct = np.maximum(1, grid.size("orientation") // SYMMETRIES)
    return classes | {SYMMETRIC: classes["orientation"] % distinct[shapes]}


def draw_images(grid: FactorGrid, train: int, test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of training and test images, all different; of a grid with fewer, all, in the same proportion."""
    fewer = min(1.0, grid.images / (train + test))
    train, test = int(train * fewer), int(test * fewer)
    drawn = stream(seed, "readout images").choice(grid.images, train + test, replace=False)
    return drawn[:train], drawn[train:]


def standardised(codes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Codes (n, M) less the mean of `by` (k, M) over its standard deviation, float64; constant latents stay 0."""
    by = by.astype(np.float64)
    deviation = by.std(0)
    return (codes - by.mean(0)) / np.where(deviation > 0, deviation, 1.0)


def accuracy(
    codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray, penalty: float
) -> float:
    """Share of test labels (k,) that logistic regression on standardised codes (n, M), labels (n,) gets right.

    penalty: the inverse of scikit-learn's C; 0 for none.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0 / penalty if penalty else np.inf, max_iter=ITERATIONS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(standardised(codes, codes), labels)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        job.tell(f"readout: not converged after {ITERATIONS} iterations")
    return float(model.score(standardised(test_codes, codes), test_labels))


def chosen_replicas(groups: np.ndarray, count: int) -> np.ndarray:
    """The first `count` replicas of each group (ICA's are pairs of shapes), from groups (replicas,)."""
    return np.sort(np.concatenate([np.flatnonzero(groups == group)[:count] for group in np.unique(groups)]))


def main(*, codes: Path, dataset: Path, output: Path, settings: str) -> None:
    """Write accuracies of each replica and factor, and their means.

    settings: JSON; model, scale, seed, replicas, train_images, test_images and penalty.
    """
    chosen = json.loads(settings)
    grid = open_grid(dataset)
    stored = StoredCodes(codes, grid.images)
    images = draw_images(grid, chosen["train_images"], chosen["test_images"], chosen["seed"])
    train, test = (targets(grid, part) for part in images)
    replicas = chosen_replicas(stored.groups, chosen["replicas"])
    rows: list[list[float | None]] = []
    with job.progress(len(replicas), f"{chosen['model']}: readout", "replica") as bar:
        for replica in replicas:
            if stored.diverged(replica):
                rows.append([None] * len(READ))
            else:
                x, x_test = (stored.codes(replica)[part] for part in images)
                rows.append([accuracy(x, train[name], x_test, test[name], chosen["penalty"]) for name in READ])
            bar.update()
    finite = [row for row in rows if None not in row]
    published = TABLE2.get(chosen["model"])
    job.write_json(
        output,
        {
            "model": chosen["model"],
            "scale": chosen["scale"],
            "replicas": replicas,
            "diverged": [replica for replica, row in zip(replicas, rows, strict=True) if None in row],
            "accuracies": {name: [row[column] for row in rows] for column, name in enumerate(READ)},
            "mean": dict(zip(READ, np.mean(finite, axis=0), strict=True)) if finite else None,
            "train_images": len(images[0]),
            "test_images": len(images[1]),
            "paper": published.as_dict() if published else None,
            "settings": chosen | {"representation": json.loads(stored.attributes.get("settings", "{}"))},
            "provenance": job.provenance("readout"),
        },
    )
