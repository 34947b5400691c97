# in:  everything above
# out: verified.json


rule verify:
    """Completeness, checksums and physical invariants of the whole campaign; the last job of each.

    Every result is an input: one that was set aside because it was damaged is computed again.
    """
    input:
        rules.report.input,  # without a name, because there is a function among them
        report=rules.report.output,
        # functions: Snakemake would hash a named list once for each file in it
        trajectories=lambda wildcards: expand(rules.md.output, batch=batches),
        scattering=[
            *rules.freeze.output,
            *(rules.tables.output if campaign.exafs.engine == "nbody" else []),
        ],
        spectra=lambda wildcards: expand(rules.snapshots.output, batch=batches),
        variants=lambda wildcards: (
            expand(rules.variants.output, batch=IN_DATASET)
            if campaign.variants_per_trajectory
            else []
        ),
        objective=expand(rules.objective.output, part=campaign.objective_parts),
        theories=expand(
            [
                *rules.freeze_theory.output,
                *(
                    rules.tables_theory.output
                    if campaign.exafs.engine == "nbody"
                    else []
                ),
                *rules.theory.output,
            ],
            theory=campaign.theories,
        ),
        networks=expand(rules.train.output, fold=FOLDS),
        ensemble=rules.ensemble.output,
        series=expand(rules.series.output, series=campaign.series),
        refinements=expand(rules.refine.output, measurement=campaign.refined),
        predictions=expand(rules.predict.output, measurement=campaign.measurements),
    output:
        VERIFIED,
    log:
        f"{LOGS}/verify.log",
    benchmark:
        f"{BENCHMARKS}/verify.tsv"
    conda:
        "../../envs/training.yaml"
    params:
        settings=settings_of("verify"),
        code=stages.code_of("verify"),
        folder=lambda wildcards, input: Path(input.report[0]).parent,
    shell:
        "python -m nnexafs verify {params.folder} --out {output} > {log} 2>&1"
