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
        standin=f"(?:{'|'.join(STANDINS)})(?:_thin[0-9]+)?",
    conda:
        "../../envs/betavae.yaml"
    threads: 2
    resources:
        mem_mb=needs.mb(1000),
        runtime=needs.minutes(20),
    params:
        name=lambda wildcards: wildcards.standin.partition("_thin")[0],
        sizes=lambda wildcards: json.dumps(standin_sizes(plan.config, wildcards.standin)),
        code=lambda wildcards: code_digest("standin", wildcards.standin.partition("_thin")[0]),
    message:
        "Picture set {wildcards.standin}, rendered"
    shell:
        "python -m betavae standin --log {log} --name {params.name} --sizes {params.sizes:q}"
        " --h5 {output.h5} --npy {output.npy} --threads {threads}"


rule import_pictures:
    input:
        source=lambda wildcards: plan.picture_source(wildcards.real),
    output:
        h5="results/data/{real}/images.h5",
        npy="results/data/{real}/images.npy",
    log:
        "results/data/{real}/logs/images.log",
    benchmark:
        "results/data/{real}/benchmarks/import.tsv"
    wildcard_constraints:
        real="|".join(SOURCES),
    conda:
        "../../envs/betavae.yaml"
    threads: 8
    resources:
        mem_mb=needs.mb(2000),
        runtime=needs.minutes(120),
    params:
        crop=lambda wildcards: f"--crop {crop}" if (crop := plan.config["pictures"][wildcards.real]["crop"]) else "",
        broken=lambda wildcards: plan.config["pictures"][wildcards.real]["broken"],
        code=plan.code("import_pictures"),
    message:
        "Picture set {wildcards.real}, imported from {input.source}"
    shell:
        "python -m betavae import_pictures --log {log} --name {wildcards.real} --source {input.source:q}"
        " --h5 {output.h5} --npy {output.npy} --broken {params.broken} {params.crop}"
        " --threads {threads}"


rule set_sheet:
    input:
        h5="results/data/{set}/images.h5",
        npy="results/data/{set}/images.npy",
    output:
        png="results/figures/set_{set}.png",
        pdf="results/figures/set_{set}.pdf",
    log:
        "results/logs/set_{set}.log",
    benchmark:
        "results/benchmarks/set_{set}.tsv"
    wildcard_constraints:
        set="|".join([*SOURCES, *STANDINS]),
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1000),
        runtime=needs.minutes(10),
    params:
        code=plan.code("set_sheet"),
    message:
        "Sheet of the picture set {wildcards.set}"
    shell:
        "python -m betavae set_sheet --log {log} --h5 {input.h5} --npy {input.npy} --png {output.png} --pdf {output.pdf}"


# The stand-ins and what they look like.
rule standins:
    input:
        expand(rules.set_sheet.output, set=list(STANDINS)),
