import csv
import json

import pytest

from betavae.cost import main, rule_of
from betavae.errors import UserError

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
PATTERNS = {
    "train": "results/{scale}/benchmarks/train_{model}.tsv",
    "score": "results/{scale}/benchmarks/{metric}_{model}.tsv",
    "few_labels": "results/{scale}/benchmarks/few_labels_{model}.tsv",
    "figure9": "results/benchmarks/figure9.tsv",
    "train_sweep": "results/{scale}/benchmarks/train_{model}.tsv",
}


def benchmark(path, wall, memory, cpu):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}\n{wall}\t0:00:10\t{memory}\t1\t1\t1\t0\t0\t99\t{cpu}\n")


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("results/laptop/benchmarks/train_beta4_z5.tsv", "train"),
        ("results/laptop/benchmarks/disentanglement_lib_beta4.tsv", "score"),
        ("results/laptop/benchmarks/few_labels_beta4.tsv", "few_labels"),
        ("results/benchmarks/figure9.tsv", "figure9"),
    ],
)
def test_a_benchmark_belongs_to_the_rule_whose_pattern_fits_it_best(path, rule):
    assert rule_of(path, PATTERNS) == rule


def test_a_file_of_no_rule_is_refused():
    with pytest.raises(UserError, match=r"other\.tsv: no rule writes such a benchmark"):
        rule_of("results/benchmarks/other.tsv", PATTERNS)


def table(tmp_path, monkeypatch, folders=("results/laptop/benchmarks", "results/benchmarks")):
    monkeypatch.chdir(tmp_path)
    settings = {"scale": "laptop", "folders": folders, "patterns": PATTERNS}
    paths = {kind: tmp_path / f"cost.{kind}" for kind in ("csv", "md", "html")}
    main(**paths, settings=json.dumps(settings))
    with (tmp_path / "cost.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_table_adds_up_the_jobs_of_each_rule_and_puts_the_dearest_first(tmp_path, monkeypatch):
    here = tmp_path / "results" / "laptop" / "benchmarks"
    benchmark(here / "zdiff_beta4.tsv", 4.0, 120.2, 10.0)
    benchmark(here / "train_beta4.tsv", 30.0, 900.0, 60.0)
    benchmark(here / "train_beta1.tsv", 20.5, 1000.0, 30.0)
    benchmark(tmp_path / "results" / "benchmarks" / "figure9.tsv", 0.3, "NA", "NA")
    rows = table(tmp_path, monkeypatch)
    assert [list(row.values()) for row in rows] == [
        ["train", "2", "90.0", "90.0", "50.5", "1000"],
        ["score", "1", "10.0", "10.0", "4.0", "121"],
        ["figure9", "1", "0.0", "0.0", "0.3", "0"],
        ["all", "4", "100.0", "100.0", "54.8", "1000"],
    ]
    assert "scale `laptop`" in (tmp_path / "cost.md").read_text()
    assert "<td>figure9</td>" in (tmp_path / "cost.html").read_text()


def test_a_run_that_left_no_benchmarks_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no benchmark files in results/laptop/benchmarks"):
        table(tmp_path, monkeypatch)


def test_a_file_that_is_no_benchmark_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "results" / "benchmarks" / "figure9.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("nothing\n")
    with pytest.raises(UserError, match=r"figure9\.tsv: no benchmark file of Snakemake's"):
        table(tmp_path, monkeypatch)
