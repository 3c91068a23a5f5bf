"""The floor of a training step (operations and bytes), the device's ceilings, and how near a real step comes.

PYTHONPATH=workflow python benchmarks/floor.py --scale paper --model beta4 --replicas 1
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
import torch
import yaml
from torch.nn import Module
from torch.utils.flop_counter import FlopCounterMode

from betavae.device import matrix_precision, pick_device, prepare_cpu
from betavae.estimate import sample_grid, sample_images
from betavae.plan import Plan
from betavae.stacked import LitLinear
from betavae.train import build, take_turns, training_steps

ROOT = Path(__file__).parents[1]
# Arrays of the weights' size that a step must read or write: weights forward, weights backward, gradients written; then
# the optimiser reads gradients, weights and its state, and writes weights and state.
PASSES = {"adagrad": 3 + 5, "adam": 3 + 7}
TOGETHER = 4  # steps that are timed as one, for no step waits for the one before


@dataclass(frozen=True)
class Work:
    """What one training step of all replicas cannot avoid."""

    operations: int  # floating-point, of matrix products and convolutions
    bytes: int  # of weights, gradients and the optimiser's state, in float32


def committed_config() -> dict[str, Any]:
    """config.yaml as it stands in the repository."""
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def settings_of(scale: str, model: str, replicas: int, **own: Any) -> dict[str, Any]:
    """The settings of a model's training at a scale of config.yaml, with so many replicas."""
    plan = Plan(committed_config())
    return plan.training(scale, model) | {"seeds": list(range(replicas))} | own


def _linear(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    """Operations of oneDNN's product of x (n, k) and weight (m, k), which torch's counter does not know."""
    return 2 * math.prod(x) * weight[0]


def small_run(settings: dict[str, Any], device: torch.device) -> tuple[Module, Iterator[Any], int]:
    """A network, its training's steps on a small set of images, and the bytes of those: to a clock no image matters."""
    grid = sample_grid(settings)
    images, network = sample_images(grid, settings.get("colours")), build(settings, device)
    return network, training_steps(take_turns(network, settings), settings, images, grid, device), images.nbytes


def work(settings: dict[str, Any], lit_rows: bool) -> Work:
    """Count one step, as it runs on a CPU in float32.

    lit_rows: whether the first layer adds up the rows that an image lights (those additions are not counted) or is a
    dense product.
    """
    network, steps, _ = small_run(settings | {"precision": "float32"}, torch.device("cpu"))
    with FlopCounterMode(display=False, custom_mapping={torch.ops.mkldnn._linear_pointwise: _linear}) as counter:
        next(steps)
    weights = sum(parameter.numel() for parameter in network.parameters())
    first = 0 if lit_rows else sum(m.weight.numel() for m in network.modules() if isinstance(m, LitLinear))
    # Forward and the weights' gradient; images have none.
    return Work(counter.get_total_flops() + 4 * settings["batch"] * first, 4 * PASSES[settings["optimiser"]] * weights)


def elapsed(task: Callable[[], Any], device: torch.device) -> float:
    """Seconds that a task takes: of CPU time on a CPU, else of wall time, until the device is done."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    task()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def seconds(task: Callable[[], Any], device: torch.device, times: int = 10) -> float:
    """What a task takes, the median of so many after two to warm up."""
    return median([elapsed(task, device) for _ in range(times + 2)][2:])


def ceilings(device: torch.device, precision: str) -> tuple[float, float]:
    """Operations a second of a large matrix product, and bytes a second of a large copy, read and written."""
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    side, length = (8192, 1 << 28) if device.type == "cuda" else (2048, 1 << 26)
    a, b = (torch.ones(side, side, dtype=kind, device=device) for _ in range(2))
    source = torch.ones(length, device=device)
    target = torch.empty_like(source)
    with matrix_precision(precision):
        product = seconds(lambda: a @ b, device)
    return 2 * side**3 / product, 2 * source.nbytes / seconds(lambda: target.copy_(source), device)


def main(
    *,
    scale: str = "paper",
    model: str = "beta4",
    replicas: int = 1,
    batch: int | None = None,
    precision: str = "float32",
    device: str = "auto",
    threads: int = 1,
    steps: int = 40,
) -> None:
    """Print floor, ceilings and achieved time of a training step, all replicas together."""
    on = pick_device(device)
    prepare_cpu(threads)
    own = {"precision": precision, "threads": threads} | ({"batch": batch} if batch else {})
    settings = settings_of(scale, model, replicas, **own)
    needed = work(settings, lit_rows=on.type == "cpu")
    per_second, bytes_per_second = ceilings(on, precision)
    floor = max(needed.operations / per_second, needed.bytes / bytes_per_second)
    if on.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    _, iterator, shown = small_run(settings, on)
    achieved = seconds(lambda: [next(iterator) for _ in range(TOGETHER)], on, steps // TOGETHER) / TOGETHER
    print(
        f"{model}, scale {scale}, {replicas} replicas, batch {settings['batch']}, {precision}, "
        f"torch {torch.__version__}"
    )
    print(f"a step needs {needed.operations / 1e9:.2f} G operations and {needed.bytes / 1e9:.3f} GB")
    print(f"ceilings: {per_second / 1e9:.0f} G operations/s, {bytes_per_second / 1e9:.1f} GB/s")
    print(
        f"floor {1e3 * floor:.2f} ms (operations {1e3 * needed.operations / per_second:.2f}, "
        f"bytes {1e3 * needed.bytes / bytes_per_second:.2f}), achieved {1e3 * achieved:.2f} ms: "
        f"floor ÷ achieved {floor / achieved:.2f}"
    )
    if on.type == "cuda":
        print(
            f"GPU memory: {1e-9 * torch.cuda.max_memory_reserved():.2f} GB, and 0.38 GB for all 2D shapes "
            f"in place of the {1e-9 * shown:.2f} GB of images here"
        )


if __name__ == "__main__":
    cyclopts.run(main)
