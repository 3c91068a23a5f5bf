"""Read trained networks back: {model}.safetensors, all replicas stacked, with the settings that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from betavae.errors import UserError
from betavae.images import UNREADABLE
from betavae.systems import Network, system_of


def outline(settings: dict[str, Any]) -> Network:
    """The stacked network that the settings describe, its weights shapes alone: however large, it takes no memory."""
    with torch.device("meta"):
        return system_of(settings).network_of(settings)


def check_weights(file: Any, settings: dict[str, Any]) -> None:
    """ValueError where an open file's weights are not those of the network that its settings describe."""
    if not isinstance(settings["seeds"], list):
        raise ValueError(f"seeds are {settings['seeds']!r}, expected a list")
    expected = {name: tuple(weight.shape) for name, weight in outline(settings).state_dict().items()}
    found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'no such weights')}"
            )
        if file.get_slice(name).get_dtype() != "F32":
            raise ValueError(f"{name} is {file.get_slice(name).get_dtype()}, expected F32")


def provenance_of(path: Path) -> dict[str, Any] | None:
    """What made a model that `load_model` reads, if it says so."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata().get("provenance", "null"))


def load_model(path: Path, device: torch.device, replica: int | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The network on `device`, ready to be evaluated, and its settings: all replicas, or one of them alone.

    UserError where the file is something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads(file.metadata()["settings"])
            check_weights(file, settings)
            chosen = slice(None) if replica is None else slice(replica, replica + 1)
            settings["seeds"] = settings["seeds"][chosen]
            weights = {name: file.get_slice(name)[chosen] for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        network = system_of(settings).network_of(settings)
        network.load_state_dict(weights)
    except (SafetensorError, UserError, *UNREADABLE) as error:
        raise UserError(f"{path}: not a model of this workflow ({error}); delete it and run again") from error
    return network.to(device).eval().requires_grad_(False), settings
