import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from betavae import choices, choose_beta, choose_beta_by_eye
from betavae.choices import Choice
from betavae.device import unpack_floats
from betavae.errors import UserError
from betavae.factor_shares import SHARES
from betavae.factors import FactorGrid
from betavae.figure6_right import Point
from betavae.score import summarise
from betavae.train import build
from betavae.walk import CPU

NAN = float("nan")
TWO, FOUR = ("posX", "posY"), ("posX", "posY", "scale", "orientation")
MIXED = [0.1, 0.1, 0.1, 0.3, 0.3]


def follows(*factors):
    """The shares of latents that each follow one factor; None: one that mixes."""
    return np.array([MIXED if name is None else np.eye(5)[SHARES.index(name)] for name in factors])


def metric_file(scores):
    """What a metric file says of scores (replicas, classifier seeds); NaN: diverged."""
    scores = np.array(scores, float)
    flat = scores.ravel()
    mean, std, kept = summarise(flat, np.zeros(len(flat), int), 0.5)
    rows = [[r, s, None if np.isnan(v) else v] for r, own in enumerate(scores.tolist()) for s, v in enumerate(own)]
    diverged = np.flatnonzero(~np.isfinite(scores).all(1)).tolist()
    return {"score_mean": mean, "score_std": std, "kept": kept.tolist(), "diverged": diverged, "scores": rows}


def choice(beta, scores, few=None, shares=None, kl=None, reconstruction=100.0, latents=4):
    """A point of the sweep; few: accuracies by (factors, points), one number a draw, the same for every replica."""
    replicas = len(scores)
    diverged = ~np.isfinite(np.array(scores, float)).all(1)
    shares = follows(*["posX"] * latents) if shares is None else shares
    kl = np.ones((replicas, latents)) if kl is None else np.array(kl, float)
    point = Point(
        beta, latents, metric_file(scores), np.full(replicas, reconstruction), kl,
        np.zeros((8, 4096), np.uint8), np.zeros((replicas, 8, 4096), np.uint8),
    )  # fmt: skip
    labels = {
        key: np.where(diverged[:, None], NAN, np.array(values, float))
        for key, values in (few or {(FOUR, 15): [0.5]}).items()
    }
    return Choice(point, labels, [None if lost else shares for lost in diverged], 0.5)


SETTINGS = {"agreement": 0.8, "one_factor": 0.667}


# Picks -----------------------------------------------------------------------------------------------------


def test_the_highest_score_wins_and_a_tie_has_two_winners():
    assert choices.best([0.2, 0.9, 0.5]) == [1]
    assert choices.best([0.9, NAN, 0.9]) == [0, 2]
    assert choices.best([NAN, NAN]) == []


def test_shares_of_picks_share_ties_and_never_pick_what_diverged():
    scores = np.array([[0.9, 0.5, 0.5, NAN], [0.1, 0.5, 0.6, 0.2], [NAN, NAN, NAN, NAN]])
    np.testing.assert_allclose(choices.shares_of_picks(scores), [1.5 / 4, 2.5 / 4, 0])
    np.testing.assert_array_equal(choices.shares_of_picks(np.full((2, 3), NAN)), [0, 0])


def test_a_draw_in_which_nothing_has_a_score_counts_for_nobody():
    np.testing.assert_allclose(choices.shares_of_picks(np.array([[0.9, NAN], [0.1, NAN]])), [1, 0])


def test_the_bootstrap_has_the_spread_of_a_mean_and_none_of_one_replica():
    rng = np.random.default_rng(0)
    scores = rng.normal(0.7, 0.05, (40, 1))
    found = choices.resample(scores, 1.0, np.random.default_rng(1))
    assert found.mean() == pytest.approx(scores.mean(), abs=2e-3)
    assert found.std() == pytest.approx(scores.std() / np.sqrt(40), rel=0.1)
    assert choices.resample(scores[:1], 1.0, rng) is None
    assert choices.resample(np.array([[0.7], [NAN]]), 1.0, rng) is None


def test_the_bootstrap_follows_the_metrics_protocol():
    """Of two replicas .8 and .4, the best half is .8 unless the second is drawn twice: a quarter of the samples."""
    found = choices.resample(np.array([[0.8, 0.8], [0.4, 0.4]]), 0.5, np.random.default_rng(0))
    assert set(found) == {0.8, 0.4}
    assert (found == 0.4).mean() == pytest.approx(0.25, abs=0.03)


def test_diverged_replicas_are_drawn_too_and_rank_lowest():
    found = choices.resample(np.array([[0.8], [0.8], [NAN]]), 0.5, np.random.default_rng(0))
    assert np.isnan(found).mean() == pytest.approx(1 / 27, abs=0.015)
    assert set(found[np.isfinite(found)]) == {0.8}


# By the metric ---------------------------------------------------------------------------------------------


def test_a_clear_winner_is_picked_in_every_resample():
    curve = [choice(1, [[0.5], [0.52]]), choice(4, [[0.9], [0.91]]), choice(16, [[0.7], [0.6]])]
    row = choose_beta.summary_row(curve, SETTINGS)
    assert (row["M"], row["best β"], row["next β"], row["replicas"]) == (4, "4", "16", 2)
    assert row["normalised β"] == f"{4 * 4 / 4096:.4g}"
    assert row["score (%)"] == pytest.approx(91)
    assert row["lead"] == pytest.approx(21)
    assert row["resamples that pick it (%)"] == 100
    assert float(row["standard error"]) == pytest.approx(100 * np.std([0.91, 0.91, 0.91, 0.9]), abs=0.05)


def test_of_a_single_replica_nothing_is_claimed():
    row = choose_beta.summary_row([choice(1, [[0.5], [0.6]]), choice(4, [[0.9]])], SETTINGS)
    assert row["best β"] == "4"
    assert row["standard error"] == "one replica"
    assert row["resamples that pick it (%)"] == "not known: one replica at β = 4"


def test_a_tie_is_told_as_one():
    row = choose_beta.summary_row([choice(1, [[0.7], [0.7]]), choice(4, [[0.7], [0.7]])], SETTINGS)
    assert row["best β"] == "1 and 4"
    assert row["normalised β"] == "0.0009766 and 0.003906"
    assert (row["next β"], row["lead"]) == ("4", 0)
    assert row["resamples that pick it (%)"] == 100


def test_best_halves_and_all_seeds_can_pick_differently():
    row = choose_beta.summary_row([choice(4, [[0.9], [0.1]]), choice(16, [[0.8], [0.8]])], SETTINGS)
    assert (row["best β"], row["best β over all seeds"]) == ("4", "16")


def test_a_diverged_β_is_left_out_and_one_where_all_diverged_does_not_break_the_table():
    curve = [choice(1, [[0.5], [0.5]]), choice(4, [[NAN], [0.9]]), choice(16, [[NAN], [NAN]])]
    row = choose_beta.summary_row(curve, SETTINGS)
    assert (row["best β"], row["next β"], row["replicas"]) == ("4", "1", 1)
    assert row["resamples that pick it (%)"] == "not known: one replica at β = 4"
    rows = choose_beta.eye_rows({4: curve}, 0.667)
    assert [r["diverged"] for r in rows] == [0, 1, 2]
    assert (rows[2]["score (%)"], rows[2]["standard error"], rows[2]["live latents"]) == ("", "diverged", "")
    assert choose_beta.summary_row(curve[2:], SETTINGS)["best β"] == "all diverged"
    assert choose_beta.label_rows({4: curve[2:]}, 22)[0]["most often picked β"] == "all diverged"


# Few labels ------------------------------------------------------------------------------------------------


def with_labels():
    """β = 4 is best by the metric. Four factors pick it from 50 points on, two factors never."""
    keys = [(factors, points) for factors in (TWO, FOUR) for points in (15, 50, 150)]
    of = dict(
        zip(
            keys,
            [([1, 1, 1, 1], [1, 1, 1, 1]), ([1, 1, 1, 1], [0.9] * 4), ([0.9] * 4, [1, 1, 0.8, 0.8]),
             ([0.6] * 4, [0.5, 0.5, 0.5, 0.7]), ([0.6, 0.6, 0.6, 0.6], [0.7] * 4), ([0.6] * 4, [0.7, 0.7, 0.7, 0.8])],
            strict=True,
        )
    )  # fmt: skip
    return [
        choice(1, [[0.6], [0.6]], {key: values[0] for key, values in of.items()}),
        choice(4, [[0.8], [0.8]], {key: values[1] for key, values in of.items()}),
    ]


def test_agreement_is_the_share_of_draws_that_pick_the_metrics_β():
    curve = with_labels()
    np.testing.assert_allclose(choices.agreement(curve, TWO, 15), [0.5, 0.5])
    np.testing.assert_allclose(choices.agreement(curve, TWO, 50), [1, 0])
    np.testing.assert_allclose(choices.agreement(curve, FOUR, 15), [0.75, 0.25])
    np.testing.assert_allclose(choices.agreement(curve, FOUR, 150), [0, 1])


def test_the_weakest_labels_that_still_pick_the_same_β():
    assert choices.weakest(with_labels(), 0.8) == {4: 50, 2: None}
    assert choices.weakest(with_labels(), 0.25) == {4: 15, 2: 150}
    row = choose_beta.summary_row(with_labels(), SETTINGS)
    assert (row["points needed, 4 factors"], row["points needed, 2 factors"]) == (50, "over 150")


def test_enough_points_must_stay_enough():
    assert choices.enough({15: 0.9, 50: 0.5, 150: 0.8, 500: 1.0}, 0.8) == 150
    assert choices.enough({15: 1.0, 50: 0.7}, 0.8) is None


def test_few_labels_score_by_the_best_half_of_the_replicas():
    point = choice(4, [[0.8], [0.8], [0.8], [NAN]])
    point.labels[FOUR, 15] = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.2], [NAN, NAN]])
    np.testing.assert_allclose(point.few(FOUR, 15), [0.8, 0.25])


def test_the_table_of_few_labels_says_what_is_picked_and_what_it_costs():
    row = next(r for r in choose_beta.label_rows({4: with_labels()}, 22) if (r["number"], r["points"]) == (4, 15))
    assert (row["labelled factors"], row["pairs of images"]) == ("posX, posY, scale, orientation", 330)
    assert (row["most often picked β"], row["in draws (%)"], row["the metric's β (%)"]) == ("1", 75, 25)
    assert row["β = 4 (%)"] == pytest.approx(55)


# By eye ----------------------------------------------------------------------------------------------------


def test_a_reader_sees_live_latents_and_names_those_of_one_factor():
    shares = follows("posX", None, "scale", "posY")
    assert choices.clean_factors(np.array([0.5, 3.0, 2.0, 0.1]), shares, 0.667) == [None, "scale", "posX"]
    barely = np.array([[0.66, 0.3, 0, 0, 0], [0.67, 0.3, 0, 0, 0]])
    assert choices.clean_factors(np.ones(2), barely, 0.667) == [None, "posX"]


def test_what_is_seen_is_averaged_over_the_replicas_that_did_not_diverge():
    point = choice(4, [[0.5], [0.5], [NAN]], kl=[[1, 1, 1, 0], [1, 0, 0, 0], [NAN] * 4])
    point.shares[0] = follows("posX", "posX", None, "scale")
    point.shares[1] = follows("posX", "posX", "posX", "posX")
    assert choices.seen(point, 0.667) == {"live": 2, "clean": 1.5, "factors": 1, "mixed": 0.5}
    assert np.isnan(choices.seen(choice(4, [[NAN]]), 0.667)["live"])


def read(*curve):
    return [curve[k].beta for k in choices.read_by_eye(curve, 0.667)]


def test_the_reader_picks_most_factors_then_fewest_mixed_then_the_sharpest():
    three = follows("posX", "posY", "scale", None)
    two = follows("posX", "posY", "posX", "posY")
    assert read(choice(1, [[0.9]], shares=two), choice(4, [[0.5]], shares=three)) == [4]
    less = [[1, 1, 1, 0]]
    assert read(choice(1, [[0.5]], shares=three), choice(4, [[0.5]], shares=three, kl=less)) == [4]
    sharp = choice(1, [[0.5]], shares=two, reconstruction=50)
    assert read(sharp, choice(4, [[0.9]], shares=two)) == [1]
    assert read(choice(1, [[0.5]]), choice(4, [[0.5]])) == [1, 4]
    assert read(choice(1, [[NAN]]), choice(4, [[0.5]])) == [4]
    assert read(choice(1, [[NAN]])) == []


def test_the_table_names_who_picks_what():
    ordinary = choice(4, [[0.9], [0.9]], shares=follows("posX", None, None, None))
    clean = choice(16, [[0.8], [0.8]], shares=follows("posX", "posY", "scale", "scale"))
    rows = choose_beta.eye_rows({4: [ordinary, clean]}, 0.667)
    assert [row["picked by"] for row in rows] == ["metric", "eye"]
    assert (rows[1]["one-factor latents"], rows[1]["factors shown"], rows[1]["mixed latents"]) == (4, 3, 0)
    assert choose_beta.eye_rows({4: [clean]}, 0.667)[0]["picked by"] == "metric and eye"


# The sheet -------------------------------------------------------------------------------------------------


def test_the_replica_shown_has_the_least_loss_of_those_that_did_not_diverge():
    reconstruction, kl = np.array([100.0, 90.0, 10.0]), np.array([[1.0, 1.0], [5.0, 3.0], [1.0, 1.0]])
    assert choose_beta_by_eye.shown_replica(reconstruction, kl, 1.0, [0, 1]) == 1
    assert choose_beta_by_eye.shown_replica(reconstruction, kl, 4.0, [0, 1]) == 0
    assert choose_beta_by_eye.shown_replica(np.array([NAN, 5.0]), kl[:2], 4.0, [0, 1]) == 1
    assert choose_beta_by_eye.shown_replica(reconstruction, kl, 1.0, []) is None


def test_a_block_walks_the_latents_of_the_largest_kl_of_the_replica_shown(tmp_path, bits):
    settings = {"system": "vae", "seeds": [0, 1], "width": 8, "latents": 6}
    network = build(settings, CPU)
    weights = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    save_file(weights, tmp_path / "beta4.safetensors", metadata={"settings": json.dumps(settings)})
    kl = [[9.0, 9, 9, 9, 9, 9], [0.1, 3, 0, 2, 1, 0.5]]
    shown = choose_beta_by_eye.block(
        choice(4, [[0.9], [0.5]], kl=kl, latents=6), tmp_path / "beta4.safetensors", bits[:1]
    )
    assert shown.replica == 1  # of the least loss
    assert shown.latents == [1, 3, 4, 5, 0]
    with torch.no_grad():
        codes = network.encode(unpack_floats(torch.from_numpy(bits[:1])).expand(2, -1, -1))[0]
        for row, latent in enumerate(shown.latents):
            for step, value in enumerate(np.linspace(-3, 3, choose_beta_by_eye.STEPS)):
                asked = codes.clone()
                asked[..., latent] = value
                expected = network.generate(asked)[1].reshape(64, 64)
                np.testing.assert_allclose(shown.images[row, step], expected, atol=1e-6)


def test_every_traversal_starts_from_the_largest_heart_in_the_middle():
    grid = FactorGrid.thinned({})
    assert grid.classes(choose_beta_by_eye.start_image(grid)).tolist() == [2, 5, 20, 16, 16]


def test_the_sheet_stands_where_a_β_diverged_and_where_there_are_few_latents(tmp_path):
    ordinary, lost = choice(4, [[0.9]], shares=follows("posX", None), latents=2), choice(16, [[NAN]], latents=2)
    blocks = [
        choose_beta_by_eye.Block(ordinary, 0, [1, 0], np.zeros((2, choose_beta_by_eye.STEPS, 64, 64))),
        choose_beta_by_eye.Block(lost, None, [], np.ones((5, choose_beta_by_eye.STEPS, 64, 64))),
    ]
    choose_beta_by_eye.draw(blocks, 0.667, tmp_path / "sheet.png", tmp_path / "sheet.pdf", "tiny")
    assert (tmp_path / "sheet.png").stat().st_size > 5_000
    assert (tmp_path / "sheet.pdf").stat().st_size > 5_000


# Files -----------------------------------------------------------------------------------------------------


def write_point(folder: Path, name, scores, points=(6, 30)):
    """A metric file, a summary and a few_labels file of a model with made-up numbers; returns their paths."""
    scores = np.array(scores, float)
    paths = [folder / f"{name}.json", folder / f"{name}.h5", folder / f"{name}.few.json"]
    paths[0].write_text(json.dumps(metric_file(scores)))
    lost = ~np.isfinite(scores).all(1)
    with h5py.File(paths[1], "w") as file:
        file["reconstruction"] = np.where(lost, NAN, 100.0)
        file["kl"] = np.where(lost[:, None], NAN, np.ones((len(scores), 4)))
        file["examples/original"] = np.zeros((8, 512), np.uint8)
        file["examples/reconstruction"] = np.zeros((len(scores), 8, 4096), np.uint8)
    shares = follows("posX", "posY", None, None).tolist()
    few = {
        "settings": {"seeds": [0, 1]},
        "labels": [
            {"factors": list(f), "points": n, "accuracy": [None if one else [0.5, 0.75] for one in lost]}
            for f in (TWO, FOUR)
            for n in points
        ],
        "shares": [None if one else shares for one in lost],
    }
    paths[2].write_text(json.dumps(few))
    return paths


def run(tmp_path, files, points):
    scores, summaries, labels = zip(*files, strict=True)
    outputs = ("png", "pdf", "csv", "md", "eye_csv", "eye_md", "labels_csv", "labels_md")
    metric = {"pairs": 22, "train_points": 200, "test_points": 100, "keep": 0.5}
    choose_beta.main(
        scores=list(scores), summaries=list(summaries), labels=list(labels),
        **{name: tmp_path / f"out_{name}.{name.rsplit('_', 1)[-1]}" for name in outputs},
        settings=json.dumps(SETTINGS | {"scale": "tiny", "points": points, "latents": 4, "metric": metric}),
    )  # fmt: skip


def test_picture_and_tables_stand_with_diverged_replicas(tmp_path):
    points = [[16, 4, "c"], [1, 4, "a"], [4, 4, "b"], [1, 3, "d"], [4, 3, "e"], [16, 3, "f"]]
    of = {"a": [[0.5], [NAN]], "b": [[0.9], [0.8]], "c": [[NAN], [NAN]], "d": [[0.4]], "e": [[0.5]], "f": [[NAN]]}
    run(tmp_path, [write_point(tmp_path, name, of[name]) for *_, name in points], points)
    table = (tmp_path / "out_csv.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in table[1:]] == [["3", "4"], ["4", "4"]]
    assert len((tmp_path / "out_labels_csv.csv").read_text().splitlines()) == 1 + 2 * 2 * 2
    assert len((tmp_path / "out_eye_csv.csv").read_text().splitlines()) == 1 + 6
    assert "of 2 draws" in (tmp_path / "out_md.md").read_text()
    assert (tmp_path / "out_png.png").stat().st_size > 10_000


def test_the_same_files_give_the_same_bytes(tmp_path):
    files = [write_point(tmp_path, name, [[0.5], [0.6]]) for name in ("a", "b")]
    written = []
    for _ in range(2):
        run(tmp_path, files, [[1, 4, "a"], [4, 4, "b"]])
        written.append([path.read_bytes() for path in sorted(tmp_path.glob("out_*"))])
    assert written[0] == written[1]


def test_labels_that_differ_between_models_are_refused(tmp_path):
    files = [write_point(tmp_path, "a", [[0.5]]), write_point(tmp_path, "b", [[0.5]], points=(6, 31))]
    with pytest.raises(UserError, match=r"b\.few\.json: other labels than in .*a\.few\.json"):
        run(tmp_path, files, [[1, 4, "a"], [4, 4, "b"]])


def test_a_file_that_is_not_of_few_labels_is_refused(tmp_path):
    (tmp_path / "few.json").write_text('{"labels": []')
    with pytest.raises(UserError, match=r"few\.json: not a file of the step few_labels"):
        choices.read_labels(tmp_path / "few.json")
    (tmp_path / "few.json").write_text('{"labels": []}')
    with pytest.raises(UserError, match=r"few\.json: not a file of the step few_labels"):
        choices.read_labels(tmp_path / "few.json")


def test_another_number_of_replicas_is_refused(tmp_path):
    files = write_point(tmp_path, "a", [[0.5], [0.6]])
    files[2] = write_point(tmp_path, "b", [[0.5]])[2]
    with pytest.raises(UserError, match=r"b\.few\.json: 1 replicas, expected 2"):
        run(tmp_path, [files], [[1, 4, "a"]])
