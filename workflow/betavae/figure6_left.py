"""Figure 6 left: the disentanglement scores of all systems, ours beside the paper's, as table and picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from betavae import style
from betavae.metric_file import seed_means
from betavae.paper import FIGURE6_LEFT
from betavae.tables import NOT_YET_RUN, write_table


def percent(mean: float | None, std: float | None) -> str:
    """A score as the paper prints it: `84.90 ± 0.4`."""
    if mean is None:
        return "all replicas diverged"
    return f"{100 * mean:.2f}" + ("" if std is None else f" ± {100 * std:.2g}")


def table_rows(scores: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each system of the paper, in its order, and below them one for each of the user's own."""
    rows = []
    for model in dict.fromkeys((*FIGURE6_LEFT, *scores)):
        label, published = FIGURE6_LEFT.get(model, (model, None))
        row: dict[str, Any] = {"model": label, "ours (%)": NOT_YET_RUN, "paper (%)": "", "grade": ""}
        if published:
            row |= {"paper (%)": percent(published.mean, published.std), "grade": published.grade}
        row |= {"all seeds, mean (%)": "", "seeds": "", "each seed (%)": "", "diverged": ""}
        if score := scores.get(model):
            means = seed_means(score)
            row["ours (%)"] = percent(score["score_mean"], score["score_std"])
            row["all seeds, mean (%)"] = f"{100 * np.mean(means):.2f}" if means else ""
            row["seeds"] = len(means)
            row["each seed (%)"] = " ".join(f"{100 * value:.1f}" for value in means)
            row["diverged"] = len(score["diverged"])
        rows.append(row)
    return rows


def difference(scores: dict[str, dict[str, Any]]) -> str:
    """β-VAE's mean over all seeds less the VAE's, with its standard error (Welch)."""
    ours = [np.array(seed_means(scores[model])) for model in ("beta4", "beta1") if model in scores]
    if len(ours) < 2 or min(map(len, ours)) < 2:
        return ""
    gap = ours[0].mean() - ours[1].mean()
    error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in ours))
    return f"β-VAE − VAE over all seeds: {100 * gap:.1f} ± {100 * error:.1f} points (standard error)."


def draw(scores: dict[str, dict[str, Any]], png: Path, pdf: Path, scale: str) -> None:
    """The picture: a row a system, ours (kept scores, and every seed) beside the paper's."""
    figure, axis = style.plt.subplots(figsize=(3.9, 3.1))
    ours, theirs = {"fmt": "o", "color": style.COLOURS[0]}, {"fmt": "D", "color": style.GREY, "ms": 3.5}
    for row, (model, (_, published)) in enumerate(FIGURE6_LEFT.items()):
        axis.errorbar(100 * published.mean, row + 0.2, xerr=100 * (published.std or 0), capsize=2, **theirs)
        score = scores.get(model)
        if not score or score["score_mean"] is None:
            said = "diverged" if score else NOT_YET_RUN
            axis.text(26, row - 0.2, said, va="center", style="italic", fontsize=6.5)
            continue
        means = np.array(seed_means(score))
        axis.plot(100 * means, np.full(len(means), row - 0.2), "|", color=style.COLOURS[0], ms=6, mew=0.7)
        axis.errorbar(100 * score["score_mean"], row - 0.2, xerr=100 * score["score_std"], capsize=2, **ours)
    axis.errorbar([], [], xerr=[], label="paper", **theirs)
    axis.errorbar([], [], xerr=[], label="ours, best half of the scores", **ours)
    axis.plot([], [], "|", color=style.COLOURS[0], label="ours, each seed")
    chance = 100 / len(next(iter(scores.values()))["factors"])
    axis.axvline(chance, color=style.GREY, lw=0.7, ls=":")
    axis.text(chance + 0.6, -0.62, "chance", fontsize=6, color=style.GREY, va="center")
    axis.set_yticks(range(len(FIGURE6_LEFT)), [label for label, _ in FIGURE6_LEFT.values()])
    axis.set_ylim(len(FIGURE6_LEFT) - 0.4, -0.9)
    axis.set_xlim(chance - 3, 103)
    axis.set_xlabel("disentanglement metric score (%)")
    axis.grid(axis="y", lw=0.3, alpha=0.5)
    figure.legend(loc="outside upper center", ncols=3, fontsize=6.5, columnspacing=1, handletextpad=0.3)
    style.save(figure, png, pdf, scale)


def main(*, scores: list[Path], variance: Path, png: Path, pdf: Path, csv: Path, md: Path, scale: str) -> None:
    """Write picture and table from metric files."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in scores}
    explained = json.loads(variance.read_text(encoding="utf-8"))
    caption = (
        f"# Figure 6 left: disentanglement metric score, scale `{scale}`\n\n"
        "Ours: mean ± standard deviation of the best half of all scores (replicas × classifier seeds), as in the "
        "paper; beside it the mean over all seeds, and each seed. Grade of the paper's mean: A stated or confirmed, "
        "B recalled from the appendix.\n\n"
        f"{difference(read)} PCA: {explained['components']} components explain {explained['explained_variance']:.1%} "
        "of the variance (paper, ten: 60.8 %, grade B)."
    )
    write_table(csv, md, table_rows(read), caption)
    draw(read, png, pdf, scale)
