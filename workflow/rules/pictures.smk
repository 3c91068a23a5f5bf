# Pictures of trained models, from their files: Figures 5 and 9, Table 1, traversals, comparisons.


rule figure5:
    input:
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
        codes=f"results/{plan.scale}/codes/beta4.h5",
        score=plan.score("beta4"),
    output:
        png=report(
            "results/figures/figure5.png",
            caption="../report/figure5.rst",
            category="Figure 5, the metric",
            labels={"result": "the metric, drawn"},
        ),
        pdf="results/figures/figure5.pdf",
    log:
        "results/logs/figure5.log",
    benchmark:
        "results/benchmarks/figure5.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(600, images=400),
        runtime=needs.minutes(5, images=5),
    params:
        scale=plan.scale,
        code=plan.code("figure5"),
    message:
        "Figure 5: the metric, drawn from one of its points"
    shell:
        "python -m betavae figure5 --log {log} --bits {input.bits} --dataset {input.dataset} --codes {input.codes}"
        " --score {input.score} --png {output.png} --pdf {output.pdf} --scale {params.scale}"


rule figure9:
    input:
        **plan.pictures_of(["beta4", "beta1"]),
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
    output:
        png=report(
            "results/figures/figure9.png",
            caption="../report/figure9.rst",
            category="Figure 9, samples",
            labels={"result": "samples of the prior"},
        ),
        pdf="results/figures/figure9.pdf",
    log:
        "results/logs/figure9.log",
    benchmark:
        "results/benchmarks/figure9.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1200, network=2, maps=50),
        runtime=needs.minutes(5, images=5),
    params:
        scale=plan.scale,
        code=plan.systems_code("figure9"),
    message:
        "Figure 9: samples of the prior"
    shell:
        "python -m betavae figure9 --log {log} --bits {input.bits} --models {input.models} --scores {input.scores}"
        " --summaries {input.summaries} --png {output.png} --pdf {output.pdf} --scale {params.scale}"


rule table1:
    output:
        csv="results/tables/table1.csv",
        md="results/tables/table1.md",
    log:
        "results/logs/table1.log",
    benchmark:
        "results/benchmarks/table1.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1200, network=2),
        runtime=needs.minutes(5, network=0.05),
    params:
        settings=plan.table1_settings(),
        code=plan.systems_code("table1", "conv_vae"),
    message:
        "Table 1: the architectures"
    shell:
        "python -m betavae table1 --log {log} --csv {output.csv} --md {output.md} --settings {params.settings:q}"


rule traversal:
    input:
        unpack(plan.traversal_inputs),
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
    output:
        png=report(
            "results/figures/traversal_{model}.png",
            caption="../report/traversal.rst",
            category="Traversals",
            labels=lambda wildcards: {"result": label(wildcards.model)},
        ),
        pdf="results/figures/traversal_{model}.pdf",
        gif=report(
            "results/figures/traversal_{model}.gif",
            caption="../report/traversal.rst",
            category="Traversals",
            labels=lambda wildcards: {"result": f"{label(wildcards.model)}, animated"},
        ),
    log:
        "results/logs/traversal_{model}.log",
    benchmark:
        "results/benchmarks/traversal_{model}.tsv"
    wildcard_constraints:
        model="[^/]+",
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1200, network=2, maps=50),
        runtime=needs.minutes(5, images=5),
    params:
        scale=plan.scale,
        code=plan.systems_code("traversal"),
    message:
        "Traversals of {wildcards.model}"
    shell:
        "python -m betavae traversal --log {log} --bits {input.bits} --dataset {input.dataset}"
        " --model {input.model} --score {input.score} --summary {input.summary} --png {output.png}"
        " --pdf {output.pdf} --gif {output.gif} --scale {params.scale}"


# Any models with a decoder, joined by `-`: results/figures/compare_beta1-beta4.png; trained where they are not yet.
rule compare:
    input:
        unpack(plan.compare_inputs),
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
    output:
        png=report(
            "results/figures/compare_{models}.png",
            caption="../report/compare.rst",
            category="Traversals",
            labels=lambda wildcards: {"result": " beside ".join(map(label, wildcards.models.split("-")))},
        ),
        pdf="results/figures/compare_{models}.pdf",
    log:
        "results/logs/compare_{models}.log",
    benchmark:
        "results/benchmarks/compare_{models}.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1200, network=2, maps=50),
        runtime=needs.minutes(5, images=5),
    params:
        scale=plan.scale,
        code=plan.systems_code("compare"),
    message:
        "Compare {wildcards.models}"
    shell:
        "python -m betavae compare --log {log} --bits {input.bits} --dataset {input.dataset} --models {input.models}"
        " --scores {input.scores} --summaries {input.summaries} --png {output.png} --pdf {output.pdf}"
        " --scale {params.scale}"


rule pictures:
    input:
        rules.figure5.output,
        rules.figure9.output,
        rules.table1.output,
        expand(rules.traversal.output, model=plan.decoders()),
        "results/figures/compare_beta1-beta4.png",
