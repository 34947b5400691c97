# in:  dataset/dataset.nc, exafs/<state point>/spectra.nc of the held-out series
# out: training/run.json (MLflow parent run), training/fold<i>/, ensemble/, evaluation/, studies/<study>/metrics.json,
#      series/<series>/
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
        settings=settings.strings(
            tracking=campaign.tracking, training=settings.training(campaign, "all")
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
        settings=lambda wildcards: settings.training(campaign, wildcards.fold),
        code=code.stage_code("train"),
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
        code=code.stage_code("ensemble"),
        folds=lambda wildcards, input: [
            str(Path(path).parent) for path in input.networks
        ],
        folder=lambda wildcards, output: Path(output.manifest).parent,
    shell:
        "python -m nnexafs ensemble {params.folds} --dataset {input.dataset} --config {params.config}"
        " --out {params.folder} > {log} 2>&1"


rule evaluate:
    """Errors on held-out trajectories, beside two predictors that learn nothing.

    The nearest training spectrum and the mean of the training targets show what the network adds. The metrics
    go to the MLflow parent run, and the ensemble is registered as a model there.
    """
    input:
        dataset=rules.dataset.output,
        ensemble=rules.ensemble.output.manifest,
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
        code=code.stage_code("evaluate"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        folder=lambda wildcards, output: Path(output.metrics).parent,
    shell:
        "python -m nnexafs evaluate {input.dataset} --ensemble {params.ensemble} --config {params.config}"
        " --run {input.run} --out {params.folder} > {log} 2>&1"


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
        settings=lambda wildcards: settings.study(campaign, wildcards.study),
        code=code.stage_code("study"),
    shell:
        "python -m nnexafs study {input.dataset} --config {params.config} --study {wildcards.study}"
        " --run {input.run} --out {output} > {log} 2>&1"


rule series:
    """Spectra of a held-out series read by the networks: n(r), shares of phases, beside the truth."""
    input:
        spectra=lambda wildcards: expand(
            rules.snapshots.output,
            state_point=points_of.of_series(campaign, wildcards.series),
        ),
        dataset=rules.dataset.output,
        ensemble=rules.ensemble.output.manifest,
        phases=FROZEN,
    output:
        table=f"{RESULTS}/series/{{series}}/series.nc",
        metrics=f"{RESULTS}/series/{{series}}/metrics.json",
    log:
        f"{LOGS}/series/{{series}}.log",
    benchmark:
        f"{BENCHMARKS}/series/{{series}}.tsv"
    conda:
        "../../envs/spectra.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: settings.series(campaign, wildcards.series),
        code=code.stage_code("series"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        phases=lambda wildcards, input: Path(input.phases).parent,
        folder=lambda wildcards, output: Path(output.table).parent,
    shell:
        "python -m nnexafs series {input.spectra} --dataset {input.dataset} --ensemble {params.ensemble}"
        " --phases {params.phases} --config {params.config} --series {wildcards.series}"
        " --out {params.folder} > {log} 2>&1"
