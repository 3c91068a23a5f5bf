"""The true factors as a representation (Figure 6): shape included, each scaled to [0, 1]."""

from __future__ import annotations

import json
from pathlib import Path

from betavae import job
from betavae.codes import write_codes
from betavae.factors import FACTORS
from betavae.images import open_grid


def main(*, dataset: Path, codes: Path, settings: str) -> None:
    """Write the codes file, a latent for each factor. settings: JSON; scale, and factors where not all are meant."""
    chosen = json.loads(settings)
    columns = [FACTORS.index(factor) for factor in chosen.get("factors", FACTORS)]
    grid = open_grid(dataset)
    about = {"scale": chosen["scale"], "dataset": dataset.parent.name, "origin": "true factors"}
    made = {"settings": settings, "provenance": lambda: job.provenance("ground_truth")}
    values = grid.factor_values()[:, columns]
    with write_codes(codes, (1, grid.images, len(columns)), **about, **made) as arrays:
        arrays["mean"][0] = (values - values.min(0)) / (values.max(0) - values.min(0))
