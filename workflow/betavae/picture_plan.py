"""Models on picture sets: their names, and what the config says of each. Read by Snakemake itself: no NumPy, no torch.

A model's name says its set: `standin_chairs_beta5`; one that never saw a combination of factors ends in `_held_out`.
What a set is of (chairs, faces, celeba) is its subject: the real set and its stand-in have one subject.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from betavae.errors import UserError
from betavae.names import NameRefused, parse_beta
from betavae.picture_sources import SOURCES, STANDINS

SUBJECTS = tuple(dict.fromkeys([*SOURCES, *(name.removeprefix("standin_") for name in STANDINS)]))
LARGEST = 202_599  # images of CelebA, the largest set
COLOURS = {name.removeprefix("standin_"): colours for name, colours in STANDINS.items()}
SETS = (*SOURCES, *STANDINS)
# What is taken from InfoGAN's last layer before the tanh: chairs stand on white, faces on black, others on anything.
DARK = {"chairs": -1.5, "faces": 1.5}
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


def of_infogan(config: dict[str, Any], name: str) -> dict[str, Any]:
    """InfoGAN begins as light or dark as the set's background."""
    return {"dark": DARK.get(name.removeprefix("standin_"), 0)}


def of_dcign(config: dict[str, Any], name: str) -> dict[str, Any]:
    """DC-IGN's latents by factor of a set, one factor's after the other's; each is varied as often as it has latents.

    All values are there from the start, and all latents are pulled alike: what the scale says of that is of the 2D
    shapes' factors.
    UserError where no factor of the set is assigned to latents.
    """
    alike = [factor for factor, size in config["pictures"][name].items() if size == 1] if name in STANDINS else []
    assigned = config["pictures"]["assigned"].get(name, {})
    counts = {factor: count for factor, count in assigned.items() if count and factor not in alike}
    if not counts:
        raise UserError(
            f"{name}_dcign: `pictures.assigned.{name}` in the config gives latents to no factor of {name}; expected "
            "{factor: how many latents} of factors that are known, for DC-IGN learns from labels"
        )
    firsts = itertools.accumulate(counts.values(), initial=0)
    latents = {
        factor: list(range(first, first + count))
        for first, (factor, count) in zip(firsts, counts.items(), strict=False)
    }
    own = {"latents": sum(counts.values()), "assigned": latents, "ratios": counts}
    return own | {"curriculum": {}, "invariance_times": {}}


# The systems beside the β-VAE that are trained on pictures, by the settings that they have on the 2D shapes but for
# those under the scale's `pictures`, and what is different on a set.
SYSTEMS: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {"infogan": of_infogan, "dcign": of_dcign}
HELD_OUT_ON = "standin_chairs"  # the set of which a model may never see a combination
PICTURE = rf"(?:{'|'.join(SETS)})_(?:{'|'.join(SYSTEMS)}|beta[0-9.]+)|{HELD_OUT_ON}_beta[0-9.]+_held_out"


def check_sets(config: dict[str, Any]) -> None:
    """UserError where the config speaks of models or sets of pictures that there are not."""
    pictures = config["pictures"]
    for key, known in (("in_all", SUBJECTS), ("latents", SETS), ("assigned", SETS)):
        if unknown := [name for name in pictures[key] if name not in known]:
            raise UserError(f"config: `pictures.{key}` names {unknown[0]!r}, expected some of {', '.join(known)}")
    for key in ("models", "latents"):
        for name, models in pictures[key].items():
            try:
                for model in models:
                    check_picture_model(model)
            except NameRefused as error:
                raise UserError(f"config: `pictures.{key}.{name}`: {error}") from error
    for scale in config["scales"]:
        sizes = sizes_at(config, scale, HELD_OUT_ON)
        for factor, value in pictures["hold_out"].items():
            if value >= sizes[factor]:
                raise UserError(
                    f"config: `pictures.hold_out.{factor}` is {value}, expected a class below {sizes[factor]}, as many "
                    f"as {HELD_OUT_ON} has at the scale {scale}"
                )


def check_picture_model(model: str) -> None:
    """Refuse the name of a model that is trained on no picture set, its set's name left out."""
    if not parse_picture(f"{SETS[0]}_{model}"):
        raise NameRefused(f"no model on pictures is called {model!r}; allowed: beta<number>, {', '.join(SYSTEMS)}")


def parse_picture(name: str) -> Picture | None:
    """What a model's name says, None where it is no model on a picture set; NameRefused for an odd β."""
    found = re.fullmatch(rf"({'|'.join(SETS)})_({'|'.join(SYSTEMS)}|beta[0-9.]+)(_held_out)?", name)
    if not found or not re.fullmatch(PICTURE, name):
        return None
    if found[2] not in SYSTEMS:
        parse_beta(found[2])
    return Picture(found[1], found[2], bool(found[3]))


def shown_set(config: dict[str, Any], subject: str) -> str:
    """The set that stands for a subject: the real one where its path is set, else the stand-in."""
    return subject if subject in SOURCES and config["pictures"][subject]["path"] else f"standin_{subject}"


def models_on(config: dict[str, Any], name: str) -> list[str]:
    """The names of all models on a set, in the config's order; without DC-IGN where there are no labels to teach it."""
    models = config["pictures"]["models"][name.removeprefix("standin_")]
    taught = any(config["pictures"]["assigned"].get(name, {}).values())
    return [f"{name}_{model}" for model in models if model != "dcign" or taught]


def folder(config: dict[str, Any], scale: str, name: str) -> str:
    """Where a set lies; a stand-in may be thinner at a small scale."""
    thin = config["scales"][scale]["pictures"]["thin"]
    return f"results/data/{name}" + (f"_thin{thin}" if name in STANDINS and thin > 1 else "")


def standin_sizes(config: dict[str, Any], name: str) -> dict[str, int]:
    """How many values each factor of a stand-in takes: `standin_chairs`, or thinned by 4 `standin_chairs_thin4`."""
    name, _, thin = name.partition("_thin")
    sizes = config["pictures"][name]
    return {factor: min(size, max(3, size // int(thin or 1))) for factor, size in sizes.items()}


def sizes_at(config: dict[str, Any], scale: str, name: str) -> dict[str, int]:
    """How many values each factor of a stand-in takes at a scale."""
    return standin_sizes(config, folder(config, scale, name).rpartition("/")[2])


def images(config: dict[str, Any], scale: str, name: str) -> int:
    """How many images a stand-in has at a scale; of a real set, which is not known here, as many as the largest."""
    if name not in STANDINS:
        return LARGEST
    return math.prod(sizes_at(config, scale, name).values())


def training(config: dict[str, Any], scale: str, picture: Picture, seeds: list[int]) -> dict[str, Any]:
    """All that shapes the training of a model on pictures."""
    preset = config["scales"][scale]["pictures"]
    if picture.model in SYSTEMS:
        own = config["scales"][scale][picture.model] | preset.get(picture.model, {})
        return {
            "system": picture.model,
            "colours": COLOURS[picture.subject],
            "seeds": seeds,
            **{key: value for key, value in own.items() if key not in ("replicas", "sheets")},
            **SYSTEMS[picture.model](config, picture.set),
            "steps": preset["comparison_steps"],
            "threads": config["threads"],
        }
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
