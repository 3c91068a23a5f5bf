"""The score of a codes file beside that of parts of it: positions away from the rim of their range, live latents alone.

PYTHONPATH=workflow python benchmarks/parts.py results/laptop/codes/beta4.h5
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import numpy as np
from cyclopts import Parameter, validators
from floor import committed_config

from betavae.codes import HeldCodes, StoredCodes
from betavae.device import prepare_cpu
from betavae.errors import UserError
from betavae.factor_shares import live_latents, posterior_statistics
from betavae.factors import FactorGrid
from betavae.zdiff import score_replica

# Of 32 positions at least two are left, or there is nothing to tell.
Rim = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=15))]


def within(codes: np.ndarray, grid: FactorGrid, rim: int) -> tuple[np.ndarray, FactorGrid]:
    """The codes (n, M) of the images of a grid whose positions lie at least `rim` values from either end, and the grid
    that these make; codes (images, M) in the grid's order.
    """
    sizes = zip(grid.names, grid.sizes, strict=True)
    kept = [slice(rim, size - rim) if name in ("posX", "posY") else slice(None) for name, size in sizes]
    values = tuple(own[part] for own, part in zip(grid.values, kept, strict=True))
    inner = codes.reshape(*grid.sizes, codes.shape[1])[tuple(kept)]
    return inner.reshape(-1, codes.shape[1]), FactorGrid(values, grid.names)


def live_alone(codes: np.ndarray, logvar: np.ndarray | None) -> np.ndarray:
    """The codes (images, M) with all latents at 0 that Figure 7's table calls dead (a KL below 0.1 nats, mostly)."""
    kl = None if logvar is None else posterior_statistics(codes, logvar)[0]
    return np.where(live_latents(codes.var(axis=0), kl), codes, np.float32(0))


def main(path: Path, *, rim: Rim = 3) -> None:
    """Print each replica's score, mean of its classifiers: of its codes, without `rim` positions at either end, and
    with its live latents alone.
    """
    prepare_cpu(1)
    metric = committed_config()["metrics"]["zdiff"]
    grid = FactorGrid.thinned({})
    stored = StoredCodes(path, grid.images)
    for replica in range(stored.replicas):
        if stored.diverged(replica):
            print(f"replica {replica}: diverged", flush=True)
            continue
        codes = stored.codes(replica)
        parts = {
            "all": (codes, grid),
            f"without {rim} positions at either end": within(codes, grid, rim),
            "live latents alone": (live_alone(codes, stored.logvar(replica)), grid),
        }
        said = []
        for name, (own, on) in parts.items():
            counts = score_replica(HeldCodes(own[None]), 0, on, replica, metric)
            said.append(f"{name} {100 * np.trace(counts, axis1=1, axis2=2).sum() / counts.sum():.1f}")
        print(f"replica {replica}: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    try:
        cyclopts.run(main)
    except UserError as error:
        sys.exit(f"parts: {error}")
