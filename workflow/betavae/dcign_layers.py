"""The layers of DC-IGN's network: convolutions with pooling and unpooling, and their short cuts for dark images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from betavae.stacked import StackedConv2d


class StackedUnpoolConv2d(StackedConv2d):
    """Nearest-neighbour unpooling by 2, then a convolution: (R, batch, inputs, H, W) → (R, batch, outputs, 2H, 2W).

    Computed as one transposed convolution with the kernel that the two make together: a quarter of the time, and the
    unpooled maps are never stored.
    """

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for one, weight, bias in zip(x, self.weight, self.bias, strict=True):
            box = weight.new_ones(1, 1, 2, 2)
            kernel = F.conv2d(weight.flip(-1, -2).flatten(0, 1)[:, None], box, padding=1)
            kernel = kernel.view(*weight.shape[:2], *kernel.shape[-2:]).transpose(0, 1)
            maps.append(F.conv_transpose2d(one, kernel, bias, stride=2, padding=1))
        return torch.stack(maps)


def pool(maps: Tensor) -> Tensor:
    """The largest of each 2×2 values: (R, n, C, H, W) → (R, n, C, H/2, W/2), without a gradient.

    torch's own takes several times longer on a CPU.
    """
    even, odd = maps[..., ::2, :], maps[..., 1::2, :]
    rows = torch.maximum(even, odd)
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


class StackedConvMaxpool2d(StackedConv2d):
    """A 3×3 convolution that keeps the size, then max-pooling by 2: (R, n, inputs, H, W) → (R, n, outputs, H/2, W/2).

    Maps are laid out channels last, which torch's pooling takes three times faster on a CPU. There, of images that are
    `mostly_dark` only what is lit is convolved.
    """

    mostly_dark = False

    def forward(self, x: Tensor) -> Tensor:
        convolve = convolve_lit if self.mostly_dark and x.is_cpu else convolve_all
        maps = [convolve(*one).permute(0, 2, 3, 1) for one in zip(x, self.weight, self.bias, strict=True)]
        return torch.stack(maps).permute(0, 1, 4, 2, 3)


def convolve_all(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3×3 convolution, pooled, of maps (n, inputs, H, W)."""
    return F.max_pool2d(F.conv2d(maps, weight, bias, padding=1), 2)


def convolve_lit(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """As `convolve_all`, for images (n, 1, H, W) of which few pixels are not 0.

    A pooled value sees 4×4 pixels, and is the bias where none of them is lit. The others are computed in one product.
    """
    lit = F.max_pool2d(images, 4, 2, padding=1).flatten().nonzero()[:, 0]
    patches = F.pad(images[:, 0], (1, 1, 1, 1)).unfold(1, 4, 2).unfold(2, 4, 2)  # (n, H/2, W/2, 4, 4)
    seen = patches[torch.unravel_index(lit, patches.shape[:3])].flatten(1)
    # The four convolutions that are pooled, each as a kernel on all 4×4 pixels.
    kernels = [F.pad(weight[:, 0], (x, 1 - x, y, 1 - y)).flatten(1) for y in (0, 1) for x in (0, 1)]
    values = (seen @ torch.cat(kernels).T).unflatten(1, (4, -1)).amax(1)
    places = patches.shape[:3]
    maps = values.new_zeros(places.numel(), len(bias)).index_put((lit,), values) + bias
    return maps.view(*places, -1).permute(0, 3, 1, 2)


def laid_in(ground: Tensor, maps: Tensor, corner: tuple[int, int]) -> Tensor:
    """A copy of `ground` (…, H, W) in which `maps` (…, h, w) lie with their first value at `corner`."""
    (top, left), (height, width) = corner, maps.shape[-2:]
    laid = ground.clone(memory_format=torch.contiguous_format)
    laid[..., top : top + height, left : left + width] = maps
    return laid


def convolve_window(
    convolution: StackedConv2d, maps: Tensor, corner: tuple[int, int], around: Tensor
) -> tuple[Tensor, tuple[int, int]]:
    """One 3×3 convolution, pooling and ReLU of maps known in a window: the maps after it, where they may differ.

    maps (R, n, C, h, w), or (1, n, C, h, w) for all replicas, lie at `corner`; outside their window all images have
    the values `around` (R or 1, 1, C, H, W).
    Returns the new maps and their corner, in pooled coordinates.
    """
    # A window of outputs reaches one further than that of the inputs, and whole squares are pooled.
    spans = [
        (max(0, (first - 1) // 2 * 2), min(whole, (first + length + 2) // 2 * 2))
        for first, length, whole in zip(corner, maps.shape[-2:], around.shape[-2:], strict=True)
    ]
    (top, bottom), (left, right) = spans
    # Padded by the zeros beyond the image's edge, so that the convolution itself needs no padding.
    ground = F.pad(around, (1, 1, 1, 1))[..., top : bottom + 2, left : right + 2]
    inputs = laid_in(ground.expand(-1, maps.shape[1], -1, -1, -1), maps, (corner[0] + 1 - top, corner[1] + 1 - left))
    if len(inputs) == 1:  # the images themselves: one convolution for all replicas
        maps = F.conv2d(inputs[0], convolution.weight.flatten(0, 1), convolution.bias.flatten())
        outputs = pool(maps[None]).relu().unflatten(2, convolution.bias.shape)[0].transpose(0, 1)
    else:
        layers = zip(inputs, convolution.weight, convolution.bias, strict=True)
        outputs = torch.stack([pool(F.conv2d(one, weight, bias)[None])[0].relu_() for one, weight, bias in layers])
    return outputs, (top // 2, left // 2)
