"""What pictures of models share: what a model is called, and sheets of images."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from betavae import style
from betavae.factors import FACTORS, FactorGrid
from betavae.names import NameRefused, parse_beta
from betavae.paper import label
from betavae.picture_plan import parse_picture
from betavae.shapes import SIDE

GAP = 3  # white pixels between two images of a sheet
ALL_DIVERGED = "all replicas diverged"


def title(model: str) -> str:
    """A model's name for people: `β-VAE (β = 4)`, `DC-IGN`."""
    try:
        beta, latents = parse_beta(model)
    except NameRefused:
        return label(model)
    return f"{'VAE' if beta == 1 else 'β-VAE'} (β = {beta:g}{f', M = {latents}' if latents else ''})"


def picture_title(model: str) -> str:
    """The name for people of a model on a picture set: `standin_chairs: β-VAE (β = 5)`."""
    picture = parse_picture(model)
    return f"{picture.set}: {title(picture.model)}" + (", a combination held out" if picture.held_out else "")


def beside(shares: dict[str, Sequence[float]], factor: str, latent: int) -> tuple[str, float]:
    """Of {factor: its share of each latent}, what explains most of a latent apart from the factor that it stands for,
    and its share; ("", 0) where no other is known.
    """
    others = {name: row[latent] for name, row in shares.items() if name != factor}
    return max(others.items(), key=itemgetter(1), default=("", 0.0))


def note(scores: dict[str, dict[str, Any]]) -> str:
    """What a picture of each model's best replica says on its face, from {model: metric file}; who diverged."""
    told = "each model's best replica by the metric" if len(scores) > 1 else "the best replica by the metric"
    for model, score in scores.items():
        if score["diverged"]:
            told += f"; {title(model)}: replicas {', '.join(map(str, score['diverged']))} diverged"
    return told


def start_images(grid: FactorGrid) -> np.ndarray:
    """Image numbers (shapes,): each shape in the middle of the factors' ranges, not turned."""
    classes = np.tile(np.array(grid.sizes) // 2, (grid.size("shape"), 1))
    classes[:, FACTORS.index("shape")] = np.arange(grid.size("shape"))
    classes[:, FACTORS.index("orientation")] = 0
    return grid.index(classes)


def extent(count: int, gap: int = GAP) -> int:
    """The pixels that a row or column of so many images takes."""
    return count * (SIDE + gap) - gap


def tiled(images: np.ndarray, gap: int = GAP) -> np.ndarray:
    """Images (rows, columns, 64, 64), in colour (…, 3), as one, `gap` white pixels (1.0) between them."""
    rows, columns = images.shape[:2]
    step = SIDE + gap
    sheet = np.ones((extent(rows, gap), extent(columns, gap), *images.shape[4:]), np.float32)
    for row, line in enumerate(images):
        for column, image in enumerate(line):
            sheet[row * step : row * step + SIDE, column * step : column * step + SIDE] = image
    return sheet


def show(
    axis: style.plt.Axes, images: np.ndarray, rows: list[str] | None = None, columns: list[str] | None = None
) -> None:
    """Draw images (rows, columns, 64, 64[, 3]) as a sheet with a word before each row and above each column."""
    axis.imshow(tiled(images), cmap="gray", vmin=0, vmax=1)
    centres = [np.arange(count) * (SIDE + GAP) + SIDE / 2 for count in images.shape[:2]]
    axis.set_yticks(centres[0] if rows else [], rows or [])
    axis.set_xticks(centres[1] if columns else [], columns or [])
    axis.tick_params(length=0, labelsize=6, top=False, labeltop=True, labelbottom=False, pad=1)
    axis.spines[:].set_visible(False)


def stops(values: np.ndarray) -> list[str]:
    """The values of a walk as words above its columns."""
    return [f"{value:.2g}".replace("-", "−") for value in values]


def say(axis: style.plt.Axes, words: str) -> None:
    """Words in place of a picture."""
    axis.text(0.5, 0.5, words, ha="center", va="center", style="italic", transform=axis.transAxes)
    axis.set_axis_off()
