"""Convolutions of several replicas: ours, one after the other, beside one grouped convolution and beside vmap.

python benchmarks/stacking.py --replicas 10
"""

from __future__ import annotations

from collections.abc import Callable

import cyclopts
import torch
import torch.nn.functional as F
from floor import seconds
from torch import Tensor

from betavae.device import pick_device, prepare_cpu
from betavae.stacked import StackedConv2d

# The dearest layer of each convolutional network: images a step, channels in and out, side, kernel, stride.
LAYERS = {
    "InfoGAN, `paper`": (128, 64, 128, 32, 4, 2),
    "DC-IGN, `paper`": (20, 96, 48, 32, 3, 1),
    "β-VAE on pictures, `paper`": (64, 32, 64, 16, 4, 2),
    "DC-IGN, `laptop`": (39, 8, 16, 32, 3, 1),
    "β-VAE on pictures, `laptop`": (32, 16, 16, 32, 4, 2),
}


def grouped(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """All replicas as the groups of one convolution: (R, n, C, H, W) → (R, n, C', H', W')."""
    joined = x.transpose(0, 1).flatten(1, 2)
    found = F.conv2d(joined, weight.flatten(0, 1), bias.flatten(), stride, padding, groups=len(x))
    return found.unflatten(1, (len(x), -1)).transpose(0, 1)


def mapped(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """All replicas by torch's vmap."""
    return torch.vmap(lambda one, w, b: F.conv2d(one, w, b, stride, padding))(x, weight, bias)


def main(*, replicas: int = 10, device: str = "auto", threads: int = 1, times: int = 10) -> None:
    """Print what a layer takes, forward and backward, in each of the three ways."""
    on = pick_device(device)
    prepare_cpu(threads)
    print(f"{replicas} replicas, {on}, torch {torch.__version__}; ms of a layer, forward and backward")
    for name, (batch, inputs, outputs, side, kernel, stride) in LAYERS.items():
        layer = StackedConv2d(replicas, inputs, outputs, kernel, stride, padding=1).to(on)
        x = torch.rand(replicas, batch, inputs, side, side, device=on, requires_grad=True)
        ways: dict[str, Callable[[], Tensor]] = {"ours": lambda layer=layer, x=x: layer(x)}
        for way in (grouped, mapped):
            ways[way.__name__] = lambda way=way, layer=layer, x=x: way(
                x, layer.weight, layer.bias, layer.stride, layer.padding
            )
        taken = {way: seconds(lambda run=run: run().sum().backward(), on, times) for way, run in ways.items()}
        told = ", ".join(f"{way} {1e3 * each:.1f} (÷ ours {each / taken['ours']:.2f})" for way, each in taken.items())
        print(f"{name}: {told}")


if __name__ == "__main__":
    cyclopts.run(main)
