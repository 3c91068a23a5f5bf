"""Layers whose every weight has a leading replica axis, so that all seeds of a model train as one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from betavae.device import reduced
from betavae.stream import stream

LARGE = 1 << 24  # multiplications of a product that is worth handing to another library


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b for each replica, (R, n, k) and (R, k, m) → (R, n, m).

    On a CPU one large float32 product alone goes to oneDNN, as exact as MKL's and on AMD's processors up to a quarter
    faster; bfloat16 goes there anyway, and many small products are faster as one batch.
    """
    large = len(a) == 1 and a.numel() * b.shape[-1] >= LARGE
    if not large or a.dtype != torch.float32 or not a.is_cpu or not torch.backends.mkldnn.is_available():
        return torch.bmm(a, b)
    return torch.ops.mkldnn._linear_pointwise(a[0], b[0].mT, None, "none", [], "")[None]


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return product(gradient, weight.mT), product(x.mT, gradient)


class Drawn(nn.Module):
    """A layer whose weights `initialise` draws, by `fans`, the inputs and outputs that a unit has; biases begin at
    `initial_bias`.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    fans: tuple[int, int]
    initial_bias = 0.0


class StackedLinear(Drawn):
    """A fully connected layer for each replica: (R, batch, inputs) → (R, batch, outputs), one batched product."""

    def __init__(self, replicas: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(replicas, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(replicas, 1, outputs))
        self.fans = inputs, outputs

    def forward(self, x: Tensor) -> Tensor:
        inputs, weight = reduced(x), reduced(self.weight)
        if len(x) > 1 and weight is self.weight:
            return torch.baddbmm(self.bias, x, weight)
        return _Product.apply(inputs, weight).float() + self.bias

    def restricted_to(self, x: Tensor, columns: Tensor) -> Tensor:
        """The layer's output for inputs that are zero outside `columns` (P,): x is (batch, P), for all replicas."""
        return x @ self.weight[:, columns] + self.bias


class _LitProduct(torch.autograd.Function):
    """x @ weight for x of 0 and 1 on a CPU: sums of the rows of weight (R, inputs, outputs) that x lights.

    At 4 % lit some two fifths of the dense layer's time, forward and backward, index work included (ten replicas, batch
    64, width 128, one core).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        replicas, batch, inputs = x.shape
        lit = np.flatnonzero(x.to(torch.bool).numpy())
        starts = np.searchsorted(lit, np.arange(replicas * batch) * inputs)
        image, column = lit // inputs, lit % inputs
        ctx.image, ctx.column, ctx.shape = image, column, weight.shape
        rows = torch.from_numpy(image // batch * inputs + column)
        sums = F.embedding_bag(rows, weight.reshape(replicas * inputs, -1), torch.from_numpy(starts), mode="sum")
        return sums.view(replicas, batch, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        replicas, inputs, outputs = ctx.shape
        batch = gradient.shape[1]
        ends = np.searchsorted(ctx.image, batch * np.arange(1, replicas)) if replicas > 1 else []
        # Each replica's lit pixels, by pixel instead of by image: 16 bits sort by radix.
        orders = [np.argsort(own.astype(np.uint16), kind="stable") for own in np.split(ctx.column, ends)]
        images = [own[order] for own, order in zip(np.split(ctx.image, ends), orders, strict=True)]
        pixel = ctx.image // batch * inputs + ctx.column
        lit = np.bincount(pixel, minlength=replicas * inputs)
        rows = torch.from_numpy(np.concatenate(images))
        sums = F.embedding_bag(rows, gradient.reshape(replicas * batch, outputs), _starts(lit), mode="sum")
        return None, sums.view(ctx.shape)


def _starts(counts: np.ndarray) -> Tensor:
    return torch.from_numpy(np.cumsum(counts) - counts)


class LitLinear(StackedLinear):
    """A fully connected layer on images of 0 and 1 of which few pixels are lit: at most 65,536 inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return _LitProduct.apply(x, self.weight) + self.bias if x.is_cpu else super().forward(x)


class StackedConv2d(Drawn):
    """A convolution for each replica: (R, batch, inputs, H, W) → (R, batch, outputs, H', W').

    A loop over the replicas, so that each is computed as if it were alone; on a CPU no slower than one grouped
    convolution.
    """

    def __init__(
        self, replicas: int, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(replicas, outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(replicas, outputs))
        self.fans = inputs * kernel**2, outputs * kernel**2
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        replicas = zip(x, self.weight, self.bias, strict=True)
        return torch.stack([F.conv2d(one, w, b, self.stride, self.padding) for one, w, b in replicas])

    def within(
        self, patch: Tensor, place: tuple[int, int, int, int], around: Tensor
    ) -> tuple[Tensor, tuple[int, int, int, int]]:
        """The part of the layer's output that sees a patch, and its place, where all around the patch is known.

        patch (R, batch, inputs, h, w) stands at `place`, rows first to end and columns first to end, of inputs that
        are `around` (R, 1, inputs, H, W) everywhere else. For layers that see all of their inputs.
        """
        kernel, (height, width) = self.weight.shape[-1], around.shape[-2:]
        spans = []
        for first, end, size in ((*place[:2], height), (*place[2:], width)):
            outputs = (size + 2 * self.padding - kernel) // self.stride + 1
            low = max(0, -(-(first + self.padding - kernel + 1) // self.stride))
            spans.append((low, min(outputs, (end - 1 + self.padding) // self.stride + 1)))
        (top, bottom), (left, right) = spans
        row, column = top * self.stride, left * self.stride  # where the inputs that are needed begin, padding counted
        inputs = F.pad(around, (self.padding,) * 4)[
            ..., row : (bottom - 1) * self.stride + kernel, column : (right - 1) * self.stride + kernel
        ].repeat(1, patch.shape[1], 1, 1, 1)
        row, column = place[0] + self.padding - row, place[2] + self.padding - column
        inputs[..., row : row + patch.shape[-2], column : column + patch.shape[-1]] = patch
        replicas = zip(inputs, self.weight, self.bias, strict=True)
        found = torch.stack([F.conv2d(one, w, b, self.stride) for one, w, b in replicas])
        return found, (top, bottom, left, right)


class StackedConvTranspose2d(Drawn):
    """A transposed convolution for each replica: (R, batch, inputs, H, W) → (R, batch, outputs, H', W')."""

    def __init__(
        self, replicas: int, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(replicas, inputs, outputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(replicas, outputs))
        self.fans = inputs * kernel**2, outputs * kernel**2
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        replicas = zip(x, self.weight, self.bias, strict=True)
        return torch.stack([F.conv_transpose2d(one, w, b, self.stride, self.padding) for one, w, b in replicas])


class StackedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) for each replica: (R, batch, C, …) → the same shape.

    In training by the batch's own moments, a channel a mean and a variance, which the running ones (R, C), saved with
    the weights, follow at a tenth a batch (torch's default) as long as `track` is set; in evaluation by those.
    """

    track = True

    def __init__(self, replicas: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(replicas, channels))
        self.bias = nn.Parameter(torch.zeros(replicas, channels))
        self.register_buffer("running_mean", torch.zeros(replicas, channels))
        self.register_buffer("running_var", torch.ones(replicas, channels))

    def forward(self, x: Tensor) -> Tensor:
        momentum = 0.1 if self.track else 0.0
        replicas = zip(x, self.running_mean, self.running_var, self.weight, self.bias, strict=True)
        return torch.stack([F.batch_norm(*one, self.training, momentum) for one in replicas])


@torch.no_grad()
def initialise(network: nn.Module, seeds: Sequence[int]) -> None:
    """Xavier-uniform weights (ours), replica r from its own seed only; biases of zero, or what a layer begins with."""
    for name, layer in network.named_modules():
        if isinstance(layer, Drawn):
            bound = (6.0 / sum(layer.fans)) ** 0.5
            for replica, seed in enumerate(seeds):
                drawn = stream(seed, f"weights of {name}").uniform(-bound, bound, layer.weight.shape[1:])
                layer.weight[replica] = torch.from_numpy(drawn.astype(np.float32))
            layer.bias.fill_(layer.initial_bias)
