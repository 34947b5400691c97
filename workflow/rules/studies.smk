# in:  dataset/dataset.nc, ensemble/, exafs/<state point>/spectra.nc of the held-out series
# out: studies/<study>/metrics.json, series/<series>/


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
        settings=lambda wildcards: leaves.study(campaign, wildcards.study),
        code=provenance.stage_code("study"),
    shell:
        "python -m nnexafs study {input.dataset} --config {params.config} --study {wildcards.study}"
        " --run {input.run} --out {output} > {log} 2>&1"


rule series:
    """Spectra of a held-out series read by the networks: n(r), shares of phases, beside the truth."""
    input:
        spectra=lambda wildcards: expand(
            rules.exafs.output,
            state_point=statepoints.of_series(campaign, wildcards.series),
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
        settings=lambda wildcards: leaves.series(campaign, wildcards.series),
        code=provenance.stage_code("series"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        phases=lambda wildcards, input: Path(input.phases).parent,
        folder=lambda wildcards, output: Path(output.table).parent,
    shell:
        "python -m nnexafs series {input.spectra} --dataset {input.dataset} --ensemble {params.ensemble}"
        " --phases {params.phases} --config {params.config} --series {wildcards.series}"
        " --out {params.folder} > {log} 2>&1"
