"""The scripts that measure: what they count and compare, not how fast it is."""

import math

import bars
import compare
import floor
import pytest
import torch

from betavae.errors import UserError

CPU = torch.device("cpu")


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_floor_counts_every_product_of_table_1(replicas):
    settings = floor.settings_of("smoke", "beta4", replicas, width=48, batch=512, optimiser="adagrad")
    inner = 48 * 48 + 48 * 20 + 10 * 48 + 2 * 48 * 48 + 48 * 4096
    weights = 4096 * 48 + inner + 48 * 5 + 20 + 4096
    # Forward, the inputs' gradient and the weights'; images have none. The last layer's bias gets its by a product too.
    dense = 2 * 512 * replicas * (3 * inner + 2 * 4096 * 48 + 4096)
    found = floor.work(settings, lit_rows=False)
    assert found.operations == dense
    assert found.bytes == 4 * 8 * weights * replicas
    lit = floor.work(settings, lit_rows=True)
    assert lit.operations == dense - 4 * 512 * replicas * 4096 * 48


@pytest.mark.parametrize("model", ["beta4", "infogan", "dcign", "standin_celeba_beta250", "standin_chairs_infogan"])
def test_there_is_a_floor_for_every_network(model):
    _, steps, shown = floor.small_run(floor.settings_of("smoke", model, 2), CPU)
    assert all(torch.isfinite(value).all() for value in next(steps).values())
    assert shown


def test_all_contenders_train_the_same_network():
    settings = floor.settings_of("smoke", "beta4", 1, threads=1)
    ours, _, _ = floor.small_run(settings, CPU)
    theirs = compare.plain_layers(settings)
    counted = [sum(math.prod(p.shape) for p in part.parameters()) for part in (ours, torch.nn.ModuleList(theirs))]
    assert counted[0] == counted[1]
    for make in (compare.ours, compare.plain):
        make(settings, "cpu")()
    pytest.importorskip("pythae", reason="pythae is for benchmarks only: benchmarks/requirements.txt")
    compare.pythae(settings, "cpu")()


def test_bars_are_read_from_a_run_and_say_what_is_missed(tmp_path):
    jobs = {"data/thin/benchmarks/dataset": 17, "smoke/benchmarks/train_beta4": 60, "smoke/benchmarks/encode_beta4": 2}
    for name, seconds in jobs.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t{100 * seconds}\t{seconds}\n")
    with pytest.raises(UserError, match=r"zdiff_beta4\.tsv is missing; expected a complete run"):
        list(bars.bars(tmp_path, "smoke"))
    (tmp_path / "smoke/benchmarks/zdiff_beta4.tsv").write_text("s\tmax_rss\tcpu_time\n9\t500\t9\n")
    said = [str(bar) for bar in bars.bars(tmp_path, "smoke")]
    assert "data set (HDF5, bits), wall time: 17 s (bar 30, met)" in said
    assert "training β = 4, memory: 6000 MB (bar 1500, MISSED)" in said
    assert "6 metric evaluations, CPU time: 9 s (bar 6, MISSED)" in said
    assert "all jobs, no pictures among them, CPU time: 1.467 min (bar 35, met)" in said
    (tmp_path / "data/chairs/benchmarks").mkdir(parents=True)
    assert "all jobs, pictures among them, CPU time: 1.467 min" in map(str, bars.bars(tmp_path, "smoke"))
