"""−log p(x|z) of a Bernoulli decoder, in nats an image: of its logits, or together with its last layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from betavae.device import reduced
from betavae.stacked import StackedLinear, product


def _cross_entropy(logits: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of logits (…, 4096), summed over pixels, and its gradient: as torch's, with one logarithm for
    sixteen pixels.

    −log p(x|l) = max(l, 0) − x·l − log max(s, 1 − s), s = σ(l). What stands under the logarithm lies in [½, 1], so
    the product of sixteen keeps its precision, and the gradient is s − x.
    """
    lit = logits.sigmoid()
    likely = 1 - lit
    torch.maximum(lit, likely, out=likely)
    for _ in range(4):
        first, second = likely.chunk(2, dim=-1)
        likely = first * second
    loss = logits.clamp_min(0).sum(-1) - torch.linalg.vecdot(logits, images) - likely.log().sum(-1)
    return loss, lit.sub_(images)


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, images: Tensor) -> Tensor:
        loss, surplus = _cross_entropy(logits, images)
        ctx.save_for_backward(surplus)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (surplus,) = ctx.saved_tensors
        return surplus * gradient.unsqueeze(-1), None


class _LayerCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
        inputs, layer = reduced(x), reduced(weight)
        surplus = inputs.new_empty(images.shape)
        loss = x.new_empty(images.shape[:2])
        for replica in range(len(x)):
            own = slice(replica, replica + 1)
            logits = product(inputs[own], layer[own]).float().add_(bias[own])
            loss[own], surplus[own] = _cross_entropy(logits, images[own])
        ctx.save_for_backward(inputs, layer, surplus)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        # Each image's gradient is a factor: cheaper on the hidden units than on its 4096 pixels.
        inputs, layer, surplus = ctx.saved_tensors
        share = gradient.unsqueeze(-1)
        of_input = product(surplus, layer.mT).float().mul_(share)
        of_weight = product(inputs.mul(share.to(inputs.dtype)).mT, surplus).float()
        of_bias = torch.bmm(share.mT.to(surplus.dtype), surplus).float()
        return of_input, of_weight, of_bias, None


def reconstruction_loss(logits: Tensor, images: Tensor) -> Tensor:
    """−log p(x|z) of logits (R, batch, 4096) and images of 0 and 1: (R, batch)."""
    return _CrossEntropy.apply(logits, images)


class LikelihoodLinear(StackedLinear):
    """The last layer of a Bernoulli decoder: logits (R, batch, 4096) of x, or, given the images, −log p(x|z) of each.

    The two in one do not keep the logits: one replica's fit a CPU's cache, all replicas' do not.
    """

    def forward(self, x: Tensor, images: Tensor | None = None) -> Tensor:
        if images is None:
            return super().forward(x)
        if not x.is_cpu:
            return reconstruction_loss(super().forward(x), images)
        return _LayerCrossEntropy.apply(x, self.weight, self.bias, images)
