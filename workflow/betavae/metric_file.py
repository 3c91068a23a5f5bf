"""What a metric file says of each replica; `scores` has [replica, classifier seed, accuracy], null where diverged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def accuracies_of(rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """The accuracies (n,) of a metric file's `scores`, [replica, classifier seed, accuracy] each; NaN: diverged."""
    return np.array([np.nan if row[2] is None else row[2] for row in rows], np.float64)


def replica_means(score: dict[str, Any]) -> dict[int, float | None]:
    """The mean over its classifier seeds of each replica of a metric file, in their order; None where it diverged."""
    means: dict[int, float | None] = {}
    for replica in sorted({row[0] for row in score["scores"]}):
        accuracies = [row[2] for row in score["scores"] if row[0] == replica]
        means[replica] = None if None in accuracies else float(np.mean(accuracies))
    return means


def seed_means(score: dict[str, Any]) -> list[float]:
    """The mean score of each replica over its classifier seeds; diverged replicas are left out."""
    return [mean for mean in replica_means(score).values() if mean is not None]


def best_replica(score: dict[str, Any]) -> tuple[int, float] | None:
    """The replica of a metric file with the highest mean, the first among equals, and that mean; None where all
    diverged.
    """
    means = {replica: mean for replica, mean in replica_means(score).items() if mean is not None}
    return max(means.items(), key=lambda item: item[1], default=None)
