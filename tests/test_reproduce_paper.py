"""Figure 6 in pieces: all seeds of all models in order, and parts that add up to what one run would have found."""

import json
import re
import time

import h5py
import numpy as np
import pytest
import yaml
from snakemake.utils import update_config

from betavae.errors import UserError
from betavae.plan import Plan
from betavae.score import summarise
from conftest import CONFIG
from reproduce_paper import Part, draw, is_done, merge_summaries, merged_score, overlay, parts_of, run_part, start, stop
from running import TINY


@pytest.fixture
def tiny(config):
    """The plan of the tests' scale."""
    update_config(config, yaml.safe_load(TINY.read_text(encoding="utf-8")))
    return Plan(config)


@pytest.mark.parametrize("at_once", [1, 4, 10])
def test_every_seed_of_every_model_is_in_one_part_and_figure_6_left_comes_first(at_once):
    plan = Plan(CONFIG | {"scale": "paper"})
    parts = parts_of(plan, at_once)
    seeds = {}
    for part in parts:
        if part.model not in ("ground_truth", "raw_pixels", "pca", "ica"):
            assert part.replicas <= at_once
        seeds.setdefault(part.model, []).extend(range(part.seed, part.seed + part.replicas))
    for model in {*plan.main_models(), *plan.sweep_models()}:
        assert seeds.pop(model) == list(range(3 if "_z" in model else 10))
    assert seeds == {}
    models = list(dict.fromkeys(part.model for part in parts))
    assert models[:7] == ["ground_truth", "raw_pixels", "pca", "ica", "vae_untrained", "beta4", "beta1"]
    assert {*models[7:9]} == {"infogan", "dcign"}
    assert len({part.name for part in parts}) == len(parts)


def test_only_the_seeds_of_a_part_differ_from_the_config():
    plan = Plan(CONFIG | {"scale": "paper"})
    own = Plan({**CONFIG, **{"scale": "paper"}})
    update_config(own.config, overlay(plan, Part("beta4", 5, 2)))
    there, here = plan.training("paper", "beta4"), own.training("paper", "beta4")
    assert here == there | {"seeds": [5, 6]}
    assert own.training("paper", "beta2_z5")["seeds"] == [5, 6]
    assert own.training("paper", "infogan")["seeds"] == [5, 6]


def part_score(values, confusion, first=0):
    """A metric file of so many scores (replicas, classifier seeds)."""
    rows = [[r, s, None if np.isnan(value) else value] for r, own in enumerate(values) for s, value in enumerate(own)]
    lost = [r for r, own in enumerate(values) if np.isnan(own).all()]
    return {
        "scores": rows, "diverged": lost, "confusion": confusion, "settings": {"replicas": len(values)},
        "provenance": {"seconds": first},
    }  # fmt: skip


def test_parts_add_up_to_the_scores_of_all_seeds():
    values = np.array([[0.9, 0.8], [0.3, 0.4], [np.nan, np.nan], [0.7, 0.6], [0.5, 0.55]])
    found = merged_score([part_score(values[:3], [[1.0, 0.0]]), part_score(values[3:], [[0.5, 0.5]], 1)], 0.5)
    mean, std, kept = summarise(values.ravel(), np.zeros(10, int), 0.5)
    assert (found["score_mean"], found["score_std"], found["kept"]) == (mean, std, kept.tolist())
    assert [row[:2] for row in found["scores"]] == [[r, s] for r in range(5) for s in range(2)]
    assert found["diverged"] == [2]
    assert found["settings"]["replicas"] == 5
    np.testing.assert_allclose(found["confusion"], [[0.75, 0.25]])
    assert [one["seconds"] for one in found["provenance"]["parts"]] == [0, 1]
    alone = part_score(values[:2], None)
    assert merged_score([alone], 0.5) is alone


def test_summaries_of_parts_are_one_behind_the_other(tmp_path):
    whole = np.arange(3 * 4 * 2.0).reshape(3, 4, 2)
    for number, part in enumerate((whole[:2], whole[2:])):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.attrs["settings"] = "{}"
            file["reconstruction"], file["kl"] = part[:, 0, 0], part[:, 0]
            file["examples/reconstruction"], file["examples/original"] = part, whole[0]
    merge_summaries([tmp_path / "0.h5", tmp_path / "1.h5"], tmp_path / "all.h5")
    with h5py.File(tmp_path / "all.h5") as file:
        np.testing.assert_array_equal(file["examples/reconstruction"][:], whole)
        np.testing.assert_array_equal(file["kl"][:], whole[:, 0])
        np.testing.assert_array_equal(file["examples/original"][:], whole[0])
        assert file.attrs["settings"] == "{}"


def test_a_part_is_made_by_the_workflow_and_one_that_is_cut_off_goes_on(tiny, tmp_path):
    part, parts, work = Part("beta4", 1, 1), tmp_path / "out" / "parts", tmp_path / "work"
    work.mkdir()
    options = ["--configfile", str(TINY)]
    assert not run_part(tiny, part, parts, work, options, time.monotonic())
    assert not parts.exists()
    assert run_part(tiny, part, parts, work, options, time.monotonic() + 600)
    score = json.loads((parts / "beta4_seeds1-1.json").read_text())
    assert score["settings"]["representation"]["seeds"] == [1]
    made = json.loads((parts / "beta4_seeds1-1.made.json").read_text())
    assert made["device"] == "cpu"
    assert re.fullmatch(r"[0-9a-f]{40}\+?|unknown", made["commit"])
    assert made["seconds"] > score["provenance"]["seconds"]
    assert not list((work / "results" / "tiny" / "codes").iterdir())
    assert is_done(tiny, part, parts)
    assert not is_done(tiny, Part("beta4", 2, 1), parts)
    tiny.preset("tiny")["learning_rate"] = 0.5
    with pytest.raises(UserError, match=r"1-1\.json: representation\.learning_rate is .*, expected 0\.5; take"):
        is_done(tiny, part, parts)
    draw(tiny, tmp_path / "out", [part])
    assert json.loads((tmp_path / "out" / "metrics" / "beta4.json").read_text()) == score
    assert (tmp_path / "out" / "figure6_right.png").exists()
    assert "1–1" in (tmp_path / "out" / "parts.md").read_text()


def test_a_piece_that_ends_within_a_training_keeps_its_state(tiny, tmp_path):
    """The training, too, is told that time is up: for it alone Snakemake would wait."""
    part, work, longer = Part("beta4", 1, 1), tmp_path / "work", tmp_path / "longer.yaml"
    work.mkdir()
    longer.write_text("{checkpoint_minutes: 0.0001, scales: {tiny: {steps: 10000000}}}")
    checkpoints, log = work / "results/tiny/checkpoints/beta4", work / "results/tiny/logs/train_beta4.log"

    def last():
        return max((int(path.stem.removeprefix("step_")) for path in checkpoints.glob("step_*")), default=0)

    reached = []
    for _ in range(2):
        with start(tiny, part, work, ["--configfile", str(TINY), str(longer)]) as process:
            before = last()
            while last() <= before and process.poll() is None:
                time.sleep(0.05)
            stop(process)
        assert process.returncode
        assert "stopped by SIGINT after step" in log.read_text()
        reached.append(last())
    assert f"goes on after step {reached[0]}," in log.read_text()
    assert reached[1] > reached[0]
