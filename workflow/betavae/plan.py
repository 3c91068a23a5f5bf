"""What the rules ask: paths, resolved settings and code digests of each job, from the config alone.

Nothing here imports torch or NumPy: the plan is made anew whenever Snakemake starts. Models are told in `plan_models`,
their files in `plan_paths`, pictures in `plan_pictures`; settings and digests follow here.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

from betavae import picture_plan
from betavae.digest import code_digest
from betavae.names import parse_subset
from betavae.plan_models import TRAINED
from betavae.plan_pictures import Pictures


class Plan(Pictures):
    """The config, checked, and all that follows from it."""

    def code(self, step: str) -> str:
        """The digest of a step's code: a rule that carries it reruns when the code changes, not its comments."""
        return code_digest(step)

    def system_code(self, step: str) -> Callable[[Any], str]:
        """The digest of a step's code and of the system's that the job's model belongs to."""
        return lambda wildcards: code_digest(step, self.training(wildcards.scale, wildcards.model)["system"])

    def figure7_settings(self, wildcards: Any) -> str:
        """The settings of Figure 7."""
        return json.dumps({"model": wildcards.model, "scale": self.scale})

    def figure7_code(self, wildcards: Any) -> str:
        """The digest of Figure 7's code, and of the system's whose decoder it calls."""
        here = self.figure7_model(wildcards)
        trained = re.fullmatch(TRAINED, here.model)
        return self.system_code("figure7")(here) if trained else self.code("figure7")

    def train_settings(self, wildcards: Any) -> str:
        """The settings of a training job."""
        return json.dumps(self.training(wildcards.scale, wildcards.model))

    def checkpoints(self, wildcards: Any, output: Any) -> str:
        """Where a training keeps its checkpoints, and how often: options that shape no result.

        Snakemake reruns nothing for a param that takes `output`, so how often may change at any time.
        """
        folder = f"results/{wildcards.scale}/checkpoints/{wildcards.model}"
        return f"--checkpoints {folder} --checkpoint-minutes {self.config['checkpoint_minutes']}"

    def device(self, wildcards: Any, output: Any) -> str:
        """Where a job's network runs. It shapes a result by rounding alone: as with `checkpoints`, nothing reruns."""
        return self.config["device"]

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
        """The settings of a metric, and what the data were; on pictures, of all factors of their set."""
        if picture := self.picture(wildcards):
            own = {"factors": picture_plan.factors_of(self.config, picture.set)}
        else:
            grid = self.config["grids"][self.preset(wildcards.scale)["grid"]]
            own = {"grid": grid, "original_dataset": self.config["original_dataset"]}
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
        coded = self.stability_models()
        models = sorted({*coded, *self.sweep_models(), *continuity, *itertools.chain(*pictures)})
        preset = self.preset(self.scale)
        return json.dumps(
            {
                "scale": self.scale,
                "threads": self.config["threads"],
                "strides": self.config["grids"][preset["grid"]],
                "trainings": {model: self.training(self.scale, model) for model in models},
                "codes": coded,
                "ica": [3 * preset["replicas"], preset["latents"]],  # on three pairs of shapes
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
        for model in (*self.decoders(), *self.picture_vaes("standin_chairs")[:1]):
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
