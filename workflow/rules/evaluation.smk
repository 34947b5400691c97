# in:  dataset/dataset.nc, ensemble/
# out: evaluation/evaluation.nc, evaluation/metrics.json


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
        code=provenance.stage_code("evaluate"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        folder=lambda wildcards, output: Path(output.metrics).parent,
    shell:
        "python -m nnexafs evaluate {input.dataset} --ensemble {params.ensemble} --config {params.config}"
        " --run {input.run} --out {params.folder} > {log} 2>&1"
