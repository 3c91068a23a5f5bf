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
        # One stream for all that comes before the first replay: the allocator keeps the blocks of each by themselves.
        self._aside = cuda.Stream()
        self._graph, self._captured = cuda.CUDAGraph(), False
        self._inputs: dict[str, Tensor] = {}
        self._recorded: dict[str, Tensor] = {}

    def __call__(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take one step. What it returns is the caller's own, and stays as it is through later steps."""
        self._taken += 1
        if self._taken <= WARM_UP:
            return self._warm_up(inputs)
        if self._taken == WARM_UP + 1:
            self._capture(inputs)
        if not self._captured:
            return self._step(inputs)
        for name, held in self._inputs.items():
            held.copy_(inputs[name])
        self._graph.replay()
        return {name: value.clone() for name, value in self._recorded.items()}

    def _warm_up(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take a step as it is, aside as steps before a capture have to be."""
        here = cuda.current_stream()
        self._aside.wait_stream(here)
        with cuda.stream(self._aside):
            recorded = self._step(inputs)
        here.wait_stream(self._aside)
        return recorded

    def _capture(self, inputs: dict[str, Tensor]) -> None:
        """Record a step's launches, none of which is carried out."""
        self._inputs = {name: value.clone() for name, value in inputs.items()}
        try:
            # A capture that fails leaves its own stream current.
            with cuda.stream(cuda.current_stream()), cuda.graph(self._graph, stream=self._aside):
                self._recorded = self._step(self._inputs)
            self._captured = True
        except RuntimeError as error:
            # That the capture could not be ended hides why.
            why = " ".join(str(error.__context__ or error).split())
            job.tell(f"a step cannot be captured as a CUDA graph and runs launch by launch: {why}")
