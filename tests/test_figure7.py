"""Figure 7 and its table: what is shown, and that neither a missing decoder nor a diverged replica breaks them."""

import csv
import json

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from betavae import factor_shares, figure7
from betavae.codes import StoredCodes, write_codes
from betavae.errors import UserError
from betavae.images import unpack
from betavae.models import load_model
from betavae.shapes import SIDE
from betavae.train import build
from betavae.vae import VAE

SETTINGS = {"system": "vae", "seeds": [0, 1], "width": 8, "latents": 3}


@pytest.fixture
def model(tmp_path):
    """An untrained network of two replicas and three latents."""
    network = build(SETTINGS, torch.device("cpu"))
    weights = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    save_file(weights, tmp_path / "beta4.safetensors", metadata={"settings": json.dumps(SETTINGS)})
    return tmp_path / "beta4.safetensors"


@pytest.fixture
def run(data, grid, tmp_path):
    """Run the step on codes (R, images, M); returns the rows of the table and the Markdown."""

    def call(codes, scores, logvar=None, model=None, name="beta4"):
        paths = {key: tmp_path / f"figure.{key}" for key in ("png", "pdf", "csv", "md")}
        names = ("mean",) if logvar is None else ("mean", "logvar")
        with write_codes(tmp_path / "codes.h5", codes.shape, names) as arrays:
            arrays["mean"][:] = codes
            if logvar is not None:
                arrays["logvar"][:] = logvar
        (tmp_path / "score.json").write_text(json.dumps({"scores": scores}))
        figure7.main(
            codes=tmp_path / "codes.h5", dataset=data / "dsprites.h5", bits=data / "dsprites_bits.npy",
            score=tmp_path / "score.json", settings=json.dumps({"model": name, "scale": "tiny"}), model=model, **paths,
        )  # fmt: skip
        assert paths["png"].read_bytes()[:4] == b"\x89PNG"
        assert paths["pdf"].read_bytes()[:4] == b"%PDF"
        with paths["csv"].open(encoding="utf-8") as file:
            return list(csv.DictReader(file)), paths["md"].read_text(encoding="utf-8")

    return call


@pytest.fixture
def factor_codes(grid):
    """Replica 0: noise. Replica 1: a constant, posX, and posX turned by 30° towards posY."""
    _, _, _, x, y = grid.factor_values().T
    turned = np.cos(np.pi / 6) * x + np.sin(np.pi / 6) * y
    noise = np.random.default_rng(0).normal(size=(grid.images, 3))
    return np.stack([noise, np.stack([0 * x, 4 * x, turned], axis=1)]).astype(np.float32)


def test_the_replica_with_the_best_mean_over_its_classifiers_is_shown():
    scores = [[0, 0, 0.9], [0, 1, 0.5], [1, 0, 0.8], [1, 1, 0.7], [2, 0, None], [2, 1, None]]
    assert figure7.best_replica({"scores": scores}) == (1, pytest.approx(0.75))
    assert figure7.best_replica({"scores": [[0, 0, None]]}) is None


@pytest.mark.parametrize(("turns", "said"), [(1, "2π"), (2, "π"), (4, "π/2"), (3, "2π/3"), (8, "π/4")])
def test_a_period_is_told_in_fractions_of_pi(turns, said):
    assert figure7.period(turns) == said


def test_the_latents_that_say_most_stand_first():
    assert figure7.learnt_order(np.array([1.0, 3.0, 2.0]), None).tolist() == [1, 2, 0]
    assert figure7.learnt_order(np.array([1.0, 3.0, 2.0]), np.array([0.1, 1.0, 0.5])).tolist() == [0, 2, 1]


def test_the_walk_starts_from_an_upright_heart_in_the_middle(grid):
    shape, scale, orientation, x, y = grid.factor_values()[figure7.example_image(grid)]
    assert (shape, orientation) == (3, 0)
    assert scale == pytest.approx(1)  # of two scales the second
    assert 0.3 < x < 0.7
    assert 0.3 < y < 0.7


@pytest.mark.parametrize("own_spread", [False, True])
def test_a_walk_changes_one_latent_of_the_shown_replica_and_leaves_the_others(
    model, bits, grid, monkeypatch, own_spread
):
    monkeypatch.setattr(VAE, "own_spread", own_spread)
    spreading = np.random.default_rng(0).normal([5, 0, -1], [0.1, 1, 4], (grid.images, 3))
    found = factor_shares.responses(spreading, grid)
    start, latents = np.float32([0.5, -1, 2]), np.array([2, 0])
    walked = figure7.walk(model, bits[7], start, replica=1, latents=latents, found=found)
    network, _ = load_model(model, torch.device("cpu"))
    assert walked.stops == ["−3", "−1.5", "0", "1.5", "3"]
    assert walked.at == ("sd from the latent's mean" if own_spread else "the latent set to")
    assert (walked.image == unpack(bits[7]).reshape(SIDE, SIDE)).all()

    def generated(*code):
        with torch.inference_mode():
            return (
                network.generate(torch.tensor([code], dtype=torch.float32).expand(2, 1, 3))[1, 0]
                .reshape(SIDE, SIDE)
                .numpy()
            )

    assert walked.reconstruction == pytest.approx(generated(0.5, -1, 2), abs=1e-6)
    mean, sd = (spreading.mean(0), spreading.std(0)) if own_spread else (np.zeros(3), np.ones(3))
    for step, value in enumerate((-3, -1.5, 0, 1.5, 3)):
        last, first = mean[2] + value * sd[2], mean[0] + value * sd[0]
        assert walked.decoded[0, step] == pytest.approx(generated(0.5, -1, last), abs=1e-6)
        assert walked.decoded[1, step] == pytest.approx(generated(first, -1, 2), abs=1e-6)


def test_the_table_has_every_latent_of_every_replica_and_marks_the_shown(run, factor_codes):
    rows, text = run(factor_codes, [[0, 0, 0.4], [1, 0, 0.6]])
    assert [row["replica"] for row in rows] == ["0"] * 3 + ["1"] * 3
    assert [row["shown"] for row in rows] == [""] * 3 + ["yes"] * 3
    assert [row["latent"] for row in rows[3:]] == ["1", "2", "0"]  # by variance
    assert [row["counted as"] for row in rows[3:]] == ["position", "position", "dead"]
    assert [row["turned by (°)"] for row in rows[3:]] == ["0", "30", ""]
    assert float(rows[3]["posX"]) == pytest.approx(1)
    assert float(rows[4]["along"]) == pytest.approx(1, abs=1e-3)
    assert rows[0]["KL (nats)"] == ""
    assert "replica 1 (shown): two of position (turned by 0°, 30°), none of scale, none of rotation; one dead" in text
    assert "The paper: two position latents along the axes, one scale, two rotation latents" in text


def test_with_a_posterior_kl_decides_order_and_life(run, factor_codes, model):
    logvar = np.zeros_like(factor_codes)
    logvar[..., 2] = -3
    rows, _ = run(factor_codes * 0.1, [[0, 0, 0.4], [1, 0, 0.6]], logvar, model)
    assert [row["latent"] for row in rows[3:]] == ["2", "0", "1"]
    assert [row["counted as"] for row in rows[3:]] == ["position", "dead", "dead"]
    assert float(rows[3]["posterior variance"]) == pytest.approx(np.exp(-3), abs=1e-4)
    # ½ (μ² + σ² − log σ² − 1), of a latent that is 0 everywhere with variance 1
    assert float(rows[4]["KL (nats)"]) == 0


def test_a_diverged_replica_is_named_and_left_out(run, factor_codes):
    factor_codes[0, 5, 1] = np.nan
    rows, text = run(factor_codes, [[0, 0, None], [1, 0, 0.6]])
    assert [row["counted as"] for row in rows] == ["diverged", "position", "position", "dead"]
    assert "replica 0: diverged" in text


def test_where_all_replicas_diverged_the_table_and_the_figure_say_so(run, factor_codes):
    rows, text = run(factor_codes * np.nan, [[0, 0, None], [1, 0, None]])
    assert [row["counted as"] for row in rows] == ["diverged", "diverged"]
    assert "replica 1: diverged" in text


def test_codes_without_training_are_one_replica_whatever_z_diff_seed_scores_best(run, factor_codes):
    rows, _ = run(factor_codes[1:], [[0, 0, 0.4], [1, 0, 0.6]], name="somebodys")
    assert [row["shown"] for row in rows] == ["yes"] * 3


def test_the_same_run_gives_the_same_bytes(run, factor_codes, model, tmp_path):
    arguments = factor_codes, [[0, 0, 0.4], [1, 0, 0.6]], np.zeros_like(factor_codes), model
    found = []
    for _ in range(2):
        run(*arguments)
        found.append([(tmp_path / f"figure.{kind}").read_bytes() for kind in ("png", "pdf", "csv", "md")])
    assert found[0] == found[1]


def test_log_variances_of_another_shape_are_refused(data, grid, tmp_path):
    with h5py.File(tmp_path / "codes.h5", "w") as file:
        file["mean"] = np.zeros((1, grid.images, 2), np.float32)
        file["logvar"] = np.zeros((1, grid.images, 3), np.float32)
    with pytest.raises(UserError, match=r"/logvar has shape \(1, 1344, 3\), expected \(1, 1344, 2\)"):
        StoredCodes(tmp_path / "codes.h5", grid.images).logvar(0)
