"""Any models side by side on the same images: what each reconstructs, and a walk along its first latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from betavae import style
from betavae.images import open_bits, open_grid, unpack
from betavae.pictures import ALL_DIVERGED, note, say, show, start_images, title
from betavae.shapes import SIDE
from betavae.stream import stream
from betavae.walk import Walker, open_best

IMAGES = 15  # images reconstructed
LATENTS = 5  # latents walked for a model, those with the largest KL or variance
STEPS = 7  # stops of a walk


def draw(walkers: dict[str, Walker | None], bits: np.ndarray, start: int) -> style.plt.Figure:
    """Above, images of `bits` (N, 512) and each model's reconstructions; below, walks from the image `start`."""
    chosen = bits[stream(0, "comparison").choice(len(bits), IMAGES, replace=len(bits) < IMAGES)]
    sheet, words = [unpack(chosen).reshape(-1, SIDE, SIDE)], ["data"]
    for model, walker in walkers.items():
        sheet.append(np.ones_like(sheet[0]) if walker is None else walker.generate(walker.encode(chosen)))
        words.append(title(model) if walker else f"{title(model)}: diverged")
    abreast = 2 if len(walkers) in (2, 4) else 3
    lines = -(-len(walkers) // abreast)
    tile = (7.2 / abreast - 0.6) / STEPS
    heights = [0.43 * len(sheet) + 0.1, lines * (0.4 + LATENTS * tile)]
    figure = style.plt.figure(figsize=(7.2, sum(heights) + 0.25))
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    show(above.subplots(), np.stack(sheet), words)
    axes = below.subplots(lines, abreast, squeeze=False).flatten()
    for axis in axes[len(walkers) :]:
        axis.set_axis_off()
    for axis, (model, walker) in zip(axes, walkers.items(), strict=False):
        axis.set_title(walker.title if walker else title(model), fontsize=8)
        if walker is None:
            say(axis, ALL_DIVERGED)
            continue
        latents, values = walker.order[:LATENTS], walker.values(STEPS)
        walk = walker.walk(walker.encode(bits[[start]])[0], latents, values)
        show(axis, walk, [walker.label(latent) for latent in latents], walker.stops(STEPS))
    return figure


def main(
    *,
    bits: Path,
    dataset: Path,
    models: list[Path],
    scores: list[Path],
    summaries: list[Path],
    png: Path,
    pdf: Path,
    scale: str,
) -> None:
    """Write the figure; each model is shown by its best replica."""
    packed = open_bits(bits)
    files = zip(models, scores, summaries, strict=True)
    opened = {model.stem: open_best(model, score, summary, packed) for model, score, summary in files}
    walkers = {model: walker for model, (walker, _) in opened.items()}
    figure = draw(walkers, packed, start_images(open_grid(dataset))[-1])
    units = [words for walker in walkers.values() if walker for words in walker.units]
    told = [note({model: said for model, (_, said) in opened.items()}), *dict.fromkeys(units)]
    style.save(figure, png, pdf, scale, "; ".join(told))
