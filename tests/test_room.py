"""Whether a run has room: what it is said to take, and that one without room does not begin."""

from types import SimpleNamespace

import pytest
import yaml

from betavae import room
from betavae.errors import UserError
from betavae.needs import Needs
from betavae.plan import Plan
from betavae.room import Need, check, free_mb, memory_mb, need_of
from conftest import CONFIG
from running import TINY, Wildcards, last_line, snakemake


@pytest.mark.parametrize(
    ("quantity", "named", "numbers"),
    [
        ("all_codes", {"model": "beta4"}, 2 * 10 * 10),
        ("all_codes", {"model": "infogan"}, 2 * 5),
        ("all_codes", {"model": "beta4_z5"}, 2 * 1 * 10),  # as many as the sweep's widest, for all may be one job array
        ("codes", {}, 10),
        ("ica_codes", {}, 30 * 10),
    ],
)
def test_codes_take_what_their_numbers_take(quantity, named, numbers):
    job = Wildcards(scale="laptop", **named)
    assert getattr(Needs(Plan(CONFIG)), quantity)(job) == pytest.approx(4e-6 * 737280 * numbers)


def test_infogan_on_pictures_has_codes_without_log_variances():
    job = Wildcards(scale="laptop", model="standin_chairs_infogan")
    assert Needs(Plan(CONFIG)).all_codes(job) == pytest.approx(4e-6 * 19440 * 2 * 5)


def test_a_jobs_needs_are_its_resources_and_what_goes_again_is_known_by_its_output():
    def job(rule, model, resources, temporary):
        named = SimpleNamespace(name=rule)
        return SimpleNamespace(rule=named, wildcards=Wildcards(model=model), resources=resources, temp_output=temporary)

    assert need_of(job("score", "beta4", {"mem_mb": 700}, [])) == Need("score beta4", 700, 0)
    sweep = job("encode_sweep", "beta4_z5", {"mem_mb": 900, "writes_mb": 30}, ["codes.h5"])
    assert need_of(sweep) == Need("encode_sweep beta4_z5", 900, 30, temporary=True)


NEEDS = [Need("train beta4", 900, 0), Need("encode beta4", 500, 100), Need("encode_sweep a", 0, 40, True)]


def test_what_goes_again_counts_once(tmp_path):
    needs = [*NEEDS, Need("encode_sweep b", 0, 30, True)]
    check(needs, tmp_path, free=140, memory=900)
    with pytest.raises(
        UserError, match=rf"^{tmp_path}: the run writes about 140 MB and 139 MB are free on that disk; "
    ):
        check(needs, tmp_path, free=139, memory=900)


def test_a_job_that_is_too_large_is_named(tmp_path):
    with pytest.raises(UserError, match=r"^train beta4: takes about 900 MB of memory and this machine has 800 MB; "):
        check(NEEDS, tmp_path, free=1e6, memory=800)


def test_elsewhere_memory_is_not_this_machines(tmp_path):
    check(NEEDS, tmp_path, free=1e6, memory=None)
    check([], tmp_path, free=0, memory=1)


def test_memory_and_disk_of_this_machine_are_found(tmp_path):
    assert 100 < memory_mb() < 1e8
    assert free_mb(tmp_path / "not" / "there" / "yet") == pytest.approx(free_mb(tmp_path), rel=0.1)


def test_the_least_limit_of_all_control_groups_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "GROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("50000000\n")
    assert memory_mb() == 50
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_mb() > 50


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        (
            {"latents": 1000, "replicas": 1000, "grid": "full"},
            ["results: the run writes about", "are free on that disk"],
        ),
        (
            {"infogan": {"batch": 65536, "replicas": 1000}},
            ["train infogan: takes about", "this machine has", "`batch`"],
        ),
    ],
    ids=["disk", "memory"],
)
def test_a_run_without_room_stops_before_its_first_job(tmp_path, preset, said):
    (tmp_path / "large.yaml").write_text(yaml.safe_dump({"scales": {"tiny": preset}}))
    model = "infogan" if "infogan" in preset else "beta4"
    arguments = ["--configfile", str(TINY), str(tmp_path / "large.yaml")]
    run = snakemake(tmp_path, "--cores", "1", f"results/metric_{model}.json", *arguments)
    assert run.returncode != 0
    assert all(part in last_line(run) for part in said), last_line(run)
    assert [path for path in (tmp_path / "results").rglob("*") if path.is_file() and path.name[0] != "."] == []
