# in:  config
# out: md/<state point>/trajectory.nc, listed by batch in md/<batch>.json


rule md:
    """Molecular dynamics of the state points of a batch, one after the other (LAMMPS, NVT).

    Crystals start with velocities of twice the temperature, half of which equipartition turns into potential
    energy; liquids are melted far above melting and cooled to their temperature. The phase that the run ended
    in is measured by common-neighbour analysis of mean positions, and stored. Another content of a potential's file
    is another potential (`potential`: its sha256).
    """
    output:
        f"{RESULTS}/md/{{batch}}.json",
    log:
        f"{LOGS}/md/{{batch}}.log",
    benchmark:
        f"{BENCHMARKS}/md/{{batch}}.tsv"
    conda:
        "../../envs/md.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: [
            settings_of("md", point=state_points[name])
            for name in batches[wildcards.batch]
        ],
        potential=lambda wildcards: [
            potentials[name] for name in batches[wildcards.batch]
        ],
        code=stages.code_of("md"),
    shell:
        "python -m nnexafs md --config {params.config} --batch {wildcards.batch}"
        " --out {output} > {log} 2>&1"
