"""Table 1: the architectures, read off the networks as they train, beside what the paper prints.

One training step of each system is run on two images, and what runs is what the table lists: layers, and the
activations and poolings between them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from betavae.factors import FactorGrid
from betavae.paper import TABLE1, Architecture
from betavae.shapes import PIXELS
from betavae.stream import stream
from betavae.systems import system_of
from betavae.tables import images_a_step, write_table

# Functions that are told although no layer calls them. Whatever else runs between layers moves numbers or is the loss,
# a sigmoid among it.
FUNCTIONS = {
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "tanh": "tanh",
    "max_pool2d": "maxpool",
}
WORDS = re.compile(r"ReLU|FC|[A-Z][a-z]+")
UNTOLD = (nn.Flatten, nn.Unflatten, nn.Identity)


@dataclass
class Part:
    """A part of a network, one replica: its layers in the order in which they run."""

    layers: str = ""
    parameters: int = 0
    learning_rates: tuple[float, ...] = ()


def size(shape: torch.Size) -> str:
    """The shape of what one image of one replica becomes, (R, batch, …): `120`, `96×32×32`."""
    return "×".join(map(str, shape[2:]))


def describe(layer: nn.Module, output: Tensor) -> str:
    """A layer in Table 1's words, maps with the shape that they have: `FC 1200`, `conv 96 3×3 (96×64×64)`."""
    # A layer for mostly dark images is the layer that it is for any others, and so is one that knows its loss.
    name = re.sub("^(Stacked|Lit|Likelihood)(?=[A-Z])", "", type(layer).__name__)
    name = name.replace("ConvTranspose", "Deconv").replace("Linear", "FC")
    words = " ".join(word if word.isupper() or word == "ReLU" else word.lower() for word in WORDS.findall(name))
    weight = getattr(layer, "weight", None)
    if weight is None or weight.ndim < 3:
        return words
    if weight.ndim == 3:
        return f"{words} {weight.shape[-1]}"
    stride = f" stride {layer.stride}" if layer.stride != 1 else ""
    return f"{words} {output.shape[2]} {weight.shape[-2]}×{weight.shape[-1]}{stride} ({size(output.shape)})"


class Listener(TorchFunctionMode):
    """Writes down the layers of a network, and the functions between them, as they run for the first time."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.parts: dict[str, str] = {}
        self._heard: set[nn.Module] = set()
        self._part: str | None = None  # that of the last layer, None where it had run before
        self._inside = False
        for name, layer in network.named_modules():
            if not any(layer.children()):
                layer.register_forward_pre_hook(self._enter)
                layer.register_forward_hook(self._leave(name.split(".")[0]))

    def _enter(self, *_: Any) -> None:
        self._inside = True

    def _leave(self, part: str) -> Callable[..., None]:
        def hear(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._inside = False
            self._part = None if layer in self._heard else part
            if layer not in self._heard and not isinstance(layer, UNTOLD):
                joint = ", " if getattr(layer, "weight", torch.empty(0)).ndim >= 3 else " + "
                before = self.parts[part] + joint if part in self.parts else f"{size(inputs[0].shape)} → "
                self.parts[part] = before + describe(layer, output)
            self._heard.add(layer)

        return hear

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one of torch's functions, and tell of it where it stands between layers."""
        result = function(*args, **(kwargs or {}))
        told = FUNCTIONS.get(getattr(function, "__name__", ""))
        if told and not self._inside and self._part in self.parts:
            self.parts[self._part] += f" + {told}"
        return result


def parts_of(settings: dict[str, Any]) -> tuple[dict[str, Part], nn.Module]:
    """The parts of the network that training with `settings` makes, and the network, one replica."""
    chosen = settings | {"seeds": settings["seeds"][:1], "batch": 2}
    system = system_of(chosen)
    network = system.network_of(chosen)
    drawn = system.draw(stream(0, "table 1"), range(1), chosen, FactorGrid.thinned({}))
    inputs = {name: torch.from_numpy(array) for name, array in drawn.items()}
    players = system.players(network, chosen)
    with Listener(network) as listener:
        for player in players:
            player.losses(torch.zeros(*inputs["images"].shape, PIXELS), inputs)
    parts = {name: Part(layers) for name, layers in listener.parts.items()}
    for name, parameter in network.named_parameters():
        part = parts.setdefault(name.split(".")[0], Part())
        part.parameters += parameter.numel()
        rates = [player.learning_rate for player in players if any(parameter is own for own in player.parameters)]
        part.learning_rates = tuple(dict.fromkeys([*part.learning_rates, *rates]))
    return parts, network


def optimiser(settings: dict[str, Any], learning_rates: tuple[float, ...]) -> str:
    """The optimiser of a part of a network in words."""
    words = f"{settings['optimiser'].capitalize()} {', '.join(f'{rate:g}' for rate in learning_rates)}"
    if settings["optimiser"] == "adagrad":
        return f"{words}, accumulator from {settings['initial_accumulator']:g}"
    decays = f"{settings.get('momentum', 0.9):g}, {settings.get('decay', 0.999):g}"
    return words + (f", decays {decays}" if decays != "0.9, 0.999" else "")


def rows_of(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What training with `settings` makes, a row a part, its latents, and the whole."""
    parts, network = parts_of(settings)
    rows = [
        {
            "part": name,
            "layers": part.layers,
            "parameters": part.parameters,
            "optimiser": optimiser(settings, part.learning_rates),
        }
        for name, part in parts.items()
    ]
    latents = f"{network.latents}{', Gaussian posterior' if network.posterior else ''}"
    rows.append({"part": "latents", "layers": latents})
    steps = f"batch {images_a_step(settings)}, {settings['steps']:,} steps"
    total = sum(part.parameters for part in parts.values())
    return [*rows, {"part": "whole", "parameters": total, "optimiser": steps}]


def printed(row: Architecture) -> list[dict[str, Any]]:
    """What the paper prints, in the rows of `rows_of`."""
    lines = [{"part": part, "layers": getattr(row, part)} for part in ("encoder", "latents", "decoder")]
    return [line | {"grade": row.grade} for line in (*lines, {"part": "whole", "optimiser": row.optimiser})]


def main(*, csv: Path, md: Path, settings: str) -> None:
    """Write the table. settings: JSON; scale, and systems: {system: {scale: settings of its training}}."""
    chosen = json.loads(settings)
    systems, rows = chosen["systems"], []
    unprinted = [(system, None) for system in systems if system not in dict(TABLE1)]
    for system, row in (*TABLE1, *unprinted):
        versions = {"the paper": printed(row)} if row else {}
        versions |= {f"scale {scale}": rows_of(training) for scale, training in systems.get(system, {}).items()}
        models = f"{row.models}: {row.data}" if row else system
        rows += [{"models": models, "as in": version} | line for version, lines in versions.items() for line in lines]
    caption = (
        f"# Table 1: architectures, scale `{chosen['scale']}`\n\n"
        "Read off the networks that are trained (one replica of each), beside the paper's text with its grade: A "
        "stated or confirmed, B recalled from the appendix. Maps are channels×height×width."
    )
    columns = ("models", "as in", "part", "layers", "parameters", "optimiser", "grade")
    write_table(csv, md, [{column: row.get(column, "") for column in columns} for row in rows], caption)
