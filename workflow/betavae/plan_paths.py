"""Where the files of a run lie, and which of them a job reads.

Read by Snakemake itself, so without torch and NumPy. A name in a target that makes no sense ends the run here, in one
line that says what was asked for and what is allowed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from betavae import picture_plan
from betavae.errors import UserError
from betavae.names import (
    NAMED_MODELS,
    NameRefused,
    check_model,
    parse_beta,
    parse_subset,
)
from betavae.picture_sources import source_path
from betavae.plan_models import TRAINED, Models


class Paths(Models):
    """The models, and the files that belong to them."""

    def data(self, scale: str) -> str:
        """The folder of the data set that a scale uses."""
        return f"results/data/{self.preset(scale)['grid']}"

    def bits(self, wildcards: Any) -> str:
        """The images that the job's model sees: packed bits, or those of a picture set."""
        if picture := self.picture(wildcards):
            return f"{self.picture_folder(picture.set, wildcards.scale)}/images.npy"
        return f"{self.data(wildcards.scale)}/dsprites_bits.npy"

    def dataset(self, wildcards: Any) -> str:
        """The data set file of the images that the job's model sees."""
        if picture := self.picture(wildcards):
            return f"{self.picture_folder(picture.set, wildcards.scale)}/images.h5"
        return f"{self.data(wildcards.scale)}/dsprites.h5"

    def gram(self, wildcards: Any) -> str:
        """The Gram matrices of the job's data set."""
        return f"{self.data(wildcards.scale)}/gram.h5"

    def representation(self, wildcards: Any) -> dict[str, str]:
        """What a model is scored from: its codes file, or the bits where the pixels themselves are the codes."""
        if wildcards.model == "raw_pixels":
            return {"bits": self.bits(wildcards)}
        return {"codes": f"results/{wildcards.scale}/codes/{wildcards.model}.h5"}

    def own_file(self, wildcards: Any) -> str:
        """The user's own codes file of a name under `representations`."""
        return str(Path(self.config["representations"][wildcards.model]))

    def readout(self, model: str, scale: str | None = None) -> str:
        """How well factors' values are read from a model's codes, where its scale keeps it."""
        return f"results/{scale or self.scale}/readout/{model}.json"

    def score(self, model: str, metric: str = "zdiff", scale: str | None = None) -> str:
        """A metric file where its scale keeps it."""
        return f"results/{scale or self.scale}/metrics/{metric}/{model}.json"

    def stored_codes(self, wildcards: Any) -> str:
        """A model's codes file; raw pixels have none."""
        found = self.representation(wildcards)
        if "codes" not in found:
            sys.exit(f"{wildcards.model}: has no codes file, and 4096 latents are too many for these measures")
        return found["codes"]

    def measures(self, model: str, scale: str | None = None) -> str:
        """A model's scores by the metrics in use since the paper."""
        return f"results/{scale or self.scale}/measures/{model}.json"

    def trained(self, model: str, scale: str | None = None) -> str:
        """The weights of a trained model."""
        return f"results/{scale or self.scale}/models/{model}.safetensors"

    def summary(self, model: str, scale: str | None = None) -> str:
        """The summary of a model with a decoder."""
        return f"results/{scale or self.scale}/summaries/{model}.h5"

    def picture_source(self, name: str) -> str:
        """Where a real picture set lies; one that the user does not have ends the run, saying what to get."""
        try:
            return source_path(self.config, name)
        except UserError as error:
            sys.exit(str(error))

    def known(self, model: str, target: str) -> str:
        """A model's name, given back; one that makes no sense ends the run, naming the target."""
        try:
            if model not in self.representations():
                check_model(model)
        except NameRefused as error:
            sys.exit(f"{target}: {error}")
        return model

    def few_labels(self, model: str) -> str:
        """What few labels say of a model of the sweep, and what its latents follow."""
        return f"results/{self.scale}/few_labels/{model}.json"

    def published_score(self, wildcards: Any, metric: str = "zdiff") -> str:
        """The metric file behind results/metric_{model}.json; a name that makes no sense ends the run."""
        return self.score(self.known(wildcards.model, f"results/metric_{wildcards.model}.json"), metric)

    def sweep_score(self, wildcards: Any) -> str:
        """The metric file behind results/sweep/metric_beta{β}_z{M}.json."""
        try:
            beta, latents = parse_beta(f"{wildcards.point}")
        except NameRefused as error:
            sys.exit(f"results/sweep/metric_{wildcards.point}.json: {error}")
        if not latents:
            sys.exit(f"results/sweep/metric_{wildcards.point}.json: no latent size; expected metric_beta<β>_z<M>.json")
        return self.score(self.sweep_model(beta, latents))

    def picture(self, wildcards: Any) -> picture_plan.Picture | None:
        """What the name of the job's model says where it is one on a picture set; a senseless one ends the run."""
        try:
            return picture_plan.parse_picture(getattr(wildcards, "model", ""))
        except NameRefused as error:
            sys.exit(str(error))

    def picture_folder(self, name: str, scale: str | None = None) -> str:
        """The folder of a picture set at a scale."""
        return picture_plan.folder(self.config, scale or self.scale, name)

    def figure7_model(self, wildcards: Any) -> SimpleNamespace:
        """The model of a Figure 7 at the config's scale, as wildcards; a name that makes no sense ends the run."""
        self.known(wildcards.model, f"figure7_{wildcards.model}")
        if wildcards.model == "raw_pixels":
            sys.exit("figure7_raw_pixels: pixels are no latents; expected a model with a codes file, as in figure7_pca")
        return SimpleNamespace(scale=self.scale, model=wildcards.model)

    def figure7_inputs(self, wildcards: Any) -> dict[str, str]:
        """What Figure 7 of a model is drawn from: its codes, its score and, where there is a decoder, the model."""
        here = self.figure7_model(wildcards)
        trained = re.fullmatch(TRAINED, here.model)
        decoder = {"model": f"results/{here.scale}/models/{here.model}.safetensors"} if trained else {}
        of_data = {"dataset": self.dataset(here), "bits": self.bits(here)}
        return self.representation(here) | {"score": self.score(here.model)} | of_data | decoder

    def continuity_score(self, wildcards: Any) -> str:
        """The metric file behind results/continuity/metric_{kind}{n}.json."""
        try:
            return self.score(self.continuity_model(parse_subset(wildcards.point)))
        except NameRefused as error:
            sys.exit(f"results/continuity/metric_{wildcards.point}.json: {error}")

    def continuity(self, quantity: str) -> list[str]:
        """The files that hold a quantity (distance or noise) of each of Figure 8's points."""
        names = {"distance": lambda point: "{}{}".format(*point), "noise": self.continuity_model}
        points = self.continuity_points()
        return [f"results/{self.scale}/continuity/{quantity}_{names[quantity](point)}.json" for point in points]

    def pictured(self, name: str, target: str) -> str:
        """The model of which a picture is asked by this name; one that has no decoder ends the run."""
        drawn = [model for model in NAMED_MODELS if re.fullmatch(TRAINED, model)]
        try:
            if name in NAMED_MODELS and name not in drawn:
                raise NameRefused(f"{name!r} has no decoder; expected one of beta<number>, {', '.join(drawn)}")
            beta, latents = (None, None) if name in drawn else parse_beta(name)
        except NameRefused as error:
            sys.exit(f"{target}: {error}")
        return self.sweep_model(beta, latents) if latents else name

    def traversal_inputs(self, wildcards: Any) -> dict[str, str]:
        """The model with a decoder behind results/figures/traversal_{model}.png, its score and summary."""
        model = self.pictured(wildcards.model, f"results/figures/traversal_{wildcards.model}")
        return {"model": self.trained(model), "score": self.score(model), "summary": self.summary(model)}

    def compare_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """The models, two or more, behind results/figures/compare_{model}-{model}.png."""
        target = f"results/figures/compare_{wildcards.models}"
        models = [self.pictured(name, target) for name in wildcards.models.split("-")]
        if len(models) < 2 or len(models) > len(set(models)):
            sys.exit(f"{target}: expected two or more different models joined by '-', as in compare_beta1-beta4.png")
        return self.pictures_of(models)

    def pictures_of(self, models: list[str]) -> dict[str, list[str]]:
        """What pictures of models are drawn from: their weights, scores and summaries."""
        kinds = {"models": self.trained, "scores": self.score, "summaries": self.summary}
        return {kind: [path(model) for model in models] for kind, path in kinds.items()}
