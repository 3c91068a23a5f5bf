"""Shares of variance on codes for which they are known in closed form."""

import numpy as np
import pytest

from betavae.factor_shares import (
    followed,
    live_latents,
    position_share,
    posterior_statistics,
    responses,
    rotation_by_shape,
    shares,
    summary,
    turned_axes,
    turned_by,
    turns_by_shape,
)
from betavae.factors import FactorGrid

SYMMETRY = np.array([4.0, 2.0, 1.0])  # square, ellipse, heart


@pytest.fixture(scope="module")
def fine():
    """All shapes, scales and orientations at 8 × 8 positions: 46,080 images."""
    return FactorGrid.thinned({"posX": 4, "posY": 4})


def values(grid):
    """shape, scale, orientation, posX, posY of every image, each centred but shape and orientation."""
    shape, scale, angle, x, y = grid.factor_values().T
    return shape, scale - scale.mean(), angle, x - x.mean(), y - y.mean()


def codes_of(*latents):
    return np.stack(latents, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def ideal(fine):
    """What the paper's Figure 7 shows of β = 4: posX, posY, scale, cos and sin of each shape's own rotation."""
    shape, scale, angle, x, y = values(fine)
    turns = SYMMETRY[shape.astype(int) - 1]
    return codes_of(x, y, scale, np.cos(turns * angle), np.sin(turns * angle))


def test_responses_are_the_means_over_the_rest_and_the_variance(grid):
    codes = np.random.default_rng(0).normal(size=(grid.images, 3)).astype(np.float32) + 5
    found = responses(codes, grid)
    whole = codes.reshape(*grid.sizes, 3).astype(np.float64)
    assert found.position == pytest.approx(whole.mean((0, 1, 2)))
    assert found.object == pytest.approx(whole.mean((3, 4)))
    assert found.mean == pytest.approx(codes.mean(0, dtype=np.float64))
    assert found.variance == pytest.approx(codes.var(0, dtype=np.float64))
    assert found.shape_variance == pytest.approx(whole.reshape(3, -1, 3).var(1))


def test_each_ideal_latent_follows_its_factor_alone(fine, ideal):
    found = shares(responses(ideal, fine))
    expected = {"posX": 0, "posY": 1, "scale": 2}
    for name, latent in expected.items():
        assert found[name] == pytest.approx(np.eye(5)[latent], abs=1e-6)
    assert found["rotation"] == pytest.approx([0, 0, 0, 1, 1], abs=1e-6)
    assert found["shape"] == pytest.approx(np.zeros(5), abs=1e-6)


def test_the_ideal_codes_read_as_in_the_paper(fine, ideal):
    found = followed(responses(ideal, fine), fine, np.ones(5, bool))
    assert found.kind == ["position", "position", "scale", "rotation", "rotation"]
    assert found.factor == ["posX", "posY", "scale", "rotation", "rotation"]
    assert summary(found) == "two of position (turned by 0°, 0°), one of scale, two of rotation; none dead"


def test_rotation_has_the_period_of_each_shape(fine, ideal):
    found = responses(ideal, fine)
    assert turns_by_shape(found, fine)[:, 3:].tolist() == [[4, 4], [2, 2], [1, 1]]
    assert rotation_by_shape(found)[:, 3:] == pytest.approx(np.ones((3, 2)), abs=1e-6)
    assert rotation_by_shape(found)[:, :3] == pytest.approx(np.zeros((3, 3)), abs=1e-6)


def test_the_period_found_is_the_responses_own_not_the_shapes(fine):
    _, _, angle, _, _ = values(fine)
    found = responses(codes_of(np.cos(3 * angle), np.sin(19 * angle)), fine)
    assert turns_by_shape(found, fine).tolist() == [[3, 19]] * 3


def test_shapes_that_turn_in_opposite_phase_do_not_cancel(fine):
    shape, _, angle, _, _ = values(fine)
    found = responses(codes_of(np.sin(angle) * (shape - 2)), fine)  # square −sin, ellipse 0, heart sin
    assert shares(found)["rotation"] == pytest.approx(1)
    assert rotation_by_shape(found)[:, 0] == pytest.approx([1, 0, 1])


def test_a_thinned_grid_says_nothing_of_periods_that_it_cannot_tell(grid):
    # Four orientations: one turn can be told, the square's four and the ellipse's two cannot.
    _, _, angle, _, _ = values(grid)
    assert turns_by_shape(responses(codes_of(np.cos(angle)), grid), grid)[:, 0].tolist() == [0, 0, 1]


def test_shares_of_a_sum_are_the_shares_of_the_variances(fine):
    shape, scale, _, x, _ = values(fine)
    parts = {"posX": 2 * x, "scale": scale, "shape": 0.1 * shape}
    found = shares(responses(codes_of(sum(parts.values())), fine))
    whole = sum(part.var() for part in parts.values())
    for name, part in parts.items():
        assert found[name][0] == pytest.approx(part.var() / whole, abs=1e-5)
    assert sum(found.values())[0] == pytest.approx(1)


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 70, 90, 120, 150])
def test_a_turned_axis_is_found_with_its_angle_and_share(fine, degrees):
    _, _, _, x, y = values(fine)
    along = np.cos(np.radians(degrees)) * x + np.sin(np.radians(degrees)) * y
    found = responses(codes_of(along, -along, np.tanh(3 * along)), fine)
    angle, share = turned_axes(found, fine)
    assert angle.tolist() == [degrees] * 3
    assert share == pytest.approx([1, 1, 1], abs=2e-3)
    of_axes = shares(found)
    assert of_axes["posX"][0] == pytest.approx(np.cos(np.radians(degrees)) ** 2, abs=1e-6)
    assert of_axes["posY"][0] == pytest.approx(np.sin(np.radians(degrees)) ** 2, abs=1e-6)


def test_a_turned_axis_counts_as_position_though_neither_axis_explains_it(fine):
    _, _, _, x, y = values(fine)
    found = followed(responses(codes_of(x + y, x - y), fine), fine, np.ones(2, bool))
    assert found.kind == ["position", "position"]
    assert found.share == pytest.approx([0.5, 0.5])
    assert found.along == pytest.approx([1, 1])
    assert summary(found) == "two of position (turned by 45°, 45°), none of scale, none of rotation; none dead"


def test_a_turned_axis_is_found_where_the_axes_differ_in_their_number_of_values(grid):
    _, _, _, x, y = values(grid)
    along = np.cos(np.pi / 6) * x + np.sin(np.pi / 6) * y
    angle, share = turned_axes(responses(codes_of(along), grid), grid)
    assert angle[0] == 30
    assert share[0] == pytest.approx(1)


@pytest.mark.parametrize(("angle", "turned"), [(0, 0), (30, 30), (45, 45), (60, 30), (90, 0), (100, 10), (179, 1)])
def test_the_nearest_axis(angle, turned):
    assert turned_by(angle) == turned


def test_a_bump_in_the_plane_is_followed_by_position_but_along_no_direction(fine):
    _, _, _, x, y = values(fine)
    found = responses(codes_of(x * x + y * y), fine)
    assert position_share(found)[0] == pytest.approx(1)
    assert shares(found)["posX"][0] == pytest.approx(0.5)
    assert followed(found, fine, np.ones(1, bool)).kind == ["mixed"]


def test_noise_follows_nothing(fine):
    codes = np.random.default_rng(1).normal(size=(fine.images, 4)).astype(np.float32)
    found = followed(responses(codes, fine), fine, np.ones(4, bool))
    assert np.stack(list(found.shares.values())).max() < 0.005
    assert found.along.max() < 0.005
    assert found.kind == ["mixed"] * 4


def test_a_constant_latent_is_dead_and_divides_by_nothing(fine):
    with np.errstate(all="raise"):
        found = responses(np.full((fine.images, 2), 0.7, np.float32), fine)
        assert found.variance.tolist() == [0, 0]
        assert turns_by_shape(found, fine).tolist() == [[0, 0]] * 3
        assert rotation_by_shape(found).tolist() == [[0, 0]] * 3
        assert position_share(found).tolist() == [0, 0]
        of_all = followed(found, fine, live_latents(found.variance, None))
        assert found.standardised().position.max() == pytest.approx(0)
    assert of_all.kind == ["dead", "dead"]
    assert of_all.along.tolist() == of_all.angle.tolist() == of_all.share.tolist() == [0, 0]
    assert summary(of_all) == "none of position, none of scale, none of rotation; two dead"


def test_live_is_more_than_a_tenth_of_a_nat_or_a_hundredth_of_the_largest_variance():
    assert live_latents(np.ones(2), np.array([0.09, 0.11])).tolist() == [False, True]
    assert live_latents(np.array([3.0, 0.02, 0.04]), None).tolist() == [True, False, True]


def test_kl_and_posterior_variance_in_closed_form():
    mean = np.tile(np.float32([0, 1, 0]), (70000, 1))  # more than one chunk
    logvar = np.tile(np.float32([0, 0, np.log(0.25)]), (70000, 1))
    kl, variance = posterior_statistics(mean, logvar)
    assert kl == pytest.approx([0, 0.5, 0.5 * (0.25 - 1 + np.log(4))])
    assert variance == pytest.approx([1, 1, 0.25])


def test_standardised_responses_have_variance_one_and_the_same_shares(fine, ideal):
    found = responses(100 * ideal + 7, fine)
    assert found.standardised().variance == pytest.approx(np.ones(5))
    assert found.standardised().mean == pytest.approx(np.zeros(5), abs=1e-5)
    for name, share in shares(found).items():
        assert shares(found.standardised())[name] == pytest.approx(share, abs=1e-6)
