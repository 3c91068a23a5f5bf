"""The picture of a choice of β: scores with few labels, and how often they pick the metric's β."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from betavae import style
from betavae.choices import Choice, agreement, best, standard_error

SHORT = {"posX": "x", "posY": "y", "scale": "scale", "orientation": "rot", "shape": "shape"}


def beta_colours(count: int) -> list[Any]:
    """Colours for ascending values of β, dark to light, told apart by colour-blind eyes."""
    return [style.plt.get_cmap("viridis")(x) for x in np.linspace(0.0, 0.88, count)]


def draw_scores(axis: style.plt.Axes, choices: Sequence[Choice], factors: tuple[str, ...], full: int) -> None:
    """Score against number of labelled points, a line per β; at the right end the metric itself, the best ringed."""
    sizes = sorted(points for chosen, points in choices[0].labels if chosen == factors)
    picked = best([choice.point.mean for choice in choices])
    for k, (choice, colour) in enumerate(zip(choices, beta_colours(len(choices)), strict=True)):
        few = 100 * np.array([choice.few(factors, points) for points in sizes])
        shift = 1.0 + 0.3 * ((k + 0.5) / len(choices) - 0.5)  # so that error bars lie side by side
        axis.errorbar(
            np.array(sizes) * shift, few.mean(1), yerr=few.std(1), color=colour, marker=style.MARKERS[k % 8],
            ms=3.5, capsize=1.5, elinewidth=0.7, label=f"β = {choice.beta:g}",
        )  # fmt: skip
        error = standard_error(choice)
        axis.errorbar(
            full * shift, 100 * choice.point.mean, yerr=None if error is None else 100 * error, color=colour,
            marker=style.MARKERS[k % 8], ms=3.5, capsize=1.5, elinewidth=0.7,
        )  # fmt: skip
        if k in picked:
            axis.plot(full * shift, 100 * choice.point.mean, "o", mfc="none", mec=style.COLOURS[1], ms=9, mew=1.1)
    axis.plot([], [], "o", mfc="none", mec=style.COLOURS[1], ms=7, mew=1.1, label="the metric's pick")
    axis.set_xscale("log")
    axis.set_xticks([*sizes, full], [*map(str, sizes), f"{full}\n(metric)"])
    axis.minorticks_off()
    axis.set_xlabel("labelled points")
    axis.set_ylabel("metric score (%)")


def draw_heat(axis: style.plt.Axes, shares: np.ndarray, rows: list[str], columns: list[int]) -> None:
    """A map of shares (rows, columns), each printed in %."""
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        axis.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6.5,
            color="white" if share > 0.55 else "black",
        )  # fmt: skip
    axis.set_yticks(range(len(rows)), rows)
    axis.set_xticks(range(len(columns)), columns)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_xlabel("labelled points")


def draw(choices: Sequence[Choice], metric: dict[str, Any], png: Path, pdf: Path, scale: str) -> None:
    """Score against number of points per β, what is picked with all factors, how often it is the metric's pick."""
    sets = list(dict.fromkeys(factors for factors, _ in choices[0].labels))
    sizes = sorted({points for _, points in choices[0].labels})
    fullest = max(sets, key=len)
    picked = best([choice.point.mean for choice in choices])
    figure, (left, middle, right) = style.plt.subplots(1, 3, figsize=(7.2, 2.9), width_ratios=(1.25, 0.8, 0.95))
    draw_scores(left, choices, fullest, metric["train_points"] + metric["test_points"])
    left.set_title(f"score\n{len(fullest)} factors labelled")
    won = np.array([agreement(choices, fullest, points) for points in sizes]).T
    draw_heat(
        middle, won, ["metric ▸ " * (k in picked) + f"{choice.beta:g}" for k, choice in enumerate(choices)], sizes
    )
    middle.set_ylabel("β")
    middle.set_title(f"picked, % of draws\n{len(fullest)} factors labelled")
    same = np.array([[agreement(choices, factors, points)[picked].sum() for points in sizes] for factors in sets])
    draw_heat(right, same, [" ".join(SHORT[factor] for factor in factors) for factors in sets], sizes)
    right.set_ylabel("labelled factors")
    right.set_title(f"the metric's β picked,\n% of draws (chance {100 / len(choices):.0f})")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=9, fontsize=6.5, columnspacing=1)
    note = f"M = {choices[0].point.latents}; bars: standard deviation over draws, of the metric the standard error"
    style.save(figure, png, pdf, scale, note)
