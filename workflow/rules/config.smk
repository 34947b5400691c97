# in:  config/config.yaml and the overlays given with --configfile
# out: results/<campaign>/config.yaml, the merged config that every later job reads
#
# Later rules take it as ancient(): what they depend on stands in their own `settings` parameter, so that a new
# learning rate does not redo a trajectory.

CONFIG = f"{RESULTS}/config.yaml"


rule config:
    """Write the validated, merged config of this campaign."""
    output:
        CONFIG,
    log:
        f"{LOGS}/config.log",
    benchmark:
        f"{BENCHMARKS}/config.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        settings=leaves.strings(config=campaign),
    shell:
        "python -m nnexafs config merge {params.settings:q} --out {output} > {log} 2>&1"
