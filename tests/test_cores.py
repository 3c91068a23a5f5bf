"""The same results whatever `--cores` is: training, codes, metric and table of one model, two threads a training."""

import pytest
import yaml

from running import TINY, outcome, snakemake

TARGETS = ["results/metric_beta4.json", "results/tables/factors_beta4.csv"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What comes of TARGETS, by the number of cores."""
    found = {}
    for cores in (1, 2, 8):
        folder = tmp_path_factory.mktemp(f"cores{cores}")
        # More threads than one core allows: a rule's `threads:` is cut, the training's own must not be.
        overlay = folder / "threads.yaml"
        overlay.write_text(yaml.safe_dump({"threads": 2}))
        run = snakemake(folder, *TARGETS, "--cores", str(cores), "--configfile", str(TINY), str(overlay))
        assert run.returncode == 0, run.stdout + run.stderr
        found[cores] = outcome(folder)
    return found


@pytest.mark.parametrize("cores", [2, 8])
def test_results_do_not_depend_on_the_number_of_cores(results, cores):
    assert results[cores] == results[1]


def test_what_is_compared_is_all_there(results):
    names = {"metric_beta4.json", "tables/factors_beta4.csv", "tiny/models/beta4.safetensors"}
    assert names | {"tiny/models/beta4.history.h5"} <= results[1].keys()
