# in:  config, md/<batch>.json
# out: scattering/ (frozen phases, amplitude tables), exafs/<state point>/spectra.nc, listed by
#      batch in exafs/<batch>.json; variants/<state point>/samples.nc, listed in variants/<batch>.json;
#      objective/part<number>.nc; theories/<theory>/scattering/, theories/<theory>/spectra.nc

FROZEN = f"{RESULTS}/scattering/manifest.json"
TABLES = f"{RESULTS}/scattering/tables.nc"
THEORY = f"{RESULTS}/theories/{{theory}}"


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
        settings=settings_of("freeze"),
        code=stages.code_of("freeze"),
        folder=lambda wildcards, output: Path(output.manifest).parent,
        theory="",
    shell:
        "python -m nnexafs freeze {params.theory} --config {params.config} --out {params.folder} > {log} 2>&1"


use rule freeze as freeze_theory with:
    output:
        manifest=f"{THEORY}/scattering/manifest.json",
        phases=f"{THEORY}/scattering/phase.pad",
        cross_section=f"{THEORY}/scattering/xsect.json",
        feff=f"{THEORY}/scattering/feff.inp",
    log:
        f"{LOGS}/freeze_theory/{{theory}}.log",
    benchmark:
        f"{BENCHMARKS}/freeze_theory/{{theory}}.tsv"
    # nothing but the evaluation waits for it
    priority: 0
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("freeze", **wildcards),
        code=stages.code_of("freeze"),
        folder=lambda wildcards, output: Path(output.manifest).parent,
        theory="--theory {theory}",


rule tables:
    """Amplitudes of paths through one and two neighbours, on grids of geometry (FEFF8.5L's genfmt).

    They depend on nothing but the frozen phases, so that the sum over all absorbers needs FEFF no more.
    """
    input:
        phases=FROZEN,
    output:
        TABLES,
    log:
        f"{LOGS}/tables.log",
    benchmark:
        f"{BENCHMARKS}/tables.tsv"
    # every spectrum waits for it
    priority: 10
    conda:
        "../../envs/exafs.yaml"
    threads: 2
    params:
        config=CONFIG,
        settings=settings_of("tables"),
        code=stages.code_of("tables"),
        folder=lambda wildcards, input: Path(input.phases).parent,
        theory="",
    shell:
        "python -m nnexafs tables {params.theory} --config {params.config} --phases {params.folder}"
        " --processes {threads} --out {output} > {log} 2>&1"


use rule tables as tables_theory with:
    input:
        phases=rules.freeze_theory.output.manifest,
    output:
        f"{THEORY}/scattering/tables.nc",
    log:
        f"{LOGS}/tables_theory/{{theory}}.log",
    benchmark:
        f"{BENCHMARKS}/tables_theory/{{theory}}.tsv"
    priority: 0
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("tables", **wildcards),
        code=stages.code_of("tables"),
        folder=lambda wildcards, input: Path(input.phases).parent,
        theory="--theory {theory}",


rule snapshots:
    """EXAFS, pair distribution and bond angles of snapshots, over the same absorbers; for each trajectory of a batch.

    Engine nbody: every absorber by the n-body expansion, corrected by FEFF on a few. Engine feff: FEFF8.5L
    on chosen absorbers. More than `exafs.failure_fraction` failed absorbers fail the state point.
    """
    input:
        trajectories=f"{RESULTS}/md/{{batch}}.json",
        phases=FROZEN,
        tables=TABLES if campaign.exafs.engine == "nbody" else [],
    output:
        f"{RESULTS}/exafs/{{batch}}.json",
    log:
        f"{LOGS}/exafs/{{batch}}.log",
    benchmark:
        f"{BENCHMARKS}/exafs/{{batch}}.tsv"
    conda:
        "../../envs/exafs.yaml"
    threads: campaign.exafs.processes
    params:
        config=CONFIG,
        settings=lambda wildcards: [
            settings_of(
                "snapshots",
                state_point=name,
                controls=points_of.control_absorbers(campaign, state_points[name]),
            )
            for name in batches[wildcards.batch]
        ],
        code=stages.code_of("snapshots"),
        folder=lambda wildcards, input: Path(input.phases).parent,
    shell:
        "python -m nnexafs snapshots {input.trajectories} --config {params.config}"
        " --phases {params.folder} --processes {threads} --out {output} > {log} 2>&1"


rule variants:
    """The trajectories of a batch once more, with other lattices and other displacements: a dense training set.

    Between the grid's lattices and temperatures a network would have to guess; a spectrum of all atoms costs a
    tenth of a second, so it need not.
    """
    input:
        trajectories=f"{RESULTS}/md/{{batch}}.json",
        spectra=f"{RESULTS}/exafs/{{batch}}.json",
        phases=FROZEN,
        tables=TABLES,
    output:
        f"{RESULTS}/variants/{{batch}}.json",
    log:
        f"{LOGS}/variants/{{batch}}.log",
    benchmark:
        f"{BENCHMARKS}/variants/{{batch}}.tsv"
    conda:
        "../../envs/exafs.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: [
            settings_of("variants", state_point=name)
            for name in batches[wildcards.batch]
        ],
        code=stages.code_of("variants"),
        folder=lambda wildcards, input: Path(input.phases).parent,
    shell:
        "python -m nnexafs variants {input.trajectories} --spectra {input.spectra} --config {params.config}"
        " --phases {params.folder} --out {output} > {log} 2>&1"


rule objective:
    """EXAFS of structures without dynamics, drawn to cover the first shell's parameters evenly; a part of them.

    They need the amplitude tables only, so that they are computed while the dynamics runs.
    """
    input:
        phases=FROZEN,
        tables=TABLES,
    output:
        f"{RESULTS}/objective/part{{part}}.nc",
    log:
        f"{LOGS}/objective/part{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/objective/part{{part}}.tsv"
    conda:
        "../../envs/exafs.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("objective", part=int(wildcards.part)),
        code=stages.code_of("objective"),
        folder=lambda wildcards, input: Path(input.phases).parent,
    shell:
        "python -m nnexafs objective --part {wildcards.part} --config {params.config}"
        " --phases {params.folder} --processes {threads} --out {output} > {log} 2>&1"


rule theory:
    """The test set by another theory of FEFF (other potentials): the same snapshots, absorbers and paths.

    Networks that read such spectra as well as their own will not mind that a measurement follows no theory exactly. A
    held-out error of the training's own theory cannot show that, and no measured spectrum is used up for it.
    """
    input:
        dataset=lambda wildcards: rules.dataset.output,
        trajectories=lambda wildcards: expand(rules.md.output, batch=IN_DATASET),
        phases=rules.freeze_theory.output.manifest,
        tables=(rules.tables_theory.output if campaign.exafs.engine == "nbody" else []),
    output:
        f"{THEORY}/spectra.nc",
    log:
        f"{LOGS}/theory/{{theory}}.log",
    benchmark:
        f"{BENCHMARKS}/theory/{{theory}}.tsv"
    conda:
        "../../envs/exafs.yaml"
    threads: campaign.exafs.processes
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of("theory", **wildcards),
        code=stages.code_of("theory"),
        folder=lambda wildcards, input: Path(input.phases).parent,
    shell:
        "python -m nnexafs theory {input.trajectories} --config {params.config} --theory {wildcards.theory}"
        " --dataset {input.dataset} --phases {params.folder} --processes {threads} --out {output} > {log} 2>&1"
