"""Figure 8: parts of the data, the Hamming distance, pixel noise, and the table."""

import csv
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from betavae import figure8, noise, train
from betavae.codes import HeldCodes
from betavae.factors import FactorGrid
from betavae.hamming import consecutive, distances
from betavae.images import pack, unpack
from betavae.models import load_model
from betavae.names import NameRefused, check_model, parse_subset, subset_name
from betavae.noise import flipped, noisy_codes
from betavae.plan import Plan
from betavae.score import score
from betavae.shapes import draw
from betavae.subset import every_nth, subset
from betavae.train import draw_block

FULL = FactorGrid.thinned({})


def chosen(kind, number, seed=0):
    return {"kind": kind, "number": number, "seed": seed}


# Subsets ----------------------------------------------------------------------------------------------


def test_a_stride_keeps_every_nth_value_of_every_factor_but_the_shape():
    images = subset(FULL, chosen("stride", 4))
    assert len(images) == 3 * 2 * 10 * 8 * 8
    classes = FULL.classes(images)
    kept = [np.unique(column).tolist() for column in classes.T]
    assert kept == [[0, 1, 2], [0, 4], list(range(0, 40, 4)), list(range(0, 32, 4)), list(range(0, 32, 4))]
    assert len(np.unique(classes, axis=0)) == len(images)


def test_a_wide_stride_leaves_two_values_of_each_factor():
    classes = FULL.classes(subset(FULL, chosen("stride", 31)))
    assert [len(np.unique(column)) for column in classes.T] == [3, 2, 2, 2, 2]


@pytest.mark.parametrize("whole", [None, chosen("stride", 1)])
def test_no_subset_and_a_stride_of_1_are_all_images(grid, whole):
    np.testing.assert_array_equal(subset(grid, whole), np.arange(grid.images))


def test_a_random_subset_is_one_image_in_n_evenly_over_the_grid():
    images = subset(FULL, chosen("random", 16))
    assert len(np.unique(images)) == FULL.images // 16
    for column, size in zip(FULL.classes(images).T, FULL.sizes, strict=True):
        share = np.bincount(column, minlength=size) * size / len(images)
        assert share == pytest.approx(np.ones(size), abs=0.15)
    again, other = subset(FULL, chosen("random", 16)), subset(FULL, chosen("random", 16, seed=1))
    np.testing.assert_array_equal(images, again)
    assert len(np.intersect1d(images, other)) == pytest.approx(len(images) / 16, rel=0.1)


def test_a_continuous_subset_has_55_percent_of_the_data_and_keeps_all_its_neighbours():
    images = subset(FULL, chosen("continuous", 55))
    assert len(images) / FULL.images == pytest.approx(0.55, abs=0.02)
    lacking = set(range(40)) - set(np.unique(FULL.classes(images)[:, 2]))
    assert lacking == set(range(22, 40))
    for factor, size in zip(("scale", "orientation", "posX", "posY"), (6, 22, 32, 32), strict=True):
        first, second = consecutive(FULL, images, factor)
        assert len(first) == len(images) * (size - 1) // size
        assert (np.abs(FULL.classes(first) - FULL.classes(second)).sum(1) == 1).all()


def test_a_subset_cannot_be_written_to_and_an_unknown_kind_is_refused(grid):
    with pytest.raises(ValueError, match="read-only"):
        subset(grid, chosen("stride", 2))[0] = 7
    with pytest.raises(ValueError, match="'dense'"):
        subset(grid, chosen("dense", 2))


def test_a_thinned_grid_knows_the_values_of_its_images(grid):
    thin, images = every_nth(grid, {"orientation": 3, "posX": 3})
    assert thin.images == len(images) == 3 * 2 * 2 * 3 * 7
    np.testing.assert_array_equal(thin.factor_values(), grid.factor_values()[images])


# Training on a subset ---------------------------------------------------------------------------------

SETTINGS = {"system": "vae", "beta": 4.0, "latents": 3, "seeds": [0, 5], "width": 8, "batch": 16, "steps": 600}


def test_the_whole_as_a_subset_changes_no_random_number(grid):
    plain, whole = draw_block(SETTINGS, grid, 1), draw_block(SETTINGS | {"subset": chosen("stride", 1)}, grid, 1)
    assert plain.keys() == whole.keys()
    for name in plain:
        np.testing.assert_array_equal(plain[name], whole[name])


@pytest.mark.parametrize("kind", ["stride", "random"])
def test_training_draws_from_the_whole_subset_and_from_nothing_else(grid, kind):
    drawn = draw_block(SETTINGS | {"subset": chosen(kind, 4)}, grid, 0)["images"]
    np.testing.assert_array_equal(np.unique(drawn), subset(grid, chosen(kind, 4)))


# Hamming distance -------------------------------------------------------------------------------------


def test_the_distance_of_hand_made_images():
    # Three positions: four pixels; two of them and two others; two pixels elsewhere.
    line = FactorGrid((np.ones(1), np.ones(1), np.zeros(1), np.arange(3.0), np.zeros(1)))
    images = np.zeros((3, 4096), np.uint8)
    images[0, [0, 1, 2, 3]] = images[1, [2, 3, 100, 4095]] = images[2, [64, 65]] = 1
    found = distances(np.packbits(images, axis=1), line, np.arange(3))
    assert found["posX"] == found["all"] == (4 + 6) / ((4 + 4) / 2 + (4 + 2) / 2)
    assert found["scale"] is None
    # Without the second, the first and the third are consecutive, and share nothing.
    assert distances(np.packbits(images, axis=1), line, np.array([0, 2]))["all"] == 2.0
    assert distances(np.packbits(images, axis=1), line, np.array([1]))["all"] is None


def test_the_distance_of_two_real_frames():
    # A square of 20 × 20 pixels moves by one pixel: two columns of 20 differ out of 400.
    frames = draw(0, 1.0, 0.0, FULL.values[3][:2], FULL.values[4][:1])[:, 0]
    assert frames.sum((1, 2)).tolist() == [400, 400]
    pair = FactorGrid((np.ones(1), np.ones(1), np.zeros(1), FULL.values[3][:2], np.zeros(1)))
    assert distances(pack(frames), pair, np.arange(2))["all"] == 40 / 400


def test_the_distance_pools_the_pairs_of_all_factors(bits, pixels, grid):
    images = np.sort(np.random.default_rng(0).choice(grid.images, 300, replace=False))
    differ, lit, classes = 0, 0, grid.classes(images)
    for axis in (1, 2, 3, 4):
        rest = np.delete(classes, axis, 1)
        for line in np.unique(rest, axis=0):
            members = images[(rest == line).all(1)]  # ascending along the factor
            for first, second in itertools.pairwise(members):
                differ += np.abs(pixels[first] - pixels[second]).sum()
                lit += (pixels[first].sum() + pixels[second].sum()) / 2
    assert distances(bits, grid, images)["all"] == pytest.approx(differ / lit)


def test_sparser_grids_lie_further_apart(bits, grid):
    found = [distances(bits, grid, subset(grid, chosen("stride", n)))["all"] for n in (1, 2, 4)]
    assert 0 < found[0] < found[1] < found[2] < 2


# Noise ------------------------------------------------------------------------------------------------


def test_noise_flips_the_share_of_pixels_that_it_says_and_more_noise_flips_more_of_the_same(bits):
    clean, light, heavy = flipped(bits[:300], [0.0, 0.03, 0.1], np.random.default_rng(0))
    np.testing.assert_array_equal(clean, bits[:300])
    light, heavy = unpack(light ^ bits[:300]), unpack(heavy ^ bits[:300])
    assert (light.mean(), heavy.mean()) == pytest.approx((0.03, 0.1), rel=0.02)
    assert light.mean(0).max() < 0.1  # no pixel is favoured
    assert not (light & ~heavy & 1).any()


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    """A model of two replicas, trained a little on a part of the data."""
    path = tmp_path_factory.mktemp("models") / "beta4_random2.safetensors"
    settings = SETTINGS | {"optimiser": "adam", "learning_rate": 0.01, "initial_accumulator": 0.1, "width": 32}
    settings |= {"beta": 1.0, "steps": 600, "record_every": 600, "threads": 1, "subset": chosen("random", 2)}
    files = {"bits": data / "dsprites_bits.npy", "dataset": data / "dsprites.h5", "model": path}
    train.main(**files, history=path.with_suffix(".h5"), settings=json.dumps(settings), device="cpu")
    return path


def test_codes_under_no_noise_are_those_of_the_clean_images(model, bits, pixels):
    network, settings = load_model(model, torch.device("cpu"))
    assert settings["subset"] == chosen("random", 2)
    clean, noisy = noisy_codes(network, bits[:700], [0.0, 0.1], torch.device("cpu"))
    expected = network.encode(torch.from_numpy(pixels[:700]).expand(2, -1, -1))[0].numpy()
    np.testing.assert_allclose(clean, expected, rtol=1e-4, atol=1e-4)  # sums in another order
    assert np.abs(noisy - expected).mean() > 0.01


def test_the_noisy_scores_are_those_of_the_metric_on_the_thinned_grid(model, data, bits, grid, metric, tmp_path):
    metric |= {"train_points": 1000, "test_points": 500, "classifier_seeds": 1, "replicas": 2}
    metric["classifier"] |= {"steps": 1000}
    settings = metric | {"model": model.stem, "scale": "tests", "metric": "zdiff", "threads": 1}
    settings |= {"noise": {"levels": [0, 0.5], "strides": {"posY": 3}}}
    files = {"bits": data / "dsprites_bits.npy", "dataset": data / "dsprites.h5", "model": model}
    noise.main(**files, output=tmp_path / "noise.json", settings=json.dumps(settings), device="cpu")
    found = json.loads((tmp_path / "noise.json").read_text())
    assert [level["noise"] for level in found["levels"]] == [0, 0.5]
    thin, images = every_nth(grid, {"posY": 3})
    assert found["images"] == thin.images == 576
    network, _ = load_model(model, torch.device("cpu"))
    codes = network.encode_lit(torch.from_numpy(unpack(bits[images]).astype("float32")), torch.arange(4096))[0]
    clean = score(HeldCodes(codes.detach().numpy()), thin, metric, "test")
    assert found["levels"][0]["score_mean"] == pytest.approx(clean["score_mean"], abs=0.01)
    # Half of all pixels flipped leave nothing of the image.
    assert found["levels"][1]["score_mean"] < 0.35
    assert found["levels"][0]["score_mean"] > found["levels"][1]["score_mean"] + 0.03


# Names and plan ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [("stride", 1), ("stride", 31), ("random", 2), ("continuous", 55)])
def test_a_point_is_called_by_its_kind_and_number(point):
    kind, number = point
    assert subset_name(kind, number) == f"beta4_{kind}{number}"
    assert parse_subset(f"{kind}{number}") == point


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("stride", "no subset of the data is called 'stride'; allowed: stride<1…31>, random<2…10000>"),
        ("stride-4", "no subset of the data"),
        ("stride4.5", "no subset of the data"),
        ("strode4", "no subset of the data"),
        ("beta4", "no subset of the data"),
        ("stride04", "not in its shortest form; write 'stride4'"),
        ("stride0", "out of range; allowed: stride<1…31>"),
        ("stride32", "out of range"),
        ("random1", "all images are 'stride1'"),
        ("continuous100", "continuous<1…99>"),
    ],
)
def test_a_point_that_makes_no_sense_is_refused_with_what_is_allowed(point, said):
    with pytest.raises(NameRefused) as refusal:
        parse_subset(point)
    assert said in str(refusal.value)


def test_a_point_is_refused_as_a_model_and_its_place_named():
    with pytest.raises(NameRefused, match=r"results/continuity/metric_stride4\.json"):
        check_model("beta4_stride4")


def test_a_point_is_trained_with_the_settings_of_the_main_model_but_for_its_own(config):
    plan = Plan(config)
    main, point = plan.training("laptop", "beta4"), plan.training("laptop", "beta4_random16")
    own = config["scales"]["laptop"]["continuity"]
    assert point == main | {
        "steps": own["steps"],
        "seeds": list(range(own["replicas"])),
        "subset": chosen("random", 16),
    }
    assert len(plan.continuity_points()) <= 6
    assert plan.continuity_points()[0] == ("stride", 1)


def test_the_whole_is_the_main_model_where_the_steps_are_the_same(config):
    plan = Plan(config)
    assert plan.continuity_model(("stride", 1), "laptop") == "beta4_stride1"
    assert plan.continuity_model(("stride", 1), "paper") == "beta4"
    config["scales"]["laptop"]["continuity"]["steps"] = config["scales"]["laptop"]["steps"]
    wildcards = SimpleNamespace(point="stride1")
    assert Plan(config).continuity_score(wildcards) == "results/laptop/metrics/zdiff/beta4.json"
    with pytest.raises(SystemExit, match=r"metric_stride0\.json: 'stride0' is out of range"):
        Plan(config).continuity_score(SimpleNamespace(point="stride0"))


def test_noise_is_scored_on_images_that_no_scales_training_sets_favour(config):
    for scale in config["scales"]:
        preset = Plan(config).preset(scale)
        strides = preset["continuity"]["noise"]["strides"].values()
        for noisy, stride in itertools.product(strides, preset["continuity"]["stride"]):
            assert math.gcd(noisy, stride) == 1


@pytest.mark.parametrize(
    ("model", "replicas"), [("infogan", 1), ("dcign", 2), ("beta4", 10), ("vae_z32", 10), ("standin_chairs_dcign", 4)]
)
def test_a_system_has_the_seeds_that_its_own_section_gives(config, model, replicas):
    config["scales"]["laptop"]["infogan"]["replicas"] = 1
    config["scales"]["laptop"]["dcign"]["replicas"] = 2
    config["scales"]["laptop"]["pictures"]["replicas"] = 4
    assert Plan(config).replicas("laptop", model) == replicas


# The figure -------------------------------------------------------------------------------------------


def test_spearman_leaves_out_what_is_not_finite():
    assert figure8.spearman([1.0, 2.0, 3.0, 4.0], [9.0, 7.0, 6.9, 1.0]) == (pytest.approx(-1), 4)
    assert figure8.spearman([1.0, 2.0, 3.0, 4.0], [9.0, np.nan, 6.0, 7.0]) == (pytest.approx(-0.5), 3)
    found, number = figure8.spearman([1.0, np.nan, 3.0], [9.0, 8.0, 7.0])
    assert np.isnan(found)
    assert number == 2
    assert np.isnan(figure8.spearman([1.0, 1.0, 1.0], [9.0, 8.0, 7.0])[0])


def written(path, content):
    path.write_text(json.dumps(content))
    return path


def test_the_table_names_a_diverged_point_and_leaves_it_out_of_the_correlation(tmp_path):
    points = [("stride", 1), ("stride", 4), ("random", 16), ("continuous", 55), ("stride", 8)]
    means, apart = [0.7, 0.5, 0.6, 0.71, None], [0.2, 0.7, 0.8, 0.19, 1.0]
    files = {"scores": [], "distances": [], "noise": []}
    for number, (mean, distance) in enumerate(zip(means, apart, strict=True)):
        scored = {
            "factors": ["posX", "posY", "scale", "orientation"],
            "score_mean": mean,
            "score_std": None if mean is None else 0.01,
        }
        scored |= {"scores": [[0, 0, mean]], "diverged": [0] if mean is None else []}
        subset_ = {"distance": distance, "images": 1000 - number, "share": 1 - number / 1000}
        levels = {"levels": [scored | {"noise": 0.1}]}
        for kind, content in zip(files, (scored, subset_, levels), strict=True):
            files[kind].append(written(tmp_path / f"{kind}{number}.json", content))
    outputs = {name: tmp_path / f"figure8.{name}" for name in ("png", "pdf", "csv", "md")}
    figure8.main(**files, **outputs, settings=json.dumps({"scale": "tests", "points": points}))
    with outputs["csv"].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    order = ["continuous55", "stride1", "stride4", "random16", "stride8"]
    assert [row["training set"] for row in rows] == order
    assert [row["diverged"] for row in rows] == ["0", "0", "0", "0", "1"]
    assert float(rows[1]["score (%)"]) == float(rows[1]["at 10 % noise (%)"]) == pytest.approx(70)
    # Ranks 1 2 3 4 against 4 3 1 2.
    assert "Hamming distance and score: -0.80 (4 points" in outputs["md"].read_text(encoding="utf-8")
    assert outputs["png"].stat().st_size > 10000
