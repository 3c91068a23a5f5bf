# Targets to be asked for by name: calibration, estimate, clean_intermediates.


rule calibration:
    input:
        bits=f"{plan.data(plan.scale)}/dsprites_bits.npy",
        dataset=f"{plan.data(plan.scale)}/dsprites.h5",
        pca=f"results/{plan.scale}/codes/pca.h5",
    output:
        csv="results/tables/calibration.csv",
        md="results/tables/calibration.md",
    log:
        "results/logs/calibration.log",
    benchmark:
        "results/benchmarks/calibration.tsv"
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(1000, images=1000),
        runtime=needs.minutes(60, images=60),
    params:
        settings=plan.calibration_settings(),
        code=plan.code("calibrate"),
    message:
        "Calibrate the metric on raw pixels and PCA"
    shell:
        "python -m betavae calibrate --log {log} --bits {input.bits} --dataset {input.dataset}"
        " --pca {input.pca} --csv {output.csv} --md {output.md} --settings {params.settings:q}"


rule estimate:
    log:
        f"results/logs/estimate_{plan.scale}.log",
    conda:
        "../../envs/betavae.yaml"
    threads: plan.config["threads"]
    resources:
        mem_mb=needs.mb(800, gpus=1500, images=400, weights=6, batch_maps=8),
        runtime=needs.minutes(30, models=1),
        gpu=needs.gpu(),
    params:
        settings=plan.estimate_settings(),
        device=plan.config["device"],
    message:
        "Time and disk that scale {plan.scale} will take"
    shell:
        "python -m betavae estimate --log {log} --settings {params.settings:q} --device {params.device}"


rule clean_intermediates:
    log:
        "results/logs/clean_intermediates.log",
    conda:
        "../../envs/betavae.yaml"
    threads: 1
    resources:
        mem_mb=needs.mb(100),
        runtime=needs.minutes(5),
    message:
        "Remove codes, checkpoints, Gram matrices and the NPZ of all scales; scores, models, figures and tables stay"
    shell:
        "rm -rf -- results/*/codes results/*/checkpoints results/data/*/gram.h5 results/data/*/dsprites.npz 2> {log}"
