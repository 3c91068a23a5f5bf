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

from betavae import job
from betavae.device import matrix_precision, pick_device, prepare_cpu, unpack_floats
from betavae.factors import FactorGrid
from betavae.images import open_bits, open_grid
from betavae.samples import collapsed
from betavae.stacked import initialise
from betavae.stream import stream
from betavae.systems import Player, system_of

BLOCK = 256  # steps whose random numbers are drawn ahead


def make_optimiser(player: Player, settings: dict[str, Any], device: torch.device) -> torch.optim.Optimizer:
    """The optimiser that the settings name, fused into one pass over the weights where torch can."""
    if settings["optimiser"] == "adagrad":
        return torch.optim.Adagrad(
            player.parameters,
            lr=player.learning_rate,
            initial_accumulator_value=settings["initial_accumulator"],
            fused=device.type == "cpu",
        )
    betas = (settings.get("momentum", 0.9), settings.get("decay", 0.999))
    return torch.optim.Adam(player.parameters, lr=player.learning_rate, betas=betas, fused=True)


def draw_block(settings: dict[str, Any], grid: FactorGrid, block: int) -> dict[str, np.ndarray]:
    """The random inputs of one block of steps, arrays (BLOCK, R, …).

    Each replica has streams of its own that depend on its seed and the block's number alone.
    """
    draw = system_of(settings).draw
    drawn = [draw(stream(seed, "training", block), BLOCK, settings, grid) for seed in settings["seeds"]]
    return {name: np.stack([one[name] for one in drawn], axis=1) for name in drawn[0]}


class History:
    """Means of what the losses report, over the steps between two records; kept on the device until read.

    And sheets of samples, where a system shows any: the step and images (R, n, 4096) uint8.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.steps: list[int] = []
        self.records: dict[str, list[Tensor]] = {}
        self.sheets: list[tuple[int, np.ndarray]] = []
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


def sheet_steps(settings: dict[str, Any]) -> set[int]:
    """The steps after which a sheet of samples is kept: settings["sheets"] of them, the last step among them."""
    steps, sheets = settings["steps"], settings.get("sheets", 0)
    return {steps * (number + 1) // sheets for number in range(sheets)} - {0}


def diverged(history: dict[str, np.ndarray], network: nn.Module) -> list[int]:
    """Replicas whose loss or weights are not finite."""
    finite = torch.stack([p.detach().flatten(1).isfinite().all(1) for p in network.parameters()]).all(0).cpu().numpy()
    for name, values in history.items():
        if name != "step":
            finite &= np.isfinite(values).all(axis=tuple(k for k in range(values.ndim) if k != 1))
    return np.flatnonzero(~finite).tolist()


def rate_left(step: int, settings: dict[str, Any]) -> float:
    """The share of its learning rate that a step (from 1) has: over the last settings["anneal"] of all steps the rate
    falls to zero linearly.
    """
    falling = settings.get("anneal", 0.0) * settings["steps"]
    return min(1.0, max(0.0, settings["steps"] - step + 1) / falling) if falling else 1.0


def training_steps(
    network: nn.Module, settings: dict[str, Any], bits: np.ndarray, grid: FactorGrid, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Train a network of `build` without end: after each step, what is recorded of it. No step waits for the device.

    settings: see `train`, and precision, of matrix products, where it is not float32; bits (images, 512) uint8.
    """
    players = system_of(settings).players(network, settings)
    optimisers = [make_optimiser(player, settings, device) for player in players]
    on_device = torch.from_numpy(bits).to(device)
    for block in itertools.count():
        drawn = {name: torch.from_numpy(array).to(device) for name, array in draw_block(settings, grid, block).items()}
        for step in range(BLOCK):
            inputs = {name: array[step] for name, array in drawn.items()}
            images, recorded = unpack_floats(on_device[inputs["images"]]), {}
            left = rate_left(block * BLOCK + step + 1, settings)
            for player, optimiser in zip(players, optimisers, strict=True):
                optimiser.param_groups[0]["lr"] = player.learning_rate * left
                with matrix_precision(settings.get("precision", "float32")):
                    loss, found = player.losses(images, inputs)
                    optimiser.zero_grad(set_to_none=True)
                    loss.sum().backward(inputs=player.parameters)
                optimiser.step()
                recorded |= found
            yield recorded


def build(settings: dict[str, Any], device: torch.device) -> nn.Module:
    """The stacked network that the settings describe, each replica's weights drawn from its seed."""
    network = system_of(settings).network_of(settings)
    initialise(network, settings["seeds"])
    return network.to(device)


def train(
    settings: dict[str, Any], bits: np.ndarray, grid: FactorGrid, device: torch.device, label: str
) -> tuple[nn.Module, History]:
    """Train a system for settings["steps"] steps on the images `bits` (images, 512) uint8 of a factor grid.

    settings: system, seeds, latents, optimiser, learning_rate, initial_accumulator (of Adagrad), momentum and decay
    (of Adam, where they are not 0.9 and 0.999), anneal (see `rate_left`), batch, steps, record_every, sheets (of
    samples that are kept, of a system that has any) and what the system asks for beyond these.
    Returns the network and its history.
    """
    network, history, steps = build(settings, device), History(settings["record_every"]), settings["steps"]
    shown = sheet_steps(settings)
    iterator = training_steps(network, settings, bits, grid, device)
    with job.progress(steps, label) as bar:
        for step, losses in zip(range(1, steps + 1), iterator, strict=False):
            history.add(step, losses, last=step == steps)
            if step in shown:
                samples = system_of(settings).sheet(network, settings).nan_to_num()
                history.sheets.append((step, (samples * 255).round().byte().cpu().numpy()))
            bar.update()
    return network, history


def main(*, bits: Path, dataset: Path, model: Path, history: Path, settings: str, device: str = "auto") -> None:
    """Write {model}.safetensors, all replicas stacked, and {model}.history.h5."""
    chosen, on = json.loads(settings), pick_device(device)
    prepare_cpu(chosen["threads"])
    network, recorded = train(chosen, open_bits(bits), open_grid(dataset), on, label=model.stem)
    arrays = recorded.arrays()
    lost = diverged(arrays, network)
    if lost:
        job.tell(f"{model.stem}: replicas {lost} diverged (their losses are not finite); they rank lowest")
    made = {
        "settings": settings,
        "diverged": json.dumps(lost),
        "provenance": json.dumps(job.provenance("train", chosen["system"], device=str(on))),
    }
    if recorded.sheets:
        fallen = [replica for replica in collapsed(recorded.sheets[-1][1]) if replica not in lost]
        made["collapsed"] = json.dumps(fallen)
        if fallen:
            job.tell(f"{model.stem}: replicas {fallen} collapsed (their samples are too dark, too light or all alike)")
    with job.atomic(history) as part, h5py.File(part, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        if recorded.sheets:
            file["sheet_step"] = [step for step, _ in recorded.sheets]
            file.create_dataset("sheet", data=np.stack([images for _, images in recorded.sheets]), compression="gzip")
        file.attrs.update(made)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with job.atomic(model) as part:
        save_file(weights, part, metadata=made)
