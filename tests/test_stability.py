import csv
import json

import h5py
import numpy as np
import pytest

from betavae import stability
from betavae.errors import UserError


def write_score(path, accuracies):
    """A metric file of accuracies (replicas, classifier seeds); NaN: diverged."""
    rows = [
        [r, s, None if np.isnan(value) else value] for r, own in enumerate(accuracies) for s, value in enumerate(own)
    ]
    lost = [r for r, own in enumerate(accuracies) if np.isnan(own).any()]
    path.write_text(json.dumps({"scores": rows, "diverged": lost}))


def write_history(path, seeds, diverged=(), collapsed=None, **records):
    with h5py.File(path, "w") as file:
        for name, values in records.items():
            file[name] = values
        file.attrs.update({"settings": json.dumps({"seeds": seeds}), "diverged": json.dumps(diverged)})
        if collapsed is not None:
            file.attrs["collapsed"] = json.dumps(collapsed)


@pytest.fixture
def table(tmp_path):
    """Write both kinds of files for each model, and read the table of the step."""

    def made(models):
        for model, (accuracies, history) in models.items():
            write_score(tmp_path / f"{model}.json", np.array(accuracies, float))
            write_history(tmp_path / f"{model}.history.h5", **history)
        stability.main(
            scores=[tmp_path / f"{model}.json" for model in models],
            histories=[tmp_path / f"{model}.history.h5" for model in models],
            csv=tmp_path / "stability.csv",
            md=tmp_path / "stability.md",
            scale="tiny",
        )
        with (tmp_path / "stability.csv").open(encoding="utf-8") as file:
            return {row["system"]: row for row in csv.DictReader(file)}

    return made


NAN = float("nan")


def test_every_seed_counts_and_failures_are_named_by_their_seed(table):
    rows = table(
        {
            "infogan": (
                [[0.7, 0.8], [0.2, 0.2], [NAN, NAN], [0.6, 0.6]],
                {
                    "seeds": [5, 6, 7, 8],
                    "diverged": [2],
                    "collapsed": [1],
                    "discriminator_loss": [[9.0] * 4, [1.0, 2.0, NAN, 3.0]],
                    "generator_loss": [[9.0] * 4, [4.0, 4.0, NAN, 4.0]],
                    "discriminator": [[0.5] * 4, [0.6] * 4],
                },
            ),
            "beta4": (
                [[0.9, 0.9], [0.9, 1.0], [1.0, 1.0]],
                {"seeds": [0, 1, 2], "loss": [[50.0, 50.0, 50.0], [10.0, 20.0, 30.0]], "kl": np.ones((2, 3, 4))},
            ),
        }
    )
    row = rows["InfoGAN"]
    assert (row["replicas"], row["diverged"], row["collapsed"]) == ("4", "1", "1")
    assert row["failed seeds"] == "diverged: 7; collapsed: 6"
    assert row["each seed (%)"] == "75.0 20.0 60.0"
    assert float(row["score, mean (%)"]) == pytest.approx(np.mean([75, 20, 60]))
    assert float(row["score, std (%)"]) == pytest.approx(np.std([75, 20, 60], ddof=1))
    assert (float(row["score, min (%)"]), float(row["score, max (%)"])) == (pytest.approx(20), pytest.approx(75))
    assert row["final loss"] == "discriminator loss 2 ± 1 (1 to 3); generator loss 4 ± 0 (4 to 4)"
    assert (row["paper"], row["grade"]) == ("training unstable", "A")
    assert 0 < float(row["p, spread as β-VAE's"]) < 1
    assert rows["β-VAE"]["paper"] == "stable to train"
    assert rows["β-VAE"]["collapsed"] == "not judged"
    assert rows["β-VAE"]["final loss"] == "loss 20 ± 10 (10 to 30)"
    assert rows["β-VAE"]["p, spread as β-VAE's"] == ""


def test_what_was_not_trained_has_no_loss_and_one_seed_has_no_spread(table):
    row = table({"vae_untrained": ([[0.4, 0.5]], {"seeds": [0], "step": np.zeros(0)})})["VAE untrained"]
    assert row["final loss"] == ""
    assert row["score, std (%)"] == ""
    assert float(row["score, mean (%)"]) == pytest.approx(45)


def test_where_all_replicas_diverged_the_row_says_so_and_stands(table):
    nothing = [[NAN, NAN], [NAN, NAN]]
    history = {"seeds": [0, 1], "diverged": [0, 1], "loss": [[NAN, NAN]]}
    row = table({"beta1": (nothing, history), "beta4": (nothing, history)})["VAE"]
    assert (row["diverged"], row["failed seeds"]) == ("2", "diverged: 0, 1")
    assert row["score, mean (%)"] == row["each seed (%)"] == row["final loss"] == row["p, spread as β-VAE's"] == ""


def test_p_is_small_where_one_spreads_and_the_other_does_not():
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(70, 1, 30), rng.normal(70, 10, 30)
    assert stability.same_spread(wide, narrow) < 1e-3
    assert stability.same_spread(narrow + 20, narrow) == pytest.approx(1)
    assert stability.same_spread(wide[:2], narrow) == ""
    assert stability.same_spread(np.full(5, 70.0), np.full(5, 60.0)) == ""


def test_a_file_that_is_no_history_is_refused(tmp_path):
    (tmp_path / "beta4.history.h5").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"beta4\.history\.h5: not a training history"):
        stability.read_history(tmp_path / "beta4.history.h5")
    with h5py.File(tmp_path / "beta1.history.h5", "w") as file:
        file["loss"] = np.ones((2, 2))
    with pytest.raises(UserError, match=r"beta1\.history\.h5: not a training history"):
        stability.read_history(tmp_path / "beta1.history.h5")
