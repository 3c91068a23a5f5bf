"""The device that tensors live on, and what must be said of it once."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from betavae.errors import UserError
from betavae.gpus import claim
from betavae.images import BYTES


def pick_device(name: str) -> torch.device:
    """The device called `name`, said in the log: cpu, cuda, or auto, which is cuda where there is one.

    Of several GPUs it is one that no other job of this machine uses.
    """
    if name != "cpu":
        claim()
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "device: cuda was asked for and torch sees none; expected a CUDA device, or device: auto or cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # which torch allows convolutions by default, and nothing else
    print(f"device: {torch.cuda.get_device_name() if name == 'cuda' else name}", flush=True)
    return torch.device(name)


def prepare_cpu(threads: int) -> None:
    """Use this many threads: sums differ in the last bits with their number, so it is a setting.

    And let glibc keep what is freed: else each step gives its gradients back to the kernel and faults them in again.
    """
    torch.set_num_threads(threads)
    with contextlib.suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            glibc.mallopt(option, 1 << 30)


# What torch calls the precision of float32 matrix products. `tf32` is CUDA's; a CPU has none and computes in float32.
PRECISIONS = {"float32": "highest", "tf32": "high", "bfloat16": "medium"}


@contextlib.contextmanager
def matrix_precision(name: str) -> Iterator[None]:
    """Within the block, matrix products of fully connected layers round their factors to this precision; convolutions
    do where it is tf32.
    """
    convolutions = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), convolutions.allow_tf32
    torch.set_float32_matmul_precision(PRECISIONS[name])
    convolutions.allow_tf32 = name == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        convolutions.allow_tf32 = before[1]


def reduced(factor: Tensor) -> Tensor:
    """A factor of a matrix product as it is to be multiplied: bfloat16 where that precision is set, else as it is."""
    return factor.bfloat16() if torch.get_float32_matmul_precision() == PRECISIONS["bfloat16"] else factor


def unpack_floats(bits: Tensor) -> Tensor:
    """Bits (..., B) uint8 as pixels (..., 8 B) float32, 0 or 1, on the bits' device: a table look-up."""
    values = torch.arange(256, device=bits.device)[:, None] >> torch.arange(7, -1, -1, device=bits.device)
    return F.embedding(bits.int(), (values & 1).float()).flatten(-2)


def floats(stored: Tensor) -> Tensor:
    """Stored images as networks take them: packed (…, 512) → (…, 4096), pictures (…, 64, 64, C) → (…, C · 4096), one
    colour after the other; float32 in [0, 1], on the same device.
    """
    if stored.shape[-1] == BYTES:
        return unpack_floats(stored)
    return stored.movedim(-1, -3).flatten(-3).float() / 255
