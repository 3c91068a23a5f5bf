"""What each job asks of the machine: memory, run time and GPUs, following the scale and growing with each attempt.

A rule names a base and what each unit of the quantities below adds to it: `needs.mb(700, codes=2)`. All figures are
bounds, some times what was measured, for a cluster ends jobs that ask for too little. Read by Snakemake itself, so
without torch and NumPy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from betavae import picture_plan
from betavae.plan import Plan
from betavae.plan_models import SUBSET, SWEEP, TRAINED

Need = Callable[[Any, int], int]

NETWORK = f"{TRAINED}|{SWEEP}|{SUBSET}|{picture_plan.PICTURE}"
PIXELS, PAIRS = 4096, 3  # of shapes, which ICA is fitted on
# The full grid (section 4.2).
GRID = {"shape": 3, "scale": 6, "orientation": 40, "posX": 32, "posY": 32}
# Multiplications a second that a training reaches at least, on a CPU thread and on a GPU; seconds that it waits
# between two steps.
CPU_RATE, GPU_RATE, STEP_WAIT = 1e10, 2e12, 0.01
# Multiplications that an image needs for each map of a convolutional network's first layer times each of its second's.
CONVOLUTION = 3e4


def images_of(strides: dict[str, int]) -> int:
    """Images of a factor grid, thinned by these strides."""
    return math.prod(math.ceil(size / strides.get(factor, 1)) for factor, size in GRID.items())


class Needs:
    """The needs of a plan's jobs. A quantity is that of one job, the one with these wildcards."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def mb(self, base: float, **added: float) -> Need:
        """Memory, or room on disk, in MB: the base, and so much for each unit of the quantities named."""
        return self._growing(base, added)

    def minutes(self, base: float, **added: float) -> Need:
        """Run time in minutes, likewise."""
        return self._growing(base, added)

    def gpu(self) -> int:
        """GPUs of a job that runs a network: one, unless the config says `device: cpu`."""
        return 0 if self.plan.config["device"] == "cpu" else 1

    # Quantities ----------------------------------------------------------------------------------

    def images(self, wildcards: Any) -> float:
        """Images of the job's data set as a share of all that there are."""
        if picture := self.plan.picture(wildcards):
            return picture_plan.images(self.plan.config, self._scale(wildcards), picture.set) / images_of({})
        grid = wildcards.get("grid", self.plan.preset(self._scale(wildcards))["grid"])
        return images_of(self.plan.config["grids"][grid]) / images_of({})

    def replicas(self, wildcards: Any) -> int:
        """Sets of codes of the job's model, or z_diff seeds where it has but one."""
        if re.fullmatch(NETWORK, wildcards.model):
            return len(self._training(wildcards)["seeds"])
        return (PAIRS if wildcards.model == "ica" else 1) * self.plan.replicas(self._scale(wildcards), wildcards.model)

    def readouts(self, wildcards: Any) -> int:
        """Sets of codes of the job's model that Table 2 reads."""
        return min(self.replicas(wildcards), PAIRS * self.plan.preset(self._scale(wildcards))["readout_replicas"])

    def codes(self, wildcards: Any) -> float:
        """MB of one replica's codes; of a user's own representation, of its file."""
        if wildcards.get("model") in self.plan.representations():
            file = Path(self.plan.own_file(wildcards))
            return file.stat().st_size / 1e6 if file.exists() else 0
        return 4e-6 * self.images(wildcards) * images_of({}) * self._latents(wildcards)

    def all_codes(self, wildcards: Any) -> float:
        """MB of the codes of all replicas of the job's model, and of the log-variances beside them where it has any."""
        trained = re.fullmatch(NETWORK, wildcards.model)
        kinds = 2 if trained and self._training(wildcards)["system"] != "infogan" else 1
        return kinds * self.replicas(wildcards) * self.codes(wildcards)

    def ica_codes(self, wildcards: Any) -> float:
        """MB of the codes of all pairs of shapes and seeds of ICA."""
        return PAIRS * self.plan.replicas(wildcards.scale, "ica") * self.codes(wildcards)

    def points(self, wildcards: Any) -> float:
        """MB of the metric's z_diff points of one replica, which are images where the pixels are the codes."""
        metric = self.plan.config["metrics"][wildcards.metric]
        latents = PIXELS if wildcards.model == "raw_pixels" else self._latents(wildcards)
        return 4e-6 * (metric["train_points"] + metric["test_points"]) * latents

    def fits(self, wildcards: Any) -> float:
        """Thousand millions of images that all of ICA's fits see together."""
        preset = self.plan.preset(wildcards.scale)
        return 1e-9 * PAIRS * preset["replicas"] * preset["ica_images"] * preset["ica_iterations"]

    def models(self, wildcards: Any) -> int:
        """Models that a table or figure of the sweep, or of Figure 8, is made of, at most."""
        return max(len(self.plan.sweep_points()), len(self.plan.continuity_points()))

    def gpus(self, wildcards: Any) -> int:
        """GPUs: what CUDA's libraries add to a job's memory."""
        return self.gpu()

    def weights(self, wildcards: Any) -> float:
        """MB of all replicas' weights of the job's model; where no model is named, of the largest."""
        return 4e-6 * max(map(_weights, self._trainings(wildcards)), default=0)

    def network(self, wildcards: Any) -> float:
        """MB of one replica's weights, likewise."""
        return 4e-6 * max((_weights(each) / len(each["seeds"]) for each in self._trainings(wildcards)), default=0)

    def maps(self, wildcards: Any) -> float:
        """MB of a convolutional network's largest maps of one image, all replicas."""
        return 4e-6 * max(map(_maps, self._trainings(wildcards)), default=0)

    def batch_maps(self, wildcards: Any) -> float:
        """MB of such maps of a batch."""
        return 4e-6 * max(_maps(each) * _batch(each) for each in self._trainings(wildcards))

    def passes(self, wildcards: Any) -> float:
        """Minutes that the job's model needs for all images of its data set, at most."""
        images = self.images(wildcards) * images_of({})
        return max(images * _multiplications(each) / self._rate(each) / 60 for each in self._trainings(wildcards))

    def trainings(self, wildcards: Any) -> float:
        """Minutes that the training of the job's model takes, at most: three passes of each batch, and waiting."""

        def minutes(each: dict[str, Any]) -> float:
            step = 3 * _batch(each) * _multiplications(each) / self._rate(each) + STEP_WAIT
            return each["steps"] * step / 60

        return max(map(minutes, self._trainings(wildcards)))

    # ---------------------------------------------------------------------------------------------

    def _growing(self, base: float, added: dict[str, float]) -> Need:
        """base + Σ amount · quantity, as a rule's resource: once more with each attempt."""
        quantities = [(getattr(self, name), amount) for name, amount in added.items()]

        def need(wildcards: Any, attempt: int) -> int:
            return math.ceil(attempt * (base + sum(amount * quantity(wildcards) for quantity, amount in quantities)))

        return need

    def _scale(self, wildcards: Any) -> str:
        """The scale that the job's files belong to."""
        return wildcards.get("scale", self.plan.scale)

    def _training(self, wildcards: Any) -> dict[str, Any]:
        """The training of the job's model; that of the widest for all points of a sweep, which may be one job array."""
        scale, model = self._scale(wildcards), wildcards.model
        training = self.plan.training(scale, model)
        if re.fullmatch(SWEEP, model):
            training["latents"] = max(training["latents"], *self.plan.preset(scale)["sweep"]["latents"])
        return training

    def _trainings(self, wildcards: Any) -> list[dict[str, Any]]:
        """The training of the job's model, if it has any; where no model is named, those of the main models."""
        if not (model := wildcards.get("model")):
            return [self.plan.training(self.plan.scale, main) for main in self.plan.decoders()]
        return [self._training(wildcards)] if re.fullmatch(NETWORK, model) else []

    def _latents(self, wildcards: Any) -> int:
        """M of the job's model."""
        usual = self.plan.preset(self._scale(wildcards))["latents"]
        trained = re.fullmatch(NETWORK, wildcards.get("model", ""))
        return self._training(wildcards).get("latents", usual) if trained else usual

    def _rate(self, training: dict[str, Any]) -> float:
        """Multiplications a second that the job's device reaches at least."""
        return GPU_RATE if self.gpu() else CPU_RATE * training["threads"]


def _batch(training: dict[str, Any]) -> int:
    """Images of a training step: a mini-batch, or the several of DC-IGN."""
    return training["batch"] * training.get("groups", 1)


def _maps(training: dict[str, Any]) -> int:
    """Numbers in the largest maps that all replicas make of an image, whose size DC-IGN's convolutions alone keep."""
    pixels = PIXELS if training["system"] == "dcign" else PIXELS // 4
    return pixels * max(training.get("channels", [0])) * len(training["seeds"])


def _weights(training: dict[str, Any]) -> int:
    """Numbers in the weights of all replicas of a model with layers of one width (few in a convolutional one)."""
    if "width" not in training:
        return 0
    width, latents = training["width"], training["latents"]
    return (2 * PIXELS * width + 3 * width * width + 3 * latents * width) * len(training["seeds"])


def _multiplications(training: dict[str, Any]) -> float:
    """Multiplications that all replicas of a model need for one image."""
    if "channels" not in training:
        return _weights(training)
    first, second, *_ = training["channels"]
    return CONVOLUTION * first * second * len(training["seeds"])
