# The disentanglement metric (section 3). A scale keeps its scores; the paths that users ask for are copies.


rule score:
    input:
        unpack(plan.representation),
        dataset=plan.dataset,
    output:
        score="results/{scale}/metrics/{metric}/{model}.json",
    log:
        "results/{scale}/logs/{metric}_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/{metric}_{model}.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(500, codes=4, points=6),
        runtime=needs.minutes(5, replicas=4),
    params:
        settings=plan.score_settings,
        representation=lambda wildcards, input: " ".join(
            f"--{name} {path}" for name, path in input.items() if name != "dataset"
        ),
        code=plan.code("score"),
    message:
        "Score {wildcards.model} by {wildcards.metric}, scale {wildcards.scale}"
    shell:
        "python -m betavae score --log {log} --dataset {input.dataset} {params.representation}"
        " --output {output.score} --settings {params.settings:q}"


# Table 2: how well each factor's value is read from the codes.
rule readout:
    input:
        codes="results/{scale}/codes/{model}.h5",
        dataset=plan.dataset,
    output:
        readout="results/{scale}/readout/{model}.json",
    log:
        "results/{scale}/logs/readout_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/readout_{model}.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(500, codes=8),
        runtime=needs.minutes(5, readouts=4),
    params:
        settings=plan.readout_settings,
        code=plan.code("readout"),
    message:
        "Read factors' values from {wildcards.model}, scale {wildcards.scale}"
    shell:
        "python -m betavae readout --log {log} --codes {input.codes} --dataset {input.dataset}"
        " --output {output.readout} --settings {params.settings:q}"


rule publish_score:
    input:
        plan.published_score,
    output:
        "results/metric_{model}.json",
    log:
        "results/logs/publish_{model}.log",
    wildcard_constraints:
        model="[^/]+",
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(100),
        runtime=needs.minutes(1),
    message:
        "results/metric_{wildcards.model}.json from {input}"
    # A file system's clock is coarse. A copy as old as the start of its job would have taken no time, for which the
    # report's logarithmic axis of run times has no place: it would show no job at all.
    shell:
        "{{ sleep 0.1; cp {input} {output}; }} 2> {log}"


use rule publish_score as publish_disentanglement_lib with:
    input:
        lambda wildcards: plan.published_score(wildcards, "disentanglement_lib"),
    output:
        "results/disentanglement_lib/metric_{model}.json",
    log:
        "results/logs/publish_disentanglement_lib_{model}.log",
    message:
        "results/disentanglement_lib/metric_{wildcards.model}.json from {input}"


use rule publish_score as publish_sweep with:
    input:
        plan.sweep_score,
    output:
        "results/sweep/metric_{point}.json",
    log:
        "results/logs/publish_sweep_{point}.log",
    wildcard_constraints:
        point="[^/]+",
    message:
        "results/sweep/metric_{wildcards.point}.json from {input}"


# The metrics in use since the paper, all of them on one model's codes.
rule measures:
    input:
        codes=plan.stored_codes,
        dataset=plan.dataset,
    output:
        measures="results/{scale}/measures/{model}.json",
    log:
        "results/{scale}/logs/measures_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/measures_{model}.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(500, codes=16),
        runtime=needs.minutes(10, replicas=6),
    params:
        settings=plan.measures_settings,
        code=plan.code("measures"),
    message:
        "Measure {wildcards.model} by the metrics in use since the paper, scale {wildcards.scale}"
    shell:
        "python -m betavae measures --log {log} --dataset {input.dataset} --codes {input.codes}"
        " --output {output.measures} --settings {params.settings:q}"
