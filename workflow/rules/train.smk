# Training (section 2, Table 1): one job trains all replicas of one β and latent size as one stacked network.


rule train:
    input:
        bits=plan.bits,
        dataset=plan.dataset,
    output:
        model="results/{scale}/models/{model}.safetensors",
        history="results/{scale}/models/{model}.history.h5",
    log:
        "results/{scale}/logs/train_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/train_{model}.tsv"
    wildcard_constraints:
        model=f"{TRAINED}|{SUBSET}|{PICTURE}",
    # The longest jobs, and what most others wait for.
    priority: 10
    conda:
        "../../envs/betavae.yaml"
    threads: plan.config["threads"]
    resources:
        mem_mb=needs.mb(800, gpus=1500, weights=6, batch_maps=8),
        writes_mb=needs.mb(0, weights=1),
        runtime=needs.minutes(15, trainings=1),
        gpu=needs.gpu(),
    params:
        settings=plan.train_settings,
        device=plan.device,
        checkpoints=plan.checkpoints,
        code=plan.system_code("train"),
    message:
        "Train {wildcards.model}, scale {wildcards.scale}"
    shell:
        "python -m betavae train --log {log} --bits {input.bits} --dataset {input.dataset} --model {output.model}"
        " --history {output.history} --settings {params.settings:q} --device {params.device}"
        " {params.checkpoints}"


# The sweep's points all ask for the same, so that they can go as one job array.
use rule train as train_sweep with:
    wildcard_constraints:
        model=SWEEP,


rule history:
    input:
        history=f"results/{plan.scale}/models/{{model}}.history.h5",
    output:
        png=report(
            "results/figures/history_{model}.png",
            caption="../report/history.rst",
            category="Training",
            labels=lambda wildcards: {"result": f"{label(wildcards.model)}, history"},
        ),
        pdf="results/figures/history_{model}.pdf",
    log:
        "results/logs/history_{model}.log",
    benchmark:
        "results/benchmarks/history_{model}.tsv"
    wildcard_constraints:
        model=f"{LEARNT}|{SWEEP}|{SUBSET}|{PICTURE}",
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(400, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        scale=plan.scale,
        code=plan.code("plot_history"),
    message:
        "History of {wildcards.model}"
    shell:
        "python -m betavae plot_history --log {log} --history {input.history} --png {output.png}"
        " --pdf {output.pdf} --scale {params.scale}"


rule samples:
    input:
        history=f"results/{plan.scale}/models/{{model}}.history.h5",
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
    output:
        png=report(
            "results/figures/samples_{model}.png",
            caption="../report/samples.rst",
            category="Training",
            labels=lambda wildcards: {"result": f"{label(wildcards.model)}, samples"},
        ),
        pdf="results/figures/samples_{model}.pdf",
        csv="results/tables/samples_{model}.csv",
        md="results/tables/samples_{model}.md",
    log:
        "results/logs/samples_{model}.log",
    benchmark:
        "results/benchmarks/samples_{model}.tsv"
    wildcard_constraints:
        model="|".join(plan.sampled_models()),
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(500, images=500),
        runtime=needs.minutes(5, images=15),
    params:
        scale=plan.scale,
        code=plan.code("plot_samples"),
    message:
        "Samples of {wildcards.model} through training"
    shell:
        "python -m betavae plot_samples --log {log} --history {input.history} --bits {input.bits}"
        " --dataset {input.dataset} --png {output.png} --pdf {output.pdf} --csv {output.csv} --md {output.md}"
        " --scale {params.scale}"
