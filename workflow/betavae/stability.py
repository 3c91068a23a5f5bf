"""Stability: how much the seeds of one system differ, and which of them failed, beside what the paper says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.stats import levene

from betavae.errors import UserError
from betavae.metric_file import seed_means
from betavae.paper import FIGURE6_LEFT, STABILITY
from betavae.tables import write_table

REFERENCE = "beta4"  # whose spread the others' are compared with


def read_history(path: Path) -> dict[str, Any]:
    """What a history file says of its end: seeds, replicas diverged and collapsed (None: not judged), and the last
    record of each loss, (R,); no losses where nothing was trained.
    """
    try:
        with h5py.File(path) as file:
            seeds = json.loads(file.attrs["settings"])["seeds"]
            collapsed = file.attrs.get("collapsed")
            return {
                "seeds": seeds,
                "diverged": json.loads(file.attrs["diverged"]),
                "collapsed": None if collapsed is None else json.loads(collapsed),
                "losses": {
                    name: data[-1].astype(np.float64)
                    for name, data in sorted(file.items())
                    if name.endswith("loss") and data.shape[1:] == (len(seeds),) and len(data)
                },
            }
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a training history ({error}); delete it and run again") from error


def spread(values: np.ndarray) -> dict[str, float | str]:
    """Mean, standard deviation (of the sample), least and most of the finite values (n,); blank where there is none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return dict.fromkeys(("mean", "std", "min", "max"), "")
    std = float(finite.std(ddof=1)) if len(finite) > 1 else ""
    return {"mean": float(finite.mean()), "std": std, "min": float(finite.min()), "max": float(finite.max())}


def loss_spread(losses: dict[str, np.ndarray]) -> str:
    """The spread of each final loss, in words: the losses of different systems are not measured alike."""
    said = []
    for name, values in losses.items():
        found = spread(values)
        if found["mean"] != "":
            std = "" if found["std"] == "" else f" ± {found['std']:.2g}"
            said.append(f"{name.replace('_', ' ')} {found['mean']:.4g}{std} ({found['min']:.4g} to {found['max']:.4g})")
    return "; ".join(said)


def same_spread(scores: np.ndarray, reference: np.ndarray) -> float | str:
    """p that two sets of scores (n,) spread alike (Brown and Forsythe's test); blank where one has fewer than three."""
    if min(len(scores), len(reference)) < 3 or not (np.ptp(scores) or np.ptp(reference)):
        return ""
    return float(levene(scores, reference, center="median").pvalue)


def rows(scores: dict[str, dict[str, Any]], histories: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each system, in the paper's order; failed replicas are counted and named by their seeds."""
    means = {model: 100 * np.array(seed_means(score)) for model, score in scores.items()}
    table = []
    for model, (label, _) in FIGURE6_LEFT.items():
        if model not in histories:
            continue
        history, own = histories[model], means[model]
        diverged = sorted({*history["diverged"], *scores[model]["diverged"]})
        collapsed = history["collapsed"]
        failed = {"diverged": diverged, "collapsed": collapsed or []}
        named = [
            f"{name}: {', '.join(str(history['seeds'][r]) for r in which)}" for name, which in failed.items() if which
        ]
        claim, grade = STABILITY.get(model, ("", ""))
        compared = REFERENCE in means and model != REFERENCE
        table.append(
            {
                "system": label,
                "replicas": len(history["seeds"]),
                "diverged": len(diverged),
                "collapsed": "not judged" if collapsed is None else len(collapsed),
                "failed seeds": "; ".join(named),
                **{f"score, {name} (%)": value for name, value in spread(own).items()},
                "each seed (%)": " ".join(f"{value:.1f}" for value in own),
                "p, spread as β-VAE's": same_spread(own, means[REFERENCE]) if compared else "",
                "final loss": loss_spread(history["losses"]),
                "paper": claim,
                "grade": grade,
            }
        )
    return table


def main(*, scores: list[Path], histories: list[Path], csv: Path, md: Path, scale: str) -> None:
    """Write the table from metric files and training histories of the same models, in the same order."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in scores}
    ends = dict(zip(read, map(read_history, histories), strict=True))
    caption = (
        f"# Stability of training, scale `{scale}`\n\n"
        "Scores over all seeds that have one, none dropped: mean over classifier seeds, then mean, standard deviation "
        "(of the sample), least and most over training seeds. Diverged: losses, weights or codes not finite; "
        "collapsed: as the system's own training judges it. p: that the scores spread as much as β-VAE's (Brown and "
        "Forsythe). Final loss: mean of the last record, ± standard deviation over seeds (least to most); systems "
        "minimise different things."
    )
    write_table(csv, md, rows(read, ends), caption)
