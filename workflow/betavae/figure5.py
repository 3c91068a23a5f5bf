"""Figure 5: how the disentanglement metric works, drawn from one of its own test points (section 3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.patches import FancyArrowPatch

from betavae import style
from betavae.codes import StoredCodes
from betavae.factors import FactorGrid
from betavae.images import open_bits, open_grid, unpack
from betavae.metric_file import best_replica
from betavae.pictures import ALL_DIVERGED, note, say, show, stops, title
from betavae.shapes import SIDE
from betavae.stream import stream
from betavae.zdiff import draw_points, fit, z_diff

FIXED = "posX"  # the factor that the point shown holds fixed, where the metric asks for it
PAIRS = 3  # pairs drawn: two, an ellipsis, and the last


@dataclass(frozen=True)
class Example:
    """One test point of the metric, and how its classifier reads it."""

    factors: list[str]
    label: int  # the factor that all pairs share
    images: np.ndarray  # (L, 2) numbers
    codes: np.ndarray  # (L, 2, M)
    weights: np.ndarray  # (M, factors) of the first classifier
    bias: np.ndarray  # (factors,)

    @property
    def difference(self) -> np.ndarray:
        """|code − code'| of each pair, (L, M)."""
        return np.abs(self.codes[:, 0] - self.codes[:, 1])

    @property
    def z_diff(self) -> np.ndarray:
        """Their mean (M,)."""
        return self.difference.mean(0)

    @property
    def probabilities(self) -> np.ndarray:
        """What the classifier says of each factor (factors,)."""
        logits = self.z_diff @ self.weights + self.bias
        odds = np.exp(logits - logits.max())
        return odds / odds.sum()


def example(codes: StoredCodes, replica: int, grid: FactorGrid, settings: dict) -> Example:
    """The replica's first test point that holds FIXED, and the metric's first classifier, fitted as for the score.

    settings: see `zdiff.score_replica`; as there, a replica's number is the seed of its points.
    """
    factors = settings["factors"]
    label = factors.index(FIXED) if FIXED in factors else 0
    rng = stream(replica, "z_diff test")
    points = draw_points(rng, grid, tuple(factors), settings["test_points"], settings["pairs"])
    shown = int(np.argmax(points.labels == label))
    images = np.stack([points.first[shown], points.second[shown]], axis=1)
    weights, biases = fit(*z_diff(codes, replica, grid, replica, "train", settings["train_points"], settings), settings)
    label = int(points.labels[shown])
    return Example(factors, label, images, codes.codes(replica)[images], weights[0], biases[0, 0])


def draw(point: Example, pixels: np.ndarray, model: str) -> style.plt.Figure:
    """The schematic. pixels (L, 2, 64, 64): the images of the point."""
    pairs, latents = point.codes.shape[0], point.codes.shape[2]
    fixed = point.factors[point.label]
    drawn = sorted({*range(min(PAIRS - 1, pairs)), pairs - 1})
    figure = style.plt.figure(figsize=(7.2, 3.3))
    figure.set_layout_engine("none")

    def place(x: float, y: float, width: float, height: float) -> style.plt.Axes:
        axis = figure.add_axes((x, y, width, height))
        axis.tick_params(labelsize=5, length=2, pad=1)
        return axis

    def arrow(*ends: tuple[float, float]) -> None:
        how = {"arrowstyle": "-|>", "mutation_scale": 7, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
        figure.add_artist(FancyArrowPatch(*ends, color=style.GREY, transform=figure.transFigure, **how))

    heads = (
        (0.110, f"{pairs} pairs of images\nthat share {fixed}"),
        (0.325, f"their codes\nby {model}"),
        (0.515, "|difference|\nof each pair"),
        (0.672, f"$z_\\mathrm{{diff}}$: mean\nover the {pairs} pairs"),
        (0.815, "linear classifier:\nits weights"),
        (0.938, "which factor\nis shared?"),
    )
    for number, (x, words) in enumerate(heads, start=1):
        figure.text(x, 0.985, f"{number}", ha="center", va="top", fontsize=9, weight="bold", color=style.COLOURS[4])
        figure.text(x, 0.915, words, ha="center", va="top", fontsize=7)

    height, width, middle = 0.185, 0.185 * 3.3 / 7.2, 0.44
    reach = 1.1 * max(1e-9, np.abs(point.codes[drawn]).max())
    highest = 1.1 * max(1e-9, point.difference[drawn].max())
    numbers = np.arange(latents)  # as in the codes file
    for pair, y in zip(drawn, (0.6, 0.375, 0.09), strict=False):
        centre = y + height / 2
        figure.text(0.012, centre, f"pair {pair + 1}", rotation=90, fontsize=6, ha="center", va="center")
        for side in range(2):
            axis = place(0.025 + side * (width + 0.008), y, width, height)
            show(axis, pixels[None, [pair], side])
            axis.spines[:].set(visible=True, color=style.COLOURS[side], linewidth=1.5)
        axis = place(0.26, y, 0.135, height)
        for side, offset in enumerate((-0.2, 0.2)):
            axis.bar(numbers + offset, point.codes[pair, side], 0.38, color=style.COLOURS[side])
        axis.axhline(0, color="black", lw=0.5)
        axis.set(ylim=(-reach, reach), xticks=[])
        axis.set_xlabel("latent" if pair == drawn[-1] else "", fontsize=6, labelpad=1)
        axis = place(0.455, y, 0.125, height)
        axis.bar(numbers, point.difference[pair], 0.75, color=style.GREY)
        axis.set(ylim=(0, highest), xticks=[])
        axis.set_xlabel("latent" if pair == drawn[-1] else "", fontsize=6, labelpad=1)
        arrow((0.202, centre), (0.232, centre))
        arrow((0.400, centre), (0.430, centre))
        arrow((0.582, centre), (0.603, middle + 0.6 * (centre - middle)))
    if pairs > PAIRS:
        for x in (0.110, 0.325, 0.515):
            figure.text(x, 0.323, "⋮", ha="center", va="center", fontsize=11)

    ticks = numbers[:: max(1, latents // 5)]
    axis = place(0.632, middle - 0.15, 0.098, 0.3)
    axis.bar(numbers, point.z_diff, 0.75, color=style.GREY)
    axis.locator_params(axis="y", nbins=4)
    axis.set(xticks=ticks)
    axis.set_xlabel("latent", fontsize=6, labelpad=1)
    arrow((0.735, middle), (0.757, middle))

    axis = place(0.777, middle - 0.15, 0.076, 0.3)
    limit = max(1e-9, np.abs(point.weights).max())
    picture = axis.imshow(point.weights, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axis.set_xticks(range(len(point.factors)), point.factors, rotation=90, fontsize=6)
    axis.set_yticks(ticks)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(picture, cax=place(0.777, middle + 0.165, 0.076, 0.018), orientation="horizontal")
    bar.set_ticks([-limit, 0, limit], labels=stops(np.array([-limit, 0, limit])))
    bar.ax.tick_params(labelsize=5, length=1.5, pad=1, top=True, labeltop=True, bottom=False, labelbottom=False)
    bar.outline.set_visible(False)
    arrow((0.858, middle), (0.880, middle))

    axis = place(0.893, middle - 0.15, 0.1, 0.3)
    for row, (factor, probability) in enumerate(zip(point.factors, point.probabilities, strict=True)):
        true = row == point.label
        axis.barh(row + 0.2, probability, 0.35, color=style.COLOURS[2] if true else style.GREY)
        words = f"{factor} {probability:.2f}"
        axis.text(0.03, row - 0.03, words, fontsize=6, va="bottom", weight="bold" if true else None)
    axis.set(xlim=(0, 1), ylim=(len(point.factors) - 0.5, -0.5), xticks=[0, 1], yticks=[])
    axis.set_xlabel("probability\n(green: the label)", fontsize=6, labelpad=0)
    return figure


def main(*, bits: Path, dataset: Path, codes: Path, score: Path, png: Path, pdf: Path, scale: str) -> None:
    """Write the figure from the codes of a model's best replica by its metric file."""
    said = json.loads(score.read_text(encoding="utf-8"))
    best, model = best_replica(said), codes.stem
    if best is None:
        figure, axis = style.plt.subplots(figsize=(3.6, 1.2))
        say(axis, f"{title(model)}: {ALL_DIVERGED}")
        style.save(figure, png, pdf, scale)
        return
    grid, (replica, accuracy) = open_grid(dataset), best
    point = example(StoredCodes(codes, grid.images), replica, grid, said["settings"])
    pixels = unpack(open_bits(bits, grid.images)[point.images]).reshape(*point.images.shape, SIDE, SIDE)
    told = f"one of the test points of replica {replica}, {note({model: said})}; it scores {100 * accuracy:.1f} %"
    style.save(draw(point, pixels, title(model)), png, pdf, scale, told)
