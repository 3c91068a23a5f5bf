import json

import numpy as np
import pytest

from betavae import few_labels
from betavae.codes import StoredCodes, write_codes
from betavae.errors import UserError
from betavae.zdiff import adagrad, confusion

ALL = ["posX", "posY", "scale", "orientation"]


@pytest.fixture
def settings(config):
    """The project's settings in small: two draws, larger steps."""
    chosen, metric = config["choose_beta"], config["metrics"]["zdiff"]
    return {
        "model": "test",
        "scale": "tiny",
        "factors": [["posX", "posY"], ALL],
        "points": [15, 150],
        "seeds": [0, 1, 2],
        "classifier": chosen["classifier"] | {"learning_rate": 0.5},
        **{key: metric[key] for key in ("pairs", "train_points", "test_points")},
    }


@pytest.fixture
def store(tmp_path, grid):
    """Write codes (replicas, images, M) and open them."""

    def written(codes):
        with write_codes(tmp_path / "codes.h5", codes.shape) as arrays:
            arrays["mean"][:] = codes
        return StoredCodes(tmp_path / "codes.h5", grid.images)

    return written


@pytest.fixture
def clean(grid):
    """posX, posY, scale of every image, each spread alike."""
    values = grid.factor_values()[:, [3, 4, 1]]
    return ((values - values.mean(0)) / values.std(0)).astype(np.float32)


def noise(grid, latents=3):
    return np.random.default_rng(0).normal(size=(grid.images, latents)).astype(np.float32)


def test_points_are_divided_as_the_metrics_are_and_neither_part_is_empty(settings):
    assert few_labels.split(15, settings) == (10, 5)
    assert few_labels.split(500, settings) == (333, 167)
    assert few_labels.split(3, settings) == (2, 1)
    assert few_labels.split(3, settings | {"train_points": 10, "test_points": 10_000}) == (1, 2)
    assert few_labels.split(3, settings | {"train_points": 10_000, "test_points": 10}) == (2, 1)


def test_clean_codes_score_high_with_few_labels_and_noise_at_chance(store, grid, settings, clean):
    of_clean = few_labels.accuracies(store(clean[None]), 0, grid, ALL, settings)
    assert of_clean.shape == (2, 3)
    assert of_clean[1].min() > 0.9
    of_noise = few_labels.accuracies(store(noise(grid)[None]), 0, grid, ALL, settings)
    assert of_noise[1].mean() == pytest.approx(0.25, abs=0.12)
    of_two = few_labels.accuracies(store(noise(grid)[None]), 0, grid, ["posX", "posY"], settings)
    assert of_two[1].mean() == pytest.approx(0.5, abs=0.15)


def test_a_draw_of_labels_is_the_same_whatever_else_is_drawn(store, grid, settings, clean):
    """Of the draws asked for, of the numbers of points, and of the replica."""
    codes = store(np.stack([clean, clean]))
    every = few_labels.accuracies(codes, 0, grid, ALL, settings)
    np.testing.assert_array_equal(few_labels.accuracies(codes, 1, grid, ALL, settings), every)
    last = few_labels.accuracies(codes, 0, grid, ALL, settings | {"seeds": [2], "points": [150]})
    np.testing.assert_array_equal(last, every[1:, 2:])


def test_classifiers_with_points_of_their_own_learn_as_if_each_were_alone():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(3, 40, 5)).astype(np.float32), rng.integers(0, 3, (3, 40))
    options = {"batch": 16, "learning_rate": 0.1, "initial_accumulator": 0.1}

    def after(steps, fits):
        for _ in range(steps):
            weight, bias = next(fits)
        return weight.copy(), bias.copy()

    weight, bias = after(20, adagrad(points, labels, 3, [4, 5, 4], **options))
    counts = confusion(weight, bias, points, labels, 3)
    for k, seed in enumerate([4, 5, 4]):
        alone = after(20, adagrad(points[k], labels[k], 3, [seed], **options))
        np.testing.assert_allclose(weight[k], alone[0][0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(bias[k], alone[1][0], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(counts[k], confusion(*alone, points[k], labels[k], 3)[0])


# The file --------------------------------------------------------------------------------------------------


def test_a_diverged_replica_is_named_and_null(store, grid, settings, clean):
    broken = clean.copy()
    broken[7, 1] = np.nan
    found = few_labels.few_labels(store(np.stack([clean, broken])), grid, settings, "test")
    assert found["diverged"] == [1]
    assert [entry["accuracy"][1] for entry in found["labels"]] == [None] * 4
    assert found["shares"][1] is None
    # posX, posY and scale, in the order of factor_shares.SHARES
    np.testing.assert_allclose(found["shares"][0], np.eye(3, 5), atol=1e-6)
    assert np.isfinite([entry["accuracy"][0] for entry in found["labels"]]).all()
    assert [(tuple(entry["factors"]), entry["points"]) for entry in found["labels"]] == [
        (("posX", "posY"), 15), (("posX", "posY"), 150), (tuple(ALL), 15), (tuple(ALL), 150),
    ]  # fmt: skip


def test_the_file_is_json_and_the_same_each_time(tmp_path, data, store, grid, settings, clean):
    store(np.stack([clean, np.full_like(clean, np.nan)]))
    written = []
    for name in ("a.json", "b.json"):
        few_labels.main(
            codes=tmp_path / "codes.h5",
            dataset=data / "dsprites.h5",
            output=tmp_path / name,
            settings=json.dumps(settings),
        )
        found = json.loads((tmp_path / name).read_text())
        assert found.pop("provenance")["code_digest"]
        written.append(found)
    assert written[0] == written[1]
    assert np.shape(written[0]["shares"][0]) == (3, 5)
    assert written[0]["settings"] == settings


def test_codes_of_another_data_set_are_refused(tmp_path, data, settings):
    with write_codes(tmp_path / "codes.h5", (1, 10, 2)) as arrays:
        arrays["mean"][:] = 0
    with pytest.raises(UserError, match=r"codes\.h5: /mean has shape .* expected \(replicas, 1344, latents\)"):
        few_labels.main(
            codes=tmp_path / "codes.h5",
            dataset=data / "dsprites.h5",
            output=tmp_path / "a.json",
            settings=json.dumps(settings),
        )
