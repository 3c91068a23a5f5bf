import json

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.distributions import Normal, Uniform

from betavae import train as training
from betavae.config import check
from betavae.errors import UserError
from betavae.images import lit_chunks
from betavae.infogan import (
    TABLE,
    InfoGAN,
    InstanceNoise,
    adversarial_losses,
    draw,
    information_bound,
    network_of,
    players,
    sheet,
)
from betavae.models import load_model
from betavae.stacked import StackedBatchNorm, StackedConv2d, initialise
from betavae.train import build, draw_block, train

CPU = torch.device("cpu")
SETTINGS = {
    "system": "infogan",
    "seeds": [3, 1],
    "optimiser": "adam",
    "latents": 5,
    "noise": 5,
    "fully_connected": 128,
    "channels": [4, 3],
    "recognition": 8,
    "generator_learning_rate": 1e-3,
    "discriminator_learning_rate": 2e-4,
    "momentum": 0.5,
    "information_weight": 1.0,
    "instance_noise": 0.2,
    "batch": 6,
    "steps": 7,
    "record_every": 3,
    "sheets": 2,
    "threads": 1,
}


def normals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network():
    """Two replicas in evaluation, every bias, scale and running moment away from where it begins."""
    network = network_of(SETTINGS)
    initialise(network, SETTINGS["seeds"])
    for number, (name, tensor) in enumerate(network.state_dict().items()):
        if name.endswith(("bias", "running_mean")):
            tensor += 0.1 * normals(*tensor.shape, seed=number)
        elif name.endswith("running_var"):
            tensor += normals(*tensor.shape, seed=number).abs()
    return network.eval()


@pytest.fixture(scope="module")
def trained(bits, grid):
    """A stack of two, trained once: the network and its history."""
    return train(SETTINGS, bits, grid, CPU, "test")


@pytest.fixture
def step(bits, grid):
    """The images (2, 6, 4096) and the random inputs of a training's first step."""
    drawn = {name: torch.from_numpy(array[0]) for name, array in draw_block(SETTINGS, grid, 0).items()}
    images = torch.from_numpy(np.unpackbits(bits[drawn["images"].numpy()], axis=-1)).float()
    return images, drawn


# Losses -----------------------------------------------------------------------------------------------


def test_the_adversarial_losses_are_those_of_probabilities():
    real, fake = normals(2, 50).double(), normals(2, 50, seed=1).double()
    d, g = adversarial_losses(real, fake)
    torch.testing.assert_close(d, -(real.sigmoid().log() + (1 - fake.sigmoid()).log()).mean(1))
    torch.testing.assert_close(g, -fake.sigmoid().log().mean(1))


def test_a_discriminator_that_knows_nothing_loses_two_bits_and_the_generator_one():
    d, g = adversarial_losses(torch.zeros(1, 4), torch.zeros(1, 4))
    assert d.item() == pytest.approx(2 * np.log(2))
    assert g.item() == pytest.approx(np.log(2))


def test_the_generators_loss_does_not_saturate():
    fake = torch.full((1, 1), -20.0, requires_grad=True)
    adversarial_losses(fake, fake)[1].sum().backward()
    assert fake.grad.item() == pytest.approx(-1.0, abs=1e-6)


def test_the_information_bound_is_the_codes_log_likelihood_plus_their_entropy():
    codes, means = 2 * torch.rand(2, 40, 5, generator=torch.Generator().manual_seed(0)) - 1, normals(2, 40, 5)
    expected = Normal(means, 1.0).log_prob(codes).mean(1) + Uniform(-1.0, 1.0).entropy()
    torch.testing.assert_close(information_bound(codes, means), expected)


def test_the_information_bounds_ends_are_those_of_the_docstring():
    codes = torch.linspace(-1, 1, 200_001)[None, :, None]
    assert information_bound(codes, codes).item() == pytest.approx(-0.226, abs=5e-4)
    assert information_bound(codes, torch.zeros_like(codes)).item() == pytest.approx(-0.392, abs=5e-4)


def test_information_enters_both_players_losses_with_its_weight(step):
    found = {}
    for weight in (0.0, 2.0):
        settings = SETTINGS | {"information_weight": weight}
        found[weight] = [player.losses(*step) for player in players(build(settings, CPU), settings)]
    information = found[0.0][0][1]["information"].sum(-1)
    torch.testing.assert_close(found[2.0][0][0], found[0.0][0][0] - 2 * information)
    assert (found[2.0][1][0] > found[0.0][1][0]).all()  # the bound is negative
    torch.testing.assert_close(found[0.0][1][0], found[0.0][1][1]["generator_loss"])


# Players ----------------------------------------------------------------------------------------------


def test_the_discriminators_player_owns_trunk_and_recognition_and_no_weight_is_left_out(network):
    d, g = players(network, SETTINGS)
    assert (d.learning_rate, g.learning_rate) == (2e-4, 1e-3)
    own = {id(p) for p in d.parameters}, {id(p) for p in g.parameters}
    assert not own[0] & own[1]
    assert own[0] | own[1] == {id(p) for p in network.parameters() if p.requires_grad}
    assert own[1] == {id(p) for p in network.generator.parameters() if p.requires_grad}
    before_norm = {f"generator.{k}.bias" for k in (0, 3, 7, 10)} | {f"trunk.{k}.bias" for k in (3, 6, 10)}
    fixed = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert fixed == before_norm | {"recognition.0.bias"}


def test_each_turn_moves_its_players_weights_only_and_all_of_them(step):
    network = build(SETTINGS, CPU)
    both = players(network, SETTINGS)
    for player in both:
        network.zero_grad()
        player.losses(*step)[0].sum().backward(inputs=list(player.parameters))
        moved = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        own = {name for name, p in network.named_parameters() if any(p is q for q in player.parameters)}
        assert moved == own


def test_the_generator_is_judged_on_the_samples_that_the_discriminator_has_seen(step):
    network = build(SETTINGS, CPU)
    d, g = players(network, SETTINGS)
    shown, add = [], InstanceNoise.add
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InstanceNoise, "add", lambda self, x, offsets: shown.append(x) or add(self, x, offsets))
        d.losses(*step)
        g.losses(*step)
    assert torch.equal(shown[0], 2 * step[0] - 1)
    assert torch.equal(shown[1], shown[2])
    assert not shown[1].requires_grad
    assert shown[2].requires_grad


# Networks ---------------------------------------------------------------------------------------------


def test_the_papers_networks_have_the_printed_layers():
    with torch.device("meta"):
        network = InfoGAN(1, 5, 5, 256, (128, 64), 128)
        samples = network.make(torch.zeros(1, 2, 10))
        logits, means = network.judge(samples, track=False)
    assert (samples.shape, logits.shape, means.shape) == ((1, 2, 4096), (1, 2), (1, 2, 5))

    def weights(part):
        return [tuple(p.shape[1:]) for name, p in part.named_parameters() if name.endswith("weight") and p.ndim > 2]

    assert weights(network.generator) == [(10, 256), (256, 256), (4, 128, 4, 4), (128, 64, 4, 4), (64, 1, 4, 4)]
    assert weights(network.trunk) == [(64, 1, 4, 4), (128, 64, 4, 4), (4, 128, 4, 4), (256, 256)]
    assert weights(network.discrimination) == [(256, 1)]
    assert weights(network.recognition) == [(256, 128), (128, 5)]


def test_batch_norm_stands_everywhere_but_in_the_generators_last_and_the_discriminators_first_layer(network):
    def normed(part):
        kinds = [type(layer) for layer in part if not isinstance(layer, nn.Flatten | nn.Unflatten)]
        learnt = [k for k, kind in enumerate(kinds) if kind.__name__ in ("StackedLinear",) or "Conv" in kind.__name__]
        return [k + 1 < len(kinds) and kinds[k + 1] is StackedBatchNorm for k in learnt]

    assert normed(network.generator) == [True, True, True, True, False]
    assert normed(network.trunk) == [False, True, True, True]
    assert normed(network.recognition) == [True, False]


def test_encode_lit_equals_encode_on_real_images(network, bits, grid, pixels):
    with torch.inference_mode():
        whole = network.encode(torch.from_numpy(pixels).expand(2, -1, -1))
        for images, part, columns in lit_chunks(bits, grid):
            found, logvar = network.encode_lit(torch.from_numpy(part), torch.from_numpy(columns))
            assert logvar is None
            torch.testing.assert_close(found, whole[:, images], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lit", [[], [0], [4095], [0, 4095], [63, 2048]], ids=str)
def test_encode_lit_holds_at_the_borders_and_for_a_dark_image(network, lit):
    images = torch.zeros(3, 4096)
    images[0, lit] = 1.0
    columns = torch.arange(4096)
    with torch.inference_mode():
        found, _ = network.encode_lit(images, columns)
        torch.testing.assert_close(found, network.encode(images.expand(2, -1, -1)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (3, 1, 1), (2, 2, 0), (5, 3, 2)])
@pytest.mark.parametrize("place", [(0, 16, 0, 16), (0, 1, 15, 16), (5, 9, 3, 4), (11, 16, 0, 2)])
def test_a_convolution_within_a_patch_is_the_part_of_the_whole_that_changed(kernel, stride, padding, place):
    layer = StackedConv2d(2, 3, 4, kernel, stride, padding)
    initialise(layer, [0, 1])
    around, (top, bottom, left, right) = normals(2, 1, 3, 16, 16), place
    whole = around.repeat(1, 5, 1, 1, 1)
    whole[..., top:bottom, left:right] = patch = normals(2, 5, 3, bottom - top, right - left, seed=1)
    found, (row, last, column, end) = layer.within(patch, place, around)
    expected = layer(around).repeat(1, 5, 1, 1, 1)
    expected[..., row:last, column:end] = found
    torch.testing.assert_close(expected, layer(whole), rtol=1e-5, atol=1e-5)


def test_generate_walks_codes_with_the_noise_at_zero_in_the_range_of_images(network):
    codes = 2 * torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)) - 1
    images = network.generate(codes)
    torch.testing.assert_close(images, network.sample(torch.cat([codes, torch.zeros(2, 3, 5)], dim=-1)))
    torch.testing.assert_close(2 * images - 1, network.make(torch.cat([codes, torch.zeros(2, 3, 5)], dim=-1)))
    assert images.min() >= 0
    assert images.max() <= 1
    assert (network.traversal, network.own_spread, network.posterior) == ((-1.0, 1.0), False, False)
    assert network.latents == 5


# Batch norm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "plain"), [((7, 4), nn.BatchNorm1d), ((7, 4, 5, 5), nn.BatchNorm2d)])
def test_a_stacked_batch_norm_is_torchs_for_each_replica(shape, plain):
    stacked, alone = StackedBatchNorm(2, 4), [plain(4), plain(4)]
    for replica, layer in enumerate(alone):
        layer.weight.data = stacked.weight.data[replica] = 1 + normals(4, seed=replica)
        layer.bias.data = stacked.bias.data[replica] = normals(4, seed=10 + replica)
    for seed in range(3):  # training: the running moments follow
        x = 2 + 3 * normals(2, *shape, seed=seed)
        found, expected = stacked(x), torch.stack([layer(one) for layer, one in zip(alone, x, strict=True)])
        torch.testing.assert_close(found, expected)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(stacked, name), torch.stack([getattr(layer, name) for layer in alone]))
    stacked.eval()
    expected = torch.stack([layer.eval()(one) for layer, one in zip(alone, x, strict=True)])
    torch.testing.assert_close(stacked(x), expected)


def test_running_moments_follow_data_and_not_samples(step):
    network = build(SETTINGS, CPU)
    images = 2 * step[0] - 1
    network.judge(images, track=False)
    assert not network.trunk[4].running_mean.any()
    network.judge(images, track=True)
    features = network.trunk[:4](images)
    torch.testing.assert_close(network.trunk[4].running_mean, 0.1 * features.mean((1, 3, 4)), rtol=1e-4, atol=1e-6)


# Random numbers ---------------------------------------------------------------------------------------


def test_codes_are_uniform_and_offsets_lie_in_the_table(grid):
    drawn = draw(np.random.default_rng(0), range(64), SETTINGS | {"batch": 32}, grid)
    inputs, offsets = drawn["inputs"], drawn["offsets"]
    assert inputs.shape == (64, 32, 10)
    assert inputs.dtype == np.float32
    assert (inputs.min(), inputs.max()) == pytest.approx((-1, 1), abs=1e-3)
    assert inputs.var() == pytest.approx(1 / 3, abs=0.01)
    assert offsets.shape == (64, 3, 32)
    assert 0 <= offsets.min() < offsets.max() < TABLE


def test_instance_noise_is_normal_with_its_variance_and_hangs_on_seed_and_place():
    noise, alone = InstanceNoise([3, 1], 0.04, CPU), InstanceNoise([1], 0.04, CPU)
    offsets = torch.tensor([[0, TABLE - 1, 7], [0, 5, 9]])
    added = noise.add(torch.ones(2, 3, 4096), offsets) - 1
    assert added.mean().item() == pytest.approx(0, abs=0.01)
    assert added.std().item() == pytest.approx(0.2, abs=0.005)
    assert torch.equal(added[1], alone.add(torch.ones(1, 3, 4096), offsets[1:])[0] - 1)
    assert abs(torch.corrcoef(torch.stack([added[0, 0], added[1, 0]]))[0, 1]) < 0.06
    torch.testing.assert_close(added[1, 1, 4:], added[1, 2, :-4])  # a table is read at other places


# Training ---------------------------------------------------------------------------------------------


def test_a_replica_of_a_stack_agrees_with_the_network_trained_alone(bits, grid, trained):
    stack, history = trained
    for replica, seed in enumerate(SETTINGS["seeds"]):
        alone, own = train(SETTINGS | {"seeds": [seed]}, bits, grid, CPU, "alone")
        for (name, ours), theirs in zip(stack.state_dict().items(), alone.state_dict().values(), strict=True):
            torch.testing.assert_close(ours[replica], theirs[0], rtol=1e-3, atol=1e-4, msg=name)
        for name, array in own.arrays().items():
            if name != "step":
                np.testing.assert_allclose(history.arrays()[name][:, replica], array[:, 0], rtol=1e-3, atol=1e-4)


def test_a_run_on_the_cpu_is_reproducible_to_the_bit(bits, grid, trained):
    network, history = train(SETTINGS, bits, grid, CPU, "again")
    for ours, theirs in zip(network.state_dict().values(), trained[0].state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    for name, array in history.arrays().items():
        np.testing.assert_array_equal(array, trained[1].arrays()[name])
    for ours, theirs in zip(history.sheets, trained[1].sheets, strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_the_history_says_how_the_game_goes(trained):
    arrays = trained[1].arrays()
    assert arrays["step"].tolist() == [3, 6, 7]
    for name in ("discriminator_loss", "generator_loss", "accuracy", "lit_area"):
        assert arrays[name].shape == (3, 2)
    assert arrays["information"].shape == (3, 2, 5)
    for name in ("accuracy", "lit_area"):
        assert 0 <= arrays[name].min() <= arrays[name].max() <= 1
    assert [step for step, _ in trained[1].sheets] == [3, 7]
    assert trained[1].sheets[0][1].shape == (2, 64, 4096)
    assert trained[1].sheets[0][1].dtype == np.uint8


def test_a_sheet_shows_the_same_codes_whenever_it_is_asked_for_and_changes_nothing(trained):
    network = trained[0]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = sheet(network, SETTINGS), sheet(network, SETTINGS)
    assert torch.equal(first, second)
    assert network.training
    assert not torch.equal(first[0], first[1])
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


# Files and settings -----------------------------------------------------------------------------------


@pytest.fixture
def write(data, tmp_path):
    """Run train.main with changed settings; returns the paths of model and history."""

    def run(**changed):
        model, history = tmp_path / "infogan.safetensors", tmp_path / "infogan.history.h5"
        settings = json.dumps(SETTINGS | {"steps": 2} | changed)
        bits, dataset = data / "dsprites_bits.npy", data / "dsprites.h5"
        training.main(bits=bits, dataset=dataset, model=model, history=history, settings=settings, device="cpu")
        return model, history

    return run


def test_the_model_file_keeps_the_running_moments_and_reads_back(write):
    model, history = write()
    network, settings = load_model(model, CPU)
    assert settings["seeds"] == [3, 1]
    assert not network.training
    assert network.state_dict()["trunk.4.running_mean"].any()
    with h5py.File(history) as file:
        assert file["sheet"].shape == (2, 2, 64, 4096)
        assert file["sheet_step"][:].tolist() == [1, 2]


def test_a_collapsed_replica_is_named_in_the_files_and_on_the_terminal(write, monkeypatch, capsys):
    def dark(network, seeds):
        initialise(network, seeds)
        with torch.no_grad():
            network.generator[-2].bias[1] = -50.0

    monkeypatch.setattr(training, "initialise", dark)
    model, _ = write(generator_learning_rate=1e-9)
    with safe_open(model, framework="pt") as file:
        assert 1 in json.loads(file.metadata()["collapsed"])
        assert json.loads(file.metadata()["diverged"]) == []
    assert "collapsed" in capsys.readouterr().err


def test_a_replica_of_nan_is_called_diverged_not_collapsed_and_the_run_goes_on(write, monkeypatch):
    def poison(network, seeds):
        initialise(network, seeds)
        with torch.no_grad():
            network.trunk[1].weight[0] = torch.nan

    monkeypatch.setattr(training, "initialise", poison)
    _, history = write()
    with h5py.File(history) as file:
        assert json.loads(file.attrs["diverged"]) == [0]
        assert 0 not in json.loads(file.attrs["collapsed"])
        assert np.isfinite(file["generator_loss"][:, 1]).all()


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("fully_connected", 100, ["`scales.laptop.infogan.fully_connected` is 100", "a multiple of 64"]),
        ("channels", [16], ["channels` is [16]", "a list with 2 or more values"]),
        ("channels", [16, 8, 4], ["channels` is [16, 8, 4]", "a list with 2 or fewer values"]),
        ("batch", 1, ["batch` is 1", "integer ≥ 2"]),
        ("momentum", 1, ["momentum` is 1", "< 1"]),
        ("instance_noise", -0.1, ["instance_noise` is -0.1", "≥ 0"]),
        ("chanels", [1, 2], ["unknown key `chanels`", "did you mean `channels`?"]),
    ],
)
def test_settings_that_make_no_sense_are_refused(config, key, value, named):
    config["scales"]["laptop"]["infogan"][key] = value
    with pytest.raises(UserError) as refusal:
        check(config)
    assert all(part in str(refusal.value) for part in named), refusal.value


def test_the_defaults_are_the_papers(config):
    config["scales"]["mine"] = {}
    own = check(config)["scales"]["mine"]["infogan"]
    assert own == config["scales"]["paper"]["infogan"]
    # paper.md, sections 3 and 9
    assert (own["latents"], own["noise"], own["fully_connected"], own["recognition"]) == (5, 5, 256, 128)
    assert own["channels"] == [128, 64]
    assert (own["generator_learning_rate"], own["discriminator_learning_rate"]) == (1e-3, 2e-4)
    assert (own["momentum"], own["batch"], own["instance_noise"], own["information_weight"]) == (0.5, 128, 0.2, 1)
