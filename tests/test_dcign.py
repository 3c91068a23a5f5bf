import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from torch import nn

from betavae.bernoulli import reconstruction_loss
from betavae.dcign import (
    ASSIGNED,
    DCIGN,
    LATENTS,
    Clamp,
    draw,
    in_turn,
    middle_first,
    network_of,
    objective,
    players,
)
from betavae.dcign_factors import NEIGHBOURS, shape_regression, table_rows
from betavae.dcign_layers import StackedUnpoolConv2d, convolve_all, convolve_lit, pool
from betavae.factor_shares import explained, explained_within
from betavae.factors import FACTORS, FactorGrid
from betavae.images import lit_chunks, pack
from betavae.shapes import draw as draw_shape
from betavae.stacked import initialise
from betavae.train import train
from betavae.vae import kl_per_latent

CPU = torch.device("cpu")
EVEN = dict.fromkeys(FACTORS, 1)
SETTINGS = {
    "system": "dcign",
    "seeds": [0],
    "channels": [4, 6, 8],
    "units": 16,
    "initial_logvar": -6.0,
    "initial_logit": 0.0,
    "optimiser": "adam",
    "learning_rate": 0.003,
    "momentum": 0.9,
    "decay": 0.99,
    "groups": 1,
    "batch": 20,
    "steps": 100,
    "record_every": 50,
    "ratios": EVEN,
    "curriculum": {},
    "clamp": "mean",
    "invariance": 0.01,
    "invariance_times": {},
}


@pytest.fixture
def network():
    """Two replicas of unlike channel numbers, weights drawn and biases set, so that a bias left out would be seen."""
    network = DCIGN(2, (3, 4, 5), 12, -2.0)
    initialise(network, [0, 1])
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, -0.1, 0.1, generator=torch.Generator().manual_seed(0))
    return network


@pytest.fixture
def batch(pixels):
    """For each of two replicas 6 images, noise, and the active latents: scale's in one, shape's in the other."""
    images = torch.from_numpy(pixels[np.random.default_rng(0).integers(0, len(pixels), (2, 6))])
    active = torch.zeros(2, LATENTS, dtype=torch.bool)
    active[0, list(ASSIGNED["scale"])] = True
    active[1, list(ASSIGNED["shape"])] = True
    return images, torch.randn(2, 6, LATENTS, generator=torch.Generator().manual_seed(1)), active


# The network ------------------------------------------------------------------------------------------


def test_the_papers_network_has_the_printed_layers():
    with torch.device("meta"):
        network = DCIGN(1, (96, 48, 48), 120, 0.0)
    kernels = [tuple(layer.weight.shape[1:]) for layer in network.convolutions]
    assert kernels == [(96, 1, 3, 3), (48, 96, 3, 3), (48, 48, 3, 3)]
    mirrored = [tuple(m.weight.shape[1:]) for m in network.decoder if isinstance(m, StackedUnpoolConv2d)]
    assert mirrored == [(48, 48, 3, 3), (96, 48, 3, 3), (1, 96, 3, 3)]
    assert tuple(network.encoder[0].weight.shape[1:]) == (48 * 8 * 8, 120)
    assert tuple(network.encoder[-1].weight.shape[1:]) == (120, 2 * 10)


def test_unpooling_and_convolution_in_one_are_nearest_neighbours_then_a_convolution():
    layer = StackedUnpoolConv2d(2, 3, 5, 3, padding=1)
    initialise(layer, [0, 1])  # the layer itself is named ""
    nn.init.uniform_(layer.bias)
    x = torch.randn(2, 4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for replica in range(2):
        wide = F.interpolate(x[replica], scale_factor=2, mode="nearest")
        expected = F.conv2d(wide, layer.weight[replica], layer.bias[replica], padding=1)
        torch.testing.assert_close(layer(x)[replica], expected, rtol=1e-4, atol=1e-5)


def test_pooling_takes_the_largest_of_four():
    maps = torch.randn(2, 3, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([F.max_pool2d(one, 2) for one in maps])
    torch.testing.assert_close(pool(maps), expected, rtol=0, atol=0)


def test_the_encoder_is_convolution_pooling_relu_and_two_layers(network, batch):
    mean, logvar = network.encode(batch[0])
    for replica in range(2):
        x = batch[0][replica].view(-1, 1, 64, 64)
        for layer in network.convolutions:
            x = F.max_pool2d(F.conv2d(x, layer.weight[replica], layer.bias[replica], padding=1).relu(), 2)
        first, last = network.encoder[0], network.encoder[-1]
        hidden = (x.flatten(1) @ first.weight[replica] + first.bias[replica]).relu()
        expected = hidden @ last.weight[replica] + last.bias[replica]
        expected[:, LATENTS:-1] -= 2.0  # initial_logvar, of all latents but the tenth
        torch.testing.assert_close(torch.cat([mean[replica], logvar[replica]], -1), expected, rtol=1e-4, atol=1e-5)


def test_the_first_convolution_has_the_maps_and_gradients_of_the_dense_one(pixels):
    images = torch.from_numpy(pixels[:: len(pixels) // 7]).view(-1, 64, 64).clone()
    images[0], images[1, 0, :5], images[1, 60:, 63] = 0, 1, 1  # an empty image, and one lit at its edges
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 1, 3, 3, generator=generator).requires_grad_()
    bias = torch.randn(5, generator=generator).requires_grad_()
    ours, theirs = (convolve(images[:, None], weight, bias) for convolve in (convolve_lit, convolve_all))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    weights = torch.randn(ours.shape, generator=generator)
    for mine, expected in zip(
        *(torch.autograd.grad((maps * weights).sum(), (weight, bias)) for maps in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(mine, expected, rtol=1e-3, atol=1e-3)


def test_encode_lit_equals_encode_on_real_images(network, bits, grid, pixels):
    with torch.inference_mode():
        whole = network.encode(torch.from_numpy(pixels).expand(2, -1, -1))
        for images, part, columns in lit_chunks(bits, grid):
            found = network.encode_lit(torch.from_numpy(part), torch.from_numpy(columns))
            for ours, theirs in zip(found, whole, strict=True):
                torch.testing.assert_close(ours, theirs[:, images], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("corner", [(0, 0), (0, 57), (61, 3), (31, 62), (5, 30)])
def test_encode_lit_equals_encode_at_the_edges_of_the_image(network, corner):
    image = torch.zeros(1, 64, 64)
    image[0, corner[0] : corner[0] + 7, corner[1] : corner[1] + 9] = 1
    image = image.flatten(1)
    columns = torch.nonzero(image[0])[:, 0]
    with torch.inference_mode():
        expected = network.encode(image.expand(2, -1, -1))
        for window in (columns, torch.arange(4096)):
            for ours, theirs in zip(network.encode_lit(image[:, window], window), expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_every_pixel_begins_at_the_initial_logit():
    plain, dark = DCIGN(1, (3, 4, 5), 12, -2.0), DCIGN(1, (3, 4, 5), 12, -2.0, -3.0)
    for network in (plain, dark):
        initialise(network, [0])
    codes = torch.randn(1, 3, LATENTS, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(dark.decode(codes), plain.decode(codes) - 3.0)


def test_images_are_generated_from_the_decoders_logits(network):
    codes = torch.randn(2, 3, LATENTS, generator=torch.Generator().manual_seed(0))
    assert network.decode(codes).shape == (2, 3, 4096)
    torch.testing.assert_close(network.generate(codes), network.decode(codes).sigmoid())


# The clamp --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clamp", ["mean", "first", "middle"])
def test_inactive_latents_are_fixed_for_the_whole_batch_and_active_ones_left_alone(batch, clamp):
    values, active = torch.randn(2, 6, LATENTS, generator=torch.Generator().manual_seed(0)), batch[2]
    found = Clamp.apply(values, active, clamp, 0.0)
    fixed = values.mean(1, keepdim=True) if clamp == "mean" else values[:, :1]
    for replica in range(2):
        for latent in range(LATENTS):
            expected = values if active[replica, latent] else fixed.expand_as(values)
            torch.testing.assert_close(found[replica, :, latent], expected[replica, :, latent], rtol=0, atol=0)


def posterior_gradients(network, batch, clamp, invariance):
    """The objective's gradient at the encoder's output: mean and log-variance, their gradients, and what was found."""
    images, noise, active = batch
    mean, logvar = (values.detach().requires_grad_() for values in network.encode(images))
    network.encode = lambda images: (mean, logvar)
    found = objective(network, images, noise, active[:, None], clamp, invariance)
    found["loss"].sum().backward()
    return mean, logvar, found


@pytest.mark.parametrize("clamp", ["mean", "first", "middle"])
@pytest.mark.parametrize("invariance", [0.0, 0.01, 10.0])
def test_an_inactive_latents_gradient_is_replaced_and_an_active_ones_is_autograds(network, batch, clamp, invariance):
    images, noise, active = batch
    mean, logvar, _ = posterior_gradients(network, batch, clamp, invariance)
    # By hand: the loss as a function of the clamped posterior, and its gradient there.
    fixed = []
    for values in (mean, logvar):
        value = values.detach().mean(1, keepdim=True) if clamp == "mean" else values.detach()[:, :1]
        fixed.append(torch.where(active[:, None], values.detach(), value).requires_grad_())
    codes = fixed[0] + (0.5 * fixed[1]).exp() * noise
    reconstruction = reconstruction_loss(network.decode(codes), images).mean(-1)
    (reconstruction + kl_per_latent(*fixed).mean(1).sum(-1)).sum().backward()
    for values, free in zip((mean, logvar), fixed, strict=True):
        pull = invariance * (values.detach() - values.detach().mean(1, keepdim=True)) / 6
        expected = torch.where(active[:, None], free.grad, pull)
        torch.testing.assert_close(values.grad, expected, rtol=1e-4, atol=1e-6)
        assert (free.grad[~active[:, None].expand_as(free)] != 0).all()  # there was something to replace


def test_the_kl_passes_the_same_filter(network, batch):
    """Without a decoder that listens to the codes only the KL is left: it reaches the active latents alone."""
    with torch.no_grad():
        network.decoder[0].weight.zero_()
    active = batch[2]
    mean, logvar, found = posterior_gradients(network, batch, "mean", 0.0)
    for values, slope in ((mean, mean), (logvar, 0.5 * (logvar.exp() - 1))):
        torch.testing.assert_close(values.grad, torch.where(active[:, None], slope / 6, 0.0), rtol=1e-4, atol=1e-7)
    clamped = [torch.where(active[:, None], v, v.mean(1, keepdim=True)) for v in (mean, logvar)]
    torch.testing.assert_close(found["kl"], kl_per_latent(*clamped).mean(1))


def test_the_objective_is_reconstruction_plus_kl(network, batch):
    images, noise, active = batch
    found = objective(network, images, noise, active[:, None], "mean", 0.01)
    torch.testing.assert_close(found["loss"], found["reconstruction"] + found["kl"].sum(-1))


# Mini-batches -----------------------------------------------------------------------------------------


def test_a_step_varies_one_factor_and_its_latents_are_active():
    grid = FactorGrid.thinned({})
    drawn = draw(np.random.default_rng(0), range(400), SETTINGS, grid)
    classes = grid.classes(drawn["images"])
    assert classes.shape == (400, 20, 5)
    for step in range(400):
        varied = {factor for k, factor in enumerate(FACTORS) if len(np.unique(classes[step, :, k])) > 1}
        assert len(varied) == 1
        assert set(np.flatnonzero(drawn["active"][step, 0])) == set(ASSIGNED[varied.pop()])
    assert drawn["noise"].shape == (400, 20, LATENTS)
    assert drawn["noise"].dtype == np.float32


def test_no_value_comes_again_before_all_have_come():
    counts = np.array([3, 40, 1, 7] * 500)
    found = in_turn(np.random.default_rng(0), counts, 8)
    assert found.shape == (2000, 8)
    for count, row in zip(counts, found, strict=True):
        times = np.bincount(row, minlength=count)
        assert len(times) == count
        assert set(times) <= {8 // count, -(-8 // count)}
    orders, times = np.unique(found[counts == 3, :3], axis=0, return_counts=True)
    assert len(orders) == 6  # every order of three
    assert times.min() > 50
    assert set(found[counts == 40, 0]) == set(range(40))


def test_images_lie_among_the_values_that_the_curriculum_leaves_a_step():
    grid = FactorGrid.thinned({})
    growing = {"share": 0.25, "from": 100, "to": 200}
    settings = SETTINGS | {"curriculum": {"orientation": growing, "posX": {"share": 0.1, "from": 400, "to": 500}}}
    drawn = draw(np.random.default_rng(0), range(300), settings, grid)
    classes = grid.classes(drawn["images"])
    ends = [(1, (0, 5), (0, 5)), (2, (15, 24), (0, 39)), (3, (14, 16), (14, 16)), (4, (0, 31), (0, 31))]
    for column, *expected in ends:
        for own, (low, high) in zip((classes[:101], classes[200:]), expected, strict=True):
            assert (own[..., column].min(), own[..., column].max()) == (low, high)
    later = draw(np.random.default_rng(0), range(200, 300), settings, grid)["images"]
    assert set(grid.classes(later)[..., 2].ravel()) == set(range(40))


def test_where_the_clamp_is_the_middle_one_each_mini_batch_begins_with_it():
    grid = FactorGrid.thinned({})
    settings = SETTINGS | {"groups": 40, "batch": 3, "clamp": "middle"}
    for replica_draw in (draw(np.random.default_rng(seed), range(5), settings, grid) for seed in (0, 1)):
        classes = grid.classes()[replica_draw["images"]].reshape(-1, 3, len(grid.sizes))
        ordered = np.sort(classes, axis=1)
        assert (classes[:, 0] == ordered[:, 1]).all()
        assert (classes.max(1) != classes.min(1)).sum(-1).tolist() == [1] * len(classes)


def test_the_middle_one_of_an_even_number_is_the_larger_of_two():
    assert middle_first(np.array([[7, 1, 4, 9], [2, 2, 2, 0]])).tolist() == [[7, 4, 1, 9], [2, 2, 0, 2]]


def test_the_pull_on_a_factors_latents_is_multiplied_as_the_settings_say(network):
    settings = SETTINGS | {"invariance": 3, "invariance_times": {"posX": 100, "shape": 0.5}}  # numbers as YAML has them
    (player,) = players(network, settings)
    images = torch.rand(2, 6, 4096, generator=torch.Generator().manual_seed(0))
    noise, active = torch.zeros(2, 6, LATENTS), torch.zeros(2, 2, LATENTS, dtype=torch.bool)
    active[:, 1, 1] = True  # of two mini-batches of three images the second varies posX
    mean, logvar = (values.detach().requires_grad_() for values in network.encode(images))
    network.encode = lambda images: (mean, logvar)
    loss, _ = player.losses(images, {"noise": noise, "active": active})
    loss.sum().backward()
    strengths = torch.tensor([3.0, 300, 3, 3, 1.5, 1.5, 1.5, 1.5, 1.5, 3])
    for values in (mean, logvar):
        batches = values.detach().view(2, 2, 3, LATENTS)
        pull = strengths * (batches - batches.mean(2, keepdim=True)) / 6
        found = values.grad.view(2, 2, 3, LATENTS)
        inactive = ~active[:, :, None].expand_as(pull)
        torch.testing.assert_close(found[inactive], pull[inactive])
        assert (found[:, 1, :, 1] - pull[:, 1, :, 1]).abs().min() > 1e-6


def test_each_of_a_steps_mini_batches_varies_a_factor_of_its_own():
    grid = FactorGrid.thinned({})
    drawn = draw(np.random.default_rng(0), range(50), SETTINGS | {"groups": 4, "batch": 12}, grid)
    assert drawn["images"].shape == (50, 48)
    assert drawn["noise"].shape == (50, 48, LATENTS)
    classes, kinds = grid.classes(drawn["images"]).reshape(50, 4, 12, 5), set()
    for step, group in np.ndindex(50, 4):
        varied = {factor for k, factor in enumerate(FACTORS) if len(np.unique(classes[step, group, :, k])) > 1}
        assert len(varied) == 1
        assert set(np.flatnonzero(drawn["active"][step, group])) == set(ASSIGNED[min(varied)])
        kinds.add((group, min(varied)))
    assert len(kinds) == 20  # each of them takes each factor in turn


@pytest.mark.parametrize("clamp", ["mean", "first", "middle"])
def test_a_step_of_two_mini_batches_is_the_mean_of_their_steps(network, batch, clamp):
    """Loss and gradient, the clamp's and the pull's part in it included."""
    images, noise, active = batch
    active = torch.stack([active, active.flip(0)], dim=1)

    def step(images, noise, active):
        network.zero_grad()
        found = objective(network, images, noise, active, clamp, 3.0)
        found["loss"].sum().backward()
        return found["loss"].detach(), [weights.grad.clone() for weights in network.parameters()]

    loss, gradients = step(images, noise, active)
    parts = [step(images[:, 3 * k : 3 * k + 3], noise[:, 3 * k : 3 * k + 3], active[:, k : k + 1]) for k in (0, 1)]
    torch.testing.assert_close(loss, (parts[0][0] + parts[1][0]) / 2)
    for together, first, second in zip(gradients, parts[0][1], parts[1][1], strict=True):
        torch.testing.assert_close(together, (first + second) / 2, rtol=1e-3, atol=1e-4)


def test_every_latent_but_the_tenth_is_assigned_to_one_factor():
    assert sorted(latent for latents in ASSIGNED.values() for latent in latents) == list(range(9))
    assert [len(ASSIGNED[factor]) for factor in ("scale", "posX", "posY", "orientation", "shape")] == [1, 1, 1, 1, 5]


def test_settings_that_spell_out_the_2d_shapes_change_nothing():
    spelt = SETTINGS | {"latents": LATENTS, "assigned": {f: list(own) for f, own in ASSIGNED.items()}}
    plain, same = (
        draw(np.random.default_rng(0), range(30), each, FactorGrid.thinned({})) for each in (SETTINGS, spelt)
    )
    for name in plain:
        np.testing.assert_array_equal(plain[name], same[name])
    plain, same = (network_of(each) for each in (SETTINGS, spelt))
    assert {n: w.shape for n, w in plain.state_dict().items()} == {n: w.shape for n, w in same.state_dict().items()}
    assert plain.initial_logvar.tolist() == same.initial_logvar.tolist() == [-6] * 9 + [0]


def test_batch_types_come_in_the_ratio_asked_for_and_the_varied_factor_takes_all_values():
    grid = FactorGrid.thinned({})
    ratios = {"scale": 1, "orientation": 2, "posX": 1, "posY": 4, "shape": 8}
    drawn = draw(np.random.default_rng(0), range(4000), SETTINGS | {"ratios": ratios}, grid)
    for factor, ratio in ratios.items():
        steps = drawn["active"][:, 0, ASSIGNED[factor][0]]
        assert steps.mean() == pytest.approx(ratio / 16, abs=0.025)
        found = grid.classes(drawn["images"][steps])[..., FACTORS.index(factor)]
        counts = np.bincount(found.ravel(), minlength=grid.size(factor))
        assert counts.min() > 0.6 * counts.mean()


# Training ---------------------------------------------------------------------------------------------


def test_a_replica_of_a_stack_agrees_with_the_network_trained_alone(bits, grid):
    settings = SETTINGS | {"seeds": [3, 1], "steps": 20}
    stack, _ = train(settings, bits, grid, CPU, "stack")
    for replica, seed in enumerate(settings["seeds"]):
        alone, _ = train(settings | {"seeds": [seed]}, bits, grid, CPU, "alone")
        ours, theirs = (
            torch.cat([weights.detach()[row].flatten() for weights in network.parameters()])
            for network, row in ((stack, replica), (alone, 0))
        )
        assert torch.linalg.vector_norm(ours - theirs) < 1e-3 * torch.linalg.vector_norm(theirs)


def small_grid(scales, turns, places):
    """Ellipse and heart at the places squared: the grid, and its images packed and as pixels (1, n, 4096)."""
    values = np.array([2.0, 3.0]), np.array(scales), np.array(turns), np.array(places), np.array(places)
    drawn = [draw_shape(shape, scale, turn, *values[3:]) for shape in (1, 2) for scale in scales for turn in turns]
    images = np.concatenate([block.reshape(-1, 64, 64) for block in drawn])
    return FactorGrid(values), pack(images), torch.from_numpy(images.reshape(1, -1, 4096)).float()


@pytest.mark.parametrize(
    ("places", "steps", "invariance", "least"),
    [
        ([0.0, 1.0], 1000, 10.0, {"posX": 0.8, "posY": 0.8, "scale": 0.8}),
        ([0.5], 1600, 3.0, {"scale": 0.9, "shape": 0.9, "orientation": 0.9}),
    ],
    ids=["at four places", "at one place"],
)
def test_after_a_short_training_the_assigned_latents_follow_their_factors(places, steps, invariance, least):
    """Rotation and shape are slow: they are asked for where nothing but they and scale varies."""
    grid, bits, pixels = small_grid([0.5, 1.0], [0.0, np.pi / 2], places)
    few = {"channels": [4, 8, 8], "units": 64, "groups": 2, "batch": 4, "steps": steps, "invariance": invariance}
    network, _ = train(SETTINGS | few, bits, grid, CPU, "small")
    with torch.no_grad():
        codes = network.encode(pixels)[0][0].numpy()
    column = dict(zip(FACTORS, grid.classes().T, strict=True))
    found = {
        factor: explained_within(codes[:, latents[0]], column[factor], column["shape"])
        for factor, latents in ASSIGNED.items()
    }
    latents, shapes = codes[:, ASSIGNED["shape"]], np.eye(3)[column["shape"]]
    found["shape"] = LinearRegression().fit(latents, shapes).score(latents, shapes)
    for factor, explained_share in least.items():
        assert found[factor] > explained_share, found


# The table --------------------------------------------------------------------------------------------


def test_explained_variance_is_1_for_a_function_of_the_class_0_for_another_and_a_share_between():
    rng = np.random.default_rng(0)
    classes, noise = np.repeat(np.arange(4), 5000), rng.standard_normal(20000)
    assert explained(np.array([3.0, -1.0, 0.5, 0.5])[classes], classes) == pytest.approx(1)
    assert explained(noise, classes) == pytest.approx(0, abs=1e-3)
    signal = np.array([-1.0, 1.0, -1.0, 1.0])[classes]  # variance 1
    assert explained(signal + noise, classes) == pytest.approx(0.5, abs=0.02)
    assert explained(np.full(20000, 2.0), classes) == 0


def test_rotation_within_a_shape_may_have_each_shapes_own_period():
    grid = FactorGrid.thinned({"posX": 8, "posY": 8})
    shape, _, orientation, *_ = grid.classes().T
    turn = 2 * np.pi * orientation / 40
    latent = np.cos(np.array([4, 2, 1])[shape] * turn) + np.array([5.0, 0.0, -3.0])[shape]
    assert explained_within(latent, orientation, shape) == pytest.approx(1)
    assert explained(latent, orientation) < 0.1


def test_the_shape_is_regressed_on_all_of_its_latents():
    shapes, noise = np.repeat(np.arange(3), 1000), np.random.default_rng(0).standard_normal((3000, 2))
    latents = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[shapes] + 1e-3 * noise
    nearest, linear = KNeighborsRegressor(NEIGHBOURS), LinearRegression()
    for model in (nearest, linear):
        assert shape_regression(model, latents, shapes) == pytest.approx(1, abs=1e-4)
        tells_one_of_three = shape_regression(model, latents[:, :1], shapes)
        assert tells_one_of_three == pytest.approx(0.5, abs=0.06)
        assert shape_regression(model, noise, shapes) < 0.1
    # Along one line no linear regression tells the one in the middle from the two others.
    line = shapes[:, None] + 0.1 * noise[:, :1]
    assert shape_regression(nearest, line, shapes) > 0.99
    assert shape_regression(linear, line, shapes) == pytest.approx(0.5, abs=0.05)


def test_codes_that_are_the_factors_are_explained_in_full_and_a_diverged_replica_is_named(grid):
    classes = grid.classes()
    codes = np.zeros((grid.images, LATENTS), np.float32)
    for factor, latents in ASSIGNED.items():
        codes[:, latents[0]] = classes[:, FACTORS.index(factor)]
    codes[:, 5] = classes[:, 0] == 1
    rows = table_rows(codes, classes, 3)
    assert [row["factor"] for row in rows] == list(ASSIGNED)
    assert [row["R²"] for row in rows] == pytest.approx(5 * [1])
    assert rows[-1]["R², linear"] == pytest.approx(1)
    codes[7, 0] = np.nan
    assert {row["R²"] for row in table_rows(codes, classes, 3)} == {"diverged"}
