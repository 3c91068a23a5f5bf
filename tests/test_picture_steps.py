"""From a picture set to Figures 1–4 and the combination held out, file to file, on a set of a few pictures."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from betavae import encode, picture_figure, picture_held_out, picture_shares, picture_traversal, train
from betavae.errors import UserError
from betavae.factors import FactorGrid
from betavae.picture_plan import parse_picture, training
from betavae.picture_set import Factors, open_factors, open_images, writing
from betavae.walk import open_replica
from conftest import CONFIG

SIZES = {"azimuth": 5, "width": 1, "legs": 3, "back_height": 1, "arms": 2}
CHANNELS = {"beta5": [2] * 4, "beta5_held_out": [2] * 4, "infogan": [4, 2], "dcign": [2] * 3}
SMALL = {
    "steps": 4,
    "record_every": 2,
    "batch": 4,
    "units": 8,
    "fully_connected": 64,
    "recognition": 4,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set called standin_chairs: stripes for azimuth, a bar below for legs, one above for arms."""
    folder = tmp_path_factory.mktemp("pictures") / "standin_chairs"
    grid = FactorGrid(tuple(np.arange(float(size)) for size in SIZES.values()), tuple(SIZES))
    images = np.full((grid.images, 64, 64, 1), 255, np.uint8)
    for image, (azimuth, _, legs, _, arms) in zip(images, grid.classes(), strict=True):
        image[20:44, 10 * azimuth : 10 * azimuth + 10] = 60
        image[50:60, 20 * legs : 20 * legs + 20] = 0
        image[5:15, 40 * arms : 40 * arms + 20] = 120
    with writing(folder / "images.h5", folder / "images.npy", 1) as writer:
        writer.append(images)
        writer.finish("made up", "none", Factors.of_grid(grid), "standin")
    return folder


@pytest.fixture(scope="module")
def made(folder):
    """Models on the set, each with its shares: {name: (model, shares)}."""
    data = {"dataset": folder / "images.h5"}
    config = CONFIG | {"pictures": CONFIG["pictures"] | {"standin_chairs": SIZES}}
    found = {}
    for name, channels in CHANNELS.items():
        model, of = f"standin_chairs_{name}", folder / name
        settings = training(config, "laptop", parse_picture(model), [0, 1])
        settings |= {key: value for key, value in SMALL.items() if key in settings} | {"channels": channels}
        paths = {"model": of / f"{model}.safetensors", "bits": folder / "images.npy"} | data
        train.main(**paths, history=of / "history.h5", settings=json.dumps(settings), device="cpu")
        codes = {"codes": of / f"{model}.h5", "summary": of / "summary.h5"}
        told = json.dumps({"scale": "test", "threads": 1, "evaluation_images": 8})
        encode.main(**paths, **codes, settings=told, device="cpu")
        picture_shares.main(**codes, **data, output=of / "shares.json")
        found[name] = paths["model"], of / "shares.json"
    return found


def test_a_model_of_each_system_says_what_its_latents_follow(made):
    for name, latents in (("beta5", 32), ("infogan", 5), ("dcign", 6)):
        said = json.loads(made[name][1].read_text(encoding="utf-8"))
        assert said["best"] in (0, 1)
        assert said["posterior"] == (name != "infogan")
        assert [len(own["said"]) for own in said["replicas"]] == [latents, latents]
        assert set(said["replicas"][0]["shares"]) == set(SIZES)


def test_dcign_learns_from_what_is_whole_where_a_picture_was_left_out(made, folder, tmp_path, capsys):
    settings = json.loads(safe_open(made["dcign"][0], "np").metadata()["settings"])
    settings |= {"curriculum": {}, "assigned": {"azimuth": [0, 1]}, "ratios": {"azimuth": 1}}
    factors = open_factors(folder / "images.h5")
    kept = np.delete(np.arange(30), 7)  # one of the six pictures at azimuth 1
    with writing(tmp_path / "images.h5", tmp_path / "images.npy", 1) as writer:
        writer.append(open_images(folder / "images.npy")[kept])
        writer.finish("made up", "none", Factors.of_values(factors.names, factors.values[kept]), "standin")
    model = tmp_path / "chairs_dcign.safetensors"
    files = {"bits": tmp_path / "images.npy", "dataset": tmp_path / "images.h5"}
    train.main(**files, model=model, history=tmp_path / "history.h5", settings=json.dumps(settings), device="cpu")
    assert model.exists()
    told = "chairs_dcign: learns from 24 of 29 pictures, all combinations of 4 azimuth × 1 width × 3 legs"
    assert told in capsys.readouterr().err


def test_a_figure_has_a_column_for_each_model(made, folder, tmp_path):
    settings = {"scale": "test", "figure": "figure2", "set": "standin_chairs", "latents": {}}
    settings["factors"] = {"azimuth": "azimuth", "leg style": "legs"}
    widths = []
    for names in (["beta5"], ["beta5", "infogan", "dcign"]):
        models, shares = zip(*(made[name] for name in names), strict=True)
        paths = {"png": tmp_path / "figure.png", "pdf": tmp_path / "figure.pdf"}
        picture_figure.main(
            npy=folder / "images.npy", models=models, shares=shares, settings=json.dumps(settings), **paths
        )
        with Image.open(paths["png"]) as image:
            widths.append(image.width)
    assert widths[1] > 2 * widths[0]


def drawn(made, folder, names, **settings):
    """Figure 2 of some models of the set, not saved."""
    walkers, images = {}, open_images(folder / "images.npy")
    for name in names:
        model, shares = made[name]
        said = json.loads(shares.read_text(encoding="utf-8"))
        walkers[model.stem] = open_replica(model, said, images), said
    settings = {"set": "standin_chairs", "latents": {}, "factors": {"azimuth": "azimuth"}} | settings
    return picture_figure.draw(walkers, np.array(images[:3]), settings)


def test_a_latent_that_the_user_names_is_walked_and_one_that_the_model_has_not_is_refused(made, folder):
    figure = drawn(made, folder, ["infogan"], latents={"infogan": {"azimuth": 4}})
    assert figure.axes[1].get_xlabel() == "z4, named in the config"
    with pytest.raises(
        UserError, match=r"`pictures.latents.standin_chairs.infogan` .* latent 5 for azimuth; .* 0 to 4"
    ):
        drawn(made, folder, ["infogan"], latents={"infogan": {"azimuth": 5}})


def test_columns_have_their_titles_at_one_height_and_words_stand_where_nothing_is_known(made, folder):
    latents = {"beta5": {"emotion": 1}}
    figure = drawn(made, folder, ["beta5", "infogan", "dcign"], factors={"emotion": None}, latents=latents)
    figure.canvas.draw()
    titles = [axis.title.get_window_extent() for axis in figure.axes[1:]]
    assert [axis.title.get_text() for axis in figure.axes[1:]] == ["β-VAE (β = 5)", "InfoGAN", "DC-IGN"]
    assert max(title.y0 for title in titles) - min(title.y0 for title in titles) < 1
    assert [[text.get_text()[:16] for text in axis.texts] for axis in figure.axes[1:]] == [
        [],
        *[["factor not known"]] * 2,
    ]


def test_all_latents_are_walked(made, folder, tmp_path):
    model, shares = made["dcign"]
    paths = {"png": tmp_path / "sheet.png", "pdf": tmp_path / "sheet.pdf"}
    picture_traversal.main(npy=folder / "images.npy", model=model, shares=shares, scale="test", **paths)
    with Image.open(paths["png"]) as image:
        assert image.size == (1000, 628)


@pytest.mark.parametrize(("name", "said"), [("beta5", "; KL in nats"), ("infogan", "")])
def test_a_sheet_of_all_latents_speaks_of_a_kl_where_there_is_one(made, folder, name, said, monkeypatch):
    model, shares = made[name]
    notes = []
    monkeypatch.setattr(picture_traversal.style, "save", lambda figure, png, pdf, scale, note: notes.append(note))
    files = {"npy": folder / "images.npy", "png": None, "pdf": None}
    picture_traversal.main(**files, model=model, shares=shares, scale="test")
    assert notes == [f"model standin_chairs_{name}{said}"]


def test_what_is_made_of_a_combination_held_out_is_told_beside_a_model_that_saw_it(made, folder, tmp_path):
    models, shares = zip(made["beta5_held_out"], made["beta5"], strict=True)
    paths = {kind: tmp_path / f"held_out.{kind}" for kind in ("png", "pdf", "csv", "md")}
    picture_held_out.main(
        npy=folder / "images.npy",
        h5=folder / "images.h5",
        models=models,
        shares=shares,
        settings=json.dumps({"scale": "test", "hold_out": {"legs": 1, "arms": 1}}),
        **paths,
    )
    with paths["csv"].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["pictures"] for row in rows] == ["5 held out", "25 seen"] * 2
    assert [row["model"].endswith("held out") for row in rows] == [True, True, False, False]
    shares_of_combinations = [value for key, value in rows[0].items() if "arms" in key]
    assert len(shares_of_combinations) == 6
    assert sum(map(int, shares_of_combinations)) == 100
    with Image.open(paths["png"]) as image:
        assert image.width > 1000
