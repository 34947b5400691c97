# in:  config
# out: md/<state point>/trajectory.nc


rule md:
    """Molecular dynamics of one state point (LAMMPS, NVT).

    Crystals start with velocities of twice the temperature, half of which equipartition turns into potential
    energy; liquids are melted far above melting and cooled to their temperature. The phase that the run ended
    in is measured by common-neighbour analysis of mean positions, and stored. Another content of a potential's file
    is another potential (`potential`: its sha256).
    """
    output:
        f"{RESULTS}/md/{{state_point}}/trajectory.nc",
    log:
        f"{LOGS}/md/{{state_point}}.log",
    benchmark:
        f"{BENCHMARKS}/md/{{state_point}}.tsv"
    conda:
        "../../envs/md.yaml"
    params:
        config=CONFIG,
        settings=lambda wildcards: settings_of(
            "md", point=state_points[wildcards.state_point]
        ),
        potential=lambda wildcards: potentials[wildcards.state_point],
        code=stages.code_of("md"),
    shell:
        "python -m nnexafs md --config {params.config} --state-point {wildcards.state_point}"
        " --out {output} > {log} 2>&1"
