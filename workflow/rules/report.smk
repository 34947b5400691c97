# in:  everything above
# out: report.html


rule report:
    """One page that opens without a network: the campaign, its errors, the measured spectra, what was flagged."""
    input:
        dataset=rules.dataset.output,
        # a function: Snakemake would hash a list once for each file in it
        trajectories=lambda wildcards: expand(rules.md.output, batch=IN_DATASET),
        folds=expand(rules.train.output.metrics, fold=FOLDS),
        run=rules.track.output,
        ensemble=rules.ensemble.output.manifest,
        evaluation=rules.evaluate.output,
        spectra=expand(rules.spectrum.output, measurement=campaign.measurements),
        fits=expand(rules.fit.output, measurement=campaign.measurements),
        inversions=expand(
            rules.predict.output.shells, measurement=campaign.measurements
        ),
        refinements=expand(rules.refine.output.numbers, measurement=campaign.refined),
        series=expand(rules.series.output.metrics, series=campaign.series),
        studies=expand(rules.study.output, study=campaign.studies),
        compared=[one.metrics for one in campaign.report.compare_with.values()],
    output:
        f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        config=CONFIG,
        settings=settings_of("report"),
        code=stages.code_of("report"),
        folder=lambda wildcards, output: Path(output[0]).parent,
    shell:
        "python -m nnexafs report {params.folder} --out {output} > {log} 2>&1"
