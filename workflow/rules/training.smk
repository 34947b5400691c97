# in:  dataset/dataset.nc
# out: training/run.json (MLflow parent run), training/fold<i>/, ensemble/
#
# The MLflow store changes all the time and is neither input nor output; each job writes its run id to its own file.


rule track:
    """Open the campaign's parent run in MLflow; the folds become its children."""
    input:
        dataset=rules.dataset.output,
    output:
        f"{RESULTS}/training/run.json",
    log:
        f"{LOGS}/track.log",
    benchmark:
        f"{BENCHMARKS}/track.tsv"
    conda:
        "../../envs/training.yaml"
    params:
        config=CONFIG,
        settings=leaves.strings(
            tracking=campaign.tracking, training=leaves.training(campaign, "all")
        ),
    shell:
        "python -m nnexafs track {input.dataset} --config {params.config} --out {output} > {log} 2>&1"


rule train:
    """Train the network of one fold: Adam, mean squared error, early stopping on that fold."""
    input:
        dataset=rules.dataset.output,
        run=rules.track.output,
    output:
        network=f"{RESULTS}/training/fold{{fold}}/network.pt",
        history=f"{RESULTS}/training/fold{{fold}}/history.csv",
        metrics=f"{RESULTS}/training/fold{{fold}}/metrics.json",
    log:
        f"{LOGS}/train/fold{{fold}}.log",
    benchmark:
        f"{BENCHMARKS}/train/fold{{fold}}.tsv"
    conda:
        "../../envs/training.yaml"
    threads: campaign.training.threads
    params:
        config=CONFIG,
        settings=lambda wildcards: leaves.training(campaign, wildcards.fold),
        code=provenance.stage_code("train"),
        folder=lambda wildcards, output: Path(output.network).parent,
    shell:
        "python -m nnexafs train {input.dataset} --config {params.config} --fold {wildcards.fold}"
        " --run {input.run} --out {params.folder} > {log} 2>&1"


rule ensemble:
    """Gather the folds' networks into one folder that predicts on its own."""
    input:
        dataset=rules.dataset.output,
        metrics=expand(rules.train.output.metrics, fold=FOLDS),
        networks=expand(rules.train.output.network, fold=FOLDS),
    output:
        manifest=f"{RESULTS}/ensemble/manifest.json",
        networks=expand(f"{RESULTS}/ensemble/fold{{fold}}.pt", fold=FOLDS),
    log:
        f"{LOGS}/ensemble.log",
    benchmark:
        f"{BENCHMARKS}/ensemble.tsv"
    conda:
        "../../envs/training.yaml"
    params:
        config=CONFIG,
        code=provenance.stage_code("ensemble"),
        folds=lambda wildcards, input: [
            str(Path(path).parent) for path in input.networks
        ],
        folder=lambda wildcards, output: Path(output.manifest).parent,
    shell:
        "python -m nnexafs ensemble {params.folds} --dataset {input.dataset} --config {params.config}"
        " --out {params.folder} > {log} 2>&1"
