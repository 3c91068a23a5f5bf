"""Which models a config asks for, and how each of them is trained.

Read by Snakemake itself, so without torch and NumPy.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from betavae import config as config_module
from betavae import picture_plan
from betavae.digest import PACKAGE
from betavae.errors import UserError
from betavae.names import (
    BLIND_SPOT,
    MAIN_BETAS,
    NAMED_MODELS,
    NAMED_SYSTEMS,
    SUBSETS,
    NameRefused,
    beta_name,
    parse_beta,
    parse_subset,
    subset_name,
    sweep_name,
)

SYSTEM_KEYS = (
    "width",
    "early_beta",
    "initial_logvar",
    "initial_logit",
    "optimiser",
    "learning_rate",
    "pixel_rate",
    "anneal",
    "initial_accumulator",
    "precision",
    "batch",
    "record_every",
)
# Models that a training job makes; everything else is computed from the data. Numbers in their shortest form, above 0.
BETA = r"beta(?:0\.[0-9]*[1-9]|[1-9][0-9]*(?:\.[0-9]*[1-9])?)"
LEARNT = "|".join((BETA, *NAMED_SYSTEMS))  # in one step or more
TRAINED = rf"{LEARNT}|vae_untrained"
SWEEP = rf"{BETA}_z[1-9][0-9]*"
SUBSET = rf"beta4_(?:{'|'.join(SUBSETS)})[1-9][0-9]*"


class Models:
    """The config, checked, and the models of each scale."""

    def __init__(self, config: dict[str, Any]) -> None:
        try:
            self.config = config_module.check(config)
        except UserError as error:
            sys.exit(str(error))
        self.scale: str = self.config["scale"]
        # Jobs find the package here, in whatever environment Snakemake gives them.
        known = os.environ.get("PYTHONPATH", "")
        if str(PACKAGE.parent) not in known.split(os.pathsep):
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PACKAGE.parent), known)))

    def preset(self, scale: str) -> dict[str, Any]:
        """The settings of a scale."""
        return self.config["scales"][scale]

    def main_models(self) -> list[str]:
        """The rows of Figure 6 left that there is code for."""
        return [*NAMED_MODELS, *map(beta_name, MAIN_BETAS)]

    def representations(self) -> list[str]:
        """The user's own representations, which stand beside the main models in the tables."""
        return list(self.config["representations"])

    def readout_models(self) -> list[str]:
        """The rows of Table 2, ours to check with and the user's own below the paper's. Raw pixels have none."""
        return [model for model in self.main_models() if model != "raw_pixels"] + self.representations()

    def trained_models(self) -> list[str]:
        """The main models whose training is worth a look."""
        return [*NAMED_SYSTEMS, *map(beta_name, MAIN_BETAS)]

    def sampled_models(self) -> list[str]:
        """The main models that are watched by sheets of samples through training."""
        return [model for model in NAMED_SYSTEMS if "sheets" in self.preset(self.scale)[model]]

    def compared_models(self) -> list[str]:
        """The rows of tables/metrics."""
        return [*self.main_models(), BLIND_SPOT, *self.representations()]

    def measured_models(self) -> list[str]:
        """Those of them whose codes are stored, so that they can be measured."""
        return [model for model in self.compared_models() if model != "raw_pixels"]

    def decoders(self) -> list[str]:
        """The main models that can draw: trained, and with a decoder."""
        return [model for model in self.main_models() if re.fullmatch(TRAINED, model) and model != "vae_untrained"]

    def stability_models(self) -> list[str]:
        """The main models that are networks, each with a history and as many seeds as the scale gives."""
        return [model for model in self.main_models() if re.fullmatch(TRAINED, model)]

    def sweep_model(self, beta: float, latents: int, scale: str | None = None) -> str:
        """The model at a point of the sweep: the main model where it is the same."""
        if beta in MAIN_BETAS and latents == self.preset(scale or self.scale)["latents"]:
            return beta_name(beta)
        return sweep_name(beta, latents)

    def sweep_points(self, scale: str | None = None) -> list[tuple[float, int]]:
        """β and M of each point of a scale's sweep."""
        sweep = self.preset(scale or self.scale)["sweep"]
        return [(beta, latents) for latents in sweep["latents"] for beta in sweep["betas"]]

    def sweep_models(self, scale: str | None = None) -> list[str]:
        """The models of a scale's sweep, in the order of its points."""
        return [self.sweep_model(*point, scale) for point in self.sweep_points(scale)]

    def continuity_points(self, scale: str | None = None) -> list[tuple[str, int]]:
        """The subsets of the data, kind and number, that a scale's Figure 8 is made of; the first is the whole."""
        chosen = self.preset(scale or self.scale)["continuity"]
        return [("stride", 1), *((kind, number) for kind in SUBSETS for number in chosen[kind])]

    def continuity_model(self, point: tuple[str, int], scale: str | None = None) -> str:
        """The model at a point of Figure 8: the main model where it is the same."""
        preset = self.preset(scale or self.scale)
        if point == ("stride", 1) and preset["continuity"]["steps"] == preset["steps"]:
            return beta_name(4)
        return subset_name(*point)

    def shown_latents(self) -> int:
        """The latent size of the sweep that stands for all: the main models' where the sweep has it."""
        sizes = self.preset(self.scale)["sweep"]["latents"]
        return latents if (latents := self.preset(self.scale)["latents"]) in sizes else max(sizes)

    def shown_models(self) -> list[str]:
        """The models of the sweep with that latent size."""
        return [self.sweep_model(*point) for point in self.sweep_points() if point[1] == self.shown_latents()]

    def seeds(self, replicas: int) -> list[int]:
        """The seeds of so many replicas."""
        return list(range(self.config["seed"], self.config["seed"] + replicas))

    def replicas(self, scale: str, model: str) -> int:
        """How many seeds a model has, and how many z_diff seeds if it has one set of codes."""
        preset = self.preset(scale)
        if picture_plan.parse_picture(model):
            return preset["pictures"]["replicas"]
        if model in NAMED_SYSTEMS:
            return preset[model]["replicas"]
        swept, subset = re.fullmatch(SWEEP, model), re.fullmatch(SUBSET, model)
        return (preset["sweep"] if swept else preset["continuity"] if subset else preset)["replicas"]

    def subset(self, kind: str, number: int) -> dict[str, Any]:
        """A subset of the data as `betavae.subset` takes it: the same for all replicas."""
        return {"kind": kind, "number": number, "seed": self.config["seed"]}

    def training(self, scale: str, model: str) -> dict[str, Any]:
        """All that shapes the training of a model; one that cannot be trained, or is none, ends the run."""
        try:
            return self._training(scale, model)
        except (NameRefused, UserError) as error:
            sys.exit(str(error))

    def _training(self, scale: str, model: str) -> dict[str, Any]:
        """As `training`, but refused by NameRefused or UserError."""
        preset = self.preset(scale)
        if picture := picture_plan.parse_picture(model):
            return picture_plan.training(self.config, scale, picture, self.seeds(self.replicas(scale, model)))
        if model in NAMED_SYSTEMS:
            own = {key: value for key, value in preset[model].items() if key != "replicas"}
            seeds = self.seeds(self.replicas(scale, model))
            return {"system": model, "seeds": seeds, **own, "threads": self.config["threads"]}
        steps, own = preset["steps"], {}
        if model == "vae_untrained":
            beta, latents, steps = 1.0, None, 0
        elif re.fullmatch(SUBSET, model):
            name, _, point = model.partition("_")
            beta, latents = parse_beta(name)
            steps, own = preset["continuity"]["steps"], {"subset": self.subset(*parse_subset(point))}
        else:
            beta, latents = parse_beta(model)
        return {
            "system": "vae",
            "beta": beta,
            "latents": latents or preset["latents"],
            "seeds": self.seeds(self.replicas(scale, model)),
            "steps": steps,
            **{key: preset[key] for key in SYSTEM_KEYS},
            "threads": self.config["threads"],
            **own,
        }
