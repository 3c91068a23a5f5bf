"""benchmarks/optimum.py, features.py and parts.py: codes that are taught and let go, what the units before them tell,
and the parts of codes that are scored.
"""

import features
import numpy as np
import optimum
import parts
import pytest
import torch

from betavae.device import floats
from betavae.factor_shares import followed, live_latents, responses, summary, turns_by_shape
from betavae.factors import FactorGrid
from betavae.train import Run, training_steps

CPU = torch.device("cpu")
SETTINGS = {
    "system": "vae",
    "beta": 4.0,
    "latents": 6,
    "seeds": [3, 1],
    "width": 32,
    "batch": 16,
    "steps": 100,
    "record_every": 30,
    "threads": 1,
    "optimiser": "adam",
    "learning_rate": 3e-3,
    "initial_accumulator": 0.1,
}


def distance(run, bits, targets):
    """Mean squared distance of the first posterior means to what they are drawn to, (R, latents)."""
    with torch.no_grad():
        mean, _ = run.network.encode(floats(torch.from_numpy(bits)).expand(2, -1, -1))
    return (mean[..., : targets.shape[1]].numpy() - targets) ** 2


def test_the_codes_that_are_taught_are_clean():
    grid = FactorGrid.thinned({"posX": 4, "posY": 4})
    codes = optimum.factor_codes(grid)
    found = responses(codes, grid)
    assert np.allclose(codes.mean(0), 0, atol=0.05)
    assert np.allclose(codes.std(0), 1, atol=0.15)
    words = summary(followed(found, grid, live_latents(found.variance, None)))
    assert words == "two of position (turned by 0°, 0°), one of scale, two of rotation; none dead"
    assert turns_by_shape(found, grid)[:, 3:].tolist() == [[4, 4], [2, 2], [1, 1]]
    np.testing.assert_array_equal(optimum.factor_codes(grid, rotation=False), codes[:, :3])


def test_the_pull_is_held_and_then_ends():
    assert [optimum.pull_at(step, 100, 8.0) for step in (1, 50, 75, 100, 101, 500)] == [8, 8, 4, 0, 0, 0]
    assert optimum.pull_at(1, 0, 8.0) == 0


def test_a_pull_draws_the_means_and_none_changes_nothing(bits, grid):
    targets = optimum.factor_codes(grid)
    runs = {}
    for name, strength in (("free", None), ("let go", 0.0), ("drawn", 50.0)):
        runs[name] = Run(SETTINGS, CPU)
        turns = runs[name].turns
        if strength is not None:
            turns = optimum.taught_turns(runs[name], targets, torch.tensor(strength))
        steps = training_steps(turns, SETTINGS, bits, grid, CPU)
        for _ in range(100):
            next(steps)
    for free, let_go in zip(runs["free"].network.parameters(), runs["let go"].network.parameters(), strict=True):
        assert torch.equal(free, let_go)
    drawn, free = (distance(runs[name], bits, targets).mean((0, 1)) for name in ("drawn", "free"))
    assert (drawn[:3] < 0.5).all(), "position and scale are drawn to their values within a hundred steps"
    assert (drawn < free).all()


def test_the_rim_is_left_out_on_every_side():
    grid = FactorGrid.thinned({"posX": 4, "posY": 4, "orientation": 8})
    classes = grid.classes()
    codes, inner = parts.within(classes.astype(np.float32), grid, 2)
    assert inner.sizes == (3, 6, 5, 4, 4)
    kept = ((classes[:, 3:] >= 2) & (classes[:, 3:] < 6)).all(1)
    np.testing.assert_array_equal(codes, classes[kept])
    np.testing.assert_array_equal(inner.factor_values(), grid.factor_values()[kept])
    whole, same = parts.within(classes, grid, 0)
    assert same.sizes == grid.sizes
    np.testing.assert_array_equal(whole, classes)


def test_dead_latents_are_left_out_whether_or_not_there_is_a_posterior():
    codes = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32) * np.float32([1, 0.2, 0.05])
    variance = np.float32([0.01, 0.96, 0.99])  # 1.8, 0.02 and 0.001 nats
    alone = parts.live_alone(codes, np.broadcast_to(np.log(variance), codes.shape))
    np.testing.assert_array_equal(alone, codes * np.float32([1, 0, 0]))
    np.testing.assert_array_equal(parts.live_alone(codes, None), codes * np.float32([1, 1, 0]))


def test_what_units_tell_is_read_on_images_that_the_regression_has_not_seen():
    rng = np.random.default_rng(0)
    units = rng.standard_normal((4000, 30))
    noise = rng.standard_normal(4000)
    targets = np.stack([units[:, 0], units[:, 1] + noise, noise], axis=1)
    np.testing.assert_allclose(features.read(units, targets), [1, 0.5, 0], atol=0.03)


def test_units_that_hold_the_factors_tell_them_and_rotation_of_one_shape_alone():
    grid = FactorGrid.thinned({"posX": 4, "posY": 4})
    codes, shapes = optimum.factor_codes(grid), grid.classes()[:, 0]
    units = codes * (np.arange(5) < 3)  # position and scale, for all
    units[shapes == 1, 3:] = codes[shapes == 1, 3:]  # rotation of ellipses
    told = features.told(units, codes, shapes)
    expected = {
        "position": 1,
        "scale": 1,
        "rotation": 1 / 3,
        "of the square": 0,
        "of the ellipse": 1,
        "of the heart": 0,
    }
    assert told == pytest.approx(expected, abs=0.03)


def test_features_are_the_units_that_the_codes_are_made_of(bits):
    network = Run(SETTINGS, CPU).network
    units = features.features(network, bits[:50], batch=16)
    assert units.shape == (2, 50, 32)
    with torch.no_grad():
        mean, logvar = network.posterior_of(network.encoder[-1](torch.from_numpy(units)))
        expected = network.encode(floats(torch.from_numpy(bits[:50])).expand(2, -1, -1))
    torch.testing.assert_close((mean, logvar), expected)
