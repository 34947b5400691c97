# in:  dataset/dataset.nc
# out: training/run.json (MLflow parent run), training/fold<i>/, ensemble/, evaluation/, studies/<study>/metrics.json
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
        settings=settings_of("track"),
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
        settings=lambda wildcards: settings_of("train", **wildcards),
        code=stages.code_of("train"),
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
        networks=expand(f"{RESULTS}/ensemble/fold{{fold}}.safetensors", fold=FOLDS),
    log:
        f"{LOGS}/ensemble.log",
    benchmark:
        f"{BENCHMARKS}/ensemble.tsv"
    conda:
        "../../envs/training.yaml"
    params:
        config=CONFIG,
        settings=settings_of("ensemble"),
        code=stages.code_of("ensemble"),
        folds=lambda wildcards, input: [
            str(Path(path).parent) for path in input.networks
        ],
        folder=lambda wildcards, output: Path(output.manifest).parent,
    shell:
        "python -m nnexafs ensemble {params.folds} --dataset {input.dataset} --config {params.config}"
        " --out {params.folder} > {log} 2>&1"


rule evaluate:
    """Errors on held-out trajectories, also under other theories, beside predictors that learn nothing.

    The nearest training spectra, mixtures and the mean of the training targets show what the network adds. The metrics
    go to the MLflow parent run, and the ensemble is registered as a model there.
    """
    input:
        dataset=rules.dataset.output,
        ensemble=rules.ensemble.output.manifest,
        theories=expand(rules.theory.output, theory=campaign.theories),
        run=rules.track.output,
    output:
        evaluation=f"{RESULTS}/evaluation/evaluation.nc",
        metrics=f"{RESULTS}/evaluation/metrics.json",
    log:
        f"{LOGS}/evaluate.log",
    benchmark:
        f"{BENCHMARKS}/evaluate.tsv"
    conda:
        "../../envs/training.yaml"
    params:
        config=CONFIG,
        settings=settings_of("evaluate"),
        code=stages.code_of("evaluate"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        theories=lambda wildcards, input: [
            f"--theory {path}" for path in input.theories
        ],
        folder=lambda wildcards, output: Path(output.metrics).parent,
    shell:
        "python -m nnexafs evaluate {input.dataset} --ensemble {params.ensemble} --config {params.config}"
        " {params.theories} --run {input.run} --out {params.folder} > {log} 2>&1"


rule study:
    """The training done otherwise: another representation, another architecture, a harder split.

    Every study is validated with the campaign's own augmentation on the same folds, so that their validation
    errors can be compared; its networks are children of the campaign's run in MLflow.
    """
    input:
        dataset=rules.dataset.output,
        run=rules.track.output,
    output:
        f"{RESULTS}/studies/{{study}}/metrics.json",
    log:
        f"{LOGS}/study/{{study}}.log",
    benchmark:
        f"{BENCHMARKS}/study/{{study}}.tsv"
    conda:
        "../../envs/training.yaml"
    threads: campaign.training.threads
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("study", **wildcards),
        code=stages.code_of("study"),
    shell:
        "python -m nnexafs study {input.dataset} --config {params.config} --study {wildcards.study}"
        " --run {input.run} --out {output} > {log} 2>&1"
