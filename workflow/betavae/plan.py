"""What the rules ask: paths, resolved settings and code digests of each job, from the config alone.

Nothing here imports torch or NumPy: the plan is made anew whenever Snakemake starts.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from betavae import config as config_module
from betavae import picture_plan
from betavae.digest import PACKAGE, code_digest
from betavae.errors import UserError
from betavae.names import (
    BLIND_SPOT,
    MAIN_BETAS,
    NAMED_MODELS,
    NAMED_SYSTEMS,
    SUBSETS,
    NameRefused,
    beta_name,
    check_model,
    parse_beta,
    parse_subset,
    subset_name,
    sweep_name,
)
from betavae.picture_sources import source_path

SYSTEM_KEYS = (
    "width",
    "initial_logvar",
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


class Plan:
    """The config, checked, and all that follows from it."""

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

    def code(self, step: str) -> str:
        """The digest of a step's code: a rule that carries it reruns when the code changes, not its comments."""
        return code_digest(step)

    def system_code(self, step: str) -> Callable[[Any], str]:
        """The digest of a step's code and of the system's that the job's model belongs to."""
        return lambda wildcards: code_digest(step, self.training(wildcards.scale, wildcards.model)["system"])

    def preset(self, scale: str) -> dict[str, Any]:
        """The settings of a scale."""
        return self.config["scales"][scale]

    # Paths ---------------------------------------------------------------------------------------

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

    # Models on picture sets ----------------------------------------------------------------------

    def picture(self, wildcards: Any) -> picture_plan.Picture | None:
        """What the name of the job's model says where it is one on a picture set."""
        return picture_plan.parse_picture(getattr(wildcards, "model", ""))

    def picture_folder(self, name: str, scale: str | None = None) -> str:
        """The folder of a picture set at a scale."""
        return picture_plan.folder(self.config, scale or self.scale, name)

    def picture_sets(self, subjects: list[str]) -> list[str]:
        """The sets, real ones where their paths are given, that stand for these subjects."""
        return [picture_plan.shown_set(self.config, subject) for subject in subjects]

    def picture_models(self, name: str) -> list[str]:
        """The models of a set, as the config lists them for its subject."""
        return picture_plan.models_on(self.config, name)

    def picture_shares(self, model: str) -> str:
        """What each latent of a model on pictures follows, and which replica stands for it."""
        return f"results/{self.scale}/picture_shares/{model}.json"

    def picture_score(self, wildcards: Any) -> dict[str, str]:
        """The score of a model on pictures, where the set has factors to score it by."""
        picture = self.picture(wildcards)
        scored = picture and picture_plan.factors_of(self.config, picture.set)
        return {"score": self.score(wildcards.model, scale=wildcards.scale)} if scored else {}

    def published_picture_score(self, wildcards: Any) -> str:
        """The metric file behind results/{set}/metric_{model}.json; a name that makes no sense ends the run."""
        target = f"results/{wildcards.set}/metric_{wildcards.picture}.json"
        try:
            picture_plan.check_picture_model(wildcards.picture)
        except NameRefused as error:
            sys.exit(f"{target}: {error}")
        return self.score(f"{wildcards.set}_{wildcards.picture}")

    def pictures_code(self, step: str) -> str:
        """The digest of a step's code and of all systems' that it draws from, those on pictures."""
        return code_digest(step, "conv_vae", *picture_plan.SYSTEMS)

    def picture_figure(self, wildcards: Any) -> picture_plan.Figure:
        """Which figure of the paper is asked for."""
        return picture_plan.FIGURES[wildcards.figure]

    def picture_figure_inputs(self, wildcards: Any) -> dict[str, Any]:
        """What a figure on pictures is drawn from."""
        name = picture_plan.shown_set(self.config, self.picture_figure(wildcards).subject)
        return self.pictures_on(name, self.picture_models(name))

    def pictures_on(self, name: str, models: list[str]) -> dict[str, Any]:
        """A picture set, and models on it with what their latents follow."""
        return {
            "npy": f"{self.picture_folder(name)}/images.npy",
            "h5": f"{self.picture_folder(name)}/images.h5",
            "models": [self.trained(model) for model in models],
            "shares": [self.picture_shares(model) for model in models],
        }

    def picture_figure_settings(self, wildcards: Any) -> str:
        """The settings of a figure on pictures."""
        subject, factors = self.picture_figure(wildcards)
        name = picture_plan.shown_set(self.config, subject)
        return json.dumps(
            {
                "scale": self.scale,
                "figure": wildcards.figure,
                "set": name,
                "factors": factors,
                "latents": self.config["pictures"]["latents"].get(name, {}),
            }
        )

    def held_out_inputs(self, wildcards: Any) -> dict[str, Any]:
        """The stand-in chairs, and the first model on them that never saw a combination beside the one that did."""
        name = "standin_chairs"
        model = self.picture_models(name)[0]
        return self.pictures_on(name, [f"{model}_held_out", model])

    def held_out_settings(self) -> str:
        """The settings of the figure of the combination held out."""
        return json.dumps({"scale": self.scale, "hold_out": self.config["pictures"]["hold_out"]})

    def picture_table_settings(self, wildcards: Any) -> str:
        """The settings of a set's table."""
        return json.dumps({"scale": self.scale, "set": wildcards.set})

    def made_on(self, subjects: Sequence[str]) -> list[str]:
        """All that is made of the models on these subjects: figures, tables, histories, and scores of stand-ins."""
        sets = self.picture_sets(list(subjects))
        models = [(name, model) for name in sets for model in self.picture_models(name)]
        figures = picture_plan.FIGURES.items()
        return [
            *(f"results/figures/{figure}.png" for figure, about in figures if about.subject in subjects),
            *(f"results/tables/pictures_{name}.md" for name in sets),
            *(f"results/figures/{kind}_{model}.png" for kind in ("latents", "history") for _, model in models),
            *(
                f"results/{name}/metric_{model.removeprefix(f'{name}_')}.json"
                for name, model in models
                if name in picture_plan.STANDINS
            ),
        ]

    # Figure 7 ------------------------------------------------------------------------------------

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

    def figure7_settings(self, wildcards: Any) -> str:
        """The settings of Figure 7."""
        return json.dumps({"model": wildcards.model, "scale": self.scale})

    def figure7_code(self, wildcards: Any) -> str:
        """The digest of Figure 7's code, and of the system's whose decoder it calls."""
        here = self.figure7_model(wildcards)
        trained = re.fullmatch(TRAINED, here.model)
        return self.system_code("figure7")(here) if trained else self.code("figure7")

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

    # Pictures ------------------------------------------------------------------------------------

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

    # Models --------------------------------------------------------------------------------------

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

    # Settings ------------------------------------------------------------------------------------

    def seeds(self, replicas: int) -> list[int]:
        """The seeds of so many replicas."""
        return list(range(self.config["seed"], self.config["seed"] + replicas))

    def replicas(self, scale: str, model: str) -> int:
        """How many seeds a model has, and how many z_diff seeds if it has one set of codes."""
        preset = self.preset(scale)
        if picture := picture_plan.parse_picture(model):
            return preset[picture.model if picture.model in picture_plan.SYSTEMS else "pictures"]["replicas"]
        part = preset["sweep"] if "_z" in model else preset["continuity"] if re.fullmatch(SUBSET, model) else preset
        return part["replicas"]

    def subset(self, kind: str, number: int) -> dict[str, Any]:
        """A subset of the data as `betavae.subset` takes it: the same for all replicas."""
        return {"kind": kind, "number": number, "seed": self.config["seed"]}

    def training(self, scale: str, model: str) -> dict[str, Any]:
        """All that shapes the training of a model."""
        preset = self.preset(scale)
        if picture := picture_plan.parse_picture(model):
            try:
                return picture_plan.training(self.config, scale, picture, self.seeds(self.replicas(scale, model)))
            except UserError as error:
                sys.exit(str(error))
        if model in NAMED_SYSTEMS:
            own = {key: value for key, value in preset[model].items() if key != "replicas"}
            seeds = self.seeds(preset[model]["replicas"])
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

    def train_settings(self, wildcards: Any) -> str:
        """The settings of a training job."""
        return json.dumps(self.training(wildcards.scale, wildcards.model))

    def checkpoints(self, wildcards: Any, output: Any) -> str:
        """Where a training keeps its checkpoints, and how often: options that shape no result.

        Snakemake reruns nothing for a param that takes `output`, so how often may change at any time.
        """
        folder = f"results/{wildcards.scale}/checkpoints/{wildcards.model}"
        return f"--checkpoints {folder} --checkpoint-minutes {self.config['checkpoint_minutes']}"

    def encode_settings(self, wildcards: Any) -> str:
        """The settings of an encoding job."""
        images = self.preset(wildcards.scale)["evaluation_images"]
        return json.dumps({"scale": wildcards.scale, "threads": self.config["threads"], "evaluation_images": images})

    def baseline_settings(self, wildcards: Any) -> str:
        """The settings of PCA and of the ground truth."""
        return json.dumps({"scale": wildcards.scale, "latents": self.preset(wildcards.scale)["latents"]})

    def blind_spot_settings(self, wildcards: Any) -> str:
        """The settings of the true factors without rotation."""
        return json.dumps({"scale": wildcards.scale, "factors": ["shape", "scale", "posX", "posY"]})

    def ica_settings(self, wildcards: Any) -> str:
        """The settings of ICA."""
        preset = self.preset(wildcards.scale)
        return json.dumps(
            {
                "scale": wildcards.scale,
                "latents": preset["latents"],
                "seeds": self.seeds(preset["replicas"]),
                "fit_images": preset["ica_images"],
                "iterations": preset["ica_iterations"],
            }
        )

    def score_settings(self, wildcards: Any) -> str:
        """The settings of a metric: on pictures, of all factors of their set."""
        picture = self.picture(wildcards)
        own = {"factors": picture_plan.factors_of(self.config, picture.set)} if picture else {}
        return json.dumps(
            {
                "model": wildcards.model,
                "scale": wildcards.scale,
                "metric": wildcards.metric,
                "replicas": self.replicas(wildcards.scale, wildcards.model),
                **self.config["metrics"][wildcards.metric],
                **own,
            }
        )

    def representation_settings(self, wildcards: Any) -> str:
        """What is said of the user's own file where it is refused."""
        return json.dumps({"scale": wildcards.scale, "grid": self.preset(wildcards.scale)["grid"]})

    def readout_settings(self, wildcards: Any) -> str:
        """The settings of a model's readout."""
        return json.dumps(
            {
                "model": wildcards.model,
                "scale": wildcards.scale,
                "seed": self.config["seed"],
                "replicas": self.preset(wildcards.scale)["readout_replicas"],
                **self.config["readout"],
            }
        )

    def measures_settings(self, wildcards: Any) -> str:
        """The settings of all metrics in use since the paper."""
        return json.dumps({"model": wildcards.model, "scale": wildcards.scale, **self.config["measures"]})

    def calibration_settings(self) -> str:
        """The settings of the metric's calibration."""
        return json.dumps(self.config["calibration"] | {"metric": self.config["metrics"]["zdiff"]})

    def estimate_settings(self) -> str:
        """What a run of all will train and write, for the estimate of its time and disk use."""
        continuity = map(self.continuity_model, self.continuity_points())
        pictures = map(self.picture_models, self.picture_sets(self.config["pictures"]["in_all"]))
        models = sorted({*self.trained_models(), *self.sweep_models(), *continuity, *itertools.chain(*pictures)})
        preset = self.preset(self.scale)
        kept = [len(self.training(self.scale, model)["seeds"]) for model in (*self.trained_models(), "vae_untrained")]
        replicas = [sum(kept), 3 * preset["replicas"]]  # networks, and ICA on three pairs
        return json.dumps(
            {
                "scale": self.scale,
                "threads": self.config["threads"],
                "strides": self.config["grids"][preset["grid"]],
                "trainings": {model: self.training(self.scale, model) for model in models},
                "codes": [[count, preset["latents"]] for count in replicas],
            }
        )

    def cost_settings(self, patterns: dict[str, str]) -> str:
        """What the table of cost is read from: the folders of benchmark files and {rule: pattern of its files}."""
        sets = map(self.picture_folder, self.picture_sets(self.config["pictures"]["in_all"]))
        folders = [f"{one}/benchmarks" for one in (self.data(self.scale), *sets, f"results/{self.scale}", "results")]
        return json.dumps({"scale": self.scale, "folders": folders, "patterns": patterns})

    def figure_settings(self) -> str:
        """The settings of Figure 6 right."""
        points = [[beta, latents, self.sweep_model(beta, latents)] for beta, latents in self.sweep_points()]
        return json.dumps({"scale": self.scale, "points": points})

    def distance_settings(self, wildcards: Any) -> str:
        """The settings of the Hamming distance of a subset of the data."""
        return json.dumps({"scale": wildcards.scale, "subset": self.subset(*parse_subset(wildcards.point))})

    def noise_settings(self, wildcards: Any) -> str:
        """The settings of the metric on noisy images."""
        return json.dumps(
            {
                "model": wildcards.model,
                "scale": wildcards.scale,
                "metric": "zdiff",
                "replicas": self.replicas(wildcards.scale, wildcards.model),
                **self.config["metrics"]["zdiff"],
                "noise": self.preset(wildcards.scale)["continuity"]["noise"],
                "threads": self.config["threads"],
            }
        )

    def figure8_settings(self) -> str:
        """The settings of Figure 8."""
        return json.dumps({"scale": self.scale, "points": self.continuity_points()})

    def table1_settings(self) -> str:
        """The settings of Table 1: how each system is trained at this scale and at the paper's."""
        scales = dict.fromkeys([self.scale, "paper"])
        systems: dict[str, dict[str, Any]] = {}
        for model in (*self.decoders(), self.picture_models("standin_chairs")[0]):
            trainings = {scale: self.training(scale, model) for scale in scales if scale in self.config["scales"]}
            systems.setdefault(trainings[self.scale]["system"], trainings)
        return json.dumps({"scale": self.scale, "systems": systems})

    def systems_code(self, step: str, *others: str) -> str:
        """The digest of a step's code and of all systems' that it draws from, the 2D shapes' and `others`."""
        return code_digest(
            step, *others, *sorted({self.training(self.scale, model)["system"] for model in self.decoders()})
        )

    def few_labels_settings(self, wildcards: Any) -> str:
        """The settings of a model's scores by few labels."""
        chosen, metric = self.config["choose_beta"], self.config["metrics"]["zdiff"]
        return json.dumps(
            {
                "model": wildcards.model,
                "scale": wildcards.scale,
                **{key: chosen[key] for key in ("factors", "points", "classifier")},
                "seeds": self.seeds(chosen["draws"]),
                **{key: metric[key] for key in ("pairs", "train_points", "test_points")},
            }
        )

    def choose_beta_settings(self, shown_only: bool = False) -> str:
        """The settings of the choice of β over the whole sweep, or over the latent size that is shown."""
        metric, models = self.config["metrics"]["zdiff"], self.shown_models() if shown_only else self.sweep_models()
        points = [[*point, self.sweep_model(*point)] for point in self.sweep_points()]
        return json.dumps(
            {
                "scale": self.scale,
                "points": [point for point in points if point[2] in models],
                "latents": self.shown_latents(),
                **{key: self.config["choose_beta"][key] for key in ("agreement", "one_factor")},
                "metric": {key: metric[key] for key in ("pairs", "train_points", "test_points", "keep")},
            }
        )
