# What the report needs beside the pictures, which are marked for it where they are made: its head and the tables' pages.
# `snakemake --report results/report.html` puts it together.

# Tables in the report: name, caption, category, what it is called there.
PAGES = [
    ("figure6_left", "figure6_left", "Figure 6, scores", "left, as a table"),
    ("figure6_right", "figure6_right", "Figure 6, scores", "right, as a table"),
    ("figure8", "figure8", "Figure 8, data continuity", "as a table"),
    ("table1", "table1", "Table 1, architectures", "architectures and optimisers"),
    ("table2", "table2", "Table 2, reading factors", "accuracy by factor"),
    ("metrics", "metrics", "Metrics since the paper", "as a table"),
    ("stability", "stability", "Training", "stability of all systems"),
    ("choose_beta", "choose_beta", "Choosing β", "the choices, as a table"),
    ("choose_beta_few_labels", "choose_beta", "Choosing β", "with few labels, as a table"),
    ("choose_beta_by_eye", "choose_beta_by_eye", "Choosing β", "by eye, as a table"),
    ("dcign_factors", "dcign_factors", "Figure 7, latents", "DC-IGN and its factors, as a table"),
    *(
        (f"factors_{model}", "factors", "Figure 7, latents", f"{label(model)}, as a table")
        for model in plan.trained_models() + plan.representations()
    ),
    *(
        (f"samples_{model}", "samples", "Training", f"{label(model)}, samples, as a table")
        for model in plan.sampled_models()
    ),
    *(
        (f"pictures_{name}", "picture_table", "Figures 1–4, pictures", f"{name}, as a table")
        for name in plan.picture_sets(plan.config["pictures"]["in_all"])
    ),
]
# Those that `all` does not make, and `all_pictures` does.
PICTURE_PAGES = [
    ("held_out", "held_out", "Figures 1–4, pictures", "a combination held out, as a table"),
    *(
        (f"pictures_{name}", "picture_table", "Figures 1–4, pictures", f"{name}, as a table")
        for name in plan.picture_sets(SUBJECTS)
        if f"pictures_{name}" not in [table for table, *_ in PAGES]
    ),
]


rule table_pages:
    input:
        md=[f"results/tables/{table}.md" for table, *_ in PAGES],
    output:
        html=[
            report(
                f"results/tables/{table}.html",
                caption=f"../report/{caption}.rst",
                category=category,
                labels={"result": called},
            )
            for table, caption, category, called in PAGES
        ],
    log:
        "results/logs/table_pages.log",
    benchmark:
        "results/benchmarks/table_pages.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(300, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        code=plan.code("table_pages"),
    message:
        "Tables as pages of the report"
    shell:
        "python -m betavae table_pages --log {log} --md {input.md} --html {output.html}"


use rule table_pages as picture_pages with:
    input:
        md=[f"results/tables/{table}.md" for table, *_ in PICTURE_PAGES],
    output:
        html=[
            report(
                f"results/tables/{table}.html",
                caption=f"../report/{caption}.rst",
                category=category,
                labels={"result": called},
            )
            for table, caption, category, called in PICTURE_PAGES
        ],
    log:
        "results/logs/picture_pages.log",
    benchmark:
        "results/benchmarks/picture_pages.tsv"
    message:
        "Tables of models on pictures as pages of the report"


# What workflow/report/workflow.rst, the head of the report, says of this run.
rule in_short:
    input:
        scores=[plan.score(model) for model in plan.main_models()],
    output:
        rst="results/in_short.rst",
    log:
        "results/logs/in_short.log",
    benchmark:
        "results/benchmarks/in_short.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(300, models=2),
        runtime=needs.minutes(5, models=0.1),
    params:
        scale=plan.scale,
        code=plan.code("in_short"),
    message:
        "The run in three sentences"
    shell:
        "python -m betavae in_short --log {log} --scores {input.scores} --rst {output.rst} --scale {params.scale}"


# The decoders of β-VAE and VAE in a page of their own, with a slider for each latent.
rule explore:
    input:
        **plan.pictures_of(["beta4", "beta1"]),
        factors=expand("results/tables/factors_{model}.csv", model=["beta4", "beta1"]),
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
    output:
        html="results/explore.html",
    log:
        "results/logs/explore.log",
    benchmark:
        "results/benchmarks/explore.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1200, network=4),
        runtime=needs.minutes(5, models=0.1),
    params:
        scale=plan.scale,
        code=plan.systems_code("explore"),
    message:
        "Page to play with β-VAE and VAE"
    shell:
        "python -m betavae explore --log {log} --bits {input.bits} --dataset {input.dataset} --models {input.models}"
        " --scores {input.scores} --summaries {input.summaries} --factors {input.factors} --html {output.html}"
        " --scale {params.scale}"
