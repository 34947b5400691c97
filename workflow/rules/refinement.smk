# in:  spectra/<name>/chi.nc, scattering/, md/<batch>.json and exafs/<batch>.json of the simulations to start from
# out: refinement/<name>/


rule refine:
    """A structure whose spectrum is the measured one: simulated cells, moved down the exact gradient of the misfit.

    It needs no network, so that it runs while they are trained.
    """
    input:
        chi=rules.spectrum.output,
        # of the run below which it is logged; a new one is no reason to refine again. str(): a copy, for the mark would
        # otherwise be on the other rules' input too
        run=ancient(str(rules.track.output[0])),
        phases=FROZEN,
        tables=TABLES,
        trajectories=lambda wildcards: expand(
            rules.md.output,
            batch=points_of.batches_of_priors(campaign, wildcards.measurement),
        ),
        spectra=lambda wildcards: expand(
            rules.snapshots.output,
            batch=points_of.batches_of_priors(campaign, wildcards.measurement),
        ),
    output:
        numbers=f"{RESULTS}/refinement/{{measurement}}/refinement.json",
        rdf=f"{RESULTS}/refinement/{{measurement}}/rdf.csv",
        angles=f"{RESULTS}/refinement/{{measurement}}/angles.csv",
        path=f"{RESULTS}/refinement/{{measurement}}/path.csv",
        held_out=f"{RESULTS}/refinement/{{measurement}}/held_out.csv",
        structure=f"{RESULTS}/refinement/{{measurement}}/structure.extxyz",
        figure=f"{RESULTS}/refinement/{{measurement}}/refinement.png",
    log:
        f"{LOGS}/refine/{{measurement}}.log",
    benchmark:
        f"{BENCHMARKS}/refine/{{measurement}}.tsv"
    conda:
        "../../envs/refinement.yaml"
    threads: campaign.refinement.threads
    params:
        settings=lambda wildcards: settings_of("refine", **wildcards),
        code=stages.code_of("refine"),
        campaign=lambda wildcards, input: Path(input.phases).parents[1],
        folder=lambda wildcards, output: Path(output.numbers).parent,
    shell:
        "python -m nnexafs refine {input.chi} --campaign {params.campaign}"
        " --measurement {wildcards.measurement} --run {input.run} --threads {threads} --out {params.folder} > {log} 2>&1"
