"""A training step as one CUDA graph: its hundred launches become one, and cost the CPU no time."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, cuda

from betavae import job

# A step's random inputs (R, …) by name → what is recorded of it (R, …). All else that may change between two steps is
# read from tensors, or a replay would not know of it.
Step = Callable[[dict[str, Tensor]], dict[str, Tensor]]

WARM_UP = 3  # steps that run launch by launch at first: libraries choose their kernels and allocate what they keep


class Captured:
    """A step on a GPU that takes the same inputs and does the same sums, from the WARM_UP-th on as a replay.

    A step that cannot be captured (it waits for the device, say) goes on launch by launch, and the log says so.
    """

    def __init__(self, step: Step) -> None:
        self._step, self._taken = step, 0
        self._graph: cuda.CUDAGraph | None = None
        self._inputs: dict[str, Tensor] = {}
        self._recorded: dict[str, Tensor] = {}

    def __call__(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take one step. What it returns is the caller's own, and stays as it is through later steps."""
        if self._taken == WARM_UP:
            self._capture(inputs)
        self._taken += 1
        if not self._graph:
            return self._launch(inputs)
        for name, held in self._inputs.items():
            held.copy_(inputs[name])
        self._graph.replay()
        return {name: value.clone() for name, value in self._recorded.items()}

    def _launch(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take a step as it is, on a stream of its own as steps before a capture have to."""
        here, aside = cuda.current_stream(), cuda.Stream()
        aside.wait_stream(here)
        with cuda.stream(aside):
            recorded = self._step(inputs)
        here.wait_stream(aside)
        return recorded

    def _capture(self, inputs: dict[str, Tensor]) -> None:
        """Record a step's launches, none of which is carried out."""
        self._inputs = {name: value.clone() for name, value in inputs.items()}
        graph = cuda.CUDAGraph()
        try:
            # A capture that fails leaves its own stream current.
            with cuda.stream(cuda.current_stream()), cuda.graph(graph):
                self._recorded = self._step(self._inputs)
        except RuntimeError as error:
            job.tell(f"a step cannot be captured as a CUDA graph and runs launch by launch: {error}")
        else:
            self._graph = graph
