# in:  spectra/<name>/chi.nc, ensemble/, scattering/
# out: spectra/<name>/fit.json, inversion/<name>/


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
        settings=lambda wildcards: settings.strings(
            representation=campaign.representation,
            shells=campaign.measurements[wildcards.measurement].fit_shells,
            element=campaign.measurements[wildcards.measurement].element,
        ),
        code=code.stage_code("fit"),
        folder=lambda wildcards, input: Path(input.phases).parent,
    shell:
        "python -m nnexafs fit {input.chi} --config {params.config} --phases {params.folder}"
        " --measurement {wildcards.measurement} --out {output} > {log} 2>&1"


rule predict:
    """Structure behind a measured spectrum: mean of the networks, their spread as error."""
    input:
        chi=rules.spectrum.output,
        ensemble=rules.ensemble.output.manifest,
    output:
        rdf=f"{RESULTS}/inversion/{{measurement}}/rdf.csv",
        angles=f"{RESULTS}/inversion/{{measurement}}/angles.csv",
        shells=f"{RESULTS}/inversion/{{measurement}}/shells.json",
        figure=f"{RESULTS}/inversion/{{measurement}}/prediction.png",
    log:
        f"{LOGS}/predict/{{measurement}}.log",
    benchmark:
        f"{BENCHMARKS}/predict/{{measurement}}.tsv"
    conda:
        "../../envs/spectra.yaml"
    params:
        config=CONFIG,
        code=code.stage_code("predict"),
        ensemble=lambda wildcards, input: Path(input.ensemble).parent,
        scale=lambda wildcards: campaign.measurements[
            wildcards.measurement
        ].distance_scale,
        folder=lambda wildcards, output: Path(output.rdf).parent,
    shell:
        "python -m nnexafs predict {input.chi} --ensemble {params.ensemble} --out {params.folder}"
        " --distance-scale {params.scale} > {log} 2>&1"
