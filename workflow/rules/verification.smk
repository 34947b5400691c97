# in:  everything above
# out: verified.json


rule verify:
    """Completeness, checksums and physical invariants of the whole campaign; without it none is finished."""
    input:
        # long lists have no name: Snakemake would hash a named one once for each file in it
        rules.report.input,
        expand(rules.exafs.output, state_point=state_points),
        expand(rules.md.output, state_point=state_points),
        report=rules.report.output,
    output:
        f"{RESULTS}/verified.json",
    log:
        f"{LOGS}/verify.log",
    benchmark:
        f"{BENCHMARKS}/verify.tsv"
    conda:
        "../../envs/training.yaml"
    params:
        settings=leaves.report(campaign),
        code=provenance.stage_code("verify"),
        folder=lambda wildcards, input: Path(input.report[0]).parent,
    shell:
        "python -m nnexafs verify {params.folder} --out {output} > {log} 2>&1"
