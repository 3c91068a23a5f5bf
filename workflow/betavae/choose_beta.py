"""Choosing β, the paper's two ways, by the metric and by eye, also where few labels are known: tables and a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from betavae.choices import (
    RESAMPLES,
    Choice,
    agreement,
    all_seeds,
    best,
    confidence,
    names,
    printed_error,
    read_by_eye,
    read_choices,
    seen,
    weakest,
)
from betavae.choices_picture import draw
from betavae.factor_shares import LIVE_KL
from betavae.tables import write_table

CAPTION = """# Choosing β, scale `{scale}`

- **By the metric.** Best β: the highest score (best half of all scores, as in the paper); lead: points above the next
  β. The standard error, and the share of resamples that pick the same β, are those of {resamples} bootstrap samples of
  each model's replicas. The best half of many replicas is not quite like that of few, so the best β over all seeds
  stands beside it.
- **By eye.** The β whose traversals show the most different factors in latents of their own, then the fewest live
  latents that mix factors, then the sharpest reconstruction. A live latent has a KL above {live} nats; a factor is
  shown by one of whose variance it explains {one_factor:.0%} or more. The rule is ours and stands for a reader.
- **Few labels.** Points needed: the fewest labelled points from which on {agreement:.0%} or more of {draws} draws of
  labels pick the metric's β, by number of labelled factors. The metric itself learns from {train_points} points and is
  tested on {test_points}, {pairs} pairs of images each; few points are divided alike."""

EYE_CAPTION = """# Choosing β by eye and by the metric, scale `{scale}`

Means over replicas. Live: more than {live} nats of KL. One-factor: live, and one factor explains {one_factor:.0%} or
more of the latent's variance. Factors shown: different factors with such a latent. Mixed: live, and not one-factor."""

LABELS_CAPTION = """# Choosing β with few labels, scale `{scale}`

Picks, and mean scores, over {draws} draws of the labels; a tie is shared. Points are divided between learning and test
as the metric's are. Chance depends on the number of labelled factors: scores compare within a row."""


def summary_row(choices: Sequence[Choice], settings: dict[str, Any]) -> dict[str, Any]:
    """What both ways choose for one latent size; `choices` are the values of β of that size."""
    scores = np.array([choice.point.mean for choice in choices])
    picked, seen_best = best(scores), read_by_eye(choices, settings["one_factor"])
    row: dict[str, Any] = {"M": choices[0].point.latents, "best β": names(choices, picked) or "all diverged"}
    row |= {"normalised β": "", "score (%)": "", "standard error": "", "replicas": "", "next β": "", "lead": ""}
    row |= {"resamples that pick it (%)": "", "best β over all seeds": "", "read by eye": names(choices, seen_best)}
    sizes = sorted({len(factors) for factors, _ in choices[0].labels}, reverse=True)
    row |= {f"points needed, {size} factors": "" for size in sizes}
    if not picked:
        return row
    first = choices[picked[0]]
    row["normalised β"] = " and ".join(f"{choices[k].point.beta_norm:.4g}" for k in picked)
    row["score (%)"], row["standard error"] = 100 * scores[picked[0]], printed_error(first)
    row["replicas"] = first.replicas
    others = np.array([np.nan if k == picked[0] else score for k, score in enumerate(scores)])
    if runners := best(others):
        row["next β"], row["lead"] = names(choices, runners), 100 * float(scores[picked[0]] - others[runners[0]])
    sure = confidence(choices)
    row["resamples that pick it (%)"] = sure if isinstance(sure, str) else 100 * float(sure[picked].sum())
    row["best β over all seeds"] = names(choices, best([all_seeds(choice) for choice in choices]))
    for size, points in weakest(choices, settings["agreement"]).items():
        row[f"points needed, {size} factors"] = points or f"over {max(n for _, n in choices[0].labels)}"
    return row


def eye_rows(curves: dict[int, list[Choice]], one_factor: float) -> list[dict[str, Any]]:
    """One row for each β and latent size: the metric beside what the traversals show, and who picks it."""
    rows = []
    for latents, choices in curves.items():
        picked, read = best([choice.point.mean for choice in choices]), read_by_eye(choices, one_factor)
        for k, choice in enumerate(choices):
            found = {name: "" if np.isnan(value) else value for name, value in seen(choice, one_factor).items()}
            lost = [r for r, shares in enumerate(choice.shares) if shares is None]
            rows.append(
                {
                    "M": latents,
                    "β": choice.beta,
                    "normalised β": choice.point.beta_norm,
                    "score (%)": "" if np.isnan(choice.point.mean) else 100 * choice.point.mean,
                    "standard error": printed_error(choice),
                    "all seeds (%)": "" if np.isnan(all_seeds(choice)) else 100 * all_seeds(choice),
                    "replicas": choice.replicas,
                    "diverged": len(lost),
                    "live latents": found["live"],
                    "one-factor latents": found["clean"],
                    "factors shown": found["factors"],
                    "mixed latents": found["mixed"],
                    "picked by": " and ".join(["metric"] * (k in picked) + ["eye"] * (k in read)),
                }
            )
    return rows


def label_rows(curves: dict[int, list[Choice]], pairs: int) -> list[dict[str, Any]]:
    """One row for each latent size, set of labelled factors and number of points: what is picked, and the scores."""
    rows = []
    for latents, choices in curves.items():
        picked = best([choice.point.mean for choice in choices])
        for factors, points in choices[0].labels:
            shares = agreement(choices, factors, points)
            row = {
                "M": latents,
                "labelled factors": ", ".join(factors),
                "number": len(factors),
                "points": points,
                "pairs of images": points * pairs,
                "most often picked β": names(choices, best(shares)) if shares.any() else "all diverged",
                "in draws (%)": 100 * shares.max(),
                "the metric's β (%)": 100 * shares[picked].sum() if picked else "",
            }
            for choice in choices:
                found = choice.few(factors, points)
                mean = np.nan if np.isnan(found).all() else float(np.nanmean(found))
                row[f"β = {choice.beta:g} (%)"] = "" if np.isnan(mean) else 100 * mean
            rows.append(row)
    return rows


def main(
    *, scores: list[Path], summaries: list[Path], labels: list[Path], png: Path, pdf: Path,
    csv: Path, md: Path, eye_csv: Path, eye_md: Path, labels_csv: Path, labels_md: Path, settings: str,
) -> None:  # fmt: skip
    """Write the picture and three tables: the choice for each latent size, what the eye sees, few labels in full.

    settings: JSON; scale, points ([β, M, model] in the order of the files), latents (the size that is drawn),
    agreement, one_factor, and metric: its pairs, train_points, test_points and keep.
    """
    chosen = json.loads(settings)
    metric, scale, alone = chosen["metric"], chosen["scale"], chosen["one_factor"]
    curves = read_choices(chosen["points"], scores, summaries, labels, metric["keep"])
    draws = next(iter(curves[chosen["latents"]][0].labels.values())).shape[1]
    summaries_of = [summary_row(choices, chosen) for choices in curves.values()]
    write_table(
        csv, md, summaries_of, CAPTION.format(**chosen, **metric, resamples=RESAMPLES, live=LIVE_KL, draws=draws)
    )
    write_table(
        eye_csv, eye_md, eye_rows(curves, alone), EYE_CAPTION.format(scale=scale, live=LIVE_KL, one_factor=alone)
    )
    write_table(
        labels_csv, labels_md, label_rows(curves, metric["pairs"]), LABELS_CAPTION.format(scale=scale, draws=draws)
    )
    draw(curves[chosen["latents"]], metric, png, pdf, scale)
