# How stable training is, and how β is chosen: by the metric, with few labels, by eye.


rule stability:
    input:
        scores=[plan.score(model) for model in plan.stability_models()],
        histories=[f"results/{plan.scale}/models/{model}.history.h5" for model in plan.stability_models()],
    output:
        csv="results/tables/stability.csv",
        md="results/tables/stability.md",
    log:
        "results/logs/stability.log",
    benchmark:
        "results/benchmarks/stability.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(400, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        scale=plan.scale,
        code=plan.code("stability"),
    message:
        "Stability of training, scale {params.scale}"
    shell:
        "python -m betavae stability --log {log} --scores {input.scores} --histories {input.histories}"
        " --csv {output.csv} --md {output.md} --scale {params.scale}"


# Beside the score the only reader of the sweep's codes, which go once both have read them.
rule few_labels:
    input:
        codes="results/{scale}/codes/{model}.h5",
        dataset=plan.dataset,
    output:
        labels="results/{scale}/few_labels/{model}.json",
    log:
        "results/{scale}/logs/few_labels_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/few_labels_{model}.tsv"
    wildcard_constraints:
        model=f"{BETA}|{SWEEP}",
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(500, codes=12),
        runtime=needs.minutes(5, replicas=4),
    params:
        settings=plan.few_labels_settings,
        code=plan.code("few_labels"),
    message:
        "Few labels of {wildcards.model}, scale {wildcards.scale}"
    shell:
        "python -m betavae few_labels --log {log} --codes {input.codes} --dataset {input.dataset}"
        " --output {output.labels} --settings {params.settings:q}"


rule choose_beta:
    input:
        scores=[plan.score(model) for model in plan.sweep_models()],
        summaries=[plan.summary(model) for model in plan.sweep_models()],
        labels=[plan.few_labels(model) for model in plan.sweep_models()],
    output:
        png=report(
            "results/figures/choose_beta.png",
            caption="../report/choose_beta.rst",
            category="Choosing β",
            labels={"result": "by the metric and with few labels"},
        ),
        pdf="results/figures/choose_beta.pdf",
        csv="results/tables/choose_beta.csv",
        md="results/tables/choose_beta.md",
        eye_csv="results/tables/choose_beta_by_eye.csv",
        eye_md="results/tables/choose_beta_by_eye.md",
        labels_csv="results/tables/choose_beta_few_labels.csv",
        labels_md="results/tables/choose_beta_few_labels.md",
    log:
        "results/logs/choose_beta.log",
    benchmark:
        "results/benchmarks/choose_beta.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(600, models=5),
        runtime=needs.minutes(5, models=0.2),
    params:
        settings=plan.choose_beta_settings(),
        code=plan.code("choose_beta"),
    message:
        "Choose β by the metric, with few labels and by eye"
    shell:
        "python -m betavae choose_beta --log {log} --scores {input.scores} --summaries {input.summaries}"
        " --labels {input.labels} --png {output.png} --pdf {output.pdf} --csv {output.csv} --md {output.md}"
        " --eye-csv {output.eye_csv} --eye-md {output.eye_md}"
        " --labels-csv {output.labels_csv} --labels-md {output.labels_md} --settings {params.settings:q}"


rule choose_beta_by_eye:
    input:
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
        models=[f"results/{plan.scale}/models/{model}.safetensors" for model in plan.shown_models()],
        scores=[plan.score(model) for model in plan.shown_models()],
        summaries=[plan.summary(model) for model in plan.shown_models()],
        labels=[plan.few_labels(model) for model in plan.shown_models()],
    output:
        png=report(
            "results/figures/choose_beta_by_eye.png",
            caption="../report/choose_beta_by_eye.rst",
            category="Choosing β",
            labels={"result": "by eye"},
        ),
        pdf="results/figures/choose_beta_by_eye.pdf",
    log:
        "results/logs/choose_beta_by_eye.log",
    benchmark:
        "results/benchmarks/choose_beta_by_eye.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1200, network=2, models=5),
        runtime=needs.minutes(5, models=0.5),
    params:
        settings=plan.choose_beta_settings(shown_only=True),
        code=plan.systems_code("choose_beta_by_eye"),
    message:
        "Traversals over β, to choose by eye"
    shell:
        "python -m betavae choose_beta_by_eye --log {log} --bits {input.bits} --dataset {input.dataset}"
        " --models {input.models} --scores {input.scores} --summaries {input.summaries} --labels {input.labels}"
        " --png {output.png} --pdf {output.pdf} --settings {params.settings:q}"
