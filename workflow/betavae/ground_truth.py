"""The true factors as a representation (Figure 6): shape included, each scaled to [0, 1]."""

from __future__ import annotations

import json
from pathlib import Path

from betavae import job
from betavae.codes import write_codes
from betavae.factors import FACTORS
from betavae.images import open_grid


def main(*, dataset: Path, codes: Path, settings: str) -> None:
    """Write the codes file, M = 5. settings: JSON; scale."""
    grid = open_grid(dataset)
    about = {"scale": json.loads(settings)["scale"], "dataset": dataset.parent.name, "origin": "true factors"}
    made = {"settings": settings, "provenance": job.provenance("ground_truth")}
    values = grid.factor_values()
    with write_codes(codes, (1, grid.images, len(FACTORS)), **about, **made) as arrays:
        arrays["mean"][0] = (values - values.min(0)) / (values.max(0) - values.min(0))
