"""What the rules ask: paths, resolved settings and code digests of each job, from the config alone.

Nothing here imports torch or NumPy: the plan is made anew whenever Snakemake starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from betavae import config as config_module
from betavae.digest import PACKAGE, code_digest
from betavae.errors import UserError
from betavae.names import (
    MAIN_BETAS,
    NAMED_MODELS,
    NAMED_SYSTEMS,
    NameRefused,
    beta_name,
    check_model,
    parse_beta,
    sweep_name,
)

SYSTEM_KEYS = ("width", "optimiser", "learning_rate", "initial_accumulator", "batch", "record_every")
# Models that a training job makes; everything else is computed from the data.
BETA = r"beta[0-9.]+"
LEARNT = "|".join((BETA, *NAMED_SYSTEMS))  # in one step or more
TRAINED = rf"{LEARNT}|vae_untrained"
SWEEP = r"beta[0-9.]+_z[0-9]+"


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
        """The packed images that the job's scale uses."""
        return f"{self.data(wildcards.scale)}/dsprites_bits.npy"

    def dataset(self, wildcards: Any) -> str:
        """The data set file that the job's scale uses."""
        return f"{self.data(wildcards.scale)}/dsprites.h5"

    def gram(self, wildcards: Any) -> str:
        """The Gram matrices of the job's data set."""
        return f"{self.data(wildcards.scale)}/gram.h5"

    def representation(self, wildcards: Any) -> dict[str, str]:
        """What a model is scored from: its codes file, or the bits where the pixels themselves are the codes."""
        if wildcards.model == "raw_pixels":
            return {"bits": self.bits(wildcards)}
        return {"codes": f"results/{wildcards.scale}/codes/{wildcards.model}.h5"}

    def score(self, model: str, metric: str = "zdiff", scale: str | None = None) -> str:
        """A metric file where its scale keeps it."""
        return f"results/{scale or self.scale}/metrics/{metric}/{model}.json"

    def summary(self, model: str, scale: str | None = None) -> str:
        """The summary of a model with a decoder."""
        return f"results/{scale or self.scale}/summaries/{model}.h5"

    def published_score(self, wildcards: Any, metric: str = "zdiff") -> str:
        """The metric file behind results/metric_{model}.json; a name that makes no sense ends the run."""
        try:
            check_model(wildcards.model)
        except NameRefused as error:
            sys.exit(f"results/metric_{wildcards.model}.json: {error}")
        return self.score(wildcards.model, metric)

    def sweep_score(self, wildcards: Any) -> str:
        """The metric file behind results/sweep/metric_beta{β}_z{M}.json."""
        try:
            beta, latents = parse_beta(f"{wildcards.point}")
        except NameRefused as error:
            sys.exit(f"results/sweep/metric_{wildcards.point}.json: {error}")
        if not latents:
            sys.exit(f"results/sweep/metric_{wildcards.point}.json: no latent size; expected metric_beta<β>_z<M>.json")
        return self.score(self.sweep_model(beta, latents))

    # Models --------------------------------------------------------------------------------------

    def main_models(self) -> list[str]:
        """The rows of Figure 6 left that there is code for."""
        return [*NAMED_MODELS, *map(beta_name, MAIN_BETAS)]

    def trained_models(self) -> list[str]:
        """The main models whose training is worth a look."""
        return [*NAMED_SYSTEMS, *map(beta_name, MAIN_BETAS)]

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

    # Settings ------------------------------------------------------------------------------------

    def seeds(self, replicas: int) -> list[int]:
        """The seeds of so many replicas."""
        return list(range(self.config["seed"], self.config["seed"] + replicas))

    def training(self, scale: str, model: str) -> dict[str, Any]:
        """All that shapes the training of a model."""
        preset = self.preset(scale)
        if model in NAMED_SYSTEMS:
            own = {key: value for key, value in preset[model].items() if key != "replicas"}
            seeds = self.seeds(preset[model]["replicas"])
            return {"system": model, "seeds": seeds, **own, "threads": self.config["threads"]}
        beta, latents = (1.0, None) if model == "vae_untrained" else parse_beta(model)
        replicas = preset["sweep"]["replicas"] if latents else preset["replicas"]
        return {
            "system": "vae",
            "beta": beta,
            "latents": latents or preset["latents"],
            "seeds": self.seeds(replicas),
            "steps": 0 if model == "vae_untrained" else preset["steps"],
            **{key: preset[key] for key in SYSTEM_KEYS},
            "threads": self.config["threads"],
        }

    def train_settings(self, wildcards: Any) -> str:
        """The settings of a training job."""
        return json.dumps(self.training(wildcards.scale, wildcards.model))

    def encode_settings(self, wildcards: Any) -> str:
        """The settings of an encoding job."""
        images = self.preset(wildcards.scale)["evaluation_images"]
        return json.dumps({"scale": wildcards.scale, "threads": self.config["threads"], "evaluation_images": images})

    def baseline_settings(self, wildcards: Any) -> str:
        """The settings of PCA and of the ground truth."""
        return json.dumps({"scale": wildcards.scale, "latents": self.preset(wildcards.scale)["latents"]})

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
        """The settings of a metric."""
        preset = self.preset(wildcards.scale)
        sweep = "_z" in wildcards.model
        return json.dumps(
            {
                "model": wildcards.model,
                "scale": wildcards.scale,
                "metric": wildcards.metric,
                "replicas": preset["sweep"]["replicas"] if sweep else preset["replicas"],
                **self.config["metrics"][wildcards.metric],
            }
        )

    def calibration_settings(self) -> str:
        """The settings of the metric's calibration."""
        return json.dumps(self.config["calibration"] | {"metric": self.config["metrics"]["zdiff"]})

    def estimate_settings(self) -> str:
        """What a run of all will train and write, for the estimate of its time and disk use."""
        models = sorted({*self.trained_models(), *self.sweep_models()})
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

    def figure_settings(self) -> str:
        """The settings of Figure 6 right."""
        points = [[beta, latents, self.sweep_model(beta, latents)] for beta, latents in self.sweep_points()]
        return json.dumps({"scale": self.scale, "points": points})

    # Resources -----------------------------------------------------------------------------------

    def weights(self, scale: str, model: str) -> int:
        """Numbers in the weights of all replicas of a model (few in a convolutional one)."""
        chosen = self.training(scale, model)
        if chosen["system"] != "vae":
            return 0
        width, latents = chosen["width"], chosen["latents"]
        own = 2 * 4096 * width + 3 * width * width + 3 * latents * width
        return own * len(chosen["seeds"])

    def maps_mb(self, scale: str, model: str) -> float:
        """Memory that a convolutional network's first maps of one image need, all replicas."""
        chosen = self.training(scale, model)
        return 4e-6 * 4096 * max(chosen.get("channels", [0])) * len(chosen["seeds"])

    def training_mb(self, wildcards: Any) -> int:
        """Memory of a training job: weights, gradients, the optimiser's state, maps, torch and the mapped images."""
        model = wildcards.scale, wildcards.model
        images = 8 * self.training(*model)["batch"]
        return 1100 + int(6 * 4 * self.weights(*model) / 1e6 + images * self.maps_mb(*model))

    def codes_mb(self, wildcards: Any) -> int:
        """Memory of an encoding job (the codes are mapped, not held)."""
        model = wildcards.scale, wildcards.model
        return 1500 + int(4 * self.weights(*model) / 1e6 + 3 * 128 * self.maps_mb(*model))

    def gpu(self) -> int:
        """GPUs that a training job asks for."""
        return 0 if self.config["device"] == "cpu" else 1


def count_gpus() -> int:
    """GPUs of this machine, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
