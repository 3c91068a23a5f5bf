"""A step as one CUDA graph: with a GPU, that it does what the step does; without, all that can be told of it."""

import contextlib

import numpy as np
import pytest
import torch

from betavae import captured
from betavae.captured import WARM_UP, Captured
from betavae.dcign_layers import convolve_lit
from betavae.optimiser import Optimiser
from betavae.train import Run, build, step_of, take_turns, train, training_steps
from test_checkpoint import COMMON, SYSTEMS

CPU, META = torch.device("cpu"), torch.device("meta")
CONV_VAE = COMMON | {
    "system": "conv_vae",
    "beta": 4.0,
    "colours": 1,
    "channels": [2, 3, 4, 5],
    "units": 8,
    "latents": 3,
    "sigma": 0.1,
    "steps": 20,
    "learning_rate": 1e-3,
}
ALL = SYSTEMS | {"conv_vae": CONV_VAE}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


class Pretended:
    """What `captured` asks of torch.cuda, on a CPU: a capture carries out nothing, a replay all of it."""

    def __init__(self, state):
        self.state, self.step, self.replays = state, None, 0

    @contextlib.contextmanager
    def graph(self, graph, stream):
        before = [tensor.detach().clone() for tensor in self.state]
        yield
        with torch.no_grad():
            for tensor, value in zip(self.state, before, strict=True):
                tensor.copy_(value)

    def CUDAGraph(self):
        return self

    def replay(self):
        self.replays += 1
        for name, value in self.step._step(self.step._inputs).items():
            self.step._recorded[name].copy_(value)

    def Stream(self):
        return self

    current_stream = Stream

    def stream(self, stream):
        return contextlib.nullcontext()

    def wait_stream(self, stream):
        pass


def colours(system, bits):
    """The images that a system takes: packed, or grey pictures."""
    return bits if system != "conv_vae" else np.unpackbits(bits, axis=1).reshape(-1, 64, 64, 1) * np.uint8(255)


@pytest.mark.parametrize("system", ALL)
def test_replays_with_new_inputs_train_as_the_steps_themselves(bits, grid, monkeypatch, system):
    settings, images = ALL[system] | {"anneal": 0.5, "steps": 20}, colours(system, bits)
    plain = Run(settings, CPU)
    steps = training_steps(plain.turns, settings, images, grid, CPU)
    expected = [next(steps) for _ in range(20)]

    run = Run(settings, CPU)
    state = [*run.network.state_dict().values(), *(each for _, its in run.turns for each in its.state.values())]
    cuda = Pretended(state)
    monkeypatch.setattr(captured, "cuda", cuda)
    cuda.step = Captured(step_of(run.turns, settings, torch.from_numpy(images)))
    monkeypatch.setattr("betavae.train.step_of", lambda *_: cuda.step)
    steps = training_steps(run.turns, settings, images, grid, CPU)
    found = [next(steps) for _ in range(20)]

    assert cuda.replays == 20 - WARM_UP
    for ours, theirs in zip(found, expected, strict=True):  # what was recorded earlier is as it was
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for name, weight in plain.network.state_dict().items():
        assert torch.equal(run.network.state_dict()[name], weight), name


def test_a_step_that_cannot_be_captured_goes_on_launch_by_launch_and_says_so(monkeypatch, capsys):
    cuda, tries, called = Pretended([]), [], []

    @contextlib.contextmanager
    def refuse(graph, stream):
        tries.append(graph)
        try:
            yield
        finally:
            raise RuntimeError("failed due to a previous error\nduring capture")

    def step_once(inputs):
        if tries and not called:  # as it is captured
            called.append(True)
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        return {"loss": inputs["x"] + 1}

    cuda.graph = refuse
    monkeypatch.setattr(captured, "cuda", cuda)
    step = Captured(step_once)
    found = [step({"x": torch.tensor(float(number))})["loss"].item() for number in range(10)]
    assert found == [number + 1.0 for number in range(10)]
    assert (len(tries), cuda.replays) == (1, 0)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith("launch by launch: operation not permitted when stream is capturing")


@pytest.mark.parametrize("system", ALL)
def test_no_step_waits_for_its_device(bits, grid, monkeypatch, system):
    """Tensors without values (device meta) take the ways of a GPU, and refuse whatever needs to know a value."""
    settings, images = ALL[system], colours(system, bits)
    monkeypatch.setattr(Optimiser, "step", lambda self: None)  # torch's kernel, which has no form without values
    steps = training_steps(take_turns(build(settings, META), settings), settings, images, grid, META)
    for recorded in (next(steps), next(steps)):
        assert all(value.device == META and len(value) == 2 for value in recorded.values())


def test_what_waits_is_refused_without_values():
    with pytest.raises((RuntimeError, NotImplementedError)):
        convolve_lit(torch.zeros(2, 1, 64, 64, device=META), torch.zeros(3, 1, 3, 3, device=META), torch.zeros(3))


@needs_gpu
@pytest.mark.parametrize("system", ALL)
def test_a_training_on_a_gpu_is_captured_and_agrees_with_the_cpus(bits, grid, monkeypatch, capsys, system):
    settings, images, cuda = ALL[system] | {"steps": 20}, colours(system, bits), torch.device("cuda")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    ours, history = train(settings, images, grid, cuda, "captured")
    assert "cannot be captured" not in capsys.readouterr().err
    monkeypatch.setattr(Captured, "__call__", lambda self, inputs: self._step(inputs))
    launched, _ = train(settings, images, grid, cuda, "launched")
    for name, weight in launched.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weight, rtol=1e-5, atol=1e-6)
    _, theirs = train(settings, images, grid, CPU, "cpu")
    for name, values in theirs.arrays().items():
        if name == "accuracy":  # counts images, of which rounding may move one across the line
            continue
        np.testing.assert_allclose(history.arrays()[name], values, rtol=1e-2, atol=1e-2)
