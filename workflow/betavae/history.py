"""What is recorded of a training: means of its losses, and sheets of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from betavae import job


class History:
    """Means of what the losses report, over the steps between two records; kept on the device until read.

    And sheets of samples, where a system shows any: the step and images (R, n, 4096) uint8.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.steps: list[int] = []
        self.records: dict[str, list[Tensor]] = {}
        self.sheets: list[tuple[int, np.ndarray]] = []
        self.resumed: list[int] = []  # steps after which the training was resumed from a checkpoint
        self.seconds = 0.0  # that the processes before the last such resumption took
        self._sums: dict[str, Tensor] = {}
        self._summed = 0
        self._lost: set[int] = set()  # replicas that `lost` has named

    def add(self, step: int, losses: dict[str, Tensor], last: bool) -> bool:
        """Count in the losses of a step; close a record, and say so, at every `every`-th step and at the last."""
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._summed += 1
        if step % self.every and not last:
            return False
        self.steps.append(step)
        for name, total in self._sums.items():
            self.records.setdefault(name, []).append(total / self._summed)
        self._sums, self._summed = {}, 0
        return True

    def lost(self) -> list[int]:
        """Replicas whose last record is not finite, each named but once; waits for the device."""
        last = [values[-1].reshape(len(values[-1]), -1) for values in self.records.values()]
        finite = torch.stack([each.isfinite().all(1) for each in last]).all(0).tolist()
        found = [replica for replica, well in enumerate(finite) if not well and replica not in self._lost]
        self._lost.update(found)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """step (records,) and each loss (records, R, …)."""
        stacked = {name: torch.stack(values).cpu().numpy() for name, values in self.records.items()}
        return {"step": np.array(self.steps, np.int64), **stacked}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All of it, open sums and sheets included: tensors, and what is no tensor."""
        tensors = {f"record.{name}": torch.stack(values) for name, values in self.records.items()}
        tensors |= {f"sum.{name}": total for name, total in self._sums.items()}
        tensors |= {f"sheet.{number}": torch.from_numpy(images) for number, (_, images) in enumerate(self.sheets)}
        return tensors, {
            "steps": self.steps,
            "records": list(self.records),  # the names, in order
            "sums": list(self._sums),
            "summed": self._summed,
            "shown": [step for step, _ in self.sheets],
            "resumed": self.resumed,
            "seconds": self.seconds + job.seconds(),
        }

    def restore(self, tensors: dict[str, Tensor], notes: dict[str, Any], device: torch.device) -> None:
        """Take over what `state` gave."""
        self.steps, self._summed = notes["steps"], notes["summed"]
        self.resumed, self.seconds = notes["resumed"], notes["seconds"]
        self.records = {name: list(tensors[f"record.{name}"].to(device)) for name in notes["records"]}
        self._sums = {name: tensors[f"sum.{name}"].to(device) for name in notes["sums"]}
        self.sheets = [(step, tensors[f"sheet.{number}"].numpy()) for number, step in enumerate(notes["shown"])]
