"""Figure 7 for one model: what each latent responds to and what it does to the images; beside it its factor table."""

from __future__ import annotations

import json
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from betavae import factor_shares, style
from betavae.codes import StoredCodes
from betavae.device import prepare_cpu
from betavae.factor_shares import Followed, Responses
from betavae.factors import SHAPE_NAMES, FactorGrid
from betavae.images import open_bits, open_grid, unpack
from betavae.metric_file import best_replica
from betavae.models import load_model
from betavae.paper import FIGURE7, label
from betavae.pictures import stops
from betavae.shapes import SIDE
from betavae.tables import write_table
from betavae.walk import CPU, Walker

COLUMNS = 10  # latents that fit a page
STEPS = 5  # images of a walk
TOLD = 0.05  # below this share, neither the direction nor the period of a response is told
# Square red, ellipse green, heart blue, as in the paper, in shades and line styles that all eyes tell apart.
LINES = (("#D55E00", "-"), ("#009E73", (0, (4, 1.5))), ("#0072B2", (0, (1, 1))))


class Replica(NamedTuple):
    """What is known of one replica's codes."""

    responses: Responses
    kl: np.ndarray | None  # (M,) nats, where there is a posterior
    spread: np.ndarray | None  # (M,) the posterior's mean variance, where there is one
    order: np.ndarray  # (M,) latents by learnt variance
    followed: Followed


class Walk(NamedTuple):
    """What the decoder makes of one image's codes, images (…, 64, 64) in [0, 1]."""

    stops: list[str]
    at: str  # what the stops are, in words
    image: np.ndarray
    reconstruction: np.ndarray
    decoded: np.ndarray  # (latents walked along, STEPS, 64, 64)


def learnt_order(variance: np.ndarray, posterior_variance: np.ndarray | None) -> np.ndarray:
    """Latents by learnt variance: the posterior's, smallest first; without one the codes', largest first.

    Either way the informative come first: a latent that says nothing has the prior's variance as its posterior's.
    """
    key = -variance if posterior_variance is None else posterior_variance
    return np.argsort(key, kind="stable")


def analyse(codes: np.ndarray, logvar: np.ndarray | None, grid: FactorGrid) -> Replica:
    """One replica's responses, KL, order and what its latents follow; codes and logvar (images, M)."""
    found = factor_shares.responses(codes, grid)
    kl = spread = None
    if logvar is not None:
        kl, spread = factor_shares.posterior_statistics(codes, logvar)
    live = factor_shares.live_latents(found.variance, kl)
    return Replica(found, kl, spread, learnt_order(found.variance, spread), factor_shares.followed(found, grid, live))


def period(turns: int) -> str:
    """The period of a response that repeats so often in a full turn: 4 → π/2."""
    fraction = Fraction(2, turns)
    above = "π" if fraction.numerator == 1 else f"{fraction.numerator}π"
    return above if fraction.denominator == 1 else f"{above}/{fraction.denominator}"


def rounded(value: float) -> float:
    """As it stands in the table."""
    return round(float(value), 4)


def table_rows(replicas: dict[int, Replica | None], shown: int | None, grid: FactorGrid) -> list[dict[str, Any]]:
    """A row a latent, in the figure's order, of every replica; one for a replica that diverged (None)."""
    shapes = [SHAPE_NAMES[int(value) - 1] for value in grid.values[0]]
    rows: list[dict[str, Any]] = []
    for number, replica in replicas.items():
        if replica is None:
            rows.append({"replica": number, "counted as": "diverged"})
            continue
        found = replica.followed
        plane = factor_shares.position_share(replica.responses)
        rotation = factor_shares.rotation_by_shape(replica.responses)
        turns = factor_shares.turns_by_shape(replica.responses, grid)
        for latent in replica.order:
            told = found.along[latent] > TOLD
            row = {
                "replica": number,
                "shown": "yes" if number == shown else "",
                "latent": int(latent),
                "variance": float(f"{replica.responses.variance[latent]:.4g}"),
                "posterior variance": "" if replica.spread is None else rounded(replica.spread[latent]),
                "KL (nats)": "" if replica.kl is None else rounded(replica.kl[latent]),
                "counted as": found.kind[latent],
                "factor": found.factor[latent],
                "share": rounded(found.share[latent]),
                **{name: rounded(share[latent]) for name, share in found.shares.items()},
                "posX and posY": rounded(plane[latent]),
                "along": rounded(found.along[latent]),
                "turned by (°)": int(factor_shares.turned_by(found.angle[latent])) if told else "",
            }
            for shape, share, repeats in zip(shapes, rotation[:, latent], turns[:, latent], strict=True):
                row[f"{shape} rotation"] = rounded(share)
                row[f"{shape} period"] = period(int(repeats)) if repeats and share > TOLD else ""
            rows.append(row)
    names = max(rows, key=len)
    return [{name: row.get(name, "") for name in names} for row in rows]


def caption(model: str, replicas: dict[int, Replica | None], shown: int | None, scale: str) -> str:
    """What stands above the table: the count of each replica, the paper's expectation, and the rules."""
    counts = [
        f"- replica {number}{' (shown)' if number == shown else ''}: "
        + ("diverged" if replica is None else factor_shares.summary(replica.followed))
        for number, replica in replicas.items()
    ]
    expected = f"The paper: {FIGURE7[model]} (grade A).\n\n" if model in FIGURE7 else ""
    return (
        f"# What each latent follows: {label(model)}, scale `{scale}`\n\n"
        + "\n".join(counts)
        + f"\n\n{expected}"
        + "Shares are of the latent's variance over all images: the variance of its mean per class of a factor, over "
        "the total. Rotation is taken within each shape (per shape: of the variance within it), with the period of "
        "its strongest harmonic. `posX and posY`: the mean per position. `along`: what a polynomial of degree "
        f"{factor_shares.DEGREE} explains along the direction in the plane of posX and posY that explains most, which "
        f"is `turned by` so many degrees from the nearest axis. Directions and periods below a share of {TOLD} are "
        f"not told. Live: KL above {factor_shares.LIVE_KL} nats; without a posterior, a variance above "
        f"{factor_shares.LIVE_VARIANCE:.0%} of the largest. A live latent is counted as position (along its best "
        "direction), scale, rotation or shape, whichever explains most of it, if that is more than "
        "two thirds of its variance, else as mixed. Latents, counted from 0, stand in order of learnt variance: the "
        "posterior's, smallest first; without one the codes', largest first. Shown is the replica that the metric "
        "scores best."
    )


def walk(model: Path, bits: np.ndarray, codes: np.ndarray, replica: int, latents: np.ndarray, found: Responses) -> Walk:
    """The decoder's images along each of `latents`, the others fixed at the codes (M,) of an image, bits (512,).

    found: of the same replica, for the spread of its codes, where walks count in that.
    """
    network, _ = load_model(model, CPU, replica)
    spread = (found.mean, np.sqrt(found.variance)) if network.own_spread else None
    walker = Walker(model.stem, network, found.variance, spread)
    decoded = walker.walk(codes, latents, walker.values(STEPS))
    at = "sd from the latent's mean" if spread else "the latent set to"
    image = unpack(bits).reshape(SIDE, SIDE)
    return Walk(stops(walker.values(STEPS)), at, image, walker.generate(codes), decoded)


def example_image(grid: FactorGrid) -> int:
    """The image that walks start from: the last shape (the heart), upright, of middle scale, in the middle."""
    shapes, scales, _, columns, rows = grid.sizes
    return int(grid.index(np.array([shapes - 1, scales // 2, 0, columns // 2, rows // 2])))


class Sheet:
    """A figure on which axes are placed in inches from the upper left corner."""

    left, top, column, gap = 0.62, 0.72, 0.6, 0.04

    def __init__(self, columns: int, height: float) -> None:
        self.size = self.left + columns * self.column + 0.95, height
        self.figure = style.plt.figure(figsize=self.size)
        self.figure.set_layout_engine("none")

    def axes(self, x: float, y: float, width: float, height: float) -> style.plt.Axes:
        """Axes whose upper left corner lies at (x, y)."""
        full = *self.size, *self.size
        box = x, self.size[1] - y - height, width, height
        return self.figure.add_axes([value / whole for value, whole in zip(box, full, strict=True)])

    def cell(self, column: int, y: float, height: float) -> style.plt.Axes:
        """Axes in a column."""
        return self.axes(self.left + column * self.column, y, self.column - self.gap, height)

    def beside(self, columns: int) -> float:
        """Where the margin at the right begins."""
        return self.left + columns * self.column + 0.08


def draw(
    found: Replica, grid: FactorGrid, walked: Walk | None, title: str, note: str, png: Path, pdf: Path, scale: str
) -> None:
    """The picture: a column a latent; without a decoder the upper rows only, each latent standardised."""
    shown = found.responses if walked else found.responses.standardised()
    latents = found.order[:COLUMNS]
    tile = Sheet.column - Sheet.gap
    strip = STEPS * (tile + Sheet.gap) - Sheet.gap
    heights = [tile, 0.5, 0.5, *([strip] if walked else [])]
    tops = Sheet.top + np.concatenate([[0], np.cumsum([height + 0.17 for height in heights])])
    columns = max(len(latents), 4)  # the title needs room
    lines = textwrap.wrap(note, int(17 * (Sheet.left + columns * Sheet.column)))
    sheet = Sheet(columns, tops[-1] + 0.05 + 0.13 * len(lines))
    figure, beside = sheet.figure, sheet.beside(columns)
    limit = np.abs(shown.position[..., latents]).max() or 1.0
    responses = {"scale": shown.object.mean(2), "rotation": shown.object.mean(1)}  # (shape, values, M)
    ticks = {"scale": ([0.5, 1], ["0.5", "1"]), "rotation": ([0, np.pi, 2 * np.pi], ["0", "π", "2π"])}
    reach = 1.08 * (max(np.abs(values[..., latents]).max() for values in responses.values()) or 1.0)
    names = [SHAPE_NAMES[int(value) - 1] for value in grid.values[0]]

    for column, latent in enumerate(latents):
        dead = found.followed.kind[latent] == "dead"
        variance = found.responses.variance[latent]
        told = f"variance\n{variance:.2g}" if found.kl is None else f"KL {found.kl[latent]:.2f}"
        axis = sheet.cell(column, tops[0], tile)
        heat = axis.imshow(shown.position[..., latent].T, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)
        axis.spines[:].set(lw=0.4, color=style.GREY)
        axis.set_title(
            f"$z_{{{latent}}}$\n{told}\n", fontsize=7, pad=2, linespacing=1.1, color=style.GREY if dead else "black"
        )
        follows = f"{found.followed.factor[latent]} {found.followed.share[latent]:.2f}"
        axis.text(0.5, 1.04, follows, transform=axis.transAxes, ha="center", fontsize=5.5, color=style.GREY)
        if column == 0:
            axis.set_ylabel("position", fontsize=7, labelpad=16)
        for row, (name, values) in enumerate(responses.items(), start=1):
            axis = sheet.cell(column, tops[row], heights[row])
            at = grid.values[row]
            for shape, (colour, line) in zip(range(len(values)), shape_lines(grid), strict=True):
                axis.plot(at, values[shape, :, latent], color=colour, ls=line, lw=1.1, label=names[shape])
            axis.axhline(0, color=style.GREY, lw=0.3, zorder=0)
            axis.set_ylim(-reach, reach)
            axis.set_xticks(*ticks[name])
            axis.get_xticklabels()[0].set_ha("left")
            axis.get_xticklabels()[-1].set_ha("right")
            axis.tick_params(labelsize=5, pad=1, length=1.5, labelleft=column == 0)
            axis.spines[:].set_linewidth(0.4)
            if column == 0:
                axis.set_ylabel(name, fontsize=7)
                axis.yaxis.set_label_coords(-0.47, 0.5)
        if walked:
            axis = sheet.cell(column, tops[3], strip)
            draw_walk(axis, walked.decoded[column], tile)
            if column == 0:
                axis.set_yticks(
                    [step * (SIDE + SIDE * Sheet.gap / tile) + SIDE / 2 for step in range(STEPS)],
                    walked.stops,
                )
                axis.tick_params(labelsize=6, length=0, pad=1)
                axis.set_ylabel(f"decoded, {walked.at}", fontsize=7)
                axis.yaxis.set_label_coords(-0.47, 0.5)

    bar = figure.colorbar(heat, cax=sheet.axes(beside, tops[0], 0.07, tile))
    bar.set_label("mean" if walked else "mean / sd", fontsize=6, labelpad=1)
    bar.ax.tick_params(labelsize=5, pad=1, length=1.5)
    handles, labels = figure.axes[1].get_legend_handles_labels()
    corner = beside / sheet.size[0], 1 - (tops[1] + 0.1) / sheet.size[1]
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=corner, fontsize=6.5, handlelength=2, borderpad=0,
        borderaxespad=0, handletextpad=0.5,
    )  # fmt: skip
    if walked:
        for row, (name, image) in enumerate({"input": walked.image, "decoded": walked.reconstruction}.items()):
            axis = sheet.axes(beside + 0.05, tops[3] + row * (tile + 0.2), tile, tile)
            axis.imshow(image, cmap="gray", vmin=0, vmax=1)
            style.frameless(axis)
            axis.set_xlabel(name, fontsize=6.5, labelpad=2)
    figure.text(Sheet.left / sheet.size[0], 1 - 0.06 / sheet.size[1], title, fontsize=9, va="top")
    style.save(figure, png, pdf, scale, "\n".join(lines))


def shape_lines(grid: FactorGrid) -> list[tuple[str, Any]]:
    """Colour and line style of each shape of the grid."""
    return [LINES[int(value) - 1] for value in grid.values[0]]


def draw_walk(axis: style.plt.Axes, images: np.ndarray, tile: float) -> None:
    """Images (STEPS, 64, 64) below one another, with as much space between them as between columns."""
    for step, image in enumerate(images):
        top = step * SIDE * (1 + Sheet.gap / tile)
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, SIDE, top + SIDE, top), interpolation="nearest")
    style.frameless(axis)
    axis.set(xlim=(0, SIDE), ylim=(top + SIDE, 0), aspect="auto")


def draw_nothing(title: str, png: Path, pdf: Path, scale: str) -> None:
    """A figure that says why it is empty."""
    figure, axis = style.plt.subplots(figsize=(3.4, 1.2))
    axis.axis("off")
    axis.text(0.5, 0.5, "all replicas diverged", ha="center", style="italic")
    figure.suptitle(title, fontsize=9)
    style.save(figure, png, pdf, scale)


def main(
    *, codes: Path, dataset: Path, bits: Path, score: Path, png: Path, pdf: Path, csv: Path, md: Path, settings: str,
    model: Path | None = None,
) -> None:  # fmt: skip
    """Write the figure of the replica that the metric file `score` has as best, and the factor table of all.

    settings: JSON; model (its name) and scale. Without `model`, whose decoder draws the lower rows, the upper only.
    """
    prepare_cpu(1)
    chosen, grid = json.loads(settings), open_grid(dataset)
    stored, scores = StoredCodes(codes, grid.images), json.loads(score.read_text(encoding="utf-8"))
    replicas = {
        number: None if stored.diverged(number) else analyse(stored.codes(number), stored.logvar(number), grid)
        for number in range(stored.replicas)
    }
    best, name = best_replica(scores), chosen["model"]
    # Codes without training are one set, which serves every z_diff seed as a replica.
    shown = None if best is None else min(best[0], stored.replicas - 1)
    write_table(csv, md, table_rows(replicas, shown, grid), caption(name, replicas, shown, chosen["scale"]))
    if best is None or (found := replicas[shown]) is None:
        draw_nothing(label(name), png, pdf, chosen["scale"])
        return
    of = f"replica {shown}, the best of {stored.replicas} by the metric" if stored.replicas > 1 else "metric score"
    which = f"{of} ({best[1]:.1%})"
    cut = "" if len(found.order) <= COLUMNS else f", the first {COLUMNS} of {len(found.order)} latents"
    lost = [number for number, replica in replicas.items() if replica is None]
    gone = f"; replicas {lost} diverged" if lost else ""
    note = f"{which}{cut}{gone}: {factor_shares.summary(found.followed)}. "
    note += "Above each map: the factor followed most, its share of the variance"
    walked = None
    if model:
        example = example_image(grid)
        start = stored.codes(shown)[example]
        latents = found.order[:COLUMNS]
        walked = walk(model, open_bits(bits, grid.images)[example], start, shown, latents, found.responses)
    draw(found, grid, walked, label(name), note, png, pdf, chosen["scale"])
