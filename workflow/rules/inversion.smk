# in:  spectra/<name>/chi.nc, ensemble/, scattering/; exafs/<state point>/spectra.nc of the held-out series
# out: spectra/<name>/fit.json, inversion/<name>/, series/<series>/


rule fit:
    """First-shell fit of the measured spectrum (larch, FEFF's path): what the network is compared with."""
    input:
        chi=rules.spectrum.output,
        phases=FROZEN,
    output:
        f"{RESULTS}/spectra/{{measurement}}/fit.json",
    log:
        f"{LOGS}/fit/{{measurement}}.log",
    benchmark:
        f"{BENCHMARKS}/fit/{{measurement}}.tsv"
    conda:
        "../../envs/spectra.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("fit", **wildcards),
        code=stages.code_of("fit"),
        folder=lambda wildcards, input: Path(input.phases).parent,
    shell:
        "python -m nnexafs fit {input.chi} --config {params.config} --phases {params.folder}"
        " --measurement {wildcards.measurement} --out {output} > {log} 2>&1"


rule predict:
    """Structure behind a measured spectrum: the networks' answer, and on its page that of other methods."""
    input:
        chi=rules.spectrum.output,
        ensemble=rules.ensemble.output.manifest,
        fit=rules.fit.output,
        # functions: the rule is further below
        refinement=lambda wildcards: (
            rules.refine.output if wildcards.measurement in campaign.refined else []
        ),
        simulation=lambda wildcards: expand(
            rules.md.output,
            batch=points_of.batches_compared_with(campaign, wildcards.measurement),
        ),
        spectra=lambda wildcards: expand(
            rules.snapshots.output,
            batch=points_of.batches_compared_with(campaign, wildcards.measurement),
        ),
    output:
        rdf=f"{RESULTS}/inversion/{{measurement}}/rdf.csv",
        angles=f"{RESULTS}/inversion/{{measurement}}/angles.csv",
        shells=f"{RESULTS}/inversion/{{measurement}}/shells.json",
        check=f"{RESULTS}/inversion/{{measurement}}/forward_check.csv",
        figure=f"{RESULTS}/inversion/{{measurement}}/prediction.png",
        page=f"{RESULTS}/inversion/{{measurement}}/prediction.html",
    log:
        f"{LOGS}/predict/{{measurement}}.log",
    benchmark:
        f"{BENCHMARKS}/predict/{{measurement}}.tsv"
    conda:
        "../../envs/spectra.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("predict", **wildcards),
        code=stages.code_of("predict"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        scale=lambda wildcards: campaign.measurements[
            wildcards.measurement
        ].distance_scale,
        # who names another element in the config asks for its answers
        anyway=lambda wildcards: (
            "--anyway" if campaign.measurements[wildcards.measurement].element else ""
        ),
        campaign=lambda wildcards, input: Path(input.ensemble).parents[1],
        folder=lambda wildcards, output: Path(output.rdf).parent,
    shell:
        "python -m nnexafs predict {input.chi} --ensemble {params.ensemble} --out {params.folder}"
        " --campaign {params.campaign} --measurement {wildcards.measurement}"
        " --distance-scale {params.scale} {params.anyway} > {log} 2>&1"


rule series:
    """Spectra of a held-out series read by the networks: n(r), shares of phases, beside the truth."""
    input:
        spectra=lambda wildcards: expand(
            rules.snapshots.output,
            batch=batches_of(points_of.of_series(campaign, wildcards.series)),
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
        settings=lambda wildcards: settings_of("series", **wildcards),
        code=stages.code_of("series"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        phases=lambda wildcards, input: Path(input.phases).parent,
        folder=lambda wildcards, output: Path(output.table).parent,
    shell:
        "python -m nnexafs series {input.spectra} --dataset {input.dataset} --ensemble {params.ensemble}"
        " --phases {params.phases} --config {params.config} --series {wildcards.series}"
        " --out {params.folder} > {log} 2>&1"
