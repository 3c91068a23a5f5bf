"""Train all replicas (seeds) of one system as one stacked network: packed bits → weights and history."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from betavae import job, vae
from betavae.device import pick_device, prepare_cpu, unpack_floats
from betavae.images import open_bits
from betavae.stacked import initialise
from betavae.stream import stream

BLOCK = 256  # steps whose random numbers are drawn ahead
SYSTEMS = {"vae": vae}  # modules with network_of(settings) and losses(network, images, noise, settings)


def make_optimiser(network: nn.Module, settings: dict[str, Any], device: torch.device) -> torch.optim.Optimizer:
    """The optimiser that the settings name, fused into one pass over the weights where torch can."""
    name, rate = settings["optimiser"], settings["learning_rate"]
    if name == "adagrad":
        return torch.optim.Adagrad(
            network.parameters(),
            lr=rate,
            initial_accumulator_value=settings["initial_accumulator"],
            fused=device.type == "cpu",
        )
    return torch.optim.Adam(network.parameters(), lr=rate, fused=True)


def draw_block(seeds: list[int], block: int, batch: int, images: int, noise: int) -> tuple[np.ndarray, np.ndarray]:
    """Image numbers (BLOCK, R, batch) int64 and noise (BLOCK, R, batch, M) float32 of one block of steps.

    Each replica has streams of its own that depend on its seed and the block's number alone.
    """
    drawn = [stream(seed, "training", block) for seed in seeds]
    indices = [rng.integers(0, images, (BLOCK, batch)) for rng in drawn]
    normal = [rng.standard_normal((BLOCK, batch, noise), np.float32) for rng in drawn]
    return np.stack(indices, axis=1), np.stack(normal, axis=1)


class History:
    """Means of what the losses report, over the steps between two records; kept on the device until read."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.steps: list[int] = []
        self.records: dict[str, list[Tensor]] = {}
        self._sums: dict[str, Tensor] = {}
        self._summed = 0

    def add(self, step: int, losses: dict[str, Tensor], last: bool) -> None:
        """Count in the losses of a step; close a record at every `every`-th step and at the last."""
        for name, value in losses.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._summed += 1
        if step % self.every == 0 or last:
            self.steps.append(step)
            for name, total in self._sums.items():
                self.records.setdefault(name, []).append(total / self._summed)
            self._sums, self._summed = {}, 0

    def arrays(self) -> dict[str, np.ndarray]:
        """step (records,) and each loss (records, R, …)."""
        stacked = {name: torch.stack(values).cpu().numpy() for name, values in self.records.items()}
        return {"step": np.array(self.steps, np.int64), **stacked}


def diverged(history: dict[str, np.ndarray], network: nn.Module) -> list[int]:
    """Replicas whose loss or weights are not finite."""
    finite = torch.stack([p.detach().flatten(1).isfinite().all(1) for p in network.parameters()]).all(0).cpu().numpy()
    if "loss" in history:
        finite &= np.isfinite(history["loss"]).all(0)
    return np.flatnonzero(~finite).tolist()


def training_steps(
    network: nn.Module, settings: dict[str, Any], bits: np.ndarray, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Train a network of `build` without end: after each step, what its losses were. No step waits for the device.

    settings: see `train`; bits (images, 512) uint8.
    """
    system = SYSTEMS[settings["system"]]
    optimiser = make_optimiser(network, settings, device)
    on_device = torch.from_numpy(bits).to(device)
    for block in itertools.count():
        drawn = draw_block(settings["seeds"], block, settings["batch"], len(bits), settings["latents"])
        for indices, noise in zip(*(torch.from_numpy(array).to(device) for array in drawn), strict=True):
            losses = system.losses(network, unpack_floats(on_device[indices]), noise, settings)
            optimiser.zero_grad(set_to_none=True)
            losses["loss"].sum().backward()
            optimiser.step()
            yield losses


def build(settings: dict[str, Any], device: torch.device) -> nn.Module:
    """The stacked network that the settings describe, each replica's weights drawn from its seed."""
    network = SYSTEMS[settings["system"]].network_of(settings)
    initialise(network, settings["seeds"])
    return network.to(device)


def train(settings: dict[str, Any], bits: np.ndarray, device: torch.device, label: str) -> tuple[nn.Module, History]:
    """Train a system for settings["steps"] steps on the images `bits` (images, 512) uint8.

    settings: system, seeds, width, latents, beta, optimiser, learning_rate, initial_accumulator, batch, steps and
    record_every. Returns the network and its history.
    """
    network, history, steps = build(settings, device), History(settings["record_every"]), settings["steps"]
    with job.progress(steps, label) as bar:
        for step, losses in zip(range(1, steps + 1), training_steps(network, settings, bits, device), strict=False):
            history.add(step, losses, last=step == steps)
            bar.update()
    return network, history


def main(*, bits: Path, model: Path, history: Path, settings: str, device: str = "auto") -> None:
    """Write {model}.safetensors, all replicas stacked, and {model}.history.h5."""
    chosen, on = json.loads(settings), pick_device(device)
    prepare_cpu(chosen["threads"])
    network, recorded = train(chosen, open_bits(bits), on, label=model.stem)
    arrays = recorded.arrays()
    lost = diverged(arrays, network)
    if lost:
        job.tell(f"{model.stem}: replicas {lost} diverged (their losses are not finite); they rank lowest")
    made = {
        "settings": settings,
        "diverged": json.dumps(lost),
        "provenance": json.dumps(job.provenance("train", str(on))),
    }
    with job.atomic(history) as part, h5py.File(part, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file.attrs.update(made)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with job.atomic(model) as part:
        save_file(weights, part, metadata=made)
