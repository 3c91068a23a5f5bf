# Figures 1–4 and 10–14: models on the picture sets. `all` draws those of the subjects under `pictures.in_all` in the
# config, `all_pictures` every subject's. Training, codes and scores are the 2D shapes' rules.


use rule publish_score as publish_picture_score with:
    input:
        plan.published_picture_score,
    output:
        "results/{set}/metric_{picture}.json",
    log:
        "results/logs/publish_{set}_{picture}.log",
    wildcard_constraints:
        set="|".join(STANDINS),
        picture=r"[a-z][a-z0-9._]*",
    message:
        "results/{wildcards.set}/metric_{wildcards.picture}.json from {input}"


rule picture_shares:
    input:
        unpack(plan.picture_score),
        codes="results/{scale}/codes/{model}.h5",
        summary="results/{scale}/summaries/{model}.h5",
        dataset=plan.dataset,
    output:
        shares="results/{scale}/picture_shares/{model}.json",
    log:
        "results/{scale}/logs/picture_shares_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/picture_shares_{model}.tsv"
    wildcard_constraints:
        model=PICTURE,
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(600, codes=4),
        runtime=needs.minutes(5, passes=1),
    params:
        score=lambda wildcards, input: f"--score {input.score}" if "score" in input.keys() else "",
        code=plan.code("picture_shares"),
    message:
        "What the latents of {wildcards.model} follow, scale {wildcards.scale}"
    shell:
        "python -m betavae picture_shares --log {log} --codes {input.codes} --summary {input.summary}"
        " --dataset {input.dataset} --output {output.shares} {params.score}"


rule picture_table:
    input:
        shares=lambda wildcards: [plan.picture_shares(model) for model in plan.picture_models(wildcards.set)],
        scores=lambda wildcards: [
            plan.score(model) for model in plan.picture_models(wildcards.set) if wildcards.set in STANDINS
        ],
    output:
        csv="results/tables/pictures_{set}.csv",
        md="results/tables/pictures_{set}.md",
    log:
        "results/logs/pictures_{set}.log",
    benchmark:
        "results/benchmarks/pictures_{set}.tsv"
    wildcard_constraints:
        set="|".join(SETS),
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(400, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        settings=plan.picture_table_settings,
        scores=lambda wildcards, input: f"--scores {input.scores}" if input.scores else "",
        code=plan.code("picture_table"),
    message:
        "Table of the models on {wildcards.set}"
    shell:
        "python -m betavae picture_table --log {log} --shares {input.shares} {params.scores} --csv {output.csv}"
        " --md {output.md} --settings {params.settings:q}"


rule picture_figure:
    input:
        unpack(plan.picture_figure_inputs),
    output:
        png=report(
            "results/figures/{figure}.png",
            caption="../report/picture_figure.rst",
            category="Figures 1–4, pictures",
            labels={"result": "{figure}"},
        ),
        pdf="results/figures/{figure}.pdf",
    log:
        "results/logs/{figure}.log",
    benchmark:
        "results/benchmarks/{figure}.tsv"
    wildcard_constraints:
        figure="|".join(FIGURES),
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1500, network=2),
        runtime=needs.minutes(5, network=0.05),
    params:
        settings=plan.picture_figure_settings,
        code=plan.pictures_code("picture_figure"),
    message:
        "{wildcards.figure}: walks along single latents on pictures"
    shell:
        "python -m betavae picture_figure --log {log} --npy {input.npy} --models {input.models} --shares {input.shares}"
        " --png {output.png} --pdf {output.pdf} --settings {params.settings:q}"


rule picture_traversal:
    input:
        npy=lambda wildcards: f"{plan.picture_folder(wildcards.set)}/images.npy",
        model=f"results/{plan.scale}/models/{{set}}_{{picture}}.safetensors",
        shares=f"results/{plan.scale}/picture_shares/{{set}}_{{picture}}.json",
    output:
        png=report(
            "results/figures/latents_{set}_{picture}.png",
            caption="../report/picture_traversal.rst",
            category="Figures 10–14, all latents on pictures",
            labels={"result": "{set}, {picture}"},
        ),
        pdf="results/figures/latents_{set}_{picture}.pdf",
    log:
        "results/logs/latents_{set}_{picture}.log",
    benchmark:
        "results/benchmarks/latents_{set}_{picture}.tsv"
    wildcard_constraints:
        set="|".join(SETS),
        picture=r"[a-z][a-z0-9._]*",
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1500, network=2),
        runtime=needs.minutes(5, network=0.05),
    params:
        scale=plan.scale,
        code=plan.pictures_code("picture_traversal"),
    message:
        "All latents of {wildcards.picture} on {wildcards.set}"
    shell:
        "python -m betavae picture_traversal --log {log} --npy {input.npy} --model {input.model} --shares {input.shares}"
        " --png {output.png} --pdf {output.pdf} --scale {params.scale}"


# The armchair on an office base: a combination of factors held out of training.
rule held_out:
    input:
        unpack(plan.held_out_inputs),
    output:
        png=report(
            "results/figures/held_out.png",
            caption="../report/held_out.rst",
            category="Figures 1–4, pictures",
            labels={"result": "a combination held out"},
        ),
        pdf="results/figures/held_out.pdf",
        csv="results/tables/held_out.csv",
        md="results/tables/held_out.md",
    log:
        "results/logs/held_out.log",
    benchmark:
        "results/benchmarks/held_out.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1500, network=2),
        runtime=needs.minutes(5, network=0.05),
    params:
        settings=plan.held_out_settings(),
        code=code_digest("picture_held_out", "conv_vae"),
    message:
        "What is made of a combination held out of training"
    shell:
        "python -m betavae picture_held_out --log {log} --npy {input.npy} --h5 {input.h5} --models {input.models}"
        " --shares {input.shares} --png {output.png} --pdf {output.pdf} --csv {output.csv} --md {output.md}"
        " --settings {params.settings:q}"


rule pictures_in_all:
    input:
        plan.made_on(plan.config["pictures"]["in_all"]),


# Figures 1–4 and all that belongs to them, on every subject.
rule all_pictures:
    input:
        plan.made_on(SUBJECTS),
        rules.held_out.output,
        rules.picture_pages.output,
