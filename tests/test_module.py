"""The workflow as a module of another one."""

from running import ROOT, planned, snakemake

CALLER = """
module betavae:
    snakefile:
        "{root}/Snakefile"
    config:
        {{"scale": "{scale}", "scales": {{"toy": {{"grid": "toy", "latents": 4, "replicas": 1}}}},
          "grids": {{"toy": {{"scale": 5, "orientation": 10, "posX": 4, "posY": 4}}}},
          "metrics": {{"zdiff": {{"pairs": 5, "train_points": 300, "test_points": 200}}}}}}


use rule * from betavae as betavae_*


rule mine:
    default_target: True
    input:
        "results/metric_ground_truth.json",
    output:
        "mine.txt",
    shell:
        "cp {{input}} {{output}}"
"""


def test_another_workflow_runs_a_rule_of_its_own_on_a_metric_file_made_here(tmp_path):
    caller = tmp_path / "Snakefile"
    caller.write_text(CALLER.format(root=ROOT, scale="toy"))
    run = snakemake(tmp_path, "--cores", "2", snakefile=caller)
    assert run.returncode == 0, run.stdout + run.stderr
    assert '"model": "ground_truth"' in (tmp_path / "mine.txt").read_text()
    assert planned(tmp_path, "--cores", "1", snakefile=caller) == {}


def test_what_a_callers_config_leaves_out_is_as_in_the_file_and_all_can_be_asked_for(tmp_path):
    caller = tmp_path / "Snakefile"
    caller.write_text(CALLER.format(root=ROOT, scale="smoke"))
    jobs = planned(tmp_path, "--cores", "1", "betavae_all", snakefile=caller)
    assert jobs["betavae_train"] >= 8
    assert jobs["betavae_table_pages"] == jobs["betavae_explore"] == jobs["betavae_all"] == 1
