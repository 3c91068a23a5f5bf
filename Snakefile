# The paper's figures and tables from an empty checkout: `snakemake --cores 8 all`.
import json
import shlex
import sys
from pathlib import Path

HERE = Path(str(workflow.current_basedir))
sys.path.insert(0, str(HERE / "workflow"))

from betavae.names import BLIND_SPOT, sweep_name
from betavae.plan import BETA, LEARNT, SUBSET, SWEEP, TRAINED, Plan, count_gpus

from snakemake.utils import min_version

min_version("9.0")


configfile: HERE / "config.yaml"


plan = Plan(config)

# Trainings that run on this machine share its GPUs; where it has none, or on a cluster, nothing is held back.
if gpus := count_gpus():
    workflow.global_resources.setdefault("gpu", gpus)


resource_scopes:
    gpu="local",


wildcard_constraints:
    scale="|".join(plan.config["scales"]),
    grid="|".join(plan.config["grids"]),
    metric="|".join(plan.config["metrics"]),
    model="[^/]+",
    point="[^/]+",
    models="[^/]+",


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/codes.smk"
include: "workflow/rules/metric.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/continuity.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/choose.smk"
include: "workflow/rules/tools.smk"


# All that is computed; what it cost can only be told thereafter.
rule results:
    input:
        rules.figure6.input,
        rules.stability.output,
        rules.choose_beta.output,
        rules.choose_beta_by_eye.output,
        rules.figures7.input,
        rules.table2.output,
        expand("results/metric_{model}.json", model=plan.main_models() + plan.representations()),
        rules.metrics.output,
        rules.continuity.input,
        rules.dcign_factors.output,
        expand(
            "results/disentanglement_lib/metric_{model}.json",
            model=plan.trained_models(),
        ),
        expand(
            "results/figures/history_{model}.{suffix}",
            model=plan.trained_models(),
            suffix=["png", "pdf"],
        ),
        rules.pictures.input,
        expand(rules.samples.output, model=plan.sampled_models()),


rule cost:
    input:
        rules.results.input,
    output:
        csv="results/tables/cost.csv",
        md="results/tables/cost.md",
    log:
        "results/logs/cost.log",
    conda:
        "envs/betavae.yaml"
    params:
        settings=lambda wildcards: plan.cost_settings(
            {rule.name: str(rule.benchmark) for rule in workflow.rules if rule.benchmark}
        ),
        code=plan.code("cost"),
    message:
        "What each rule cost"
    shell:
        "python -m betavae cost --log {log} --csv {output.csv} --md {output.md} --settings {params.settings:q}"


rule all:
    default_target: True
    input:
        rules.results.input,
        rules.cost.output,


onsuccess:
    if Path("results/figures/figure6_left.png").exists():
        print(
            f"Figures are in results/figures, tables in results/tables, scores in results/metric_*.json (scale {plan.scale})"
        )
