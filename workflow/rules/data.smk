# The 2D shapes (section 4.2): synthesised, or read from the original file where the config names one.


rule dataset:
    input:
        original=lambda wildcards: plan.config["original_dataset"] or [],
    output:
        h5="results/data/{grid}/dsprites.h5",
        bits="results/data/{grid}/dsprites_bits.npy",
    log:
        "results/data/{grid}/logs/dataset.log",
    benchmark:
        "results/data/{grid}/benchmarks/dataset.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 2
    resources:
        mem_mb=needs.mb(700, images=800),
        writes_mb=needs.mb(0, images=450),
        runtime=needs.minutes(5, images=15),
    params:
        strides=lambda wildcards: json.dumps(plan.config["grids"][wildcards.grid]),
        original=lambda wildcards, input: f"--original {shlex.quote(str(input.original))}" if input.original else "",
        code=plan.code("dataset"),
    message:
        "Data set {wildcards.grid}"
    shell:
        "python -m betavae dataset --log {log} --h5 {output.h5} --bits {output.bits}"
        " --strides {params.strides:q} {params.original} --threads {threads}"


rule dataset_npz:
    input:
        h5="results/data/{grid}/dsprites.h5",
        bits="results/data/{grid}/dsprites_bits.npy",
    output:
        npz="results/data/{grid}/dsprites.npz",
    log:
        "results/data/{grid}/logs/dataset_npz.log",
    benchmark:
        "results/data/{grid}/benchmarks/dataset_npz.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(500, images=500),
        runtime=needs.minutes(5, images=15),
    params:
        code=plan.code("dataset_npz"),
    message:
        "Data set {wildcards.grid} as NPZ"
    shell:
        "python -m betavae dataset_npz --log {log} --h5 {input.h5} --bits {input.bits} --npz {output.npz}"


rule gram:
    input:
        bits="results/data/{grid}/dsprites_bits.npy",
        dataset="results/data/{grid}/dsprites.h5",
    output:
        gram="results/data/{grid}/gram.h5",
    log:
        "results/data/{grid}/logs/gram.log",
    benchmark:
        "results/data/{grid}/benchmarks/gram.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(600, images=400),
        writes_mb=needs.mb(202),
        runtime=needs.minutes(5, images=15),
    params:
        code=plan.code("gram"),
    message:
        "Gram matrix of each shape, {wildcards.grid}"
    shell:
        "python -m betavae gram --log {log} --bits {input.bits} --dataset {input.dataset} --gram {output.gram}"
