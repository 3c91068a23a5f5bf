"""Train all replicas (seeds) of one system as one stacked network: stored images → weights and history."""

from __future__ import annotations

import contextlib
import functools
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
from betavae.captured import Captured, Step
from betavae.checkpoint import Checkpoint, Checkpoints, fingerprint, noted_signals
from betavae.device import floats, matrix_precision, pick_device, prepare_cpu
from betavae.digest import code_digest
from betavae.errors import UserError
from betavae.factors import FactorGrid
from betavae.history import History
from betavae.image_files import open_data, open_taught_grid
from betavae.optimiser import Optimiser
from betavae.samples import collapsed
from betavae.stacked import initialise
from betavae.stream import stream
from betavae.systems import Player, system_of

BLOCK = 256  # steps whose random numbers are drawn ahead


def draw_block(settings: dict[str, Any], grid: FactorGrid, block: int) -> dict[str, np.ndarray]:
    """The random inputs of one block of steps, arrays (BLOCK, R, …).

    Each replica has streams of its own that depend on its seed and the block's number alone.
    """
    draw, steps = system_of(settings).draw, range(block * BLOCK, (block + 1) * BLOCK)
    drawn = [draw(stream(seed, "training", block), steps, settings, grid) for seed in settings["seeds"]]
    return {name: np.stack([one[name] for one in drawn], axis=1) for name in drawn[0]}


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


def take_turns(network: nn.Module, settings: dict[str, Any]) -> list[tuple[Player, Optimiser]]:
    """The players of a network of `build`, in the order of their turns, each with its optimiser."""
    return [(player, Optimiser(player, settings)) for player in system_of(settings).players(network, settings)]


def step_of(turns: list[tuple[Player, Optimiser]], settings: dict[str, Any], stored: Tensor) -> Step:
    """A step of all players on stored images, which are where the networks are.

    turns: see `take_turns`; settings: precision, of matrix products, where it is not float32.
    """
    precision = settings.get("precision", "float32")

    def step(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        images, recorded = floats(stored[inputs["images"]]), {}
        for player, optimiser in turns:
            with matrix_precision(precision):
                loss, found = player.losses(images, inputs)
                optimiser.clear()  # of what a capture that failed has left
                loss.sum().backward(inputs=player.parameters)
            optimiser.step()
            optimiser.clear()
            recorded |= found
        return {name: value.detach() for name, value in recorded.items()}

    return step


def training_steps(
    turns: list[tuple[Player, Optimiser]],
    settings: dict[str, Any],
    bits: np.ndarray,
    grid: FactorGrid,
    device: torch.device,
    done: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """Train without end, from the step after the first `done`: after each, what is recorded of it. No step waits for
    the device.

    turns: see `take_turns`; settings: see `train`; bits: the images as they are stored (see `image_files`).
    """
    step_with = step_of(turns, settings, torch.from_numpy(bits).to(device))
    if device.type == "cuda":
        step_with = Captured(step_with)
    for block in itertools.count(done // BLOCK):
        drawn = {name: torch.from_numpy(array).to(device) for name, array in draw_block(settings, grid, block).items()}
        for step in range(max(0, done - block * BLOCK), BLOCK):
            for _, optimiser in turns:
                optimiser.set_rate(rate_left(block * BLOCK + step + 1, settings))
            yield step_with({name: array[step] for name, array in drawn.items()})


def build(settings: dict[str, Any], device: torch.device) -> nn.Module:
    """The stacked network that the settings describe, each replica's weights drawn from its seed."""
    network = system_of(settings).network_of(settings)
    initialise(network, settings["seeds"])
    return network.to(device)


class Run:
    """A training as far as it has come: network, optimisers and history, all that a checkpoint must hold."""

    def __init__(self, settings: dict[str, Any], device: torch.device) -> None:
        self.network, self.history = build(settings, device), History(settings["record_every"])
        self.turns = take_turns(self.network, settings)
        self.device = device

    def checkpoint(self, step: int) -> Checkpoint:
        """All that the run is after so many steps."""
        recorded, notes = self.history.state()
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"history.{name}": tensor for name, tensor in recorded.items()}
        for turn, (_, optimiser) in enumerate(self.turns):
            tensors |= {f"optimiser.{turn}.{name}": tensor for name, tensor in optimiser.state.items()}
        return Checkpoint(step, tensors, notes)

    def resume(self, checkpoints: Checkpoints) -> int:
        """Go back to where the newest usable checkpoint was written; how many steps are done."""
        found = checkpoints.newest(like={f"network.{name}": own for name, own in self.network.state_dict().items()})
        if not found:
            return 0
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "history": {}, "optimiser": {}}
        for name, tensor in found.tensors.items():
            part, _, own = name.partition(".")
            parts[part][own] = tensor
        self.network.load_state_dict(parts["network"])
        self.history.restore(parts["history"], found.notes, self.device)
        self.history.resumed.append(found.step)
        for turn, (_, optimiser) in enumerate(self.turns):
            for name, tensor in optimiser.state.items():
                tensor.copy_(parts["optimiser"][f"{turn}.{name}"])
        return found.step


def train(
    settings: dict[str, Any],
    bits: np.ndarray,
    grid: FactorGrid,
    device: torch.device,
    label: str,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, History]:
    """Train a system for settings["steps"] steps on the images of a factor grid, `bits` as they are stored.

    settings: system, seeds, latents, optimiser, learning_rate, initial_accumulator (of Adagrad), momentum and decay
    (of Adam, where they are not 0.9 and 0.999), anneal (see `rate_left`), batch, steps, record_every, sheets (of
    samples that are kept, of a system that has any) and what the system asks for beyond these.
    With `checkpoints` it goes on from the last of them, if any, and SIGTERM or SIGINT end it by UserError once its
    state is kept. Returns the network and its history.
    """
    run, steps, shown = Run(settings, device), settings["steps"], sheet_steps(settings)
    done = run.resume(checkpoints) if checkpoints else 0
    iterator = training_steps(run.turns, settings, bits, grid, device, done)
    noted = noted_signals() if checkpoints else contextlib.nullcontext(lambda: None)
    with job.progress(steps, label, done=done) as bar, noted as stopped_by:
        for step, losses in zip(range(done + 1, steps + 1), iterator, strict=False):
            if run.history.add(step, losses, last=step == steps) and (lost := run.history.lost()):
                job.tell(f"{label}: replicas {lost} diverged by step {step} (their losses are not finite)")
            if step in shown:
                samples = system_of(settings).sheet(run.network, settings).nan_to_num()
                run.history.sheets.append((step, (samples * 255).round().byte().cpu().numpy()))
            bar.update()
            if checkpoints and step < steps and (stopped_by() or checkpoints.due()):
                kept = checkpoints.keep(run.checkpoint(step))
                if signal := stopped_by():
                    raise UserError(
                        f"{label}: stopped by {signal} after step {step} of {steps}, "
                        f"its state {'kept' if kept else 'not kept'}; the same command goes on from the last one kept"
                    )
    return run.network, run.history


def main(
    *,
    bits: Path,
    dataset: Path,
    model: Path,
    history: Path,
    settings: str,
    device: str = "auto",
    checkpoints: Path | None = None,
    checkpoint_minutes: float = 5.0,
) -> None:
    """Write {model}.safetensors, all replicas stacked, and {model}.history.h5.

    checkpoints: a folder of the training's own, to go on from where it was killed; without it there are none.
    """
    chosen, on = json.loads(settings), pick_device(device)
    prepare_cpu(chosen["threads"])
    (images, grid), code = open_data(bits, dataset), code_digest("train", chosen["system"])
    if "assigned" in chosen:
        grid = open_taught_grid(dataset)
        if grid.images < len(images):
            sizes = " × ".join(f"{size} {name}" for name, size in zip(grid.names, grid.sizes, strict=True))
            job.tell(f"{model.stem}: learns from {grid.images} of {len(images)} pictures, all combinations of {sizes}")
    made_by = functools.partial(fingerprint, chosen, code, on, images)
    kept = Checkpoints(checkpoints, checkpoint_minutes, made_by) if checkpoints else None
    network, recorded = train(chosen, images, grid, on, model.stem, kept)
    arrays = recorded.arrays()
    lost = diverged(arrays, network)
    if lost:
        job.tell(f"{model.stem}: replicas {lost} diverged (their losses or weights are not finite); they rank lowest")
    made = {
        "settings": settings,
        "diverged": json.dumps(lost),
        "provenance": json.dumps(
            job.provenance("train", chosen["system"], device=str(on), seconds_before=recorded.seconds)
            | {"resumed_after_steps": recorded.resumed}
        ),
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
    if kept:
        kept.remove()
