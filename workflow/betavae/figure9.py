"""Figure 9: samples of the prior, decoded by each model; the same z ~ N(0, I) for all."""

from __future__ import annotations

from pathlib import Path

from betavae import style
from betavae.images import open_bits
from betavae.pictures import ALL_DIVERGED, note, say, show, title
from betavae.stream import stream
from betavae.walk import open_best

SIDE_BY_SIDE = 8  # a panel is so many samples wide and high


def main(
    *,
    bits: Path,
    models: list[Path],
    scores: list[Path],
    summaries: list[Path],
    png: Path,
    pdf: Path,
    scale: str,
) -> None:
    """Write the figure: a panel a model, its best replica's mean images."""
    packed = open_bits(bits)
    figure, axes = style.plt.subplots(1, len(models), figsize=(3.6 * len(models), 4.15), squeeze=False)
    told = {}
    for axis, model, score, summary in zip(axes[0], models, scores, summaries, strict=True):
        walker, told[model.stem] = open_best(model, score, summary, packed)
        axis.set_title(walker.title if walker else title(model.stem))
        if walker is None:
            say(axis, ALL_DIVERGED)
            continue
        shape = (SIDE_BY_SIDE, SIDE_BY_SIDE, walker.network.latents)
        show(axis, walker.generate(stream(0, "prior samples").standard_normal(shape)))
    figure.suptitle("Samples of the prior, z ~ N(0, I), decoded; the same z at the same place")
    style.save(figure, png, pdf, scale, note(told))
