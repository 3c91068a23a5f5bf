import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from betavae.bernoulli import reconstruction_loss
from betavae.device import matrix_precision
from betavae.images import lit_chunks
from betavae.stacked import LARGE, LitLinear, StackedLinear, initialise, product
from betavae.vae import VAE, kl_per_latent, objective

PIXELS, WIDTH, LATENTS = 4096, 24, 5


@pytest.fixture
def network():
    """Two replicas, weights drawn and biases set, so that a bias left out would be seen."""
    network = VAE(2, WIDTH, LATENTS)
    initialise(network, [0, 1])
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, -0.1, 0.1, generator=torch.Generator().manual_seed(0))
    return network


@pytest.fixture
def batch(pixels):
    """For each of two replicas 8 images, and noise."""
    images = torch.from_numpy(pixels[np.random.default_rng(0).integers(0, len(pixels), (2, 8))])
    return images, torch.randn(2, 8, LATENTS, generator=torch.Generator().manual_seed(1))


def test_every_pixel_begins_at_the_initial_logit():
    plain, dark = VAE(2, WIDTH, LATENTS), VAE(2, WIDTH, LATENTS, initial_logit=-3.0)
    for each in (plain, dark):
        initialise(each, [0, 1])
    codes = torch.randn(2, 3, LATENTS, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(dark.decode(codes), plain.decode(codes) - 3.0)


def test_an_initial_log_variance_is_added_to_the_posteriors_alone(network, batch, pixels):
    shifted = VAE(2, WIDTH, LATENTS, initial_logvar=-4.0)
    shifted.load_state_dict(network.state_dict())
    few, columns = torch.from_numpy(pixels[:8]), torch.arange(PIXELS)
    for found, usual in (
        (shifted.encode(batch[0]), network.encode(batch[0])),
        (shifted.encode_lit(few, columns), network.encode_lit(few, columns)),
    ):
        assert torch.equal(found[0], usual[0])
        torch.testing.assert_close(found[1], usual[1] - 4.0)


def test_kl_per_latent_is_the_divergence_of_the_two_gaussians():
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 3, 50, 4, generator=generator, dtype=torch.float64) * 2
    expected = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_per_latent(mean, logvar), expected)
    assert kl_per_latent(torch.zeros(1), torch.zeros(1)) == 0


def test_reconstruction_loss_is_minus_the_bernoulli_log_likelihood_of_an_image():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(2, 3, PIXELS, generator=generator, dtype=torch.float64)
    images = torch.randint(0, 2, logits.shape, generator=generator).double()
    expected = -Bernoulli(logits=logits).log_prob(images).sum(-1)
    torch.testing.assert_close(reconstruction_loss(logits, images), expected)


def test_reconstruction_loss_of_a_decoder_that_knows_nothing_is_a_bit_a_pixel():
    loss = reconstruction_loss(torch.zeros(1, 1, PIXELS), torch.ones(1, 1, PIXELS))
    assert loss.item() == pytest.approx(PIXELS * np.log(2), rel=1e-6)


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_the_objective_is_reconstruction_plus_beta_times_kl(network, batch, beta):
    found = objective(network, *batch, beta)
    torch.testing.assert_close(found["loss"], found["reconstruction"] + beta * found["kl"].sum(-1))


def test_beta_weighs_the_kl_and_nothing_else(network, batch):
    vae, beta_vae = objective(network, *batch, 1.0), objective(network, *batch, 4.0)
    torch.testing.assert_close(beta_vae["reconstruction"], vae["reconstruction"], rtol=0, atol=0)
    torch.testing.assert_close(beta_vae["loss"] - vae["loss"], 3.0 * vae["kl"].sum(-1), rtol=1e-4, atol=1e-4)


def test_the_objectives_terms_are_means_over_the_batch_of_what_was_encoded(network, batch):
    images, noise = batch
    found = objective(network, images, noise, 4.0)
    mean, logvar = network.encode(images)
    posterior = Normal(mean, (0.5 * logvar).exp())
    logits = network.decode(posterior.mean + posterior.stddev * noise)
    torch.testing.assert_close(found["kl"], kl_divergence(posterior, Normal(0.0, 1.0)).mean(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["reconstruction"], -Bernoulli(logits=logits).log_prob(images).sum(-1).mean(1))


def test_encode_lit_equals_encode_on_real_images(network, bits, grid, pixels):
    whole = network.encode(torch.from_numpy(pixels).expand(2, -1, -1))
    for images, part, columns in lit_chunks(bits, grid):
        found = network.encode_lit(torch.from_numpy(part), torch.from_numpy(columns))
        for ours, theirs in zip(found, whole, strict=True):
            torch.testing.assert_close(ours, theirs[:, images], rtol=1e-5, atol=1e-5)


def test_the_papers_network_has_table_1s_number_of_parameters():
    with torch.device("meta"):
        network = VAE(1, 1200, 10)
    encoder = [(4096, 1200), (1200, 1200), (1200, 2 * 10)]
    decoder = [(10, 1200), (1200, 1200), (1200, 1200), (1200, 4096)]
    expected = sum(inputs * outputs + outputs for inputs, outputs in encoder + decoder)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected == 14_196_516
    sizes = [tuple(m.weight.shape[1:]) for m in network.modules() if isinstance(m, StackedLinear)]
    assert sizes == encoder + decoder


def plain_copy(network, replica):
    """The replica as two ordinary networks of torch."""

    def layers(sequence):
        for layer in sequence:
            if isinstance(layer, StackedLinear):
                linear = nn.Linear(*layer.weight.shape[1:])
                linear.weight.data = layer.weight.data[replica].T.clone()
                linear.bias.data = layer.bias.data[replica, 0].clone()
                yield linear
            else:
                yield layer

    return nn.Sequential(*layers(network.encoder)), nn.Sequential(*layers(network.decoder))


@pytest.mark.parametrize("replica", [0, 1])
def test_a_replica_has_the_loss_and_gradients_of_a_plain_vae_with_its_weights(network, batch, replica):
    beta = 4.0
    found = objective(network, *batch, beta)
    found["loss"].sum().backward()

    images, noise = (tensor[replica] for tensor in batch)
    encoder, decoder = plain_copy(network, replica)
    mean, logvar = encoder(images).chunk(2, dim=1)
    logits = decoder(mean + (logvar / 2).exp() * noise)
    kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum()
    loss = (F.binary_cross_entropy_with_logits(logits, images, reduction="sum") + beta * kl) / len(images)
    loss.backward()

    torch.testing.assert_close(found["loss"][replica], loss, rtol=1e-5, atol=1e-5)
    stacked = [layer for layer in network.modules() if isinstance(layer, StackedLinear)]
    plain = [layer for layer in (*encoder, *decoder) if isinstance(layer, nn.Linear)]
    for ours, theirs in zip(stacked, plain, strict=True):
        torch.testing.assert_close(ours.weight.grad[replica].T, theirs.weight.grad, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.bias.grad[replica, 0], theirs.bias.grad, rtol=1e-5, atol=1e-5)


def test_initial_weights_are_xavier_uniform_and_biases_zero():
    network = VAE(1, 64, LATENTS)
    initialise(network, [3])
    for layer in network.modules():
        if isinstance(layer, StackedLinear):
            bound = (6 / sum(layer.weight.shape[1:])) ** 0.5
            assert layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.06)
            assert not layer.bias.any()


def test_a_replicas_initial_weights_hang_on_its_own_seed_only():
    together, alone = VAE(3, WIDTH, LATENTS), VAE(1, WIDTH, LATENTS)
    initialise(together, [7, 8, 7])
    initialise(alone, [8])
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours[1], theirs[0])
        assert torch.equal(ours[0], ours[2])
    assert not torch.equal(together.encoder[0].weight[0], together.encoder[0].weight[1])


# What is computed another way for speed ----------------------------------------------------------------


@pytest.mark.parametrize("size", [0.01, 1.0, 30.0, 200.0])
def test_the_cross_entropy_and_its_gradient_are_torchs(pixels, size):
    generator = torch.Generator().manual_seed(0)
    images = torch.from_numpy(pixels[:24]).reshape(2, 12, 4096)
    logits = (size * torch.randn(2, 12, 4096, generator=generator)).requires_grad_()
    weight = torch.rand(2, 12, generator=generator)
    ours = reconstruction_loss(logits, images)
    (own,) = torch.autograd.grad((ours * weight).sum(), logits)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.double(), images.double(), reduction="none"
    ).sum(-1)
    (expected,) = torch.autograd.grad((theirs * weight).sum(), logits)
    torch.testing.assert_close(ours.double(), theirs, rtol=2e-6, atol=1e-3)
    torch.testing.assert_close(own, expected.float(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_the_last_layer_with_the_loss_in_one_is_the_layer_and_then_the_loss(network, pixels, precision, tolerance):
    last = network.decoder[-1]
    hidden = torch.randn(2, 12, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()
    images = torch.from_numpy(pixels[:24]).reshape(2, 12, 4096)
    weight = torch.rand(2, 12, generator=torch.Generator().manual_seed(1))
    with matrix_precision(precision):
        ours = last(hidden, images)
        own = torch.autograd.grad((ours * weight).sum(), [hidden, last.weight, last.bias])
    theirs = reconstruction_loss(last(hidden), images)
    expected = torch.autograd.grad((theirs * weight).sum(), [hidden, last.weight, last.bias])
    torch.testing.assert_close(ours, theirs, rtol=tolerance / 10, atol=0)
    for found, wanted in zip(own, expected, strict=True):
        assert found.dtype == torch.float32
        assert torch.linalg.vector_norm(found - wanted) < tolerance * torch.linalg.vector_norm(wanted)


def test_a_layer_in_bfloat16_rounds_its_factors_and_its_output_only(network):
    layer = network.decoder[2]
    x = torch.randn(2, 12, WIDTH, generator=torch.Generator().manual_seed(0))
    with matrix_precision("bfloat16"):
        found = layer(x)
        found.sum().backward()
    exact = x.bfloat16().double() @ layer.weight.bfloat16().double()
    torch.testing.assert_close(found.double(), exact + layer.bias.double(), rtol=2**-7, atol=2**-7)
    assert layer.weight.grad.dtype == found.dtype == torch.float32
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_as_exact_in_either_library(replicas, turned):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(replicas, 64, 900, generator=generator), torch.randn(replicas, 900, 300, generator=generator)
    assert a[0].numel() * b.shape[-1] > LARGE
    found = product(b.mT, a.mT).mT if turned else product(a, b)
    exact = a.double() @ b.double()
    assert torch.linalg.vector_norm(found - exact) < 1e-6 * torch.linalg.vector_norm(exact)


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_layer_that_sums_lit_rows_is_the_dense_layer(pixels, replicas):
    generator = torch.Generator().manual_seed(0)
    lit, dense = LitLinear(replicas, 4096, 16), StackedLinear(replicas, 4096, 16)
    with torch.no_grad():
        for own, other in zip(lit.parameters(), dense.parameters(), strict=True):
            own.copy_(torch.randn(own.shape, generator=generator))
            other.copy_(own)
    images = torch.from_numpy(pixels[: 5 * replicas]).reshape(replicas, 5, 4096).clone()
    images[0, 1] = 0.0  # an empty image, and one that is all lit
    images[-1, 2] = 1.0
    weight = torch.randn(replicas, 5, 16, generator=generator)
    ours, theirs = lit(images), dense(images)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-4)
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    torch.testing.assert_close(lit.weight.grad, dense.weight.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lit.bias.grad, dense.bias.grad, rtol=1e-5, atol=1e-5)
