"""Figure 6 right: score against normalised β for each latent size, reconstructions, score against reconstruction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from betavae import style
from betavae.factor_shares import LIVE_KL
from betavae.images import unpack
from betavae.metric_file import best_replica, seed_means
from betavae.names import FULL_SCALES
from betavae.shapes import PIXELS, SIDE
from betavae.tables import write_table

SHOWN = 5  # images whose reconstructions are shown for a value of β


@dataclass(frozen=True)
class Point:
    """One point of the sweep, all replicas."""

    beta: float
    latents: int
    score: dict
    reconstruction: np.ndarray  # (R,) nats an image
    kl: np.ndarray  # (R, M) nats
    original: np.ndarray  # (images, 4096)
    decoded: np.ndarray  # (R, images, 4096) uint8

    @property
    def beta_norm(self) -> float:
        """β·M/N (section 4.2)."""
        return self.beta * self.latents / PIXELS

    @property
    def mean(self) -> float:
        """The score by the paper's protocol; NaN where all replicas diverged."""
        return np.nan if self.score["score_mean"] is None else self.score["score_mean"]

    @property
    def all_seeds(self) -> float:
        """The mean over all replicas that did not diverge; NaN where all did."""
        means = seed_means(self.score)
        return float(np.mean(means)) if means else np.nan


def read_point(beta: float, latents: int, score: Path, summary: Path) -> Point:
    """A point from its metric file and summary."""
    with h5py.File(summary) as file:
        return Point(
            beta,
            latents,
            json.loads(score.read_text(encoding="utf-8")),
            file["reconstruction"][:],
            file["kl"][:],
            unpack(file["examples/original"][:]),
            file["examples/reconstruction"][:],
        )


def rows(points: list[Point]) -> list[dict[str, object]]:
    """The table: a row a point."""
    return [
        {
            "M": p.latents,
            "β": p.beta,
            "normalised β": p.beta_norm,
            "score (%)": 100 * p.mean,
            "± (%)": 100 * (p.score["score_std"] or 0),
            "all seeds, mean (%)": 100 * p.all_seeds,
            "replicas": len(p.reconstruction),
            "diverged": len(p.score["diverged"]),
            "reconstruction (nats)": float(np.nanmean(p.reconstruction)),
            "KL (nats)": float(np.nanmean(p.kl.sum(1))),
            "live latents": float(np.nanmean(np.where(np.isfinite(p.kl), p.kl > LIVE_KL, np.nan).sum(1))),
        }
        for p in points
    ]


def draw_curves(axis: style.plt.Axes, curves: dict[int, list[Point]]) -> None:
    """Score against normalised β, a curve a latent size, unnormalised β = 1 marked."""
    for number, (latents, points) in enumerate(curves.items()):
        colour, marker = style.COLOURS[number % 8], style.MARKERS[number % 8]
        axis.errorbar(
            [p.beta_norm for p in points], [100 * p.mean for p in points],
            yerr=[100 * (p.score["score_std"] or 0) for p in points],
            color=colour, marker=marker, ms=3.5, capsize=1.5, elinewidth=0.7, label=f"M = {latents}",
        )  # fmt: skip
        for p in (p for p in points if len(seed_means(p.score)) > 1):
            axis.plot(p.beta_norm, 100 * p.all_seeds, "_", color=colour, ms=7)
        for p in (p for p in points if p.beta == 1):
            axis.plot(p.beta_norm, 100 * p.mean, "o", mfc="none", mec=colour, ms=9, mew=0.9)
    axis.plot([], [], "o", mfc="none", mec=style.GREY, ms=8, mew=0.9, label="β = 1 (unnormalised)")
    axis.set_xscale("log")
    values = [p.beta_norm for points in curves.values() for p in points]
    narrow = max(values) < 100 * min(values)  # two decades: whole powers of ten alone would be too few ticks
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3) if narrow else (1,)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("normalised β = β·M / 4096")
    axis.set_ylabel("metric score (%)")
    axis.figure.legend(loc="outside upper center", ncols=3, fontsize=6.5, columnspacing=0.8, handletextpad=0.3)


def draw_against_reconstruction(axis: style.plt.Axes, curves: dict[int, list[Point]]) -> None:
    """Score against reconstruction loss: the best reconstruction is not the best disentangling."""
    for number, points in enumerate(curves.values()):
        axis.plot(
            [np.nanmean(p.reconstruction) for p in points], [100 * p.mean for p in points],
            color=style.COLOURS[number % 8], marker=style.MARKERS[number % 8], ls="", ms=4,
        )  # fmt: skip
        for p in points:
            axis.annotate(
                f"{p.beta:g}", (np.nanmean(p.reconstruction), 100 * p.mean), (3, -8 if number % 2 else 3),
                textcoords="offset points", fontsize=5, color=style.GREY,
            )  # fmt: skip
    axis.set_xlabel("reconstruction (nats an image)")
    axis.set_ylabel("metric score (%)")


def draw_examples(figure: style.plt.Figure, points: list[Point]) -> None:
    """Images and, for each β of one latent size, their reconstructions by its best replica."""
    grid = figure.subplots(len(points) + 1, SHOWN, gridspec_kw={"wspace": 0.05, "hspace": 0.05})
    sheets = [("data", points[0].original)]
    for p in points:
        replica, _ = best_replica(p.score) or (0, 0.0)
        sheets.append((f"β = {p.beta:g}", p.decoded[replica] / 255))
    for line, (label, images) in zip(grid, sheets, strict=True):
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image.reshape(SIDE, SIDE), cmap="gray", vmin=0, vmax=1)
            style.frameless(axis)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=6)


def main(
    *, scores: list[Path], summaries: list[Path], png: Path, pdf: Path, csv: Path, md: Path, settings: str
) -> None:
    """Write picture and table. settings: JSON; scale and points, [β, M, model] in the order of the files."""
    chosen = json.loads(settings)
    points = [
        read_point(beta, latents, score, summary)
        for (beta, latents, _), score, summary in zip(chosen["points"], scores, summaries, strict=True)
    ]
    curves = {
        latents: sorted((p for p in points if p.latents == latents), key=lambda p: p.beta)
        for latents in sorted({p.latents for p in points})
    }
    claim = "" if chosen["scale"] in FULL_SCALES else "too few steps and points to show the paper's inverted U"
    caption = f"# Figure 6 right: score over β and latent size, scale `{chosen['scale']}`" + (
        f"\n\n{claim}" * bool(claim)
    )
    write_table(csv, md, rows([p for curve in curves.values() for p in curve]), caption)

    figure = style.plt.figure(figsize=(7.2, 3.0))
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.15, 0.85, 0.9))
    draw_curves(left.subplots(), curves)
    shown = 10 if 10 in curves else max(curves)
    draw_examples(middle, curves[shown])
    middle.suptitle(f"reconstructions, M = {shown}", fontsize=8)
    draw_against_reconstruction(right.subplots(), curves)
    right.suptitle("small numbers: β", fontsize=8)
    seeds = sorted({len(p.reconstruction) for p in points})
    told = f"seeds a point: {seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds a point"
    told += ", best half of the scores" + "; dash: mean of all seeds" * (seeds[-1] > 1)
    style.save(figure, png, pdf, chosen["scale"], "; ".join(filter(None, [told, claim])))
