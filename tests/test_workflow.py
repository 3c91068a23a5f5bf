"""The workflow as a user runs it: targets, refusals, one whole run, and what a change of settings reruns."""

import csv
import json
import os
import re

import h5py
import numpy as np
import pytest
import yaml

from betavae.names import NAMED_SYSTEMS
from running import ROOT, TINY, last_line, planned, snakemake


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/metric_beta-1.json", ["beta-1", "beta<number>"]),
        ("results/metric_betafour.json", ["betafour", "beta<number>"]),
        ("results/metric_beta4.0.json", ["beta4.0", "'beta4'"]),
        ("results/metric_beta0.json", ["beta0", "β > 0"]),
        ("results/metric_unknown.json", ["unknown", "pca", "beta<number>"]),
        ("results/sweep/metric_beta4.json", ["beta4", "metric_beta<β>_z<M>.json"]),
        ("results/figures/figure7_raw_pixels.png", ["raw_pixels", "a model with a codes file"]),
        ("results/tables/factors_beta4.0.md", ["beta4.0", "'beta4'"]),
        ("results/continuity/metric_stride0.json", ["stride0", "stride<1…31>"]),
        ("results/standin_chairs/metric_beta5.0.json", ["beta5.0", "'beta5'"]),
        ("results/standin_chairs/metric_pca.json", ["pca", "beta<number>, infogan"]),
        ("results/figures/traversal_pca.gif", ["traversal_pca", "no decoder", "beta<number>"]),
        ("results/figures/compare_beta1-betafour.png", ["compare_beta1-betafour", "'betafour'"]),
        ("results/figures/compare_beta4-beta4_z10.png", ["two or more different models", "'-'"]),
        ("results/laptop/codes/beta4_stride99.h5", ["'stride99'", "stride<1…31>"]),
        ("results/figures/history_beta4_stride99.png", ["'stride99'", "stride<1…31>"]),
        ("results/figures/history_standin_chairs_beta5.0.png", ["'beta5.0'", "beta5"]),
        ("results/figures/history_vae_untrained.png", ["'vae_untrained'", "beta<number>, dcign, infogan"]),
        ("results/figures/samples_beta4.png", ["'beta4'", "allowed: infogan"]),
        ("results/figures/figure6.png", ["results/figures/figure6_left.png", "results/figures/figure6_right.png"]),
        ("metric_beta4", ["nearest: results/metric_{model}.json"]),
        ("figure7", ["results/figures/figure7_{model}.png"]),
    ],
)
def test_a_target_that_makes_no_sense_is_refused_in_the_last_line(tmp_path, target, said):
    run = snakemake(tmp_path, "--cores", "1", "--dry-run", target)
    assert run.returncode != 0
    assert all(word in last_line(run) for word in said), last_line(run)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "scale=papr"], ["scale", "papr", "smoke, laptop, paper, strict"]),
        (["--config", "devise=cpu"], ["devise", "did you mean `device`"]),
        (["--config", "threads=many"], ["threads", "many", "integer"]),
    ],
)
def test_a_wrong_config_stops_before_any_job_with_one_line(tmp_path, arguments, said):
    run = snakemake(tmp_path, "--cores", "1", "all", *arguments)
    assert run.returncode != 0
    assert all(word in last_line(run) for word in said), last_line(run)
    assert not (tmp_path / "results").exists()


def test_the_default_scale_trains_each_model_once_and_the_sweep_reads_the_main_models(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "all")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    sweep = config["scales"]["laptop"]["sweep"]
    points = len(sweep["betas"]) * len(sweep["latents"])
    shared = len({1, 4} & set(sweep["betas"])) * (10 in sweep["latents"])
    figure8 = jobs["publish_continuity"]
    on_pictures = sum(len(config["pictures"]["models"][subject]) for subject in config["pictures"]["in_all"])
    assert jobs["picture_shares"] == jobs["picture_traversal"] == on_pictures >= 4
    assert jobs["standin"] == jobs["picture_figure"] == jobs["picture_table"] == len(config["pictures"]["in_all"])
    assert jobs["train"] == 3 + len(NAMED_SYSTEMS) + figure8 + on_pictures
    assert jobs["train_sweep"] == jobs["encode_sweep"] == points - shared
    assert jobs["publish_sweep"] == points
    assert jobs["dataset"] == jobs["figure6_left"] == jobs["figure6_right"] == jobs["figure8"] == 1
    assert 4 <= figure8 == jobs["encode_subset"] == jobs["hamming"] == jobs["noise"] <= 6


def test_any_beta_is_trained_on_demand(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "results/metric_beta7.5.json")
    assert jobs == {"dataset": 1, "train": 1, "encode": 1, "score": 1, "publish_score": 1}


def test_any_model_is_trained_on_any_stand_in_on_demand(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "results/standin_celeba/metric_beta7.5.json")
    assert jobs == {"standin": 1, "train": 1, "encode": 1, "score": 1, "publish_picture_score": 1}


def test_models_are_compared_by_name_and_trained_where_they_are_not_yet(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "results/figures/compare_beta2-beta4_z7-vae_untrained.png")
    assert jobs == {
        "dataset": 1,
        "train": 2,
        "train_sweep": 1,
        "encode": 2,
        "encode_sweep": 1,
        "score": 3,
        "compare": 1,
    }


def test_the_paper_scale_plans_the_whole_protocol(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "all", "--config", "scale=paper")
    # Figure 8's whole data set is the main model.
    on_pictures = jobs["picture_shares"]
    assert jobs["train"] == 3 + len(NAMED_SYSTEMS) + jobs["publish_continuity"] - 1 + on_pictures
    assert jobs["train_sweep"] == 6 * 8 - 2


def test_figure_8_asks_for_a_model_a_distance_and_noise_of_each_training_set(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "continuity", "--configfile", str(TINY))
    each = ("train", "encode_subset", "score", "hamming", "noise", "publish_continuity")
    assert jobs == {"dataset": 1, "figure8": 1, "continuity": 1} | dict.fromkeys(each, 4)
    jobs = planned(tmp_path, "--cores", "1", "results/continuity/metric_stride3.json", "--configfile", str(TINY))
    assert jobs == {"dataset": 1, "train": 1, "encode_subset": 1, "score": 1, "publish_continuity": 1}


def test_a_whole_run_fills_every_row_of_figure_6_that_there_is_code_for(finished):
    with (finished / "results/tables/figure6_left.csv").open(encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert len(rows) == 9
    for row in rows.values():
        assert 15 <= float(row["ours (%)"].split(" ")[0]) <= 100
    assert rows["β-VAE"]["paper (%)"] == "99.23 ± 0.1"
    assert len(rows["β-VAE"]["each seed (%)"].split()) == 2


def test_the_table_of_all_metrics_has_a_row_for_each_model(finished):
    with (finished / "results/tables/metrics.csv").open(encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert len(rows) == 8 + len(NAMED_SYSTEMS)
    for name, row in rows.items():
        score = row["β-VAE score"].split(" ")[0]
        assert 15 <= float(score) <= 100
        if name != "Raw pixels":
            assert all(
                0 <= float(row[column].split(" ")[0]) <= 100 for column in ("FactorVAE", "MIG", "SAP", "modularity")
            )
            assert row["diverged"] == "0"
    assert rows["Raw pixels"]["MIG"] == "–"
    assert rows["Ground truth"]["MIG"] == "100.0"  # no factor of this grid has more values than there are bins
    measured = json.loads((finished / "results/tiny/measures/beta4.json").read_text())
    mean, std = (100 * measured["measures"]["mig"]["score"][key] for key in ("mean", "std"))
    assert rows["β-VAE"]["MIG"] == f"{mean:.1f} ± {std:.1f}"
    assert measured["settings"]["dci"]["trees"] == 10
    assert (finished / "results/figures/metrics.pdf").exists()


def test_raw_pixels_cannot_be_measured_and_the_last_line_says_why(tmp_path):
    run = snakemake(tmp_path, "--cores", "1", "--dry-run", "results/laptop/measures/raw_pixels.json")
    assert run.returncode != 0
    assert "raw_pixels: has no codes file" in last_line(run)


def test_a_table_reads_its_numbers_from_the_metric_files(finished):
    with (finished / "results/tables/figure6_right.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["M"]), float(row["β"])) for row in rows] == [(3, 1), (3, 4), (4, 1), (4, 4)]
    for row in rows:
        name = f"beta{float(row['β']):g}_z{row['M']}"
        score = json.loads((finished / f"results/sweep/metric_{name}.json").read_text())
        assert float(row["score (%)"]) == pytest.approx(100 * score["score_mean"])
        assert float(row["normalised β"]) == pytest.approx(float(row["β"]) * int(row["M"]) / 4096)


def test_stability_and_the_choice_of_β_cover_their_models(finished):
    def read(name):
        with (finished / f"results/tables/{name}.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    assert {"VAE untrained", "VAE", "β-VAE"} <= {row["system"] for row in read("stability")}
    chosen = read("choose_beta")
    assert [row["M"] for row in chosen] == ["3", "4"]
    scores = {row["M"]: [] for row in chosen}
    for row in read("figure6_right"):
        scores[row["M"]].append(float(row["score (%)"]))
    for row in chosen:
        assert float(row["score (%)"]) == pytest.approx(max(scores[row["M"]]))
    assert chosen[0]["standard error"] == "one replica"
    assert len(read("choose_beta_few_labels")) == 2 * 6 * 2
    assert len(read("choose_beta_by_eye")) == 4
    assert (finished / "results/figures/choose_beta.pdf").exists()
    assert (finished / "results/figures/choose_beta_by_eye.pdf").exists()


def test_a_metric_file_keeps_the_contract(finished):
    score = json.loads((finished / "results/metric_beta4.json").read_text())
    assert score["model"] == "beta4"
    assert score["scale"] == "tiny"
    assert [row[:2] for row in score["scores"]] == [[r, c] for r in range(2) for c in range(3)]
    accuracies = np.array([row[2] for row in score["scores"]])
    assert len(score["kept"]) == 3
    assert sorted(accuracies[score["kept"]]) == sorted(accuracies)[3:]
    assert score["score_mean"] == pytest.approx(accuracies[score["kept"]].mean())
    assert np.sum(score["confusion"], axis=1) == pytest.approx(np.ones(4))
    assert score["paper"] == {"mean": 0.9923, "std": 0.001, "grade": "A", "std_grade": "A"}
    assert score["settings"]["pairs"] == 5
    assert score["settings"]["representation"]["beta"] == 4
    codes = score["provenance"]["codes"]
    for made in (score["provenance"], codes, codes["training"]):
        assert {"git_commit", "code_digest", "versions", "device", "seconds"} <= made.keys()


def test_codes_follow_the_contract_and_those_of_the_sweep_are_gone(finished):
    with h5py.File(finished / "results/tiny/codes/beta4.h5") as file:
        assert file["mean"].shape == file["logvar"].shape == (2, 3 * 2 * 4 * 8 * 8, 4)
        assert file["mean"].dtype == np.float32
        assert file["mean"].compression is None
        assert file.attrs["scale"] == file.attrs["dataset"] == "tiny"
    assert not list((finished / "results/tiny/codes").glob("*_z*.h5"))
    assert (finished / "results/tiny/summaries/beta4_z3.h5").exists()


def test_figure_7_and_its_factor_table_show_each_trained_model(finished):
    for model in ("beta4", "beta1"):
        assert (finished / f"results/figures/figure7_{model}.png").exists()
        assert (finished / f"results/figures/figure7_{model}.pdf").exists()
        with (finished / f"results/tables/factors_{model}.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 2 * 4  # replicas, latents
        assert {row["shown"] for row in rows} == {"yes", ""}
        assert all(0 <= float(row["share"]) <= 1 for row in rows)


def test_a_log_opens_with_code_versions_and_settings(finished):
    log = (finished / "results/tiny/logs/train_beta4.log").read_text()
    assert "device: cpu" in log
    assert "device: cpu" in (finished / "results/tiny/logs/zdiff_beta4.log").read_text()
    assert re.search(r"betavae train, code [0-9a-f]{12}, .*'torch'", log)
    assert '"beta": 4.0' in log


def test_what_became_of_infogans_replicas_is_said_in_its_history_model_and_sheet(finished):
    with h5py.File(finished / "results/tiny/models/infogan.history.h5") as file:
        lost, fallen = (json.loads(file.attrs[name]) for name in ("diverged", "collapsed"))
        assert file["sheet"].shape == (2, 2, 64, 4096)
    with (finished / "results/tables/samples_infogan.csv").open(encoding="utf-8") as file:
        said = {row["seed"]: row["at the end"] for row in csv.DictReader(file)}
    words = {seed: "diverged" if seed in lost else "collapsed" if seed in fallen else "trained" for seed in (0, 1)}
    assert said == {str(seed): word for seed, word in words.items()}
    assert (finished / "results/figures/samples_infogan.png").exists()
    with h5py.File(finished / "results/tiny/codes/infogan.h5") as file:
        assert file["mean"].shape == (2, 3 * 2 * 4 * 8 * 8, 5)
        assert "logvar" not in file


def test_a_second_run_does_nothing(finished):
    assert planned(finished, "--cores", "2", "all", "--configfile", str(TINY)) == {}


@pytest.mark.parametrize("setting", ["checkpoint_minutes=7", "device=auto"])
def test_how_often_checkpoints_are_written_and_where_networks_run_rerun_nothing(finished, setting):
    assert planned(finished, "--cores", "2", "all", "--configfile", str(TINY), "--config", setting) == {}


def test_another_scale_and_back_costs_nothing_that_was_computed(finished, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    tiny = yaml.safe_load(TINY.read_text())["scales"]["tiny"]
    overlay.write_text(yaml.safe_dump({"scale": "other", "scales": {"other": tiny | {"replicas": 1}}}))
    target = "results/metric_ground_truth.json"
    run = snakemake(finished, "--cores", "2", target, "--configfile", str(TINY), str(overlay))
    assert run.returncode == 0, run.stderr
    assert json.loads((finished / target).read_text())["scale"] == "other"
    jobs = planned(finished, "--cores", "2", "all", "--configfile", str(TINY))
    assert jobs == {"publish_score": 1, "cost": 1, "all": 1}  # the table of cost comes after all else
    run = snakemake(finished, "--cores", "2", "all", "--configfile", str(TINY))
    assert run.returncode == 0, run.stderr
    assert json.loads((finished / target).read_text())["scale"] == "tiny"


def test_more_classifier_steps_rescore_and_train_nothing(finished, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("metrics: {zdiff: {classifier: {steps: 201}}}")
    jobs = planned(finished, "--cores", "2", "all", "--configfile", str(TINY), str(overlay))
    assert not {"train", "train_sweep"} & jobs.keys()
    # The codes of the sweep and of Figure 8 were temporary and are made anew.
    assert jobs["encode_sweep"] == 2
    assert jobs["encode_subset"] == jobs["noise"] == 4
    assert "encode" not in jobs
    # Figure 6's rows and the ground truth without rotation; the sweep; Figure 8; the chairs.
    assert jobs["score"] == 8 + len(NAMED_SYSTEMS) + 2 + 4 + 2
    assert jobs["metrics"] == 1
    assert "measures" not in jobs
    assert jobs["figure6_left"] == jobs["figure6_right"] == 1


def test_another_number_of_steps_retrains_all_but_the_untrained(finished, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("scales: {tiny: {steps: 41}}")
    jobs = planned(finished, "--cores", "2", "all", "--configfile", str(TINY), str(overlay))
    assert jobs["train"] + jobs["train_sweep"] == 4
    assert "dataset" not in jobs
    assert "pca" not in jobs
    assert jobs["score"] == 4 + 2  # by the paper's metric, and the two main models by disentanglement_lib's


def test_a_failing_job_says_why_on_the_terminal_and_in_its_log(finished, tmp_path):
    bits = finished / "results/data/tiny/dsprites_bits.npy"
    whole = bits.read_bytes()
    try:
        stamp = bits.stat()
        bits.write_bytes(whole[:100])
        os.utime(bits, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        run = snakemake(finished, "--cores", "1", "results/metric_beta9.json", "--configfile", str(TINY))
        assert run.returncode != 0
        assert "dsprites_bits.npy: no packed images" in run.stdout + run.stderr
        assert "no packed images" in (finished / "results/tiny/logs/train_beta9.log").read_text()
        assert not (finished / "results/tiny/models/beta9.safetensors").exists()
    finally:
        bits.write_bytes(whole)
        os.utime(bits, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_cleaning_away_the_intermediates_reruns_nothing(finished):
    run = snakemake(finished, "--cores", "1", "clean_intermediates", "--configfile", str(TINY))
    assert run.returncode == 0, run.stderr
    assert not (finished / "results/tiny/codes").exists()
    assert planned(finished, "--cores", "2", "all", "--configfile", str(TINY)) == {}
