"""The optimisers: torch's own sums, without what torch.optim loads to do them."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from betavae.digest import PACKAGE
from betavae.optimiser import Optimiser
from betavae.systems import Player

RATE = 0.03
LEFT = [1.0, 0.5, 0.25, 0.0, 1.0]
CASES = {
    "adam": ({"optimiser": "adam"}, torch.optim.Adam, {}),
    "infogan": ({"optimiser": "adam", "momentum": 0.5, "decay": 0.99}, torch.optim.Adam, {"betas": (0.5, 0.99)}),
    "adagrad": (
        {"optimiser": "adagrad", "initial_accumulator": 0.1},
        torch.optim.Adagrad,
        {"initial_accumulator_value": 0.1},
    ),
}


def player_of(weights, shares=()):
    return Player([nn.Parameter(weight.clone()) for weight in weights], RATE, lambda images, inputs: None, shares)


@pytest.fixture
def drawn():
    """Three weights, and their gradients over five steps."""
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, 5, 3), (2, 1, 3), (2, 4)]
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    return weights, [[torch.randn(shape, generator=generator) for shape in shapes] for _ in LEFT]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shares", [(), (0.3, 1.0, 0.3)])
def test_weights_are_torchs_to_the_bit(drawn, case, shares):
    weights, steps = drawn
    settings, theirs, options = CASES[case]
    player = player_of(weights, shares)
    ours = Optimiser(player, settings)
    copies = [nn.Parameter(weight.clone()) for weight in weights]
    groups = [{"params": [copy], "share": share} for copy, share in zip(copies, shares or [1.0] * 3, strict=True)]
    reference = theirs(groups, lr=RATE, fused=True, **options)
    for gradients, left in zip(steps, LEFT, strict=True):
        for own, copy, gradient in zip(player.parameters, copies, gradients, strict=True):
            own.grad, copy.grad = gradient.clone(), gradient.clone()
        for group in reference.param_groups:
            group["lr"] = RATE * group["share"] * left
        reference.step()
        ours.set_rate(left)
        ours.step()
    for own, copy, first in zip(player.parameters, copies, weights, strict=True):
        assert torch.equal(own, copy)
        assert not torch.equal(own, first)


@pytest.mark.parametrize("case", CASES)
def test_one_with_the_same_state_goes_on_alike(drawn, case):
    weights, steps = drawn
    settings = CASES[case][0]
    player = player_of(weights)
    first = Optimiser(player, settings)

    def take(taker, optimiser, gradients):
        for own, gradient in zip(taker.parameters, gradients, strict=True):
            own.grad = gradient.clone()
        optimiser.step()

    for gradients in steps[:3]:
        take(player, first, gradients)
    other = player_of([weight.detach() for weight in player.parameters])
    second = Optimiser(other, settings)
    assert list(second.state) == list(first.state)
    for name, tensor in second.state.items():
        tensor.copy_(first.state[name])
    for gradients in steps[3:]:
        take(player, first, gradients)
        take(other, second, gradients)
    for own, copy in zip(player.parameters, other.parameters, strict=True):
        assert torch.equal(own, copy)


def test_dropped_gradients_are_gone(drawn):
    player = player_of(drawn[0])
    for own, gradient in zip(player.parameters, drawn[1][0], strict=True):
        own.grad = gradient
    Optimiser(player, CASES["adam"][0]).clear()
    assert [own.grad for own in player.parameters] == [None] * 3


def test_training_does_not_load_torchs_compiler():
    code = """
import sys
import torch
from torch import nn
from betavae import train
from betavae.optimiser import Optimiser
from betavae.systems import Player
own = nn.Parameter(torch.ones(3))
own.grad = torch.ones(3)
for settings in ({"optimiser": "adam"}, {"optimiser": "adagrad", "initial_accumulator": 0.1}):
    Optimiser(Player([own], 0.1, None), settings).step()
print(own.max().item() < 1, "torch._dynamo" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False"]
