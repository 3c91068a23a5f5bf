"""Read trained networks back: {model}.safetensors, all replicas stacked, with the settings that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from betavae.errors import UserError
from betavae.systems import system_of


def load_model(path: Path, device: torch.device, replica: int | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The network on `device`, ready to be evaluated, and its settings: all replicas, or one of them alone."""
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads(file.metadata()["settings"])
            chosen = slice(None) if replica is None else slice(replica, replica + 1)
            settings["seeds"] = settings["seeds"][chosen]
            weights = {name: file.get_slice(name)[chosen] for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        network = system_of(settings).network_of(settings)
        network.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not a model of this workflow ({error}); delete it and run again") from error
    return network.to(device).eval().requires_grad_(False), settings
