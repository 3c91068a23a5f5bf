# Figure 8, data continuity (appendix): β = 4 trained on sparser parts of the data, scored on all of it and under noise.


# Like the sweep's, these codes go as soon as they are scored.
use rule encode as encode_subset with:
    output:
        codes=temp("results/{scale}/codes/{model}.h5"),
        summary="results/{scale}/summaries/{model}.h5",
    wildcard_constraints:
        model=SUBSET,


use rule publish_score as publish_continuity with:
    input:
        plan.continuity_score,
    output:
        "results/continuity/metric_{point}.json",
    log:
        "results/logs/publish_continuity_{point}.log",
    wildcard_constraints:
        point="[^/]+",
    message:
        "results/continuity/metric_{wildcards.point}.json from {input}"


rule hamming:
    input:
        bits=plan.bits,
        dataset=plan.dataset,
    output:
        distance="results/{scale}/continuity/distance_{point}.json",
    log:
        "results/{scale}/logs/hamming_{point}.log",
    benchmark:
        "results/{scale}/benchmarks/hamming_{point}.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(300, images=700),
        runtime=needs.minutes(5, images=10),
    params:
        settings=plan.distance_settings,
        code=plan.code("hamming"),
    message:
        "Hamming distance of {wildcards.point}, scale {wildcards.scale}"
    shell:
        "python -m betavae hamming --log {log} --bits {input.bits} --dataset {input.dataset}"
        " --output {output.distance} --settings {params.settings:q}"


rule noise:
    input:
        bits=plan.bits,
        dataset=plan.dataset,
        model="results/{scale}/models/{model}.safetensors",
    output:
        noise="results/{scale}/continuity/noise_{model}.json",
    log:
        "results/{scale}/logs/noise_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/noise_{model}.tsv"
    wildcard_constraints:
        model=f"{BETA}|{SUBSET}",
    conda:
        "../../envs/betavae.yaml"
    threads: plan.config["threads"]
    resources:
        mem_mb=needs.mb(1000, gpus=1500, weights=1, maps=400),
        runtime=needs.minutes(10, passes=1, replicas=4),
        gpu=needs.gpu(),
    params:
        settings=plan.noise_settings,
        device=plan.device,
        code=plan.system_code("noise"),
    message:
        "Score {wildcards.model} on noisy images, scale {wildcards.scale}"
    shell:
        "python -m betavae noise --log {log} --bits {input.bits} --dataset {input.dataset} --model {input.model}"
        " --output {output.noise} --settings {params.settings:q} --device {params.device}"


rule figure8:
    input:
        scores=[plan.score(plan.continuity_model(point)) for point in plan.continuity_points()],
        distances=plan.continuity("distance"),
        noise=plan.continuity("noise"),
    output:
        png=report(
            "results/figures/figure8.png",
            caption="../report/figure8.rst",
            category="Figure 8, data continuity",
            labels={"result": "score against distance"},
        ),
        pdf="results/figures/figure8.pdf",
        csv="results/tables/figure8.csv",
        md="results/tables/figure8.md",
    log:
        "results/logs/figure8.log",
    benchmark:
        "results/benchmarks/figure8.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(400, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        settings=plan.figure8_settings(),
        code=plan.code("figure8"),
    message:
        "Figure 8"
    shell:
        "python -m betavae figure8 --log {log} --scores {input.scores} --distances {input.distances}"
        " --noise {input.noise} --png {output.png} --pdf {output.pdf} --csv {output.csv} --md {output.md}"
        " --settings {params.settings:q}"


rule continuity:
    input:
        rules.figure8.output,
        ["results/continuity/metric_{}{}.json".format(*point) for point in plan.continuity_points()],
