"""The code that docs/extending.md tells people to paste: it runs as it stands there."""

import re
import sys
import textwrap
import types

import numpy as np
import pytest
import torch
import yaml

from betavae import systems
from betavae.labelled import label
from betavae.train import train
from running import ROOT

DOC = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def pasted(path):
    """The code that the document puts into a file."""
    return textwrap.dedent(re.search(rf"`{re.escape(path)}`.*?```python\n(.*?)```", DOC, re.DOTALL)[1])


def defaults(name):
    """The settings that a section of the schema in the document stands for."""
    section = textwrap.dedent(re.search(rf"```yaml\n( +{name}:.*?)```", DOC, re.DOTALL)[1])
    return {key: one["default"] for key, one in yaml.safe_load(section)[name]["properties"].items()}


@pytest.fixture
def autoencoder(monkeypatch):
    module = types.ModuleType("betavae.autoencoder")
    monkeypatch.setitem(sys.modules, "betavae.autoencoder", module)
    monkeypatch.setattr(systems, "SYSTEMS", (*systems.SYSTEMS, "autoencoder"))
    exec(pasted("workflow/betavae/autoencoder.py"), module.__dict__)
    return module


def test_the_model_trains_and_encodes(autoencoder, bits, grid, pixels):
    settings = defaults("autoencoder") | {"system": "autoencoder", "seeds": [0, 1], "steps": 30, "record_every": 10}
    network, history = train(settings, bits, grid, torch.device("cpu"), "autoencoder")
    loss = history.arrays()["loss"]
    assert loss.shape == (3, 2)
    assert (loss[-1] < 0.7 * loss[0]).all()
    codes, logvar = network.encode_lit(torch.from_numpy(pixels[:5]), torch.arange(4096))
    assert codes.shape == (2, 5, settings["latents"])
    assert logvar is None


def test_the_metric_counts_live_latents(grid):
    module = {}
    exec(pasted("workflow/betavae/occupancy.py"), module)
    codes = np.random.default_rng(0).standard_normal((grid.images, 4)).astype(np.float32) * [1, 1, 1, 1e-4]
    labelled = label(codes, grid, grid.names, 0, 0.05)
    assert module["occupancy"](labelled, defaults("occupancy")) == {"score": 0.75}
    assert module["occupancy"](labelled, {"most": 0.5}) == {"score": 0.5}


def test_the_stand_in_renders_every_combination_once():
    module = {}
    exec(pasted("workflow/betavae/standin_balls.py"), module)
    balls = module["grid"]({"radius": 3, "lighting": 4})
    images = np.concatenate([module["block"](balls, number) for number in range(module["blocks"](balls))])
    assert images.shape == (balls.images, 64, 64, module["CHANNELS"])
    lit = (images > 0).sum((1, 2, 3)).reshape(balls.sizes)
    np.testing.assert_allclose(lit, np.pi * balls.values[0][:, None] ** 2 * np.ones(4), rtol=0.05)
    right = images[..., 32:, :].sum((1, 2, 3), dtype=int) - images[..., :32, :].sum((1, 2, 3), dtype=int)
    assert (np.sign(right.reshape(balls.sizes)) == [-1, -1, 1, 1]).all()
