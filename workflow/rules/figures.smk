# Figure 6: the table and picture of its left half, the sweep of its right half. Figure 7: a model's latents.


rule figure6_left:
    input:
        scores=[plan.score(model) for model in plan.main_models() + plan.representations()],
        variance=f"results/{plan.scale}/pca_variance.json",
    output:
        png="results/figures/figure6_left.png",
        pdf="results/figures/figure6_left.pdf",
        csv="results/tables/figure6_left.csv",
        md="results/tables/figure6_left.md",
    log:
        "results/logs/figure6_left.log",
    benchmark:
        "results/benchmarks/figure6_left.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(400, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        scale=plan.scale,
        code=plan.code("figure6_left"),
    message:
        "Figure 6 left, scale {params.scale}"
    shell:
        "python -m betavae figure6_left --log {log} --scores {input.scores} --variance {input.variance}"
        " --png {output.png} --pdf {output.pdf} --csv {output.csv} --md {output.md} --scale {params.scale}"


rule table2:
    input:
        readouts=[plan.readout(model) for model in plan.readout_models()],
    output:
        csv="results/tables/table2.csv",
        md="results/tables/table2.md",
    log:
        "results/logs/table2.log",
    benchmark:
        "results/benchmarks/table2.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(400, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        scale=plan.scale,
        code=plan.code("table2"),
    message:
        "Table 2, scale {params.scale}"
    shell:
        "python -m betavae table2 --log {log} --readouts {input.readouts} --csv {output.csv} --md {output.md}"
        " --scale {params.scale}"


rule figure6_right:
    input:
        scores=[plan.score(model) for model in plan.sweep_models()],
        summaries=[plan.summary(model) for model in plan.sweep_models()],
    output:
        png="results/figures/figure6_right.png",
        pdf="results/figures/figure6_right.pdf",
        csv="results/tables/figure6_right.csv",
        md="results/tables/figure6_right.md",
    log:
        "results/logs/figure6_right.log",
    benchmark:
        "results/benchmarks/figure6_right.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(600, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        settings=plan.figure_settings(),
        code=plan.code("figure6_right"),
    message:
        "Figure 6 right"
    shell:
        "python -m betavae figure6_right --log {log} --scores {input.scores} --summaries {input.summaries}"
        " --png {output.png} --pdf {output.pdf} --csv {output.csv} --md {output.md}"
        " --settings {params.settings:q}"


rule dcign_factors:
    input:
        codes=f"results/{plan.scale}/codes/dcign.h5",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
    output:
        csv="results/tables/dcign_factors.csv",
        md="results/tables/dcign_factors.md",
    log:
        "results/logs/dcign_factors.log",
    benchmark:
        "results/benchmarks/dcign_factors.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(500, images=1000),
        runtime=needs.minutes(5, images=5),
    params:
        scale=plan.scale,
        code=plan.code("dcign_factors"),
    message:
        "How well DC-IGN's latents follow their factors, scale {params.scale}"
    shell:
        "python -m betavae dcign_factors --log {log} --codes {input.codes} --dataset {input.dataset}"
        " --csv {output.csv} --md {output.md} --scale {params.scale}"


rule figure6:
    input:
        rules.figure6_left.output,
        rules.figure6_right.output,
        [f"results/sweep/metric_{sweep_name(*point)}.json" for point in plan.sweep_points()],


rule figure7:
    input:
        unpack(plan.figure7_inputs),
    output:
        png="results/figures/figure7_{model}.png",
        pdf="results/figures/figure7_{model}.pdf",
        csv="results/tables/factors_{model}.csv",
        md="results/tables/factors_{model}.md",
    log:
        "results/logs/figure7_{model}.log",
    benchmark:
        "results/benchmarks/figure7_{model}.tsv"
    wildcard_constraints:
        model="[^/]+",
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1200, codes=12, weights=1),
        runtime=needs.minutes(5, images=10),
    params:
        settings=plan.figure7_settings,
        decoder=lambda wildcards, input: f"--model {input.model}" if "model" in input.keys() else "",
        code=plan.figure7_code,
    message:
        "Figure 7 and factor table of {wildcards.model}"
    shell:
        "python -m betavae figure7 --log {log} --codes {input.codes} --dataset {input.dataset} --bits {input.bits}"
        " --score {input.score} {params.decoder} --png {output.png} --pdf {output.pdf} --csv {output.csv}"
        " --md {output.md} --settings {params.settings:q}"


rule figures7:
    input:
        [
            path.format(model=model)
            for model in plan.trained_models() + plan.representations()
            for path in rules.figure7.output
        ],


# All metrics beside each other, a row a model.
rule metrics:
    input:
        measures=[plan.measures(model) for model in plan.measured_models()],
        scores=[plan.score(model) for model in plan.compared_models()],
        library=[plan.score(model, "disentanglement_lib") for model in plan.trained_models()],
    output:
        png="results/figures/metrics.png",
        pdf="results/figures/metrics.pdf",
        csv="results/tables/metrics.csv",
        md="results/tables/metrics.md",
    log:
        "results/logs/metrics.log",
    benchmark:
        "results/benchmarks/metrics.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(600, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        scale=plan.scale,
        code=plan.code("metrics"),
    message:
        "All metrics by model, scale {params.scale}"
    shell:
        "python -m betavae metrics --log {log} --measures {input.measures} --scores {input.scores}"
        " --library {input.library} --png {output.png} --pdf {output.pdf} --csv {output.csv} --md {output.md}"
        " --scale {params.scale}"
