"""The command line: every stage of the campaign, usable without Snakemake on its own files."""

import click

from nnexafs import __version__
from nnexafs.cli.common import Commands

# By what a user wants: the module of `nnexafs.cli` that has the command, and its line in the list. The line fits 80
# columns, and the command's own help begins with it.
GROUPS = {
    "Start": {
        "init": ("campaign", "Write the config of another ELEMENT, ready to run."),
        "plan": ("campaign", "Check a config and count its jobs, FEFF runs and disk space."),
        "doctor": ("campaign", "Tell what is missing on this machine and how to fix it."),
        "config": ("config", "Write the default config file and what describes it."),
    },
    "Simulate": {
        "exafs": ("exafs", "Compute chi(k) of a crystal or a trajectory."),
        "md": ("structures", "Run the molecular dynamics of a state point with LAMMPS."),
        "freeze": ("exafs", "Compute FEFF's potentials and phase shifts, once per campaign."),
        "tables": ("exafs", "Tabulate FEFF's path amplitudes, once per campaign."),
        "snapshots": ("exafs", "Compute chi(k), n(r), bond angles of a simulated TRAJECTORY."),
        "variants": ("exafs", "Compute strained and otherwise disordered copies of trajectories."),
        "objective": ("exafs", "Compute chi(k) of lattices and packings without dynamics."),
        "theory": ("exafs", "Compute the test set by another theory of FEFF."),
    },
    "Learn": {
        "dataset": ("dataset", "Gather SPECTRA into one dataset, split by trajectory."),
        "track": ("learning", "Open the MLflow run that a campaign's networks belong to."),
        "train": ("learning", "Train the network of one fold of DATASET."),
        "study": ("learning", "Train with other settings, for comparison (an ablation)."),
        "ensemble": ("learning", "Gather the trained FOLDS into one folder that predicts."),
        "evaluate": ("learning", "Measure the errors of an ensemble on the test set."),
        "series": ("inversion", "Compare predictions with the truth for a held-out series."),
    },
    "Invert a measured spectrum": {
        "predict": ("inversion", "Predict n(r), bond angles and first shell from a SPECTRUM."),
        "refine": ("refinement", "Find structures whose spectrum explains a measured SPECTRUM."),
        "spectrum": ("measured", "Extract chi(k) from a measured spectrum (larch)."),
        "fit": ("inversion", "Fit the first shells of a measured CHI with larch."),
    },
    "Check and report": {
        "report": ("report", "Write the report of a campaign as one HTML page."),
        "verify": ("verification", "Check campaigns: completeness, checksums, physics."),
        "provenance": ("campaign", "Tell which config, code, versions and seeds made a FILE."),
        "ship": ("campaign", "Put a finished CAMPAIGN's ensemble among those that ship."),
        "paper": ("report", "Write the page of a paper's rerun, with its figures."),
    },
}
COMMANDS = {name: entry for commands in GROUPS.values() for name, entry in commands.items()}


@click.group(
    cls=Commands,
    groups=GROUPS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`nnexafs COMMAND --help` explains one; `make run` runs a whole campaign.",
)
@click.version_option(__version__, prog_name="nnexafs")
def main() -> None:
    """From simulated X-ray absorption spectra to the structure behind a measured one."""
