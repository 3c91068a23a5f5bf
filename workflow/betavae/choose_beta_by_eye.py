"""Choosing β by eye: traversals of the most informative latents over β, beside what the metric picks.

Each β is shown by its replica of the least loss, which needs no labels to be named; the reader's rule is that of
`choices.read_by_eye`, over all replicas.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from betavae import style
from betavae.choices import Choice, best, clean_factors, read_by_eye, read_choices, seen
from betavae.device import prepare_cpu
from betavae.factor_shares import SHARES
from betavae.factors import FACTORS, FactorGrid
from betavae.images import open_bits, open_grid
from betavae.models import load_model
from betavae.pictures import GAP, tiled
from betavae.shapes import SIDE
from betavae.walk import CPU, Walker

SHOWN = 5  # latents that are shown of a model, those of the largest KL
STEPS = 7  # images of a traversal
ACROSS = 3  # values of β in one row of the sheet


@dataclass(frozen=True)
class Block:
    """The traversals of one β: those of one replica."""

    choice: Choice
    replica: int | None  # None where all diverged
    latents: list[int]
    images: np.ndarray  # (latents, STEPS, 64, 64) in [0, 1]; white where all diverged


def start_image(grid: FactorGrid) -> int:
    """The image that every traversal starts from: the last shape, largest, in the middle of all other factors."""
    middle = [size // 2 for size in grid.sizes]
    for factor in ("shape", "scale"):
        middle[FACTORS.index(factor)] = grid.size(factor) - 1
    return int(grid.index(np.array(middle)))


def shown_replica(reconstruction: np.ndarray, kl: np.ndarray, beta: float, finite: Sequence[int]) -> int | None:
    """The replica of the least loss, reconstruction (R,) + β · kl (R, M) summed: no labels are needed to name it."""
    loss = reconstruction + beta * kl.sum(1)
    usable = [r for r in finite if np.isfinite(loss[r])]
    return min(usable, key=lambda r: loss[r]) if usable else None


def block(choice: Choice, model: Path, start: np.ndarray) -> Block:
    """The traversals of one β, all of the same packed image (1, 512)."""
    point = choice.point
    finite = [r for r, shares in enumerate(choice.shares) if shares is not None]
    replica = shown_replica(point.reconstruction, point.kl, choice.beta, finite)
    if replica is None:
        return Block(choice, None, [], np.ones((SHOWN, STEPS, SIDE, SIDE)))
    walker = Walker(model.stem, load_model(model, CPU, replica)[0], point.kl[replica])
    latents = walker.order[:SHOWN]
    images = walker.walk(walker.encode(start)[0], latents, walker.values(STEPS))
    return Block(choice, replica, latents.tolist(), images)


def draw_block(axis: style.plt.Axes, shown: Block, one_factor: float, picked_by: list[str]) -> None:
    """One β: a line a latent, its KL at the left, the factor that it follows most at the right."""
    point, found = shown.choice.point, seen(shown.choice, one_factor)
    axis.set_title(f"β = {point.beta:g}" + f"   ◂ {' and '.join(picked_by)} pick" * bool(picked_by), fontsize=8)
    if picked_by:
        axis.title.set(color=style.COLOURS[1], weight="bold")
    axis.imshow(tiled(shown.images), cmap="gray", vmin=0, vmax=1)
    axis.spines[:].set_visible(False)
    axis.set_xticks([])
    axis.tick_params(length=0, labelsize=6, pad=1)
    if shown.replica is None:
        axis.set_yticks([])
        axis.set_xlabel("all replicas diverged", fontsize=6.5)
        return
    kl, shares = point.kl[shown.replica], shown.choice.shares[shown.replica]
    axis.set_yticks(SIDE / 2 + (SIDE + GAP) * np.arange(len(shown.latents)), [f"{kl[m]:.1f}" for m in shown.latents])
    for height, latent in zip(axis.get_yticks(), shown.latents, strict=True):
        (name,) = clean_factors(kl[[latent]], shares[[latent]], one_factor) or ("unused",)
        most = SHARES[shares[latent].argmax()]
        told = name if name == "unused" else f"{most} {100 * shares[latent].max():.0f} %"
        clean = name in SHARES
        axis.text(
            STEPS * (SIDE + GAP) + 4, height, told, va="center", fontsize=6,
            color=style.COLOURS[0] if clean else style.GREY, weight="bold" if clean else None,
        )  # fmt: skip
    seeds = len(shown.choice.shares)
    axis.set_xlabel(
        f"metric {100 * point.mean:.1f} %" + (f" ({seeds} seeds)" if seeds > 1 else " (one seed)")
        + f"\n{found['factors']:.1f} factors shown, {found['mixed']:.1f} latents mixed",
        fontsize=6.5,
    )  # fmt: skip


def draw(blocks: Sequence[Block], one_factor: float, png: Path, pdf: Path, scale: str) -> None:
    """The sheet: a block a value of β, the picks of the metric and of the reader named."""
    choices = [shown.choice for shown in blocks]
    picks = {"metric's": best([c.point.mean for c in choices]), "reader's": read_by_eye(choices, one_factor)}
    across = min(ACROSS, len(blocks))
    down = -(-len(blocks) // across)
    figure, axes = style.plt.subplots(down, across, figsize=(2.4 * across, 1.75 * down + 0.2), squeeze=False)
    for axis in axes.flat[len(blocks) :]:
        axis.set_axis_off()
    for k, (shown, axis) in enumerate(zip(blocks, axes.flat, strict=False)):
        draw_block(axis, shown, one_factor, [name for name, which in picks.items() if k in which])
    note = f"M = {choices[0].point.latents}; left: KL (nats); right: share of the latent's variance by one factor"
    style.save(figure, png, pdf, scale, note)


def main(
    *, bits: Path, dataset: Path, models: list[Path], scores: list[Path], summaries: list[Path], labels: list[Path],
    png: Path, pdf: Path, settings: str,
) -> None:  # fmt: skip
    """Write the sheet. settings: as `choose_beta`'s, the points being those of one latent size."""
    chosen = json.loads(settings)
    prepare_cpu(1)
    grid = open_grid(dataset)
    start = open_bits(bits, grid.images)[[start_image(grid)]]
    (choices,) = read_choices(chosen["points"], scores, summaries, labels, chosen["metric"]["keep"]).values()
    of_beta: dict[float, Any] = {point[0]: model for point, model in zip(chosen["points"], models, strict=True)}
    blocks = [block(choice, of_beta[choice.beta], start) for choice in choices]
    draw(blocks, chosen["one_factor"], png, pdf, chosen["scale"])
