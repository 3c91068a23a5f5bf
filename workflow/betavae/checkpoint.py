"""Checkpoints of a training, so that one that was killed goes on where it stood, to the same result to the bit.

Written by time into a folder of the training's own: under a temporary name, flushed, renamed, the last two kept. Each
says what made it (settings, code, versions, device, images) and carries a checksum: one that is torn, or that was made
by something else, is named on the terminal and not used. Safetensors: reading one cannot run code.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from betavae import job
from betavae.errors import UserError

KEPT = 2
SHAPING = ("numpy", "torch")  # libraries whose version changes a training's last bits


class Checkpoint(NamedTuple):
    """All that a training needs to go on: how many steps are done, tensors, and what is no tensor, as JSON has it."""

    step: int
    tensors: dict[str, Tensor]
    notes: dict[str, Any]


class NotUsable(Exception):
    """Why a checkpoint is not used."""


def fingerprint(settings: dict[str, Any], code: str, device: torch.device, bits: np.ndarray) -> dict[str, str]:
    """What must be the same for a checkpoint to be this training's; bits: the images as they are stored."""
    versions = job.versions()
    return {
        "settings": json.dumps(settings, sort_keys=True),
        "code": code,
        "versions": ", ".join(f"{library} {versions[library]}" for library in SHAPING),
        "device": device.type,
        "images": f"{bits.shape} {zlib.crc32(np.ascontiguousarray(bits)):08x}",
    }


def checksum(tensors: Mapping[str, Tensor], said: Mapping[str, str]) -> str:
    """CRC-32 over tensors on the CPU, with their names and shapes, and what is said beside them."""
    total = zlib.crc32(json.dumps(sorted(said.items())).encode())
    for name, tensor in sorted(tensors.items()):
        total = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), total)
        total = zlib.crc32(tensor.detach().reshape(-1).view(torch.uint8).numpy(), total)
    return f"{total:08x}"


def write(path: Path, checkpoint: Checkpoint, made_by: Mapping[str, str]) -> None:
    """Write one checkpoint; it has its name only once it is whole and on the disk."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    said = {"step": str(checkpoint.step), "notes": json.dumps(checkpoint.notes), "made_by": json.dumps(made_by)}
    with job.atomic(path) as part:
        save_file(tensors, part, metadata=said | {"checksum": checksum(tensors, said)})


def read(path: Path, made_by: Mapping[str, str]) -> Checkpoint:
    """Read one checkpoint back; NotUsable where it is torn or was not made by `made_by`."""
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            recorded = said.pop("checksum")
            theirs = json.loads(said["made_by"])
            differing = [name for name, value in made_by.items() if theirs.get(name) != value]
            # Before the tensors: a foreign checkpoint may be large, and says so in its header.
            if differing:
                raise NotUsable(f"was made with other {' and '.join(differing)}")
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        checkpoint = Checkpoint(int(said["step"]), tensors, dict(json.loads(said["notes"])))
        if checkpoint.step < 0:
            raise ValueError(f"step {checkpoint.step}")
        whole = recorded == checksum(tensors, said)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotUsable(f"is torn or no checkpoint ({error})") from error
    if not whole:
        raise NotUsable("is torn (its checksum does not fit)")
    return checkpoint


class Checkpoints:
    """The checkpoints of one training in its folder, which are gone once the training has written its results."""

    def __init__(self, folder: Path, minutes: float, made_by: Callable[[], dict[str, str]]) -> None:
        """A checkpoint is due every so many `minutes`; `made_by` is called when first needed (see `fingerprint`)."""
        self.folder = folder
        self._seconds = 60 * minutes
        self._ask = made_by
        self._last = time.monotonic()
        self._own: list[Path] = []  # of this training, oldest first

    @cached_property
    def _made_by(self) -> dict[str, str]:
        return self._ask()

    def newest(self, like: Mapping[str, Tensor]) -> Checkpoint | None:
        """The last checkpoint that is whole, of this training, and has tensors of the shapes in `like`."""
        for path in sorted(self.folder.glob("step_*.safetensors"), reverse=True):
            try:
                found = read(path, self._made_by)
                if any(name not in found.tensors or found.tensors[name].shape != like[name].shape for name in like):
                    raise NotUsable("is of another network")
            except NotUsable as error:
                job.tell(f"{self.folder.name}: checkpoint {path} {error}; it is not used")
                continue
            job.tell(f"{self.folder.name}: goes on after step {found.step}, from the checkpoint {path.name}")
            self._own.append(path)
            return found
        return None

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self._last >= self._seconds

    def keep(self, checkpoint: Checkpoint) -> bool:
        """Write a checkpoint and remove all but the last two; whether it could be written.

        A training is worth more than its checkpoint: where there is no room for one, it goes on without.
        """
        path = self.folder / f"step_{checkpoint.step:09d}.safetensors"
        try:
            write(path, checkpoint, self._made_by)
        except (UserError, OSError, SafetensorError) as error:
            job.tell(f"{self.folder.name}: no checkpoint after step {checkpoint.step}, the training goes on: {error}")
            return False
        finally:
            self._last = time.monotonic()
        self._own = [*(own for own in self._own if own != path), path][-KEPT:]
        for other in self.folder.iterdir():
            if other not in self._own:
                other.unlink(missing_ok=True)
        return True

    def remove(self) -> None:
        """Remove all checkpoints: the training's results have their final names."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def noted_signals() -> Iterator[Callable[[], str | None]]:
    """Within the block SIGTERM (a cluster's preemption) and SIGINT (Ctrl-C) end nothing by themselves: gives a function
    that names the one that came, if any, so that a training can end after the step that it is in.
    """
    came: list[str] = []
    asked = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda number, _: came.append(signal.Signals(number).name)) for number in asked]
    try:
        yield lambda: came[0] if came else None
    finally:
        for number, handler in zip(asked, before, strict=True):
            signal.signal(number, handler)
