# The paper's figures and tables from an empty checkout: `snakemake --cores 8 all`.
import json
import shlex
import sys
from pathlib import Path

HERE = Path(str(workflow.current_basedir))
sys.path.insert(0, str(HERE / "workflow"))

import yaml
from betavae.digest import code_digest
from betavae.gpus import gpus
from betavae.names import BLIND_SPOT, sweep_name
from betavae.needs import Needs
from betavae.paper import label
from betavae.picture_plan import FIGURES, PICTURE, SETS, SUBJECTS, standin_sizes
from betavae.picture_sources import SOURCES, STANDINS
from betavae.plan import Plan
from betavae.plan_models import BETA, LEARNT, SUBSET, SWEEP, TRAINED
from betavae.room import refuse_without_room
from betavae.run_lock import begin, expect_writable
from betavae.targets import on_command_line, refuse_unknown

from snakemake.utils import min_version, update_config

min_version("9.0")


configfile: HERE / "config.yaml"


report: "workflow/report/workflow.rst"


# Used as a module, this workflow gets the caller's config instead: what that leaves out is as in the file.
settings = yaml.safe_load((HERE / "config.yaml").read_text(encoding="utf-8"))
update_config(settings, config)
config.update(settings)
expect_writable(".snakemake", "results")
plan = Plan(config)
needs = Needs(plan)

# Trainings that run on this machine share its GPUs; where it has none, or on a cluster, nothing is held back.
if found := gpus():
    workflow.global_resources.setdefault("gpu", len(found))


resource_scopes:
    gpu="local",


# Copies and deletions take no time: no cluster need be asked.
localrules:
    publish_score,
    publish_disentanglement_lib,
    publish_sweep,
    publish_continuity,
    publish_picture_score,
    cost,
    clean_intermediates,


wildcard_constraints:
    scale="|".join(plan.config["scales"]),
    grid="|".join(plan.config["grids"]),
    metric="|".join(plan.config["metrics"]),
    # All that a shell takes for a word, so that no path needs quotes. Rules whose targets users type take any name, and
    # refuse it themselves.
    model="[A-Za-z0-9_.]+",
    point="[A-Za-z0-9_.]+",
    models="[^/]+",


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/codes.smk"
include: "workflow/rules/metric.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/continuity.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/choose.smk"
include: "workflow/rules/picture_sets.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/picture_models.smk"
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
        rules.table_pages.output,
        rules.in_short.output,
        rules.explore.output,
        rules.pictures_in_all.input,


onstart:
    begin(Path("results"))
    refuse_without_room(list(workflow.dag.needrun_jobs()), Path("results"), here=workflow.local_exec)
    # For its limit of submissions a second, which only a cluster needs, Snakemake has each look for work start another a
    # second later, and each job's end one more: 26,945 looks in a run of 182 jobs.
    if workflow.local_exec and hasattr(workflow, "scheduler"):
        workflow.scheduler.job_rate_limiter = None


rule cost:
    input:
        rules.results.input,
    output:
        csv="results/tables/cost.csv",
        md="results/tables/cost.md",
        html=report(
            "results/tables/cost.html",
            caption="workflow/report/cost.rst",
            category="Cost",
            labels={"result": "what each rule costs, as a table"},
        ),
    log:
        "results/logs/cost.log",
    conda:
        "envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(300, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        settings=lambda wildcards: plan.cost_settings(
            {rule.name: str(rule.benchmark) for rule in workflow.rules if rule.benchmark}
        ),
        code=plan.code("cost"),
    message:
        "What each rule cost"
    shell:
        "python -m betavae cost --log {log} --csv {output.csv} --md {output.md} --html {output.html}"
        " --settings {params.settings:q}"


rule all:
    default_target: True
    input:
        rules.results.input,
        rules.cost.output,


# Another workflow that calls this one has targets of its own.
if workflow.modifier.is_main_snakefile():
    refuse_unknown(
        on_command_line(),
        {rule.name: [str(output) for output in rule.output] for rule in workflow.rules},
        lambda path: any(rule.is_producer(path) for rule in workflow.rules),
    )


onsuccess:
    places = {"figures": "results/figures", "tables": "results/tables", "scores": "results/metric_*.json"}
    found = ", ".join(f"{what} in {place}" for what, place in places.items() if any(Path().glob(place)))
    if found:
        print(f"Done: {found} (scale {plan.scale})")
