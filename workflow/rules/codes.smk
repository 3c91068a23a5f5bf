# Codes: what each model says of every image. The baselines of Figure 6 write theirs without training.


rule encode:
    input:
        bits=plan.bits,
        dataset=plan.dataset,
        model="results/{scale}/models/{model}.safetensors",
    output:
        codes="results/{scale}/codes/{model}.h5",
        summary="results/{scale}/summaries/{model}.h5",
    log:
        "results/{scale}/logs/encode_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/encode_{model}.tsv"
    wildcard_constraints:
        model=f"{TRAINED}|{PICTURE}",
    conda:
        "../../envs/betavae.yaml"
    threads: plan.config["threads"]
    resources:
        mem_mb=needs.mb(1000, gpus=1500, weights=1, maps=400),
        writes_mb=needs.mb(0, all_codes=1),
        runtime=needs.minutes(10, passes=1),
        gpu=needs.gpu(),
    params:
        settings=plan.encode_settings,
        device=plan.device,
        code=plan.system_code("encode"),
    message:
        "Codes of {wildcards.model}, scale {wildcards.scale}"
    shell:
        "python -m betavae encode --log {log} --bits {input.bits} --dataset {input.dataset}"
        " --model {input.model} --codes {output.codes} --summary {output.summary}"
        " --settings {params.settings:q} --device {params.device}"


# The sweep's codes go as soon as they are scored: there are too many to keep.
use rule encode as encode_sweep with:
    output:
        codes=temp("results/{scale}/codes/{model}.h5"),
        summary="results/{scale}/summaries/{model}.h5",
    wildcard_constraints:
        model=SWEEP,


rule ground_truth:
    input:
        dataset=plan.dataset,
    output:
        codes="results/{scale}/codes/ground_truth.h5",
    log:
        "results/{scale}/logs/ground_truth.log",
    benchmark:
        "results/{scale}/benchmarks/ground_truth.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(300, codes=6),
        runtime=needs.minutes(5, images=5),
    params:
        settings=plan.baseline_settings,
        code=plan.code("ground_truth"),
    message:
        "The true factors as codes, scale {wildcards.scale}"
    shell:
        "python -m betavae ground_truth --log {log} --dataset {input.dataset} --codes {output.codes}"
        " --settings {params.settings:q}"


# A clean latent for each factor but rotation: the blind spot of the paper's metric.
use rule ground_truth as blind_spot with:
    output:
        codes=f"results/{{scale}}/codes/{BLIND_SPOT}.h5",
    log:
        f"results/{{scale}}/logs/{BLIND_SPOT}.log",
    benchmark:
        f"results/{{scale}}/benchmarks/{BLIND_SPOT}.tsv"
    params:
        settings=plan.blind_spot_settings,
        code=plan.code("ground_truth"),
    message:
        "Codes without rotation, scale {wildcards.scale}"


rule pca:
    input:
        bits=plan.bits,
        dataset=plan.dataset,
        gram=plan.gram,
    output:
        codes="results/{scale}/codes/pca.h5",
        variance="results/{scale}/pca_variance.json",
    log:
        "results/{scale}/logs/pca.log",
    benchmark:
        "results/{scale}/benchmarks/pca.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1000, codes=12),
        writes_mb=needs.mb(0, codes=1),
        runtime=needs.minutes(5, images=15),
    params:
        settings=plan.baseline_settings,
        code=plan.code("pca"),
    message:
        "PCA, scale {wildcards.scale}"
    shell:
        "python -m betavae pca --log {log} --bits {input.bits} --dataset {input.dataset} --gram {input.gram}"
        " --codes {output.codes} --variance {output.variance} --settings {params.settings:q}"


rule ica:
    input:
        bits=plan.bits,
        dataset=plan.dataset,
        gram=plan.gram,
    output:
        codes="results/{scale}/codes/ica.h5",
    log:
        "results/{scale}/logs/ica.log",
    benchmark:
        "results/{scale}/benchmarks/ica.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1000, codes=20),
        writes_mb=needs.mb(0, ica_codes=1),
        runtime=needs.minutes(10, fits=30),
    params:
        settings=plan.ica_settings,
        code=plan.code("ica"),
    message:
        "ICA on pairs of shapes, scale {wildcards.scale}"
    shell:
        "python -m betavae ica --log {log} --bits {input.bits} --dataset {input.dataset} --gram {input.gram}"
        " --codes {output.codes} --settings {params.settings:q}"


# A file of the user's own, checked and copied, so that no wrong one goes further. First of all that can run:
# a refusal should not wait for the training.
rule representation:
    input:
        representation=plan.own_file,
        dataset=plan.dataset,
    output:
        codes="results/{scale}/codes/{model}.h5",
    log:
        "results/{scale}/logs/representation_{model}.log",
    benchmark:
        "results/{scale}/benchmarks/representation_{model}.tsv"
    wildcard_constraints:
        model="|".join(plan.representations()) or "(?!)",
    priority: 100
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(400, codes=2),
        writes_mb=needs.mb(0, codes=1),
        runtime=needs.minutes(5, images=15),
    params:
        settings=plan.representation_settings,
        code=plan.code("representation"),
    message:
        "Check the user's representation {wildcards.model}, scale {wildcards.scale}"
    shell:
        "python -m betavae representation --log {log} --representation {input.representation:q}"
        " --dataset {input.dataset} --codes {output.codes} --settings {params.settings:q}"
