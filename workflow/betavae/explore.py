"""results/explore.html: the decoders of trained models in one page that draws while a reader moves the latents.

Everything is in the page: weights, examples with their codes, and the few lines of script that decode. One slider
moves a latent of each model at once: those that follow the same factor stand on the same slider.
"""

from __future__ import annotations

import base64
import csv
import json
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from betavae.factor_shares import SHARES
from betavae.factors import FACTORS, FactorGrid
from betavae.figure6_left import percent
from betavae.images import open_bits, open_grid
from betavae.page import fill, write_page
from betavae.paper import FIGURE6_LEFT
from betavae.pictures import ALL_DIVERGED, title
from betavae.stacked import StackedLinear
from betavae.vae import VAE
from betavae.walk import Walker, open_best

PRECISE = 15e6  # bytes: a page of float32 weights may be so large; beyond it the weights are float16
ORDERED = ("posX", "posY", "scale")  # factors of which more means something: their sliders point the same way
# The examples of each shape: scale, orientation, posX, posY as parts of their ranges.
EXAMPLES = ((0.5, 0, 0.5, 0.5), (0.2, 0.1, 0.15, 0.2), (1, 0.35, 0.85, 0.3), (0.6, 0.65, 0.3, 0.85))


class Shown(NamedTuple):
    """A model of the page: the replica shown, None where all diverged, how it was trained and scored."""

    title: str
    training: str
    score: str
    walker: Walker | None
    followed: list[dict[str, str]]  # the replica's rows of its factor table, one a latent
    signs: dict[str, np.ndarray]  # per factor of ORDERED (M,): whether a latent grows (1) or falls (-1) with it


def example_images(grid: FactorGrid) -> np.ndarray:
    """Image numbers (n,): of each shape the EXAMPLES."""
    inner = [np.rint(np.array(parts) * (np.array(grid.sizes[1:]) - 1)).astype(int) for parts in EXAMPLES]
    return grid.index(np.array([[shape, *classes] for classes in inner for shape in range(grid.size("shape"))]))


def directions(walker: Walker, grid: FactorGrid, bits: np.ndarray) -> dict[str, np.ndarray]:
    """For each factor of ORDERED, 1 or −1 (M,): the sign of its covariance with the codes, the rest in the middle."""
    signs = {}
    for factor in ORDERED:
        classes = np.tile(np.array(grid.sizes) // 2, (grid.size(factor), 1))
        classes[:, FACTORS.index(factor)] = steps = np.arange(grid.size(factor))
        codes = walker.encode(bits[grid.index(classes)])
        signs[factor] = np.where((steps - steps.mean()) @ (codes - codes.mean(0)) < 0, -1, 1)
    return signs


def sliders(models: list[Shown]) -> list[dict[str, Any]]:
    """The page's sliders in order: `factor` (None: silent latents) and `cells`, a latent of each model or None.

    A latent belongs to the factor that explains most of its variance, the purest first. Silent latents come last.
    """
    rows = []
    for factor in (*SHARES, None):
        columns = []
        for model in models:
            mine = [row for row in model.followed if (None if row["counted as"] == "dead" else row["factor"]) == factor]
            if factor:
                mine.sort(key=lambda row: -float(row["share"]))
            columns.append([cell(row, model.signs) for row in mine])
        rows += [{"factor": factor, "cells": list(cells)} for cells in zip_longest(*columns)]
    return rows


def cell(row: dict[str, str], signs: dict[str, np.ndarray]) -> dict[str, Any]:
    """What a slider does and says to one model: its latent, the direction, the factors' shares, the KL."""
    latent, factor = int(row["latent"]), row["factor"]
    return {
        "latent": latent,
        "sign": int(signs[factor][latent]) if factor in signs else 1,
        "shares": [float(row[name]) for name in SHARES],
        "mixed": row["counted as"] == "mixed",
        "kl": float(row["KL (nats)"]),
    }


def layers(network: VAE) -> list[tuple[np.ndarray, np.ndarray]]:
    """The decoder of the first replica: weight (inputs, outputs) and bias (outputs,) of each layer; tanh between."""
    stacked = [layer for layer in network.decoder if isinstance(layer, StackedLinear)]
    return [(layer.weight[0].detach().numpy(), layer.bias[0, 0].detach().numpy()) for layer in stacked]


def text(array: np.ndarray) -> str:
    """An array's bytes in base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def embedded(model: Shown, kind: str) -> dict[str, Any]:
    """A model as the page's script reads it: sizes of its layers, and weights and biases after one another."""
    parts = layers(model.walker.network) if model.walker else []
    flat = [array.astype(kind).ravel() for part in parts for array in part]
    return {
        "title": model.title,
        "ends": model.walker.network.traversal if model.walker else (0, 0),
        "sizes": [len(parts[0][0]), *(len(bias) for _, bias in parts)] if parts else [],
        "weights": text(np.concatenate(flat)) if flat else "",
    }


def page(models: list[Shown], examples: np.ndarray, scale: str) -> str:
    """The page of these models; examples (n, 512): packed images that a reader can start from."""
    walkers = [model.walker for model in models if model.walker]
    numbers = sum(array.size for walker in walkers for part in layers(walker.network) for array in part)
    kind = "<f4" if 4 * numbers * 4 / 3 < PRECISE else "<f2"
    codes = [np.round(model.walker.encode(examples), 4).tolist() if model.walker else None for model in models]
    content = {
        "factors": SHARES,
        "bytes": np.dtype(kind).itemsize,
        "models": [embedded(model, kind) for model in models],
        "sliders": sliders(models),
        "examples": [
            {"image": text(image), "codes": [own[number] if own else [] for own in codes]}
            for number, image in enumerate(examples)
        ],
    }
    return fill("explore.html", scale=scale, models=models, content=json.dumps(content).replace("<", "\\u003c"))


def said(scored: dict[str, Any]) -> tuple[str, str]:
    """How a model was trained, and what it scored, from its metric file."""
    told, published = scored["settings"]["representation"], FIGURE6_LEFT[scored["model"]][1]
    training = f"width {told['width']}, {told['steps']:,} steps of {told['batch']} images"
    ours = percent(scored["score_mean"], scored["score_std"])
    return (
        f"{training} ({told['optimiser'].capitalize()})",
        f"{ours} % over {len(told['seeds'])} seeds (paper: {percent(published.mean, published.std)} %)",
    )


def main(
    *,
    bits: Path,
    dataset: Path,
    models: list[Path],
    scores: list[Path],
    summaries: list[Path],
    factors: list[Path],
    html: Path,
    scale: str,
) -> None:
    """Write the page of VAEs: each one's best replica by the metric, which is the one shown in its factor table."""
    packed, grid = open_bits(bits), open_grid(dataset)
    shown = []
    for model, score, summary, table in zip(models, scores, summaries, factors, strict=True):
        walker, scored = open_best(model, score, summary, packed)
        with table.open(encoding="utf-8", newline="") as file:
            followed = [row for row in csv.DictReader(file) if row["shown"] == "yes"]
        name = walker.title if walker else f"{title(model.stem)}: {ALL_DIVERGED}"
        signs = directions(walker, grid, packed) if walker else {}
        shown.append(Shown(name, *said(scored), walker, followed if walker else [], signs))
    write_page(html, page(shown, packed[example_images(grid)], scale))
