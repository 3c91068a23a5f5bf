"""How well each latent of DC-IGN follows the factor assigned to it: codes → a table, a row a replica and factor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsRegressor

from betavae.codes import StoredCodes
from betavae.dcign import ASSIGNED
from betavae.factor_shares import explained, explained_within
from betavae.factors import FACTORS
from betavae.images import open_grid
from betavae.tables import write_table

NEIGHBOURS = 10
ASKED = 25_000  # images, drawn at random: four in five are neighbours, the shape of each fifth is asked


def drawn(images: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the images that are neighbours, and of those that are asked, of so many."""
    order = np.random.default_rng(0).permutation(images)[:ASKED]
    return tuple(np.split(order, [len(order) * 4 // 5]))


def shape_regression(model: Any, latents: np.ndarray, shapes: np.ndarray) -> float:
    """R² of the shapes' indicators, weighted by variance, of images that `model` was not fitted to.

    model: scikit-learn's regression of the indicators on `latents` (n, k).
    """
    indicators = np.eye(shapes.max() + 1)[shapes]
    fitted, asked = drawn(len(shapes))
    predicted = model.fit(latents[fitted], indicators[fitted]).predict(latents[asked])
    return float(r2_score(indicators[asked], predicted, multioutput="variance_weighted"))


def table_rows(codes: np.ndarray, classes: np.ndarray, replica: int) -> list[dict[str, Any]]:
    """A replica's rows, from its codes (images, M) and the images' factor classes (images, 5).

    Rotation is counted twice. A latent may turn with period 2π for the heart, π for the ellipse, π/2 for the square,
    and still follow each; `within a shape` grants it that, the plain R² asks for one answer for all shapes.
    """
    column = dict(zip(FACTORS, classes.T, strict=True))
    rows = []
    for factor, latents in ASSIGNED.items():
        row: dict[str, Any] = {"replica": replica, "factor": factor, "latents": " ".join(map(str, latents))}
        row |= {"R²": "", "R² within a shape": "", "R², linear": ""}
        if not np.isfinite(codes).all():
            row["R²"] = "diverged"
        elif factor == "shape":
            row["R²"] = shape_regression(KNeighborsRegressor(NEIGHBOURS), codes[:, latents], column[factor])
            row["R², linear"] = shape_regression(LinearRegression(), codes[:, latents], column[factor])
        else:
            latent = codes[:, latents[0]]
            row["R²"] = explained(latent, column[factor])
            row["R² within a shape"] = explained_within(latent, column[factor], column["shape"])
        rows.append(row)
    return rows


def main(*, codes: Path, dataset: Path, csv: Path, md: Path, scale: str) -> None:
    """Write the table from DC-IGN's codes file."""
    grid = open_grid(dataset)
    stored, classes = StoredCodes(codes, grid.images), grid.classes()
    fitted, asked = drawn(grid.images)
    rows = [row for replica in range(stored.replicas) for row in table_rows(stored.codes(replica), classes, replica)]
    caption = (
        f"# How well DC-IGN's latents follow their factors, scale `{scale}`\n\n"
        "R²: share of the latent's variance, over all images, that the mean for each value of its factor explains. For "
        "shape, share of the variance of the shapes' indicators that its five latents explain: those of "
        f"{len(asked):,} images are foretold as the mean of the {NEIGHBOURS} nearest among {len(fitted):,} "
        "others; linear: by a linear regression, which explains half at most where three shapes lie along one line. "
        "Within a shape: the latent's variance and its means are taken in each shape by itself, which lets rotation "
        "have each shape's own period (2π heart, π ellipse, π/2 square)."
    )
    write_table(csv, md, rows, caption)
