"""Pictures of models: the best replica, sheets of images, walks, the animation, Figure 5's point and Table 1."""

import csv
import json

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from betavae import compare, figure5, figure9, table1, traversal
from betavae import train as training
from betavae.codes import StoredCodes, write_codes
from betavae.device import unpack_floats
from betavae.figure5 import example
from betavae.images import unpack
from betavae.metric_file import best_replica
from betavae.models import load_model
from betavae.paper import TABLE1
from betavae.pictures import note, start_images, tiled, title
from betavae.table1 import parts_of
from betavae.train import build
from betavae.vae import VAE
from betavae.walk import Walker, encode, open_best, spread_of
from betavae.zdiff import confusion, z_diff

CPU = torch.device("cpu")
SETTINGS = {
    "system": "vae",
    "beta": 4.0,
    "latents": 4,
    "seeds": [5, 6, 7],
    "width": 16,
    "batch": 16,
    "steps": 20,
    "record_every": 10,
    "threads": 1,
    "optimiser": "adam",
    "learning_rate": 1e-2,
}


def metric_file(scores, diverged=()):
    return {"scores": scores, "diverged": list(diverged)}


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    """The file of a small model of three replicas, a summary, and a metric file that prefers the second."""
    folder = tmp_path_factory.mktemp("model")
    training.main(
        bits=data / "dsprites_bits.npy",
        dataset=data / "dsprites.h5",
        model=folder / "beta4.safetensors",
        history=folder / "beta4.history.h5",
        settings=json.dumps(SETTINGS),
        device="cpu",
    )
    scores = [[0, 0, 0.5], [1, 0, 0.7], [2, 0, None]]
    (folder / "beta4.json").write_text(json.dumps(metric_file(scores, [2])))
    with h5py.File(folder / "beta4.h5", "w") as file:  # a summary
        file["kl"] = [[9.0, 0, 0, 0], [0.05, 2.5, 0.3, 0.0], [9.0, 0, 0, 0]]
    (folder / "lost.json").write_text(json.dumps(metric_file([[k, 0, None] for k in range(3)], range(3))))
    return folder


class Plain:
    """A system of which no more than the protocol is known: codes without a variance, in other bounds."""

    latents, traversal, own_spread, posterior = 3, (-1.0, 1.0), False, False

    def encode_lit(self, pixels, columns):
        rows = columns // 64
        return torch.stack([(pixels * rows).mean(1), 0 * pixels.sum(1), pixels.sum(1)], dim=-1)[None], None

    def generate(self, codes):
        return codes[..., :1].expand(-1, -1, 4096).clamp(0, 1)


# Which replica ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([[0, 0, 0.9], [0, 1, 0.1], [1, 0, 0.6], [1, 1, 0.6]], (1, 0.6)),  # by the mean, not by the best single score
        ([[0, 0, None], [1, 0, 0.2], [2, 0, 0.1]], (1, 0.2)),
        ([[0, 0, 0.3], [1, 0, 0.3]], (0, 0.3)),
        ([[0, 0, None], [1, 0, None]], None),
    ],
)
def test_the_best_replica_has_the_highest_mean_over_classifiers_and_has_not_diverged(scores, best):
    assert best_replica(metric_file(scores)) == best


@pytest.mark.parametrize(
    ("model", "called"),
    [
        ("beta4", "β-VAE (β = 4)"),
        ("beta1", "VAE (β = 1)"),
        ("beta0.5_z20", "β-VAE (β = 0.5, M = 20)"),
        ("dcign", "DC-IGN"),
        ("mine", "mine"),
    ],
)
def test_models_are_called_by_their_names(model, called):
    assert title(model) == called


def test_the_face_of_a_picture_names_the_diverged():
    said = note({"beta4": metric_file([[0, 0, 0.5], [1, 0, None]], [1]), "dcign": metric_file([[0, 0, 0.5]])})
    assert said == "each model's best replica by the metric; β-VAE (β = 4): replicas 1 diverged"


def test_one_replica_of_a_file_is_the_replica_of_the_stack(model, bits):
    stack, settings = load_model(model / "beta4.safetensors", CPU)
    alone, own = load_model(model / "beta4.safetensors", CPU, 1)
    assert settings["seeds"] == [5, 6, 7]
    assert own == settings | {"seeds": [6]}
    images = unpack_floats(torch.from_numpy(bits[:3]))
    np.testing.assert_allclose(encode(alone, bits[:3]), stack.encode_lit(images, torch.arange(4096))[0][1], atol=1e-5)
    codes = torch.randn(3, 2, 4)
    torch.testing.assert_close(alone.generate(codes[1:2]), stack.generate(codes)[1:2])


# Sheets and walks -------------------------------------------------------------------------------------


def test_a_sheet_holds_each_image_at_its_place_and_white_between():
    images = np.arange(6).reshape(2, 3, 1, 1) / 10 * np.ones((1, 1, 64, 64))
    sheet = tiled(images, gap=2)
    assert sheet.shape == (2 * 64 + 2, 3 * 64 + 2 * 2)
    for row in range(2):
        for column in range(3):
            part = sheet[66 * row : 66 * row + 64, 66 * column : 66 * column + 64]
            np.testing.assert_array_equal(part, np.float32(images[row, column]))
    assert (sheet[64:66] == 1).all()
    assert (sheet[:, 64:66] == 1).all()


def test_walks_start_from_each_shape_in_the_middle(grid):
    classes = grid.classes(start_images(grid))
    assert classes.tolist() == [[shape, 1, 0, 4, 3] for shape in range(3)]


def test_a_walk_changes_one_latent_and_leaves_the_others(model, bits):
    walker = Walker("test", load_model(model / "beta4.safetensors", CPU, 0)[0], np.zeros(4))
    start = walker.encode(bits[:1])[0]
    values = walker.values(5)
    assert values.tolist() == [-3, -1.5, 0, 1.5, 3]
    walk = walker.walk(start, np.array([2, 0]), values)
    assert walk.shape == (2, 5, 64, 64)
    for row, latent in enumerate((2, 0)):
        codes = np.tile(start, (5, 1))
        codes[:, latent] = values
        np.testing.assert_allclose(walk[row], walker.generate(codes), atol=1e-6)


def test_latents_are_ordered_by_kl_and_told_live_by_it(model):
    network = load_model(model / "beta4.safetensors", CPU, 0)[0]
    walker = Walker("test", network, np.array([0.3, 0.05, 2.5, 0.02]))
    assert walker.order.tolist() == [2, 0, 1, 3]
    assert walker.live.tolist() == [2, 0]
    assert walker.label(2) == "z2  KL 2.50"
    assert Walker("test", network, np.array([0.01, 0.02, 0.0, 0.0])).live.tolist() == [1]  # where none is, the first


def test_a_system_without_a_posterior_is_walked_by_variance_between_its_own_ends(bits, pixels):
    walker = Walker("test", Plain(), spread_of(Plain(), bits)[1] ** 2)
    assert walker.said[2] == pytest.approx(pixels.sum(1).var(), rel=1e-4)
    assert walker.said[1] == 0
    assert 1 not in walker.live
    assert walker.label(1) == "z1  var 0.00"
    assert walker.values(3).tolist() == [-1, 0, 1]
    assert walker.walk(np.zeros(3), np.array([0]), np.array([0.5]))[0, 0, 0, 0] == 0.5
    assert walker.stops(3) == ["−1", "0", "1"]


def test_walks_may_count_in_the_spread_of_a_latents_codes(bits, pixels):
    mean, sd = spread_of(Plain(), bits)
    assert mean[2] == pytest.approx(pixels.sum(1).mean(), rel=1e-4)
    assert sd[2] == pytest.approx(pixels.sum(1).std(), rel=1e-4)
    walker = Walker("test", Plain(), sd**2, (np.array([0.5, 0, 0]), np.array([0.1, 1, 1])))
    assert walker.stops(3) == ["−1 sd", "0 sd", "1 sd"]
    assert walker.units == ["sd: of the latent's codes, about their mean"]
    walk = walker.walk(np.zeros(3), np.array([0]), walker.values(3))
    np.testing.assert_allclose(walk[0, :, 0, 0], [0.4, 0.5, 0.6], rtol=1e-6)


def test_a_replica_whose_walks_count_in_its_codes_spread_knows_it(model, bits, monkeypatch):
    assert open_best(**files_of(model), bits=bits)[0].spread is None
    monkeypatch.setattr(VAE, "own_spread", True)
    walker = open_best(**files_of(model), bits=bits)[0]
    codes = walker.encode(bits)
    np.testing.assert_allclose(walker.spread, (codes.mean(0), codes.std(0)), rtol=1e-4, atol=1e-5)
    assert walker.said.tolist() == [0.05, 2.5, 0.3, 0.0]  # still the KL


def files_of(model, score="beta4"):
    return {"model": model / "beta4.safetensors", "score": model / f"{score}.json", "summary": model / "beta4.h5"}


def test_a_model_is_shown_by_its_best_replica_and_the_kl_is_that_of_its_summary(model, bits):
    walker, scored = open_best(**files_of(model), bits=bits)
    assert walker.title == "β-VAE (β = 4), replica 1"
    assert walker.live.tolist() == [1, 2]
    assert scored["diverged"] == [2]
    expected = load_model(model / "beta4.safetensors", CPU, 1)[0]
    np.testing.assert_array_equal(walker.encode(bits[:2]), encode(expected, bits[:2]))
    assert open_best(**files_of(model, "lost"), bits=bits)[0] is None


# Files ------------------------------------------------------------------------------------------------


@pytest.fixture
def given(data, model):
    return {"bits": data / "dsprites_bits.npy", "dataset": data / "dsprites.h5", "scale": "test"}


def drawn(folder, name, *suffixes):
    return {suffix: folder / f"{name}.{suffix}" for suffix in ("png", "pdf", *suffixes)}


def test_the_animation_is_read_by_pillow_and_walks_there_and_back(model, given, tmp_path, bits, grid):
    files = drawn(tmp_path, "traversal", "gif")
    traversal.main(**given, **files_of(model), **files)
    walker, _ = open_best(**files_of(model), bits=bits)
    with Image.open(files["gif"]) as gif:
        assert gif.n_frames == traversal.FRAMES
        assert gif.info["loop"] == 0
        assert gif.info["duration"] == traversal.MILLISECONDS
        frames = []
        for number in range(gif.n_frames):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("L"), np.float64) / 255)
    # The first start image, enlarged twice, then the first latent's walk from the middle.
    start, side = start_images(grid)[0], traversal.TILE
    original = unpack(bits[[start]]).reshape(64, 64)
    left, top = 6, 46
    np.testing.assert_array_equal(frames[7][top : top + side : 2, left : left + side : 2], original)
    left += side + 6
    values = traversal.pendulum(walker, traversal.FRAMES)
    assert values[[0, 10, 20, 30]] == pytest.approx([0, 3, 0, -3])
    walk = walker.walk(walker.encode(bits[[start]])[0], walker.live[:1], values)[0]
    for number in (0, 10, 30):
        shown = frames[number][top : top + side : 2, left : left + side : 2]
        np.testing.assert_allclose(shown, walk[number], atol=0.5 / (traversal.LEVELS - 1) + 0.01)


def test_pictures_have_the_same_bytes_each_time(model, given, tmp_path):
    twice = []
    for name in ("one", "two"):
        files = drawn(tmp_path, name, "gif")
        traversal.main(**given, **files_of(model), **files)
        twice.append([path.read_bytes() for path in files.values()])
    assert twice[0] == twice[1]


@pytest.mark.parametrize("score", ["beta4", "lost"])
def test_pictures_of_any_number_of_models_are_drawn_diverged_or_not(model, given, tmp_path, score):
    models = [model / "beta4.safetensors"]
    for name in ("beta1", "beta9"):
        models.append(tmp_path / f"{name}.safetensors")
        models[-1].write_bytes(models[0].read_bytes())
    scores, summaries = [model / f"{score}.json", *[model / "beta4.json"] * 2], [model / "beta4.h5"] * 3
    files = drawn(tmp_path, "compare")
    compare.main(**given, models=models, scores=scores, summaries=summaries, **files)
    assert Image.open(files["png"]).size[0] == 1440
    given.pop("dataset")
    files = drawn(tmp_path, "figure9")
    figure9.main(**given, models=models[:2], scores=scores[:2], summaries=summaries[:2], **files)
    assert Image.open(files["png"]).size[0] == 1440
    assert all(path.read_bytes().startswith(b"%PDF") for path in tmp_path.glob("*.pdf"))


def test_a_traversal_of_nothing_but_diverged_replicas_says_so_and_breaks_nothing(model, given, tmp_path):
    files = drawn(tmp_path, "traversal", "gif")
    traversal.main(**given, **files_of(model, "lost"), **files)
    assert all(Image.open(files[suffix]).size[0] > 0 for suffix in ("png", "gif"))


# Figure 5 ---------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path, grid):
    """Codes of two replicas: noise, and the positions with the scale."""
    codes = np.zeros((2, grid.images, 3), np.float32)
    codes[0] = np.random.default_rng(0).normal(size=codes[0].shape)
    codes[1] = grid.factor_values()[:, [3, 4, 1]]
    with write_codes(tmp_path / "beta4.h5", codes.shape) as arrays:
        arrays["mean"][:] = codes
    return tmp_path / "beta4.h5"


@pytest.fixture
def small(metric):
    classifier = metric["classifier"] | {"steps": 400, "learning_rate": 0.5}
    return metric | {"train_points": 500, "test_points": 300, "pairs": 6, "classifier": classifier}


def test_figure_5_shows_a_point_of_the_metric_and_reads_it_as_the_metric_does(stored, grid, small):
    codes = StoredCodes(stored, grid.images)
    point = example(codes, 1, grid, small)
    assert small["factors"][point.label] == "posX"
    values = grid.factor_values()[point.images]
    assert (values[:, 0, 3] == values[:, 1, 3]).all()
    points, labels = z_diff(codes, 1, grid, 1, "test", small["test_points"], small)
    shown = np.flatnonzero(labels == point.label)[0]
    np.testing.assert_allclose(point.z_diff, points[shown], atol=1e-6)
    assert point.probabilities.sum() == pytest.approx(1)
    counts = confusion(point.weights[None], point.bias[None, None], points[[shown]], labels[[shown]], 4)
    assert counts[0, point.label, point.probabilities.argmax()] == 1
    assert point.probabilities.argmax() == point.label


@pytest.mark.parametrize("pairs", [1, 2, 6])
def test_figure_5_is_drawn_for_any_number_of_pairs(stored, given, small, tmp_path, pairs):
    scores = [[0, 0, 0.3], [1, 0, 0.9]]
    (tmp_path / "score.json").write_text(
        json.dumps(metric_file(scores) | {"settings": small | {"pairs": pairs}}, default=str)
    )
    files = drawn(tmp_path, "figure5")
    figure5.main(**given, codes=stored, score=tmp_path / "score.json", **files)
    assert Image.open(files["png"]).size == (1440, 660)


# Table 1 ----------------------------------------------------------------------------------------------


def test_table_1_counts_every_parameter_once():
    parts, network = parts_of(SETTINGS)
    alone = build(SETTINGS | {"seeds": [0]}, CPU)
    assert sum(part.parameters for part in parts.values()) == sum(p.numel() for p in alone.parameters())
    assert parts["encoder"].parameters == 4096 * 16 + 16 + 16 * 16 + 16 + 16 * 8 + 8
    assert parts["encoder"].layers == "4096 → FC 16 + ReLU, FC 16 + ReLU, FC 8"
    assert parts["decoder"].layers == "4 → FC 16 + tanh, FC 16 + tanh, FC 16 + tanh, FC 4096"
    assert network.latents == 4


def test_table_1_hears_layers_and_what_runs_between_them_once():
    class Maps(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(1, 3, 4, stride=2, padding=1)
            self.flat = nn.Flatten()

        def forward(self, x):
            return self.flat(torch.nn.functional.max_pool2d(self.convolution(x), 2).relu())

    network = Maps()
    with table1.Listener(network) as listener:
        for _ in range(2):
            network(torch.zeros(2, 1, 8, 8)).exp().tanh()
    assert list(listener.parts) == ["convolution"]
    assert listener.parts["convolution"].endswith(" + maxpool + ReLU")
    assert listener.parts["convolution"].count("conv") == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimiser": "adagrad", "initial_accumulator": 0.1}, "Adagrad 0.01, accumulator from 0.1"),
        ({"optimiser": "adam"}, "Adam 0.01"),
        ({"optimiser": "adam", "momentum": 0.5}, "Adam 0.01, decays 0.5, 0.999"),
    ],
)
def test_table_1_names_the_optimiser(settings, said):
    assert table1.optimiser(settings, (0.01,)) == said


def test_table_1_stands_beside_the_paper_and_lists_a_system_that_the_paper_has_not(tmp_path, monkeypatch):
    monkeypatch.setattr(table1, "TABLE1", TABLE1[1:])
    chosen = {"scale": "test", "systems": {"vae": {"test": SETTINGS, "paper": SETTINGS | {"width": 32}}}}
    table1.main(csv=tmp_path / "table1.csv", md=tmp_path / "table1.md", settings=json.dumps(chosen))
    with (tmp_path / "table1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["as in"] for row in rows if row["models"] == "vae"] == 4 * ["scale test"] + 4 * ["scale paper"]
    assert {row["grade"] for row in rows if row["as in"] == "the paper"} == {"A", "B"}
    whole = [row for row in rows if row["part"] == "whole" and row["models"] == "vae"]
    counted = [sum(p.numel() for p in build(SETTINGS | {"seeds": [0], "width": w}, CPU).parameters()) for w in (16, 32)]
    assert [int(row["parameters"]) for row in whole] == counted
