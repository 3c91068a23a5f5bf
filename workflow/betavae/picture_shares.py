"""What each latent of a model on pictures follows: codes → results/{scale}/picture_shares/{model}.json."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from betavae import job
from betavae.codes import StoredCodes
from betavae.factor_shares import COUNTED, explained, live_latents
from betavae.metric_file import best_replica
from betavae.picture_set import Factors, open_factors


def shares(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The share (K, M) of each latent's variance that each factor explains: of its mean per class.

    codes (N, M), classes (N, K). Over a whole product of factors the shares of a latent add up to at most 1.
    """
    return np.array([[explained(latent, cells) for latent in codes.T] for cells in classes.T])


def joint_shares(codes: np.ndarray, classes: np.ndarray, sizes: tuple[int, ...]) -> dict[tuple[int, int], np.ndarray]:
    """For each two factors the share (M,) of each latent's variance that they explain together and neither alone."""
    alone = shares(codes, classes)
    found = {}
    for first, second in itertools.combinations(range(len(sizes)), 2):
        cells = classes[:, first] * sizes[second] + classes[:, second]
        together = np.array([explained(latent, cells) for latent in codes.T])
        found[first, second] = together - alone[first] - alone[second]
    return found


def carriers(of_factor: np.ndarray, live: np.ndarray) -> list[int | None]:
    """For each factor the live latent of whose variance it explains most, from shares (K, M); None where none lives."""
    if not live.any():
        return [None] * len(of_factor)
    return [int(np.where(live, row, -1).argmax()) for row in of_factor]


def found_by(of_factor: np.ndarray, carried: list[int | None]) -> list[bool]:
    """Which factors have a latent of their own: one of whose variance they explain more than two thirds."""
    pairs = zip(of_factor, carried, strict=True)
    return [latent is not None and bool(row[latent] > COUNTED) for row, latent in pairs]


def of_replica(codes: np.ndarray, kl: np.ndarray | None, factors: Factors | None) -> dict[str, Any]:
    """What one replica's latents follow, codes (N, M), kl (M,) in nats where there is one; of unknown factors nothing
    is said. `said`: the KL of each latent, or its variance.
    """
    variance = codes.var(0, dtype=np.float64)
    lives = live_latents(variance, kl)
    said: dict[str, Any] = {"said": variance if kl is None else kl, "live": np.flatnonzero(lives)}
    if factors is None:
        return said
    alone = shares(codes, factors.classes)
    carried = carriers(alone, lives)
    together = joint_shares(codes, factors.classes, factors.sizes)
    return said | {
        "shares": dict(zip(factors.names, alone, strict=True)),
        "joint": {f"{factors.names[a]} × {factors.names[b]}": share for (a, b), share in together.items()},
        "carriers": dict(zip(factors.names, carried, strict=True)),
        "found": [name for name, own in zip(factors.names, found_by(alone, carried), strict=True) if own],
    }


def main(*, codes: Path, dataset: Path, summary: Path, output: Path, score: Path | None = None) -> None:
    """Write the file. The replica that stands for the model is the best by its score; without one that of the lowest
    loss, or, where there is none (InfoGAN), the first.
    """
    factors = open_factors(dataset)
    with h5py.File(summary) as file:
        kl, reconstruction = (file[name][:] if name in file else None for name in ("kl", "reconstruction"))
        beta = json.loads(file.attrs["settings"]).get("beta", 1.0)  # DC-IGN's is 1
    with h5py.File(dataset) as file:
        stored = StoredCodes(codes, len(file["images"]))
    lost = [replica for replica in range(stored.replicas) if stored.diverged(replica)]
    loss = np.arange(stored.replicas) if kl is None else reconstruction + beta * kl.sum(1)
    loss = [np.inf if replica in lost else value for replica, value in enumerate(loss)]
    standing = None if len(lost) == stored.replicas else int(np.argmin(loss))
    if score is not None:
        best = best_replica(json.loads(score.read_text(encoding="utf-8")))
        standing = best[0] if best else None
    job.write_json(
        output,
        {
            "model": codes.stem,
            "best": standing,
            "diverged": lost,
            "posterior": kl is not None,
            "reconstruction": [
                None if replica in lost or reconstruction is None else reconstruction[replica]
                for replica in range(stored.replicas)
            ],
            "replicas": [
                None
                if replica in lost
                else of_replica(stored.codes(replica), None if kl is None else kl[replica], factors)
                for replica in range(stored.replicas)
            ],
            "provenance": job.provenance("picture_shares"),
        },
    )
