# Colour and grey pictures for Figures 1–4: the real sets where the config names them, and rendered stand-ins.


rule standin:
    output:
        h5="results/data/{standin}/images.h5",
        npy="results/data/{standin}/images.npy",
    log:
        "results/data/{standin}/logs/images.log",
    benchmark:
        "results/data/{standin}/benchmarks/images.tsv"
    wildcard_constraints:
        standin="|".join(STANDINS),
    conda:
        "../../envs/betavae.yaml"
    threads: 2
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        sizes=lambda wildcards: json.dumps(plan.config["pictures"][wildcards.standin]),
        code=lambda wildcards: code_digest("standin", wildcards.standin),
    message:
        "Picture set {wildcards.standin}, rendered"
    shell:
        "python -m betavae standin --log {log} --name {wildcards.standin} --sizes {params.sizes:q}"
        " --h5 {output.h5} --npy {output.npy} --threads {threads}"
