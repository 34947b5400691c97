# in:  exafs/<batch>.json and variants/<batch>.json of every batch, objective/part<number>.nc
# out: dataset/dataset.nc


rule dataset:
    """Every spectrum with its targets in one file, split by trajectory.

    A fifth of each phase's trajectories is the test set; the rest makes the folds, each once the validation set.
    No trajectory is on two sides, so that near-identical snapshots cannot flatter the error.
    """
    input:
        # a function, here and in later rules: other jobs, which read this file too, need not make the list
        spectra=lambda wildcards: expand(rules.snapshots.output, batch=IN_DATASET),
        variants=lambda wildcards: (
            expand(rules.variants.output, batch=IN_DATASET)
            if campaign.variants_per_trajectory
            else []
        ),
        objective=lambda wildcards: expand(
            rules.objective.output, part=campaign.objective_parts
        ),
    output:
        f"{RESULTS}/dataset/dataset.nc",
    log:
        f"{LOGS}/dataset.log",
    benchmark:
        f"{BENCHMARKS}/dataset.tsv"
    conda:
        "../../envs/training.yaml"
    params:
        config=CONFIG,
        settings=settings_of("dataset"),
        code=stages.code_of("dataset"),
    shell:
        "python -m nnexafs dataset {input} --config {params.config} --out {output} > {log} 2>&1"
