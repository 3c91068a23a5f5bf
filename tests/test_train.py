import json

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from betavae import train as training
from betavae.errors import UserError
from betavae.models import load_model
from betavae.optimiser import Optimiser
from betavae.train import (
    BLOCK,
    History,
    build,
    diverged,
    draw_block,
    rate_left,
    take_turns,
    train,
    training_steps,
)
from betavae.vae import beta_through, players

CPU = torch.device("cpu")
ADAGRAD = {"optimiser": "adagrad", "learning_rate": 1e-2, "initial_accumulator": 0.1}
ADAM = {"optimiser": "adam", "learning_rate": 1e-3, "initial_accumulator": 0.1}
SETTINGS = {
    "system": "vae",
    "beta": 4.0,
    "latents": 5,
    "seeds": [3, 1, 4],
    "width": 32,
    "batch": 16,
    "steps": 100,
    "record_every": 30,
    "threads": 1,
    **ADAM,
}


def weights(network, replica):
    """All weights of one replica as one vector."""
    return torch.cat([parameter.detach()[replica].flatten() for parameter in network.parameters()])


def relative_difference(ours, theirs):
    return (torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs)).item()


@pytest.fixture(scope="module")
def trained(bits, grid):
    """A stack of three, trained once: the network and its history."""
    return train(SETTINGS, bits, grid, CPU, "test")


# Replicas ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ADAGRAD, ADAM], ids=lambda settings: settings["optimiser"])
def test_a_replica_of_a_stack_agrees_with_the_network_trained_alone(bits, grid, kind):
    settings = SETTINGS | kind
    stack, history = train(settings, bits, grid, CPU, "stack")
    for replica, seed in enumerate(settings["seeds"]):
        alone, own_history = train(settings | {"seeds": [seed]}, bits, grid, CPU, "alone")
        assert relative_difference(weights(stack, replica), weights(alone, 0)) < 1e-5
        ours, theirs = history.arrays()["loss"][:, replica], own_history.arrays()["loss"][:, 0]
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert relative_difference(weights(stack, 0), weights(stack, 1)) > 0.1


def test_layers_that_face_pixels_learn_at_their_share_of_the_rate(bits, grid):
    """Adam's first step moves each weight by its learning rate, whatever the gradient."""
    settings = SETTINGS | {"pixel_rate": {"reading": 0.25, "drawing": 0.5}, "steps": 1}
    before, (after, _) = build(settings, CPU), train(settings, bits, grid, CPU, "one step")
    shares = {"encoder.0": 0.25, "decoder.6": 0.5}
    for (name, start), end in zip(before.named_parameters(), after.parameters(), strict=True):
        moved = (end - start).abs().max().item()
        share = shares.get(name.rpartition(".")[0], 1.0)
        assert moved == pytest.approx(share * SETTINGS["learning_rate"], rel=1e-3), name


def test_the_rate_of_all_layers_falls_to_zero(bits, grid, monkeypatch):
    rates, settings = [], SETTINGS | {"pixel_rate": {"reading": 0.5, "drawing": 0.5}, "anneal": 0.5, "steps": 10}
    monkeypatch.setattr(torch, "_fused_adam_", lambda *args, lr, **options: rates.append(lr.item()))
    steps = training_steps(take_turns(build(settings, CPU), settings), settings, bits, grid, CPU)
    for _ in range(10):
        next(steps)
    inner = [1e-3] * 6 + [0.8e-3, 0.6e-3, 0.4e-3, 0.2e-3]
    np.testing.assert_allclose(np.reshape(rates, (10, 2)), np.outer(inner, [0.5, 1.0]), rtol=1e-9)


def test_training_lowers_the_loss(trained):
    loss = trained[1].arrays()["loss"]
    assert (loss[-1] < 0.5 * loss[0]).all()


def test_a_run_on_the_cpu_is_reproducible_to_the_bit(bits, grid, trained):
    network, history = train(SETTINGS, bits, grid, CPU, "again")
    for ours, theirs in zip(network.parameters(), trained[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for name, array in history.arrays().items():
        np.testing.assert_array_equal(array, trained[1].arrays()[name])


@pytest.mark.parametrize("accumulator", [0.1, 0.5])
def test_the_first_adagrad_step_is_the_closed_form(bits, accumulator):
    settings = SETTINGS | ADAGRAD | {"initial_accumulator": accumulator}
    before, stepped = build(settings, CPU), build(settings, CPU)
    its = Optimiser(players(stepped, settings)[0], settings)
    images = torch.from_numpy(np.unpackbits(bits[:48], axis=1)).float().reshape(3, 16, 4096)
    noise = torch.randn(3, 16, 5, generator=torch.Generator().manual_seed(0))
    drawn = {"noise": noise, "beta": torch.full((3,), 4.0)}
    for network in (before, stepped):
        players(network, settings)[0].losses(images, drawn)[0].sum().backward()
    its.step()
    for old, new in zip(before.parameters(), stepped.parameters(), strict=True):
        expected = old - 1e-2 * old.grad / (accumulator + old.grad.square()).sqrt()
        torch.testing.assert_close(new, expected, rtol=1e-5, atol=1e-7)


def test_no_steps_leave_the_initial_weights(bits, grid):
    network, history = train(SETTINGS | {"steps": 0}, bits, grid, CPU, "untrained")
    for ours, theirs in zip(network.parameters(), build(SETTINGS, CPU).parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert history.arrays()["step"].shape == (0,)


def test_a_rate_that_is_annealed_falls_to_zero_linearly_at_the_end():
    settings = {"steps": 100, "anneal": 0.4}
    assert [rate_left(step, settings) for step in (1, 60, 61, 81, 100, 101)] == [1, 1, 1, 0.5, 0.025, 0]
    assert rate_left(100, {"steps": 100}) == rate_left(100, settings | {"anneal": 0.0}) == 1


def test_the_last_of_two_annealed_steps_of_adam_is_half_as_long(bits, grid):
    moved = []
    for anneal in (0.0, 1.0):
        networks = [
            train(SETTINGS | {"steps": steps, "anneal": anneal}, bits, grid, CPU, "test")[0] for steps in (1, 2)
        ]
        moved.append(weights(networks[1], 0) - weights(networks[0], 0))
    torch.testing.assert_close(moved[1], moved[0] / 2, rtol=1e-3, atol=1e-6)


def test_an_early_beta_is_held_and_then_comes_down_to_what_it_is_called():
    early = {"beta": 4.0, "steps": 100, "early_beta": {"times": 3, "hold": 0.25, "gone": 0.5}}
    whole = beta_through(range(120), early)
    assert whole[[0, 25, 30, 45, 50, 99, 119]] == pytest.approx([12, 12, 10.4, 5.6, 4, 4, 4])
    np.testing.assert_array_equal(beta_through(range(40, 60), early), whole[40:60])
    at_once = early | {"early_beta": {"times": 3, "hold": 0.5, "gone": 0.1}}
    assert beta_through(range(100), at_once)[[49, 50]] == pytest.approx([12, 4])
    for constant in ({}, {"early_beta": {"times": 1, "hold": 0, "gone": 0}}):
        assert set(beta_through(range(100), {"beta": 7.5, "steps": 100} | constant)) == {7.5}


def test_early_steps_are_those_of_a_training_at_the_larger_beta(bits, grid):
    settings = SETTINGS | {"steps": 8, "record_every": 4}
    early = settings | {"early_beta": {"times": 3, "hold": 0.5, "gone": 0.5}}
    loss = {
        name: train(chosen, bits, grid, CPU, "test")[1].arrays()["loss"]
        for name, chosen in {"early": early, "larger": settings | {"beta": 12.0}, "constant": settings}.items()
    }
    np.testing.assert_array_equal(loss["early"][0], loss["larger"][0])
    assert (loss["early"][1] < loss["larger"][1]).all()
    assert (loss["early"][0] > loss["constant"][0]).all()


# Random numbers ---------------------------------------------------------------------------------------


def test_draws_depend_on_the_seed_and_the_block_only(grid):
    drawn, alone = draw_block(SETTINGS, grid, 2), draw_block(SETTINGS | {"seeds": [1]}, grid, 2)
    for name, array in drawn.items():
        np.testing.assert_array_equal(array[:, 1], alone[name][:, 0])
    for other in (draw_block(SETTINGS | {"seeds": [2]}, grid, 2), draw_block(SETTINGS | {"seeds": [1]}, grid, 3)):
        assert (other["images"] != alone["images"]).mean() > 0.99
        assert abs(np.corrcoef(other["noise"].ravel(), alone["noise"].ravel())[0, 1]) < 0.05


def test_draws_cover_the_images_uniformly_and_the_noise_is_standard_normal(grid):
    drawn = draw_block(SETTINGS | {"seeds": [0, 1], "batch": 64}, grid, 0)
    images, noise = drawn["images"], drawn["noise"]
    assert images.shape == (BLOCK, 2, 64)
    counts = np.bincount(images.ravel(), minlength=grid.images)
    assert len(counts) == grid.images
    assert (counts.var() / counts.mean()) == pytest.approx(1.0, abs=0.15)
    assert noise.dtype == np.float32
    assert noise.shape == (BLOCK, 2, 64, 5)
    assert (noise.mean(), noise.std()) == pytest.approx((0.0, 1.0), abs=0.01)


# Divergence -------------------------------------------------------------------------------------------


def test_a_replica_that_diverges_is_reported_and_leaves_its_siblings_alone(bits, grid, trained, monkeypatch, capsys):
    def poison(network, seeds):
        initialise(network, seeds)
        with torch.no_grad():
            network.encoder[0].weight[1, 2000, 7] = torch.nan

    initialise = training.initialise
    monkeypatch.setattr(training, "initialise", poison)
    network, history = train(SETTINGS, bits, grid, CPU, "poisoned")
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "diverged" in line]
    assert said.startswith("poisoned: replicas [1] diverged by step 30 "), "once, while it is still running"
    assert diverged(history.arrays(), network) == [1]
    for replica in (0, 2):
        assert torch.equal(weights(network, replica), weights(trained[0], replica))
        np.testing.assert_array_equal(history.arrays()["loss"][:, replica], trained[1].arrays()["loss"][:, replica])


def test_healthy_replicas_are_not_called_diverged(trained):
    assert diverged(trained[1].arrays(), trained[0]) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_was_ever_not_finite_counts_as_diverged(trained, value):
    loss = np.ones((4, 3))
    loss[1, 2] = value
    assert diverged({"loss": loss}, trained[0]) == [2]


# History ----------------------------------------------------------------------------------------------


def test_records_are_means_and_the_last_may_be_shorter():
    history = History(3)
    for step in range(1, 6):
        values = {"loss": torch.tensor([1.0, 10.0]) * step, "kl": torch.full((2, 4), float(step))}
        history.add(step, values, last=step == 5)
    arrays = history.arrays()
    assert arrays["step"].tolist() == [3, 5]
    np.testing.assert_allclose(arrays["loss"], [[2.0, 20.0], [4.5, 45.0]])
    np.testing.assert_allclose(arrays["kl"], np.stack([np.full((2, 4), 2.0), np.full((2, 4), 4.5)]))


def test_an_interval_that_ends_with_the_run_gives_no_empty_record():
    history = History(2)
    for step in range(1, 5):
        history.add(step, {"loss": torch.tensor([float(step)])}, last=step == 4)
    assert history.arrays()["step"].tolist() == [2, 4]
    np.testing.assert_allclose(history.arrays()["loss"], [[1.5], [3.5]])


def test_the_history_of_a_run_obeys_the_objective(trained):
    arrays = trained[1].arrays()
    assert arrays["step"].tolist() == [30, 60, 90, 100]
    assert arrays["kl"].shape == (4, 3, 5)
    np.testing.assert_allclose(arrays["loss"], arrays["reconstruction"] + 4.0 * arrays["kl"].sum(-1), rtol=1e-5)


# Files ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(data, tmp_path_factory):
    """The folder where train.main wrote beta4.safetensors and beta4.history.h5."""
    folder = tmp_path_factory.mktemp("models")
    training.main(
        bits=data / "dsprites_bits.npy",
        dataset=data / "dsprites.h5",
        model=folder / "beta4.safetensors",
        history=folder / "beta4.history.h5",
        settings=json.dumps(SETTINGS),
        device="cpu",
    )
    return folder


def test_the_model_file_reads_back_as_the_network_that_was_trained(files, trained):
    network, settings = load_model(files / "beta4.safetensors", CPU)
    assert settings == SETTINGS
    assert network.state_dict().keys() == trained[0].state_dict().keys()
    for ours, theirs in zip(network.parameters(), trained[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert not ours.requires_grad


def test_the_files_say_which_settings_and_code_made_them(files, trained):
    with h5py.File(files / "beta4.history.h5") as file:
        for name, array in trained[1].arrays().items():
            np.testing.assert_array_equal(file[name][:], array)
        attributes = dict(file.attrs)
    with safe_open(files / "beta4.safetensors", framework="pt") as file:
        assert file.metadata() == attributes
    assert json.loads(attributes["settings"]) == SETTINGS
    assert json.loads(attributes["diverged"]) == []
    provenance = json.loads(attributes["provenance"])
    assert provenance["device"] == "cpu"
    assert {"git_commit", "code_digest", "versions", "seconds"} <= provenance.keys()


def truncated(whole, path):
    path.write_bytes(whole.read_bytes()[:-1000])


def cut_in_its_header(whole, path):
    path.write_bytes(whole.read_bytes()[:100])


def something_else(whole, path):
    path.write_text("not a model")


def nothing(whole, path):
    path.write_bytes(b"")


def without_settings(whole, path):
    save_file({"a": torch.zeros(1)}, path)


def another_architecture(whole, path):
    with safe_open(whole, framework="pt") as file:
        save_file({"conv.weight": torch.zeros(32, 1, 4, 4)}, path, metadata=file.metadata())


def another_width(whole, path):
    with safe_open(whole, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file(tensors, path, metadata={"settings": json.dumps(SETTINGS | {"width": 16})})


def unreadable_settings(whole, path):
    save_file({"a": torch.zeros(1)}, path, metadata={"settings": "{"})


def settings_of_another_kind(whole, path):
    save_file({"a": torch.zeros(1)}, path, metadata={"settings": "[1, 2]"})


REFUSED = [
    truncated,
    cut_in_its_header,
    something_else,
    nothing,
    without_settings,
    another_architecture,
    another_width,
    unreadable_settings,
    settings_of_another_kind,
]


@pytest.mark.parametrize("make", REFUSED)
def test_a_file_that_is_no_model_of_this_workflow_is_refused(files, tmp_path, make):
    path = tmp_path / "beta7.safetensors"
    make(files / "beta4.safetensors", path)
    with pytest.raises(UserError, match=r"beta7\.safetensors: not a model of this workflow"):
        load_model(path, CPU)


def test_a_model_that_is_missing_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"beta7\.safetensors: not a model"):
        load_model(tmp_path / "beta7.safetensors", CPU)


def test_a_diverged_replica_is_named_in_the_files(data, tmp_path, monkeypatch, capsys):
    def poison(network, seeds):
        with torch.no_grad():
            network.encoder[0].bias[1] = torch.nan

    monkeypatch.setattr(training, "initialise", poison)
    model, history = tmp_path / "beta4.safetensors", tmp_path / "beta4.history.h5"
    settings = json.dumps(SETTINGS | {"steps": 2})
    bits, dataset = data / "dsprites_bits.npy", data / "dsprites.h5"
    training.main(bits=bits, dataset=dataset, model=model, history=history, settings=settings, device="cpu")
    with safe_open(model, framework="pt") as file:
        assert json.loads(file.metadata()["diverged"]) == [1]
    assert "beta4: replicas [1] diverged" in capsys.readouterr().err
