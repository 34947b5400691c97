# in:  config, md/<state point>/trajectory.nc
# out: scattering/ (frozen phases), exafs/<state point>/spectra.nc

FROZEN = f"{RESULTS}/scattering/manifest.json"


rule freeze:
    """Potentials and phase shifts of the reference cell (FEFF8.5L, once a campaign).

    Every spectrum uses them: against fresh potentials for each snapshot the difference is a shift of E0 of
    about 0.2 eV, and one policy for all spectra keeps them comparable.
    """
    output:
        manifest=FROZEN,
        phases=f"{RESULTS}/scattering/phase.pad",
        cross_section=f"{RESULTS}/scattering/xsect.json",
        feff=f"{RESULTS}/scattering/feff.inp",
    log:
        f"{LOGS}/freeze.log",
    benchmark:
        f"{BENCHMARKS}/freeze.tsv"
    # every spectrum waits for it, and self-consistency takes a minute
    priority: 10
    conda:
        "../../envs/exafs.yaml"
    params:
        config=CONFIG,
        settings=leaves.scattering(campaign),
        code=provenance.code_hash("scattering.feff", "structures"),
        folder=lambda wildcards, output: Path(output.manifest).parent,
    shell:
        "python -m nnexafs freeze --config {params.config} --out {params.folder} > {log} 2>&1"


rule exafs:
    """EXAFS, pair distribution and bond angles of a trajectory's snapshots, over the same absorbers.

    FEFF8.5L sums all paths of an absorber; absorbers are averaged to a snapshot. An absorber whose FEFF run
    fails marks its snapshot; more than `exafs.failure_fraction` of them fail the state point.
    """
    input:
        trajectory=f"{RESULTS}/md/{{state_point}}/trajectory.nc",
        phases=FROZEN,
    output:
        f"{RESULTS}/exafs/{{state_point}}/spectra.nc",
    log:
        f"{LOGS}/exafs/{{state_point}}.log",
    benchmark:
        f"{BENCHMARKS}/exafs/{{state_point}}.tsv"
    conda:
        "../../envs/exafs.yaml"
    threads: campaign.exafs.processes
    params:
        config=CONFIG,
        settings=lambda wildcards: leaves.exafs(campaign, wildcards.state_point),
        code=provenance.code_hash("exafs"),
        folder=lambda wildcards, input: Path(input.phases).parent,
    shell:
        "python -m nnexafs exafs {input.trajectory} --config {params.config} --phases {params.folder}"
        " --processes {threads} --out {output} > {log} 2>&1"
