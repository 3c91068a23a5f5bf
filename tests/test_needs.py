"""Memory, run time, threads and GPUs that jobs ask for, and the profile that takes them to a cluster."""

import re
from types import SimpleNamespace

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

from betavae.needs import Needs, images_of
from betavae.plan import Plan
from running import ROOT, Wildcards

TARGETS = {"all", "all_pictures", "calibration", "estimate", "clean_intermediates"}
# What takes the same at every scale, and is done on the spot: copies and deletions.
CONSTANT = {
    "publish_score",
    "publish_sweep",
    "publish_continuity",
    "publish_disentanglement_lib",
    "publish_picture_score",
    "clean_intermediates",
    "standin",  # rendered a hundred images at a time
}


def workflow_jobs(folder, scale):
    """All jobs of a dry run of every target, from nothing."""
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=8),
            config_settings=ConfigSettings(config={"scale": scale}),
            snakefile=ROOT / "Snakefile",
            workdir=folder,
        )
        workflow.dag(dag_settings=DAGSettings(targets=TARGETS)).execute_workflow(executor="dryrun")
        return [
            SimpleNamespace(
                rule=job.rule.name,
                shell=job.shellcmd or "",
                threads=job.threads,
                resources={key: job.resources.get(key) for key in ("mem_mb", "runtime", "gpu")},
                declared=job.rule.resources.keys(),
            )
            for job in workflow._workflow.dag.jobs
            if not job.is_norun
        ]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The jobs of a small scale and of the paper's."""
    return {scale: workflow_jobs(tmp_path_factory.mktemp(scale), scale) for scale in ("smoke", "paper")}


def largest(jobs):
    """The most that each rule asks for: MB and minutes."""
    return {
        job.rule: tuple(
            max(other.resources[key] for other in jobs if other.rule == job.rule) for key in ("mem_mb", "runtime")
        )
        for job in jobs
    }


def test_every_rule_declares_memory_and_run_time_and_networks_a_gpu(jobs):
    for job in jobs["paper"]:
        assert {"mem_mb", "runtime"} <= job.declared, job.rule
        assert 100 <= job.resources["mem_mb"] <= 32000, job.rule
        assert 1 <= job.resources["runtime"] <= 24 * 60, job.rule
        assert ("gpu" in job.declared) == ("--device" in job.shell), job.rule
        assert job.resources["gpu"] in (None, 1)


def test_needs_follow_the_scale(jobs):
    small, large = (largest(jobs[scale]) for scale in ("smoke", "paper"))
    assert len(large) > 40
    for rule, needs in large.items():
        assert all(ours <= theirs for ours, theirs in zip(small[rule], needs, strict=True)), rule
        assert rule in CONSTANT or needs > small[rule], rule
    assert large["train"][1] > 4 * 60 > 30 > small["train"][1]


def test_needs_grow_with_each_attempt_and_are_alike_for_all_points_of_a_sweep(config):
    needs = Needs(Plan(config | {"device": "auto"}))
    assert images_of({}) == 737280
    job = Wildcards(scale="paper", model="beta4")
    # β = 4, ten replicas: 10 · (2 · 4096 · 1200 + 3 · 1200² + 3 · 10 · 1200) numbers of four bytes.
    weights = 4e-6 * 10 * (2 * 4096 * 1200 + 3 * 1200**2 + 3 * 10 * 1200)
    assert needs.weights(job) == pytest.approx(weights)
    assert needs.mb(100, weights=2)(job, 1) == pytest.approx(100 + 2 * weights, abs=1)
    assert needs.mb(100, weights=2)(job, 3) == pytest.approx(3 * (100 + 2 * weights), abs=1)
    assert needs.gpu() == 1


def test_rules_that_write_much_say_how_much(jobs):
    written = {job.rule for job in jobs["paper"] if "writes_mb" in job.declared}
    encoded = {"encode", "encode_sweep", "encode_subset", "pca", "ica"}
    assert written == {"dataset", "gram", "train", "train_sweep", *encoded}


def test_the_sweeps_trainings_ask_for_the_same(jobs):
    assert len({tuple(job.resources.values()) for job in jobs["paper"] if job.rule == "train_sweep"}) == 1


def test_retries_live_in_the_profile_only():
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    assert not re.search(r"^\s*retries:", rules, re.MULTILINE)
    assert "restart-times" not in rules
    assert yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())["retries"] == 2


def test_the_profile_groups_every_rule_without_a_training_that_is_not_run_on_the_spot(jobs):
    grouped = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())["groups"]
    alone = {"cost", "dataset", "gram", "train", "train_sweep", "noise", "calibration", "estimate", "standin"}
    ran = {job.rule for job in jobs["paper"]}
    assert ran - CONSTANT - alone == grouped.keys() - {"representation"}
