"""Figures 1–4: for each factor that the paper names, a walk along the latent that carries it, model beside model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from betavae import style
from betavae.errors import UserError
from betavae.image_files import shown_images
from betavae.picture_plan import parse_picture
from betavae.picture_set import open_images
from betavae.pictures import ALL_DIVERGED, beside, extent, say, show, title
from betavae.stream import stream
from betavae.walk import SD, Walker, open_replica

SEEDS = 3  # rows of each factor, each from another picture
STEPS = 7  # stops of a walk: −3, −2, … 3
NAMES = {
    "celeba": "CelebA",
    "chairs": "the chairs of Aubry et al. (2014)",
    "faces": "renderings of the Basel Face Model",
}


def latent_of(factor: str, known_as: str | None, own: dict[str, Any], named: dict[str, int]) -> tuple[int | None, str]:
    """The latent to walk for a factor of the paper, and what is said above it; None where none is known to carry it.

    named: the latents that the user names, {factor of the paper: latent}; they come first. Else it is the live latent
    of whose variance the factor, `known_as` in the set, explains most.
    """
    if factor in named:
        return named[factor], f"z{named[factor]}, named in the config"
    if known_as not in own.get("shares", {}):
        return None, "factor not known in this set;\nname its latent in the config"
    latent = own["carriers"][known_as]
    if latent is None:
        return None, "no live latent"
    other, its = beside(own["shares"], known_as, latent)
    said = f", {its:.0%} {other}" if other else ""
    share = own["shares"][known_as][latent]
    return latent, f"z{latent}: {share:.0%} {known_as}{said}".replace("_", " ")


def draw(
    walkers: dict[str, tuple[Walker | None, dict[str, Any]]], seeds: np.ndarray, settings: dict[str, Any]
) -> style.plt.Figure:
    """The figure: a row of sheets a factor, a column a model, {model: (walker, its shares)}; seeds (n, 64, 64, C).

    UserError where the user names a latent that a model has not.
    """
    factors = settings["factors"]
    width = 1.0 + 2.9 * len(walkers)
    ratios = (1, *[STEPS] * len(walkers))
    figure, grid = style.plt.subplots(
        len(factors),
        1 + len(walkers),
        figsize=(width, 0.75 + len(factors) * (0.3 + SEEDS * 2.9 / STEPS)),
        squeeze=False,
        gridspec_kw={"width_ratios": ratios, "wspace": 0.03},
    )
    for row, (line, (factor, known_as)) in enumerate(zip(grid, factors.items(), strict=True)):
        show(line[0], shown_images(seeds)[:, None], columns=["seed"])
        line[0].set_ylabel(factor, fontsize=9)
        for axis, (model, (walker, said)) in zip(line[1:], walkers.items(), strict=True):
            own = parse_picture(model).model
            # Words take the room of a sheet, so that columns of either have their titles at one height.
            axis.set_box_aspect(extent(len(seeds)) / extent(STEPS))
            if row == 0:
                axis.set_title(title(own), y=1, pad=16)
            if walker is None:
                say(axis, ALL_DIVERGED)
                continue
            named = settings["latents"].get(own, {})
            latent, words = latent_of(factor, known_as, said["replicas"][said["best"]], named)
            if latent is None:
                say(axis, words)
                continue
            if latent >= walker.network.latents:
                raise UserError(
                    f"`pictures.latents.{settings['set']}.{own}` in the config names latent {latent} for {factor}; "
                    f"expected 0 to {walker.network.latents - 1}, which the model has"
                )
            values = walker.values(STEPS)
            walks = [walker.walk(code, np.array([latent]), values)[0] for code in walker.encode(seeds)]
            show(axis, np.stack(walks), columns=walker.stops(STEPS))
            axis.set_xlabel(words, fontsize=7, labelpad=2)
    return figure


def main(*, npy: Path, models: list[Path], shares: list[Path], png: Path, pdf: Path, settings: str) -> None:
    """Write the figure. settings: JSON; scale, figure, set, factors {the paper's: the set's or null} and latents."""
    chosen = json.loads(settings)
    images = open_images(npy)
    seeds = images[np.sort(stream(0, "seed images").choice(len(images), min(SEEDS, len(images)), replace=False))]
    walkers = {}
    for model, share in zip(models, shares, strict=True):
        said = json.loads(share.read_text(encoding="utf-8"))
        walkers[model.stem] = (open_replica(model, said, images), said)
    figure = draw(walkers, seeds, chosen)
    subject = chosen["set"].removeprefix("standin_")
    standin = chosen["set"] != subject
    number = chosen["figure"].removeprefix("figure")
    what = f"rendered stand-ins, not {NAMES[subject]}" if standin else NAMES[subject]
    figure.suptitle(f"Figure {number}, on {what}: one latent at a time")
    told = [f"data: {chosen['set']}", "below: the latent, what explains it"]
    told += [SD] * any(walker is not None and SD in walker.units for walker, _ in walkers.values())
    style.save(figure, png, pdf, chosen["scale"], "; ".join(told))
