# in:  measured files (config: measurements)
# out: spectra/<name>/chi.nc


rule spectrum:
    """Background of a measured spectrum (larch autobk), chi(k) on the campaign's grid."""
    input:
        files=lambda wildcards: campaign.measurements[wildcards.measurement].files,
    output:
        f"{RESULTS}/spectra/{{measurement}}/chi.nc",
    log:
        f"{LOGS}/spectrum/{{measurement}}.log",
    benchmark:
        f"{BENCHMARKS}/spectrum/{{measurement}}.tsv"
    conda:
        "../../envs/spectra.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("spectrum", **wildcards),
        code=stages.code_of("spectrum"),
    shell:
        "python -m nnexafs spectrum --config {params.config} --measurement {wildcards.measurement}"
        " --out {output} > {log} 2>&1"
