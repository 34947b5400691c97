"""The command line: every stage of the campaign, usable without Snakemake on its own files."""

import click

from nnexafs import __version__
from nnexafs.cli.common import Commands

# In the order of the flow: the module of `nnexafs.cli` that has the command, and what the list of commands says of it.
COMMANDS = {
    "config": ("config", "Write the config files that are made from the models."),
    "plan": ("campaign", "Check a campaign and print the jobs, FEFF runs and disk it will take."),
    "md": ("structures", "Run the molecular dynamics of a state point with LAMMPS."),
    "freeze": ("exafs", "Compute FEFF's potentials and phases of the reference cell, once for all spectra."),
    "tables": ("exafs", "Tabulate FEFF's path amplitudes for the engine nbody, once for all spectra."),
    "snapshots": (
        "exafs",
        "Compute chi(k), n(r) and bond angles of snapshots of a TRAJECTORY written by `nnexafs md`.",
    ),
    "exafs": ("exafs", "chi(k) of a crystal or a trajectory: STRUCTURE is any file of atoms that ASE reads."),
    "dataset": ("dataset", "Gather SPECTRA into one dataset, split by trajectory."),
    "track": ("learning", "Open the campaign's parent run in MLflow."),
    "train": ("learning", "Train the network of one fold of DATASET."),
    "study": ("learning", "Train otherwise on the same folds of DATASET."),
    "ensemble": ("learning", "Gather the trained FOLDS (folders) into one folder that predicts on its own."),
    "evaluate": ("learning", "Errors of an ensemble on the test set of DATASET, beside two baselines."),
    "series": (
        "inversion",
        "Invert the SPECTRA of a held-out series with the ensemble and compare with the truth.",
    ),
    "spectrum": ("measured", "Average a measurement's repeats, remove the background (larch), write chi(k)."),
    "fit": (
        "inversion",
        "Fit the first shells of CHI (nnexafs spectrum) with larch and FEFF's paths of the reference cell.",
    ),
    "predict": ("inversion", "Structure behind a measured SPECTRUM: n(r), bond angles and first shell."),
    "report": ("report", "Write the report of the campaign in FOLDER (results/<campaign>) as one HTML page."),
    "paper": ("report", "Write the page of a paper's rerun, with its figures, from the campaign in FOLDER."),
    "provenance": ("campaign", "Tell which config, code, versions, potentials and seeds made FILE."),
    "doctor": ("campaign", "Tell what is missing on this machine for a campaign, and how to fix it."),
    "verify": ("verification", "Check campaigns: completeness, checksums, physics."),
}


@click.group(cls=Commands, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nnexafs")
def main() -> None:
    """From simulated X-ray absorption spectra to the structure behind a measured one."""
