"""Figure 8: the score against how far apart the training images lie, by amount of data and under pixel noise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from betavae import style
from betavae.tables import write_table

EXPECTED = "the paper: negative, grade B; −0.5 or below is what we ask for"
LABELS = {
    "stride": "every nth value of each factor",
    "random": "one image in n",
    "continuous": "n % of the orientations, contiguous",
}

# Above the axes, where no curve can be.
LEGEND = {"fontsize": 6.5, "title_fontsize": 7, "alignment": "left", "loc": "lower left", "bbox_to_anchor": (0, 1)}


@dataclass(frozen=True)
class Point:
    """One training set, all replicas of the model trained on it."""

    kind: str
    number: int
    score: dict[str, Any]
    subset: dict[str, Any]  # distance, images and share of its images
    noise: dict[float, dict[str, Any]]  # probability of a flip → score

    @property
    def distance(self) -> float:
        """Normalised Hamming distance; NaN where no two images are consecutive."""
        return np.nan if self.subset["distance"] is None else self.subset["distance"]


def percent(score: dict[str, Any]) -> float:
    """A score in %, NaN where all replicas diverged."""
    return np.nan if score["score_mean"] is None else 100 * score["score_mean"]


def spearman(quantity: list[float], scores: list[float]) -> tuple[float, int]:
    """Spearman's correlation over the points where both are finite, and how many these are; NaN where undefined."""
    pairs = np.array([pair for pair in zip(quantity, scores, strict=True) if np.isfinite(pair).all()]).reshape(-1, 2)
    if len(pairs) < 3 or (pairs == pairs[0]).all(0).any():
        return np.nan, len(pairs)
    return float(spearmanr(*pairs.T).statistic), len(pairs)


def rows(points: list[Point]) -> list[dict[str, object]]:
    """The table: a row a point, nearest images first; the correlations with the score stand in the caption."""
    return [
        {
            "training set": f"{p.kind}{p.number}",
            "Hamming distance": p.distance,
            "images": p.subset["images"],
            "share of data (%)": 100 * p.subset["share"],
            "score (%)": percent(p.score),
            "± (%)": 100 * (p.score["score_std"] or 0),
            "replicas": len({row[0] for row in p.score["scores"]}),
            "diverged": len(p.score["diverged"]),
            **{f"at {100 * level:g} % noise (%)": percent(score) for level, score in p.noise.items()},
        }
        for p in sorted(points, key=lambda p: p.distance)
    ]


def correlations(points: list[Point]) -> list[str]:
    """Spearman's correlation of the score with distance and with the amount of data; and of the noisy scores."""
    distances, amounts = [p.distance for p in points], [float(p.subset["images"]) for p in points]
    found, number = spearman(distances, [percent(p.score) for p in points])
    said = [f"Spearman's correlation of Hamming distance and score: {found:.2f} ({number} points; {EXPECTED})."]
    found, _ = spearman(amounts, [percent(p.score) for p in points])
    said.append(f"Of amount of data and score: {found:.2f}.")
    strides = [p for p in points if p.kind == "stride"]
    found, number = spearman([p.distance for p in strides], [percent(p.score) for p in strides])
    said.append(f"Of distance and score over the strides alone: {found:.2f} ({number} points).")
    for level in points[0].noise:
        found, _ = spearman(distances, [percent(p.noise[level]) for p in points])
        said.append(f"Of distance and score at {100 * level:g} % pixel noise: {found:.2f}.")
    return said


def draw_training_sets(axis: style.plt.Axes, points: list[Point]) -> None:
    """Score against distance, a marker a way of thinning, the share of the data beside each point."""
    for number, (kind, label) in enumerate(LABELS.items()):
        chosen = sorted((p for p in points if p.kind == kind), key=lambda p: p.distance)
        axis.errorbar(
            [p.distance for p in chosen], [percent(p.score) for p in chosen],
            yerr=[100 * (p.score["score_std"] or 0) for p in chosen],
            color=style.COLOURS[number], marker=style.MARKERS[number], ls="-" if kind == "stride" else "",
            ms=4.5, capsize=1.5, elinewidth=0.7, label=label,
        )  # fmt: skip
        for p in (p for p in chosen if np.isfinite(percent(p.score))):
            # The line through the strides falls: below it, to the left, there is room, but for the first of them.
            below = kind == "stride" and p is not chosen[0]
            beside = {"xytext": (-4, -5), "ha": "right"} if below else {"xytext": (6, 3)}
            axis.annotate(
                f"{100 * p.subset['share']:.3g} %", (p.distance, percent(p.score)), textcoords="offset points",
                va="center", fontsize=6, color=style.COLOURS[number], **beside,
            )  # fmt: skip
    axis.legend(title="training sets, and their share of the data", **LEGEND)


def draw_noise(axis: style.plt.Axes, points: list[Point]) -> None:
    """Score under pixel noise against distance, a curve a level, through the strides; other points unconnected."""
    for number, level in enumerate(points[0].noise):
        colour, marker = style.COLOURS[(3 + number) % 8], style.MARKERS[(3 + number) % 8]
        for connected in (True, False):
            chosen = sorted((p for p in points if (p.kind == "stride") == connected), key=lambda p: p.distance)
            axis.plot(
                [p.distance for p in chosen], [percent(p.noise[level]) for p in chosen],
                color=colour, marker=marker, ls="-" if connected else "", mfc=colour if connected else "none",
                label=f"{100 * level:g} % of the pixels flipped" if connected else None,
            )  # fmt: skip
    axis.legend(title="noise at test time (filled: strides)", **LEGEND)


def main(
    *,
    scores: list[Path],
    distances: list[Path],
    noise: list[Path],
    png: Path,
    pdf: Path,
    csv: Path,
    md: Path,
    settings: str,
) -> None:
    """Write picture and table. settings: JSON; scale and points, [kind, number] in the order of the files."""
    chosen = json.loads(settings)
    points = []
    for (kind, number), *files in zip(chosen["points"], scores, distances, noise, strict=True):
        score, subset, noisy = (json.loads(path.read_text(encoding="utf-8")) for path in files)
        points.append(Point(kind, number, score, subset, {level["noise"]: level for level in noisy["levels"]}))
    found = correlations(points)
    caption = (
        f"# Figure 8: data continuity, β = 4, scale `{chosen['scale']}`\n\n"
        + " ".join(found)
        + "\n\nstride n: every nth value of scale, orientation, posX and posY. random n: one image in n. continuous n: "
        "the first n % of the orientations, all else whole. The score is measured on codes of all images; that "
        "under noise (0 % among it) on a thinned grid of them. Hamming distance: mean number of pixels in which "
        "consecutive transforms differ, over the mean number that they light (0: nothing changes, 2: no pixel shared). "
        "± is the standard deviation of the scores kept; with one replica it does not hold what another seed changes."
    )
    write_table(csv, md, rows(points), caption)

    figure, (left, right) = style.plt.subplots(1, 2, figsize=(7.0, 3.6), sharey=True)
    draw_training_sets(left, points)
    draw_noise(right, points)
    chance = 100 / len(points[0].score["factors"])
    for axis in (left, right):
        axis.set_xlabel("normalised Hamming distance of consecutive images")
        axis.axhline(chance, color=style.GREY, lw=0.7, ls=":")
        axis.margins(x=0.12)
    left.set_ylabel("metric score (%)")
    place = right.get_yaxis_transform()
    right.text(0.99, chance + 0.6, "chance", transform=place, fontsize=6, color=style.GREY, ha="right")
    correlation, number = spearman([p.distance for p in points], [percent(p.score) for p in points])
    style.save(
        figure, png, pdf, chosen["scale"], f"Spearman {correlation:.2f} over {number} training sets".replace("-", "−")
    )
