"""Which of a factor's values a training step draws from (ours): few neighbouring ones at first, all of them later."""

from __future__ import annotations

import numpy as np

ALL = {"share": 1, "from": 0, "to": 0}  # a factor of which no step leaves out any value


def window(steps: range, size: int, growth: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """The first value's number (steps,) that each step draws from, and how many values (steps,), of a factor of `size`.

    growth: up to the step "from" (steps count from 0) the middle `share` of all values, one at least; their number
    then grows linearly, to all of them from the step "to" on. It follows from the step alone, however often a training
    was interrupted.
    """
    number = np.arange(steps.start, steps.stop)
    passed = np.clip(number - growth["from"], 0, None) / max(growth["to"] - growth["from"], 1)
    done = np.where(number < growth["to"], passed, 1)
    share = growth["share"] + (1 - growth["share"]) * done
    count = np.clip(np.rint(share * size).astype(int), 1, size)
    return (size - count) // 2, count
