"""The score of a codes file on positions away from the rim of their range, beside its score on all of them.

python benchmarks/rim.py results/laptop/codes/beta4.h5
"""

from __future__ import annotations

from pathlib import Path

import cyclopts
import numpy as np
import yaml

from betavae.codes import HeldCodes, StoredCodes
from betavae.factors import FactorGrid
from betavae.zdiff import score_replica

ROOT = Path(__file__).parents[1]


def within(codes: np.ndarray, grid: FactorGrid, rim: int) -> tuple[np.ndarray, FactorGrid]:
    """The codes (n, M) of the images of a grid whose positions lie at least `rim` values from either end, and the grid
    that these make; codes (images, M) in the grid's order.
    """
    sizes = zip(grid.names, grid.sizes, strict=True)
    kept = [slice(rim, size - rim) if name in ("posX", "posY") else slice(None) for name, size in sizes]
    values = tuple(own[part] for own, part in zip(grid.values, kept, strict=True))
    inner = codes.reshape(*grid.sizes, codes.shape[1])[tuple(kept)]
    return inner.reshape(-1, codes.shape[1]), FactorGrid(values, grid.names)


def main(path: Path, *, rim: int = 3) -> None:
    """Print each replica's score, mean of its classifiers, on all positions and without `rim` of them at either end."""
    metric = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["metrics"]["zdiff"]
    grid = FactorGrid.thinned({})
    stored = StoredCodes(path, grid.images)
    for replica in range(stored.replicas):
        scores = []
        for cut in (0, rim):
            codes, inner = within(stored.codes(replica), grid, cut)
            counts = score_replica(HeldCodes(codes[None]), 0, inner, replica, metric)
            scores.append(100 * np.trace(counts, axis1=1, axis2=2).sum() / counts.sum())
        print(f"replica {replica}: {scores[0]:.1f}, without {rim} positions at either end {scores[1]:.1f}", flush=True)


if __name__ == "__main__":
    cyclopts.run(main)
