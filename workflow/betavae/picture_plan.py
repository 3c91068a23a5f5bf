"""Models on picture sets: their names, and what the config says of each. Read by Snakemake itself: no NumPy, no torch.

A model's name says its set: `standin_chairs_beta5`; one that never saw a combination of factors ends in `_held_out`.
What a set is of (chairs, faces, celeba) is its subject: the real set and its stand-in have one subject.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from betavae.names import parse_beta
from betavae.picture_sources import SOURCES, STANDINS

SUBJECTS = tuple(SOURCES)
LARGEST = 202_599  # images of CelebA, the largest set
COLOURS = {"celeba": 3, "chairs": 1, "faces": 1}
SETS = (*SOURCES, *STANDINS)
PICTURE = rf"(?:{'|'.join(SETS)})_(?:infogan|beta[0-9.]+(?:_held_out)?)"
TRAINING = ("channels", "units", "latents", "sigma", "optimiser", "learning_rate", "batch", "steps", "record_every")


class Figure(NamedTuple):
    """A figure of the paper on pictures: what it is of, and for each factor named in the paper the stand-in's."""

    subject: str
    factors: dict[str, str | None]


FIGURES = {
    "figure1": Figure("celeba", {"azimuth": "azimuth", "emotion": "smile", "hair fringe": "fringe"}),
    "figure2": Figure("chairs", {"azimuth": "azimuth", "width": "width", "leg style": "legs"}),
    "figure3": Figure("faces", {"azimuth": "azimuth", "elevation": "elevation", "lighting": "lighting"}),
    "figure4": Figure("celeba", {"skin colour": "skin", "age/gender": None, "image saturation": "saturation"}),
}


class Picture(NamedTuple):
    """A model on a picture set: `model` is its name without the set's."""

    set: str
    model: str
    held_out: bool

    @property
    def subject(self) -> str:
        """What the set is of."""
        return self.set.removeprefix("standin_")


def parse_picture(name: str) -> Picture | None:
    """What a model's name says, None where it is no model on a picture set; NameRefused for an odd β."""
    found = re.fullmatch(rf"({'|'.join(SETS)})_(infogan|beta[0-9.]+)(_held_out)?", name)
    if not found or not re.fullmatch(PICTURE, name):
        return None
    if found[2] != "infogan":
        parse_beta(found[2])
    return Picture(found[1], found[2], bool(found[3]))


def shown_set(config: dict[str, Any], subject: str) -> str:
    """The set that stands for a subject: the real one where its path is set, else the stand-in."""
    return subject if config["pictures"][subject]["path"] else f"standin_{subject}"


def models_of(config: dict[str, Any], subject: str) -> list[str]:
    """The names of all models on the set that stands for a subject, in the config's order."""
    return [f"{shown_set(config, subject)}_{model}" for model in config["pictures"]["models"][subject]]


def folder(config: dict[str, Any], scale: str, name: str) -> str:
    """Where a set lies; a stand-in may be thinner at a small scale."""
    thin = config["scales"][scale]["pictures"]["thin"]
    return f"results/data/{name}" + (f"_thin{thin}" if name in STANDINS and thin > 1 else "")


def standin_sizes(config: dict[str, Any], name: str) -> dict[str, int]:
    """How many values each factor of a stand-in takes: `standin_chairs`, or thinned by 4 `standin_chairs_thin4`."""
    name, _, thin = name.partition("_thin")
    sizes = config["pictures"][name]
    return {factor: min(size, max(3, size // int(thin or 1))) for factor, size in sizes.items()}


def images(config: dict[str, Any], scale: str, name: str) -> int:
    """How many images a stand-in has at a scale; of a real set, which is not known here, as many as the largest."""
    if name not in STANDINS:
        return LARGEST
    return math.prod(standin_sizes(config, folder(config, scale, name).rpartition("/")[2]).values())


def training(config: dict[str, Any], scale: str, picture: Picture, seeds: list[int]) -> dict[str, Any]:
    """All that shapes the training of a model on pictures."""
    preset = config["scales"][scale]["pictures"]
    if picture.model == "infogan":
        own = {k: v for k, v in config["scales"][scale]["infogan"].items() if k not in ("replicas", "sheets")}
        looks = {"colours": COLOURS[picture.subject], "dark": 0}
        return {"system": "infogan", "seeds": seeds, **looks, **own, "threads": config["threads"]}
    return {
        "system": "conv_vae",
        "beta": parse_beta(picture.model)[0],
        "colours": COLOURS[picture.subject],
        "seeds": seeds,
        **{key: preset[key] for key in TRAINING},
        "threads": config["threads"],
        **({"hold_out": config["pictures"]["hold_out"]} if picture.held_out else {}),
    }


def factors_of(config: dict[str, Any], name: str) -> list[str]:
    """The factors that vary in a stand-in; none of a real set, for which nothing is promised."""
    return [factor for factor, size in config["pictures"][name].items() if size > 1] if name in STANDINS else []
