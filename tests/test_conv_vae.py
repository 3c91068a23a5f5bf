"""The convolutional β-VAE: Table 1's network and objective, and that it trains like any other system."""

import json

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal

from betavae import encode, train
from betavae.conv_vae import ConvVAE, draw, network_of, players, trained_on
from betavae.device import floats
from betavae.factors import FactorGrid
from betavae.image_files import chunks, open_data, open_factor_grid, shown_images
from betavae.picture_set import Factors, writing
from betavae.stacked import initialise
from betavae.vae import kl_per_latent, objective
from test_checkpoint import assert_same, at_every_step, killed_after

CPU = torch.device("cpu")
GRID = FactorGrid((np.arange(4.0), np.arange(3.0), np.arange(2.0)), ("azimuth", "legs", "arms"))
SETTINGS = {
    "system": "conv_vae",
    "beta": 5.0,
    "colours": 1,
    "seeds": [0, 1],
    "channels": [2, 3, 4, 5],
    "units": 7,
    "latents": 3,
    "sigma": 0.1,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "batch": 4,
    "steps": 12,
    "record_every": 5,
    "threads": 1,
}


def pictures(colours=1):
    """As many pictures as the grid has, of noise."""
    return np.random.default_rng(0).integers(0, 256, (GRID.images, 64, 64, colours)).astype(np.uint8)


def small(colours=1, sigma=0.3):
    """Two replicas with weights drawn and biases set, so that a bias left out would be seen."""
    network = network_of(SETTINGS | {"colours": colours, "sigma": sigma})
    initialise(network, [0, 1])
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, -0.1, 0.1, generator=torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize("colours", [1, 3])
def test_the_network_is_table_1s(colours):
    network = ConvVAE(1, colours, [32, 32, 64, 64], 256, 32, None)
    encoder = [16 * colours * 32 + 32, 16 * 32 * 32 + 32, 16 * 32 * 64 + 64, 16 * 64 * 64 + 64, 1024 * 256 + 256]
    assert sum(p.numel() for p in network.encoder.parameters()) == sum(encoder) + 256 * 64 + 64
    decoder = [32 * 256 + 256, 256 * 1024 + 1024, 16 * 64 * 64 + 64, 16 * 64 * 32 + 32, 16 * 32 * 32 + 32]
    assert sum(p.numel() for p in network.decoder.parameters()) == sum(decoder) + 16 * 32 * colours + colours
    shapes, maps = [], torch.zeros(1, 2, colours * 4096)
    for layer in network.encoder:
        maps = layer(maps)
        if isinstance(layer, nn.ReLU):
            shapes.append(tuple(maps.shape[2:]))
    assert shapes == [(32, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4), (256,)]
    assert maps.shape == (1, 2, 64)
    shapes, maps = [], torch.zeros(1, 2, 32)
    for layer in network.decoder:
        maps = layer(maps)
        if isinstance(layer, nn.ReLU):
            shapes.append(tuple(maps.shape[2:]))
    assert shapes == [(256,), (64, 4, 4), (64, 8, 8), (32, 16, 16), (32, 32, 32)]
    assert maps.shape == (1, 2, colours * 4096)


def test_one_colour_is_bernoulli_with_grey_pixels_as_they_are():
    network, codes = small(), torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 5, 4096, generator=torch.Generator().manual_seed(1))
    expected = F.binary_cross_entropy_with_logits(network.decode(codes), images, reduction="none").sum(-1)
    torch.testing.assert_close(network.reconstruction_loss(codes, images), expected)
    torch.testing.assert_close(network.generate(codes), network.decode(codes).sigmoid())


def test_three_colours_are_gaussian_with_the_sigma_of_the_settings():
    network, codes = small(3), torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 5, 3 * 4096, generator=torch.Generator().manual_seed(1))
    expected = -Normal(network.decode(codes), 0.3).log_prob(images).sum(-1)
    torch.testing.assert_close(network.reconstruction_loss(codes, images), expected)
    assert network.generate(codes).min() >= 0
    assert network.generate(codes).max() <= 1


@pytest.mark.parametrize("colours", [1, 3])
def test_the_objective_is_equation_4_and_beta_weighs_the_kl(colours):
    network, generator = small(colours), torch.Generator().manual_seed(0)
    images = torch.rand(2, 4, colours * 4096, generator=generator)
    noise = torch.randn(2, 4, 3, generator=generator)
    (player,) = players(network, SETTINGS | {"beta": 250.0})
    loss, found = player.losses(images, {"noise": noise})
    mean, logvar = network.encode(images)
    kl = kl_per_latent(mean, logvar).mean(1)
    torch.testing.assert_close(found["kl"], kl)
    reconstruction = network.reconstruction_loss(mean + (0.5 * logvar).exp() * noise, images).mean(-1)
    torch.testing.assert_close(loss, reconstruction + 250 * kl.sum(-1))
    torch.testing.assert_close(
        loss - objective(network, images, noise, 1.0)["loss"], 249 * kl.sum(-1), rtol=1e-4, atol=1e-3
    )


def test_images_outside_a_few_columns_are_encoded_as_the_whole_ones():
    network, columns = small(), torch.arange(700, 900)
    pixels = torch.rand(6, 200, generator=torch.Generator().manual_seed(0))
    whole = torch.zeros(6, 4096)
    whole[:, columns] = pixels
    for found, expected in zip(
        network.encode_lit(pixels, columns), network.encode(whole.expand(2, -1, -1)), strict=True
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("colours", [1, 3])
def test_a_stacked_replica_trains_as_if_it_were_alone(colours):
    settings = SETTINGS | {"colours": colours}
    both, history = train.train(settings, pictures(colours), GRID, CPU, "both")
    alone, own = train.train(settings | {"seeds": [1]}, pictures(colours), GRID, CPU, "alone")
    for name, weights in alone.state_dict().items():
        torch.testing.assert_close(both.state_dict()[name][1:], weights, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(history.arrays()["loss"][:, 1], own.arrays()["loss"][:, 0], rtol=1e-5)
    losses = history.arrays()["loss"]
    assert losses.shape == (3, 2)
    assert (losses[-1] < losses[0]).all()


def test_a_training_on_pictures_goes_on_from_its_checkpoint_to_the_bit(tmp_path):
    whole = train.train(SETTINGS, pictures(), GRID, CPU, "whole")
    killed_after(7, tmp_path, SETTINGS, pictures(), GRID)
    resumed = train.train(SETTINGS, pictures(), GRID, CPU, "resumed", at_every_step(tmp_path, SETTINGS, pictures()))
    assert_same(resumed, whole)
    assert resumed[1].resumed == [7]


def test_a_combination_that_is_held_out_is_never_drawn_and_all_others_are():
    held = {"legs": 1, "arms": 1}
    kept = trained_on(GRID, held)
    expected = [k for k, (_, legs, arms) in enumerate(GRID.classes()) if not (legs == 1 and arms == 1)]
    assert kept.tolist() == expected
    drawn = draw(np.random.default_rng(0), range(300), SETTINGS | {"hold_out": held}, GRID)["images"]
    assert set(drawn.ravel()) == set(expected)
    assert set(draw(np.random.default_rng(0), range(300), SETTINGS, GRID)["images"].ravel()) == set(range(GRID.images))


def test_stored_pictures_reach_the_network_one_colour_after_the_other(bits):
    stored = pictures(3)
    given = floats(torch.from_numpy(stored[:5]))
    assert given.shape == (5, 3 * 4096)
    np.testing.assert_allclose(given[2, 4096:8192].reshape(64, 64), stored[2, :, :, 1] / 255, rtol=1e-6)
    assert shown_images(stored)[2, 5, 6].tolist() == pytest.approx((stored[2, 5, 6] / 255).tolist())
    assert shown_images(pictures()).shape == (GRID.images, 64, 64)
    assert shown_images(bits[:3]).shape == (3, 64, 64)
    parts = list(chunks(stored, GRID))
    assert np.concatenate([numbers for numbers, *_ in parts]).tolist() == list(range(GRID.images))
    np.testing.assert_array_equal(np.concatenate([pixels for _, pixels, _ in parts])[:5], given)


@pytest.fixture(scope="module", params=[True, False], ids=["factors known", "factors unknown"])
def picture_set(request, tmp_path_factory):
    """A picture set's two files, with factors and without."""
    folder = tmp_path_factory.mktemp("pictures") / "standin_chairs"
    files = {"images": folder / "images.npy", "dataset": folder / "images.h5"}
    with writing(files["dataset"], files["images"], 1) as writer:
        writer.append(pictures())
        writer.finish("noise", "none", Factors.of_grid(GRID) if request.param else None, "train")
    return files, request.param


def test_a_picture_set_has_its_grid_or_that_of_the_images_numbers(picture_set):
    files, known = picture_set
    images, grid = open_data(**files)
    np.testing.assert_array_equal(images, pictures())
    assert grid.names == (GRID.names if known else ("image",))
    assert grid.images == GRID.images
    assert open_factor_grid(files["dataset"]).sizes == grid.sizes


def test_a_model_on_pictures_is_trained_and_encoded_by_the_common_steps(picture_set, tmp_path):
    files, _ = picture_set
    where = {"bits": files["images"], "dataset": files["dataset"], "model": tmp_path / "m.safetensors"}
    train.main(**where, history=tmp_path / "m.history.h5", settings=json.dumps(SETTINGS), device="cpu")
    chosen = json.dumps({"scale": "tiny", "threads": 1, "evaluation_images": 10})
    encode.main(**where, codes=tmp_path / "c.h5", summary=tmp_path / "s.h5", settings=chosen, device="cpu")
    network, _ = train.train(SETTINGS, pictures(), GRID, CPU, "again")
    with torch.no_grad():
        mean, logvar = network.encode(floats(torch.from_numpy(pictures())).expand(2, -1, -1))
    with h5py.File(tmp_path / "c.h5") as file:
        np.testing.assert_allclose(file["mean"][:], mean, rtol=1e-4, atol=1e-5)
        assert file.attrs["dataset"] == "standin_chairs"
    with h5py.File(tmp_path / "s.h5") as file:
        np.testing.assert_allclose(file["kl"][:], kl_per_latent(mean, logvar).mean(1), rtol=1e-3, atol=1e-5)
        assert file["reconstruction"].shape == (2,)
        assert file["examples/original"].shape == (8, 64, 64, 1)
        assert file["examples/reconstruction"].shape == (2, 8, 4096)
