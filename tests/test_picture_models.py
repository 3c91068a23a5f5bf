"""What is said of models on pictures: what their latents follow, which one a figure walks, and what they are called."""

import csv
import importlib
import json

import h5py
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from betavae import picture_table
from betavae.codes import HeldCodes
from betavae.config import check
from betavae.dcign import draw
from betavae.device import floats
from betavae.errors import UserError
from betavae.estimate import seconds_a_step
from betavae.factors import FactorGrid
from betavae.names import NameRefused
from betavae.picture_figure import latent_of
from betavae.picture_held_out import alike, combinations, nearest, worded
from betavae.picture_plan import (
    COLOURS,
    FIGURES,
    PICTURE,
    Picture,
    check_picture_model,
    factors_of,
    folder,
    models_on,
    parse_picture,
    shown_set,
    standin_sizes,
    training,
)
from betavae.picture_set import Factors
from betavae.picture_shares import carriers, found_by, joint_shares, of_replica, shares
from betavae.picture_sources import STANDINS
from betavae.picture_table import follows, rows_of
from betavae.score import score
from betavae.train import train
from running import TINY

GRID = FactorGrid((np.arange(8.0), np.arange(5.0), np.arange(3.0)), ("azimuth", "width", "legs"))
CLASSES = GRID.classes()
AZIMUTH, WIDTH, LEGS = (CLASSES[:, k] - CLASSES[:, k].mean() for k in range(3))


def made_up_codes():
    """Six latents: width; azimuth as a cosine and, mixed with legs, as a sine; two factors at once; two that idle."""
    angle = CLASSES[:, 0] * 2 * np.pi / 8
    rng = np.random.default_rng(0)
    idle = rng.standard_normal((2, GRID.images)) * 0.01
    parity = (-1.0) ** (CLASSES[:, 1] + CLASSES[:, 2])
    return np.stack([WIDTH, np.cos(angle), np.sin(angle) + LEGS, parity, *idle], axis=1).astype(np.float32)


def test_shares_are_those_of_the_variance():
    found = shares(made_up_codes(), CLASSES)
    assert found.shape == (3, 6)
    np.testing.assert_allclose(found[:, 0], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(found[:, 1], [1, 0, 0], atol=1e-6)
    of_legs = LEGS.var() / (LEGS.var() + 0.5)
    np.testing.assert_allclose(found[:, 2], [1 - of_legs, 0, of_legs], atol=1e-6)


def test_two_factors_that_act_only_together_are_told_from_each_alone():
    found = joint_shares(made_up_codes(), CLASSES, GRID.sizes)
    # The means of ±1 over five widths and three legs are 1/5 and 1/3.
    assert found[1, 2][3] == pytest.approx((1 - 1 / 25) * (1 - 1 / 9) / (1 - 1 / 225), abs=1e-6)
    alone = shares(made_up_codes(), CLASSES)[:, 3]
    assert alone.sum() + found[1, 2][3] == pytest.approx(1, abs=1e-6)
    assert found[0, 1][3] == pytest.approx(0, abs=1e-6)
    assert all(abs(share[0]) < 1e-6 for share in found.values())


def test_each_factor_is_carried_by_the_live_latent_that_it_explains_most_of():
    of_factor = shares(made_up_codes(), CLASSES)
    live = np.array([True, True, True, True, False, False])
    carried = carriers(of_factor, live)
    assert carried == [1, 0, 2]
    assert found_by(of_factor, carried) == [True, True, False]
    live[1] = False
    assert carriers(of_factor, live)[0] == 2
    assert carriers(of_factor, np.zeros(6, bool)) == [None] * 3
    assert found_by(of_factor, [None] * 3) == [False] * 3


def test_a_set_may_know_one_factor_alone():
    own = {"shares": {"leg_style": [0.1, 0.9]}, "joint": {}, "carriers": {"leg_style": 1}}
    assert follows(own, "leg_style") == "z1: 0.90"
    assert latent_of("leg style", "leg_style", own, {}) == (1, "z1: 90% leg style")


def test_a_figure_walks_the_right_latent():
    kl = np.array([2.0, 1.5, 1.0, 0.2, 0.01, 0.0])
    own = of_replica(made_up_codes(), kl, Factors.of_grid(GRID))
    assert own["found"] == ["azimuth", "width"]
    assert own["live"].tolist() == [0, 1, 2, 3]
    latent, words = latent_of("leg style", "legs", own, {})
    assert (latent, words) == (2, "z2: 57% legs, 43% azimuth")
    assert latent_of("width", "width", own, {})[0] == 0
    assert latent_of("width", "width", own, {"width": 5}) == (5, "z5, named in the config")
    assert latent_of("age/gender", None, own, {})[0] is None
    assert "name its latent in the config" in latent_of("age/gender", None, own, {})[1]
    assert latent_of("width", "width", of_replica(made_up_codes(), 0 * kl, Factors.of_grid(GRID)), {}) == (
        None,
        "no live latent",
    )
    unknown = of_replica(made_up_codes(), kl, None)
    assert latent_of("width", "width", unknown, {})[0] is None
    assert latent_of("width", "width", unknown, {"width": 0})[0] == 0


def test_the_table_says_what_carries_each_factor_and_what_else_it_follows():
    own = of_replica(made_up_codes(), np.array([2.0, 1.5, 1.0, 0.2, 0.01, 0.0]), Factors.of_grid(GRID))
    own = json.loads(json.dumps(own, default=lambda value: value.tolist()))
    assert follows(own, "width") == "z0: 1.00"
    assert follows(own, "legs") == "z2: 0.57, azimuth 0.43"
    said = {
        "model": "standin_chairs_beta5",
        "best": 1,
        "posterior": True,
        "reconstruction": [None, 12.34],
        "replicas": [None, own],
    }
    scored = {"scores": [[0, 0, None], [1, 0, 0.5], [1, 1, 0.7]]}
    lost, row = rows_of(said, scored)
    assert lost == {
        "model": "β-VAE (β = 5)",
        "replica": "0",
        "score (%)": "–",
        "reconstruction (nats)": "diverged",
    }
    assert row["replica"] == "1 (shown)"
    assert (row["score (%)"], row["KL (nats)"], row["live latents"]) == ("60.0", "4.71", "4 of 6")
    assert (row["factors found"], row["legs"]) == ("2 of 3", "z2: 0.57, azimuth 0.43")


def test_a_drawing_is_held_against_the_chairs_that_differ_in_the_held_out_factors_alone():
    assert combinations(GRID, ("legs",)) == [(0,), (1,), (2,)]
    numbers = GRID.index(np.array([[3, 2, 1], [0, 4, 2]]))
    others = alike(GRID, numbers, ("legs", "width"))
    assert others.shape == (2, 15)
    found = GRID.classes(others)
    assert (found[0, :, 0] == 3).all()
    assert found[1, :, [2, 1]].T.tolist() == [list(each) for each in combinations(GRID, ("legs", "width"))]
    candidates = np.random.default_rng(0).random((2, 4, 8, 8))
    drawn = candidates[[0, 1], [3, 1]] + 0.01
    assert nearest(drawn, candidates).tolist() == [3, 1]
    assert [worded("legs", 1), worded("arms", 1), worded("back_height", 2)] == [
        "swivel base",
        "with arms",
        "back height 2",
    ]


def test_the_metric_scores_codes_by_the_factors_of_any_grid(metric):
    codes = HeldCodes(np.stack([AZIMUTH, WIDTH, LEGS], axis=1).astype(np.float32)[None])
    settings = metric | {
        "factors": ["legs", "azimuth", "width"],
        "train_points": 600,
        "test_points": 300,
        "replicas": 1,
        "classifier_seeds": 1,
        "classifier": metric["classifier"] | {"steps": 1500},
    }
    found = score(codes, GRID, settings, "made up")
    assert found["score_mean"] == 1.0
    np.testing.assert_array_equal(found["confusion"], np.eye(3))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("standin_chairs_beta5", Picture("standin_chairs", "beta5", False)),
        ("chairs_beta0.5", Picture("chairs", "beta0.5", False)),
        ("standin_chairs_beta5_held_out", Picture("standin_chairs", "beta5", True)),
        ("faces_infogan", Picture("faces", "infogan", False)),
        ("standin_chairs_dcign", Picture("standin_chairs", "dcign", False)),
        ("faces_infogan_held_out", None),
        ("standin_faces_beta20_held_out", None),
        ("standin_chairs_pca", None),
        ("beta5", None),
        ("beta4_stride4", None),
        ("dcign", None),
    ],
)
def test_a_models_name_says_its_set(name, expected):
    assert parse_picture(name) == expected


def test_an_odd_beta_on_pictures_is_refused():
    with pytest.raises(NameRefused, match="beta5"):
        parse_picture("standin_chairs_beta5.0")


def test_the_stand_in_gives_way_to_the_real_set_where_its_path_is_given(config):
    assert shown_set(config, "chairs") == "standin_chairs"
    config["pictures"]["chairs"]["path"] = "/somewhere"
    assert shown_set(config, "chairs") == "chairs"
    assert factors_of(config, "chairs") == []
    assert "legs" in factors_of(config, "standin_chairs")


@pytest.mark.parametrize("subject", ["chairs", "faces"])
def test_all_four_systems_are_trained_where_factors_are_labelled(config, subject):
    names = [name.removeprefix(f"standin_{subject}_") for name in models_on(config, f"standin_{subject}")]
    assert names[1:] == ["beta1", "infogan", "dcign"]


def test_dcign_is_left_out_of_a_set_that_nobody_labelled(config):
    assert models_on(config, "faces") == ["faces_beta20", "faces_beta1", "faces_infogan"]
    config["pictures"]["assigned"]["faces"] = {"azimuth": 1}
    assert models_on(config, "faces")[-1] == "faces_dcign"
    config["pictures"]["assigned"]["faces"] = {"azimuth": 0}
    assert models_on(config, "faces")[-1] == "faces_infogan"
    with pytest.raises(UserError, match=r"`pictures.assigned.faces` .* no factor of faces; expected"):
        training(config, "laptop", parse_picture("faces_dcign"), [0])


@pytest.mark.parametrize("model", ["pca", "beta5_held_out_", "vae_untrained", ""])
def test_what_is_trained_on_no_picture_set_is_refused(model):
    with pytest.raises(NameRefused, match=r"allowed: beta<number>, infogan, dcign"):
        check_picture_model(model)


def test_a_thinned_stand_in_keeps_three_values_of_each_factor_or_all_it_has(config):
    assert standin_sizes(config, "standin_chairs") == config["pictures"]["standin_chairs"]
    thin = standin_sizes(config, "standin_chairs_thin4")
    assert thin == {"azimuth": 10, "width": 3, "legs": 3, "back_height": 3, "arms": 2}
    assert folder(config, "smoke", "standin_chairs") == "results/data/standin_chairs_thin4"
    assert folder(config, "laptop", "standin_chairs") == "results/data/standin_chairs"
    assert folder(config, "smoke", "chairs") == "results/data/chairs"


def test_an_infogan_on_pictures_has_the_scales_settings_and_the_sets_colours(config):
    found = training(config, "paper", parse_picture("standin_celeba_infogan"), [0, 1])
    assert (found["system"], found["colours"], found["dark"], found["seeds"]) == ("infogan", 3, 0, [0, 1])
    assert found["channels"] == [128, 64]
    assert "sheets" not in found
    darks = [training(config, "paper", parse_picture(f"{name}_infogan"), [0])["dark"] for name in ("chairs", "faces")]
    assert darks == [-1.5, 1.5]


def test_an_infogan_in_colour_trains_and_encodes_whole_pictures():
    settings = {
        "system": "infogan",
        "seeds": [0, 1],
        "colours": 3,
        "dark": 0,
        "latents": 2,
        "noise": 1,
        "fully_connected": 64,
        "channels": [3, 2],
        "recognition": 4,
        "optimiser": "adam",
        "generator_learning_rate": 1e-3,
        "discriminator_learning_rate": 1e-3,
        "information_weight": 1,
        "instance_noise": 0.2,
        "batch": 4,
        "steps": 3,
        "record_every": 2,
    }
    images = np.random.default_rng(0).integers(0, 256, (GRID.images, 64, 64, 3)).astype(np.uint8)
    network, history = train(settings, images, GRID, torch.device("cpu"), "infogan")
    assert np.isfinite(history.arrays()["generator_loss"]).all()
    network.eval()
    pixels = floats(torch.from_numpy(images[:5]))
    with torch.no_grad():
        codes, none = network.encode_lit(pixels, torch.arange(3 * 4096))
        torch.testing.assert_close(codes, network.encode(pixels.expand(2, -1, -1)))
        assert none is None
        assert network.generate(codes).shape == (2, 5, 3 * 4096)


def test_a_dcign_on_pictures_has_latents_for_each_factor_that_varies(config):
    config["pictures"]["standin_chairs"]["width"] = 1
    found = training(config, "paper", parse_picture("standin_chairs_dcign"), [0, 1])
    laptop = training(config, "laptop", parse_picture("standin_chairs_dcign"), [0, 1])
    untuned = {"initial_logit": 0, "anneal": 0, "groups": 1, "curriculum": {}, "invariance_times": {}}
    assert untuned.items() <= laptop.items()  # whatever the 2D shapes have
    assert found["assigned"] == {"azimuth": [0, 1], "legs": [2, 3, 4], "back_height": [5], "arms": [6]}
    assert found["ratios"] == {"azimuth": 2, "legs": 3, "back_height": 1, "arms": 1}
    assert (found["system"], found["latents"], found["colours"], found["channels"]) == ("dcign", 7, 1, [96, 48, 48])
    config["scales"]["laptop"]["dcign"]["channels"] = [3, 3, 3]  # the 2D shapes'
    found = training(config, "laptop", parse_picture("standin_faces_dcign"), [0])
    assert (found["channels"], found["steps"], found["batch"], found["invariance"]) == ([8, 8, 8], 1500, 20, 10)


DCIGN = {
    "system": "dcign",
    "seeds": [0, 1],
    "latents": 5,
    "assigned": {"azimuth": [0, 1], "legs": [3]},
    "ratios": {"azimuth": 2, "legs": 1},
    "channels": [2, 3, 4],
    "units": 8,
    "initial_logvar": -4.0,
    "initial_logit": 0.0,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "groups": 2,
    "batch": 6,
    "clamp": "mean",
    "invariance": 0.01,
    "invariance_times": {},
    "curriculum": {},
    "steps": 3,
    "record_every": 2,
}


def test_dcigns_mini_batches_vary_the_factors_of_any_grid_by_their_ratios():
    drawn = draw(np.random.default_rng(0), range(600), DCIGN, GRID)
    classes = GRID.classes(drawn["images"]).reshape(600, 2, 6, 3)
    varies = (classes != classes[:, :, :1]).any(2)
    assert not varies[..., 1].any()  # width has no ratio
    assert (varies.sum(-1) <= 1).all()
    assert drawn["active"][..., 0].mean() == pytest.approx(2 / 3, abs=0.05)
    np.testing.assert_array_equal(drawn["active"][..., 3], ~drawn["active"][..., 0])
    assert (varies[..., 2] <= drawn["active"][..., 3]).all()
    np.testing.assert_array_equal(drawn["active"][..., 1], drawn["active"][..., 0])
    assert not drawn["active"][..., [2, 4]].any()
    with pytest.raises(UserError, match="taught arms, and the images are a whole product of azimuth, width, legs;"):
        draw(np.random.default_rng(0), range(1), DCIGN | {"assigned": {"arms": [0]}}, GRID)


@pytest.mark.parametrize("colours", [1, 3])
def test_a_dcign_on_pictures_trains_and_encodes_whole_pictures(colours):
    images = np.random.default_rng(0).integers(0, 256, (GRID.images, 64, 64, colours)).astype(np.uint8)
    settings = DCIGN | {"colours": colours}
    network, history = train(settings, images, GRID, torch.device("cpu"), "dcign")
    assert history.arrays()["kl"].shape == (2, 2, 5)
    assert np.isfinite(history.arrays()["loss"]).all()
    pixels = floats(torch.from_numpy(images[:5]))
    with torch.no_grad():
        whole = torch.arange(colours * 4096)
        ours, theirs = network.encode_lit(pixels, whole), network.encode(pixels.expand(2, -1, -1))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        part = whole.unflatten(0, (colours, 64, 64))[:, 20:30, 7:33].flatten()
        dark = torch.zeros_like(pixels).index_copy(1, part, pixels[:, part])
        ours, theirs = network.encode_lit(pixels[:, part], part), network.encode(dark.expand(2, -1, -1))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        assert network.generate(ours[0]).shape == (2, 5, colours * 4096)
    assert network.initial_logvar.tolist() == [-4, -4, 0, -4, 0]
    assert seconds_a_step(settings, torch.device("cpu")) > 0


def test_codes_without_a_posterior_are_live_by_their_variance():
    own = of_replica(made_up_codes(), None, Factors.of_grid(GRID))
    assert own["live"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(own["said"], made_up_codes().var(0), rtol=1e-5)


def test_the_papers_scale_trains_table_1(config):
    found = training(config, "paper", parse_picture("standin_celeba_beta250"), [0])
    assert found["channels"] == [32, 32, 64, 64]
    assert (found["units"], found["latents"], found["colours"], found["beta"]) == (256, 32, 3, 250.0)
    assert (found["optimiser"], found["learning_rate"]) == ("adam", 1e-4)
    assert "hold_out" not in found
    held = training(config, "paper", parse_picture("standin_chairs_beta5_held_out"), [0])
    assert held["hold_out"] == {"legs": 1, "arms": 1}


def test_the_figures_factors_are_the_papers():
    assert list(FIGURES["figure1"].factors) == ["azimuth", "emotion", "hair fringe"]
    assert list(FIGURES["figure2"].factors) == ["azimuth", "width", "leg style"]
    assert list(FIGURES["figure3"].factors) == ["azimuth", "elevation", "lighting"]
    assert list(FIGURES["figure4"].factors) == ["skin colour", "age/gender", "image saturation"]
    assert PICTURE.count("celeba") == 2


@pytest.mark.parametrize("subject", yaml.safe_load(TINY.read_text(encoding="utf-8"))["pictures"]["in_all"])
def test_a_whole_run_has_the_pictures_of_the_stand_ins(whole_run, subject):
    results, name = whole_run.folder / "results", f"standin_{subject}"
    with (results / f"tables/pictures_{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4  # two models of two seeds
    assert sum("(shown)" in row["replica"] for row in rows) == 2
    beta = {"chairs": "beta5", "faces": "beta20"}[subject]
    scored = json.loads((results / name / f"metric_{beta}.json").read_text(encoding="utf-8"))
    with h5py.File(results / f"data/{name}_thin20/images.h5") as file:
        assert sorted(scored["factors"]) == sorted(json.loads(file.attrs["factor_names"]))
    assert scored["model"] == f"{name}_{beta}"
    figure = {"chairs": "figure2", "faces": "figure3"}[subject]
    for picture in (figure, f"latents_{name}_{beta}", f"history_{name}_{beta}"):
        with Image.open(results / f"figures/{picture}.png") as image:
            assert image.width > 500
        assert (results / f"figures/{picture}.pdf").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("in_all", ["chairs", "tables"], r"`pictures.in_all` names 'tables', expected some of celeba, chairs, faces"),
        ("assigned", {"tables": {"width": 1}}, r"`pictures.assigned` names 'tables'"),
        ("latents", {"standin_tables": {}}, r"`pictures.latents` names 'standin_tables', .* standin_celeba"),
        (
            "latents",
            {"chairs": {"vae": {"width": 0}}},
            r"`pictures.latents.chairs`: no model on pictures is called 'vae'",
        ),
        ("models", {"chairs": ["beta5", "pca"]}, r"`pictures.models.chairs`: no model on pictures is called 'pca'"),
        ("models", {"chairs": ["beta5.0"]}, r"`pictures.models.chairs`: .* write 'beta5'"),
    ],
)
def test_a_config_that_speaks_of_other_sets_or_models_is_refused(config, key, value, said):
    config["pictures"][key] = value
    with pytest.raises(UserError, match=said):
        check(config)


@pytest.mark.parametrize("name", STANDINS)
def test_a_stand_ins_colours_are_its_modules(name):
    assert importlib.import_module(f"betavae.{name}").CHANNELS == STANDINS[name] == COLOURS[name[len("standin_") :]]


def test_the_table_prints_large_losses_in_full(tmp_path):
    own = of_replica(made_up_codes(), np.array([2.0, 1.5, 1.0, 0.2, 0.01, 0.0]), None)
    said = {"model": "standin_celeba_beta250", "best": 0, "posterior": True, "reconstruction": [-12370.04]}
    share, paths = tmp_path / "share.json", {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md")}
    said["replicas"] = [json.loads(json.dumps(own, default=lambda value: value.tolist()))]
    share.write_text(json.dumps(said), encoding="utf-8")
    picture_table.main(shares=[share], settings=json.dumps({"scale": "test", "set": "standin_celeba"}), **paths)
    assert "-12370" in paths["md"].read_text(encoding="utf-8")
    assert "-12370.0" in paths["csv"].read_text(encoding="utf-8")


@pytest.mark.parametrize(("factors", "said"), [(None, False), (Factors.of_grid(GRID), True)])
def test_the_tables_caption_speaks_of_factors_and_scores_only_where_there_are_any(tmp_path, factors, said):
    own = of_replica(made_up_codes(), None, factors)
    told = {"model": "celeba_infogan", "best": 0, "posterior": False, "replicas": [own, None]}
    share, paths = tmp_path / "share.json", {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md")}
    share.write_text(json.dumps(told, default=lambda value: value.tolist()), encoding="utf-8")
    picture_table.main(shares=[share], settings=json.dumps({"scale": "test", "set": "celeba"}), **paths)
    caption = paths["md"].read_text(encoding="utf-8")
    assert ("A factor is found" in caption) == said
    assert "the paper's metric" not in caption
    assert "Models on `celeba`, scale `test`" in caption
