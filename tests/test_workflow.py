"""The workflow as a user runs it: targets, refusals, one whole run, and what a change of settings reruns."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "tiny.yaml"


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--directory",
            str(folder),
            *arguments,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def planned(folder: Path, *arguments: str) -> Counter:
    """How many jobs of each rule a dry run would run."""
    run = snakemake(folder, "--dry-run", "--quiet", "rules", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    table = (run.stdout + run.stderr).split("Job stats:")
    if len(table) == 1:
        return Counter()
    lines = re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)
    return Counter({rule: int(count) for rule, count in lines if rule != "total"})


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    return (run.stdout + run.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/metric_beta-1.json", ["beta-1", "beta<number>"]),
        ("results/metric_betafour.json", ["betafour", "beta<number>"]),
        ("results/metric_beta4.0.json", ["beta4.0", "'beta4'"]),
        ("results/metric_beta0.json", ["beta0", "β > 0"]),
        ("results/metric_unknown.json", ["unknown", "pca", "beta<number>"]),
        ("results/sweep/metric_beta4.json", ["beta4", "metric_beta<β>_z<M>.json"]),
    ],
)
def test_a_target_that_makes_no_sense_is_refused_in_the_last_line(tmp_path, target, said):
    run = snakemake(tmp_path, "--cores", "1", "--dry-run", target)
    assert run.returncode != 0
    assert all(word in last_line(run) for word in said), last_line(run)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "scale=papr"], ["scale", "papr", "smoke, laptop, paper"]),
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
    sweep = yaml.safe_load((ROOT / "config.yaml").read_text())["scales"]["laptop"]["sweep"]
    points = len(sweep["betas"]) * len(sweep["latents"])
    shared = len({1, 4} & set(sweep["betas"])) * (10 in sweep["latents"])
    assert jobs["train"] == 4 + points - shared  # β = 1 and 4, the untrained, DC-IGN
    assert jobs["encode_sweep"] == points - shared
    assert jobs["publish_sweep"] == points
    assert jobs["dataset"] == jobs["figure6_left"] == jobs["figure6_right"] == 1


def test_any_beta_is_trained_on_demand(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "results/metric_beta7.5.json")
    assert jobs == {"dataset": 1, "train": 1, "encode": 1, "score": 1, "publish_score": 1}


def test_the_paper_scale_plans_the_whole_protocol(tmp_path):
    jobs = planned(tmp_path, "--cores", "1", "all", "--config", "scale=paper")
    assert jobs["train"] == 4 + 6 * 8 - 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which `all` was run at the tests' scale, from nothing."""
    folder = tmp_path_factory.mktemp("run")
    run = snakemake(folder, "--cores", "2", "all", "--configfile", str(TINY))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "results/figures" in run.stdout + run.stderr
    return folder


def test_a_whole_run_fills_every_row_of_figure_6_that_there_is_code_for(finished):
    with (finished / "results/tables/figure6_left.csv").open(encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    missing = {name for name, row in rows.items() if row["ours (%)"] == "not yet run"}
    assert missing == {"InfoGAN"}
    assert len(rows) == 9
    for name, row in rows.items():
        if name not in missing:
            assert 15 <= float(row["ours (%)"].split(" ")[0]) <= 100
    assert rows["β-VAE"]["paper (%)"] == "99.23 ± 0.1"
    assert len(rows["β-VAE"]["each seed (%)"].split()) == 2


def test_a_table_reads_its_numbers_from_the_metric_files(finished):
    with (finished / "results/tables/figure6_right.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["M"]), float(row["β"])) for row in rows] == [(3, 1), (3, 4), (4, 1), (4, 4)]
    for row in rows:
        name = f"beta{float(row['β']):g}_z{row['M']}"
        score = json.loads((finished / f"results/sweep/metric_{name}.json").read_text())
        assert float(row["score (%)"]) == pytest.approx(100 * score["score_mean"])
        assert float(row["normalised β"]) == pytest.approx(float(row["β"]) * int(row["M"]) / 4096)


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
    assert {"git_commit", "code_digest", "versions", "device", "seconds"} <= score["provenance"].keys()


def test_codes_follow_the_contract_and_those_of_the_sweep_are_gone(finished):
    with h5py.File(finished / "results/tiny/codes/beta4.h5") as file:
        assert file["mean"].shape == file["logvar"].shape == (2, 3 * 2 * 4 * 8 * 8, 4)
        assert file["mean"].dtype == np.float32
        assert file["mean"].compression is None
        assert file.attrs["scale"] == file.attrs["dataset"] == "tiny"
    assert not list((finished / "results/tiny/codes").glob("*_z*.h5"))
    assert (finished / "results/tiny/summaries/beta4_z3.h5").exists()


def test_a_log_opens_with_code_versions_and_settings(finished):
    log = (finished / "results/tiny/logs/train_beta4.log").read_text()
    assert re.search(r"betavae train, code [0-9a-f]{12}, .*'torch'", log)
    assert '"beta": 4.0' in log


def test_a_second_run_does_nothing(finished):
    assert planned(finished, "--cores", "2", "all", "--configfile", str(TINY)) == {}


def test_another_scale_and_back_costs_nothing_that_was_computed(finished, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    tiny = yaml.safe_load(TINY.read_text())["scales"]["tiny"]
    overlay.write_text(yaml.safe_dump({"scale": "other", "scales": {"other": tiny | {"replicas": 1}}}))
    target = "results/metric_ground_truth.json"
    run = snakemake(finished, "--cores", "2", target, "--configfile", str(TINY), str(overlay))
    assert run.returncode == 0, run.stderr
    assert json.loads((finished / target).read_text())["scale"] == "other"
    assert planned(finished, "--cores", "2", "all", "--configfile", str(TINY)) == {"publish_score": 1, "all": 1}
    run = snakemake(finished, "--cores", "2", "all", "--configfile", str(TINY))
    assert run.returncode == 0, run.stderr
    assert json.loads((finished / target).read_text())["scale"] == "tiny"


def test_more_classifier_steps_rescore_and_train_nothing(finished, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("metrics: {zdiff: {classifier: {steps: 201}}}")
    jobs = planned(finished, "--cores", "2", "all", "--configfile", str(TINY), str(overlay))
    assert "train" not in jobs
    # The sweep's codes were temporary and are made anew.
    assert jobs["encode_sweep"] == 2
    assert "encode" not in jobs
    assert jobs["score"] == 8 + 2
    assert jobs["figure6_left"] == jobs["figure6_right"] == 1


def test_another_number_of_steps_retrains_all_but_the_untrained(finished, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("scales: {tiny: {steps: 41}}")
    jobs = planned(finished, "--cores", "2", "all", "--configfile", str(TINY), str(overlay))
    assert jobs["train"] == 4
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
