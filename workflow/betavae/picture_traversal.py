"""Figures 10–14: walks along all latents of a model on pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from betavae import style
from betavae.picture_set import open_images
from betavae.pictures import ALL_DIVERGED, say
from betavae.stream import stream
from betavae.traversal import draw
from betavae.walk import open_replica

STARTS = 2


def main(*, npy: Path, model: Path, shares: Path, png: Path, pdf: Path, scale: str) -> None:
    """Write the figure of the replica that stands for the model."""
    images, said = open_images(npy), json.loads(shares.read_text(encoding="utf-8"))
    walker, told = open_replica(model, said, images), [f"model {model.stem}"]
    if walker is None:
        figure, axis = style.plt.subplots(figsize=(3.6, 1.2))
        say(axis, ALL_DIVERGED)
    else:
        numbers = stream(0, "seed images").choice(len(images), min(STARTS, len(images)), replace=False)
        figure = draw(walker, images[np.sort(numbers)], rows=walker.network.latents)
        told += walker.units
    style.save(figure, png, pdf, scale, "; ".join(told))
