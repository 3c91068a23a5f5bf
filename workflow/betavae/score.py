"""Score a representation by a disentanglement metric (section 3): codes → results/…/{model}.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from betavae import job
from betavae.codes import PixelCodes, Representation, StoredCodes
from betavae.factors import FactorGrid
from betavae.image_files import open_factor_grid
from betavae.metric_file import accuracies_of
from betavae.paper import FIGURE6_LEFT
from betavae.zdiff import kept_scores, score_replica


def summarise(scores: np.ndarray, groups: np.ndarray, keep: float) -> tuple[float | None, float | None, np.ndarray]:
    """Mean of the groups' means and standard deviation of the scores kept, and which these are.

    scores (n,), NaN where a replica diverged; groups (n,). Diverged scores rank lowest; where so many diverged
    that some must be kept, the others' mean is given, and none where all diverged.
    """
    kept = kept_scores(scores, groups, keep)
    finite = kept[np.isfinite(scores[kept])]
    if not len(finite):
        return None, None, kept
    means = [scores[finite[groups[finite] == group]].mean() for group in np.unique(groups[finite])]
    return float(np.mean(means)), float(scores[finite].std()), kept


def score(representation: Representation, grid: FactorGrid, settings: dict, label: str) -> dict:
    """What a metric file says, provenance aside. A single set of codes serves every z_diff seed as a replica."""
    single = representation.replicas == 1
    replicas = settings["replicas"] if single else representation.replicas
    groups = np.zeros(replicas, np.int64) if single else representation.groups
    rows: list[list[float | int | None]] = []
    confusions: list[np.ndarray | None] = []
    diverged = []
    with job.progress(replicas, f"{label}: metric", "replica") as bar:
        for replica in range(replicas):
            which = 0 if single else replica
            if representation.diverged(which):
                diverged.append(replica)
                rows += [[replica, seed, None] for seed in range(settings["classifier_seeds"])]
                confusions += [None] * settings["classifier_seeds"]
            else:
                counts = score_replica(representation, which, grid, replica, settings)
                accuracies = np.trace(counts, axis1=1, axis2=2) / counts.sum((1, 2))
                rows += [[replica, seed, float(accuracy)] for seed, accuracy in enumerate(accuracies)]
                confusions += list(counts / np.maximum(counts.sum(2, keepdims=True), 1))
            bar.update()
    accuracy = accuracies_of(rows)
    mean, std, kept = summarise(accuracy, groups[[row[0] for row in rows]], settings["keep"])
    counted = [confusions[k] for k in kept if confusions[k] is not None]
    return {
        "score_mean": mean,
        "score_std": std,
        "scores": rows,
        "kept": kept,
        "diverged": diverged,
        "factors": settings["factors"],
        "confusion": np.mean(counted, axis=0) if counted else None,
    }


def main(*, dataset: Path, output: Path, settings: str, codes: Path | None = None, bits: Path | None = None) -> None:
    """Write a metric file from a codes file, or from raw pixels where `bits` are given instead.

    Its provenance has that of the codes, null where the file does not say.
    settings: JSON; model, scale, metric, factors, pairs, train_points, test_points, classifier, classifier_seeds,
    replicas and keep, and whatever else is to stand in the file.
    """
    chosen = json.loads(settings)
    grid = open_factor_grid(dataset)
    representation = StoredCodes(codes, grid.images) if codes else PixelCodes(bits, grid.images)
    model, made = chosen["model"], json.loads(representation.attributes.get("provenance", "null"))
    published = FIGURE6_LEFT.get(model) if chosen["metric"] == "zdiff" else None
    found = score(representation, grid, chosen, model)
    job.write_json(
        output,
        {
            "model": model,
            "scale": chosen["scale"],
            **found,
            "paper": published[1].as_dict() if published else None,
            "settings": chosen | {"representation": json.loads(representation.attributes.get("settings", "{}"))},
            "provenance": job.provenance("score") | {"codes": made},
        },
    )
    if found["score_mean"] is not None:
        job.tell(f"{model}: {chosen['metric']} {found['score_mean']:.4f} ± {found['score_std']:.4f}")
