"""Predict, before a long run, how long its trainings take on this machine and how much disk the results need."""

from __future__ import annotations

import json
import math
import os
import statistics
import time

import numpy as np
import torch
from tabulate import tabulate

from betavae import job
from betavae.device import pick_device, prepare_cpu
from betavae.factors import FactorGrid
from betavae.images import pack
from betavae.models import outline
from betavae.shapes import SIDE, draw
from betavae.train import build, take_turns, training_steps

WARM, TIMED = 3, 10  # steps before the clock runs, and under it
BITS_MB, GRAM_MB = 378, 201


def sample_grid(settings: dict) -> FactorGrid:
    """A small grid to draw a training's images from: of the factors that it is taught, or else the 2D shapes'."""
    if names := tuple(settings.get("assigned", ())):
        return FactorGrid((np.arange(3.0),) * len(names), names)
    return FactorGrid.thinned({"orientation": 8, "posX": 4, "posY": 4})


def sample_images(grid: FactorGrid, colours: int | None = None) -> np.ndarray:
    """As many images as the grid has, packed 2D shapes or pictures: what they show matters little to the clock."""
    if colours:
        return np.resize(np.arange(256, dtype=np.uint8), (grid.images, SIDE, SIDE, colours))
    shown = pack(draw(2, 1.0, 0.0, grid.values[3], grid.values[4]).reshape(-1, SIDE, SIDE))
    return np.resize(shown, (grid.images, shown.shape[1]))


def seconds_a_step(settings: dict, device: torch.device) -> float:
    """Seconds that one step of a training takes, all its replicas together: the median of a few."""
    grid = sample_grid(settings)
    turns = take_turns(build(settings, device), settings)
    steps = training_steps(turns, settings, sample_images(grid, settings.get("colours")), grid, device)
    elapsed = []
    for _ in range(WARM + TIMED):
        started = time.perf_counter()
        next(steps)
        if device.type == "cuda":
            torch.cuda.synchronize()
        elapsed.append(time.perf_counter() - started)
    return statistics.median(elapsed[WARM:])


def written_mb(settings: dict, images: int) -> tuple[float, float]:
    """MB of a model's weights, and of its codes of so many images."""
    network = outline(settings)
    weights = sum(weight.numel() for weight in network.state_dict().values())
    kinds = 2 if network.posterior else 1
    return 4e-6 * weights, 4e-6 * kinds * len(settings["seeds"]) * images * network.latents


def duration(seconds: float) -> str:
    """Seconds in words: `2 h 5 min`."""
    minutes = math.ceil(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def main(*, settings: str, device: str = "auto") -> None:
    """Tell the estimate on the terminal.

    settings: JSON; scale, threads, strides, trainings by model, codes, the models whose codes stay, and ica,
    replicas and latents of its codes.
    """
    chosen, on = json.loads(settings), pick_device(device)
    images = FactorGrid.thinned(chosen["strides"]).images
    alike: dict[str, list[str]] = {}  # models whose training takes the same time: they differ in β and images only
    for model, training in chosen["trainings"].items():
        alike.setdefault(json.dumps(training | {"beta": None, "subset": None}), []).append(model)
    prepare_cpu(chosen["threads"])
    rows, total = [], 0.0
    for models in alike.values():
        training = chosen["trainings"][models[0]]
        if not (steps := training["steps"]):
            continue
        each = seconds_a_step(training, on)
        total += each * steps * len(models)
        rows.append([", ".join(models), len(training["seeds"]), steps, f"{1e3 * each:.1f}", duration(each * steps)])
    at_once = 1 if on.type == "cuda" else max(1, (os.cpu_count() or 1) // chosen["threads"])
    written = {model: written_mb(training, images) for model, training in chosen["trainings"].items()}
    codes = sum(written[model][1] for model in chosen["codes"]) + 4e-6 * images * math.prod(chosen["ica"])
    share = images / 737280
    freed = codes + GRAM_MB * share
    disk = freed + BITS_MB * share + sum(weights for weights, _ in written.values())
    job.tell(tabulate(rows, headers=["models", "replicas", "steps", "ms a step", "time for each"]))
    job.tell(
        f"scale {chosen['scale']} on {on}: trainings take about {duration(total)} one after another"
        + (f", {duration(total / at_once)} with {at_once} at once" if at_once > 1 else "")
        + f" (codes and scores come on top: minutes); results take about {disk / 1e3:.1f} GB of disk, "
        f"{freed / 1e3:.1f} GB of which `snakemake clean_intermediates` frees again"
    )
