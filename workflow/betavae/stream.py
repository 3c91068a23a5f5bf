"""Random streams: one for each seed and purpose, drawn on the CPU, so the same on every device."""

from __future__ import annotations

import numpy as np


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The random stream of `seed` for one purpose and, within it, for `numbers` (a block of steps, say)."""
    return np.random.default_rng([seed, *purpose.encode(), *numbers])
