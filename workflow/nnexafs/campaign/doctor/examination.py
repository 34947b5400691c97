"""All checks of a machine for a campaign, before the campaign starts there."""

import shutil
from pathlib import Path

from nnexafs.campaign.doctor import machine, programs, software, store
from nnexafs.campaign.doctor import slurm as scheduler
from nnexafs.campaign.doctor.finding import Finding, missing, not_checked, ok
from nnexafs.campaign.preflight import check
from nnexafs.config import CampaignConfig, load
from nnexafs.errors import UserError


def examine(configs: tuple[Path, ...] = (), *, slurm: bool | None = None, results: Path) -> list[Finding]:
    """Every check, for the campaign of `configs` (each on top of the one before) and the folder of all results.

    `slurm`: whether jobs will go to SLURM; None: if there is an `sbatch`. Leaves no file behind.
    """
    on_slurm = shutil.which("sbatch") is not None if slurm is None else slurm
    return [
        software.python(),
        software.packages(),
        programs.lammps(),
        programs.feff(),
        machine.processors(),
        machine.temporary_files(),
        machine.results_folder(results, on_slurm=on_slurm),
        *_of_campaign(configs, results),
        *_of_slurm(on_slurm, asked=slurm),
    ]


def _of_campaign(configs: tuple[Path, ...], results: Path) -> list[Finding]:
    try:
        campaign: CampaignConfig = load(*configs)
        found = ok("config", f"campaign {campaign.campaign}: potentials, cells and measured files are there")
        if software.installed("lammps"):
            check(campaign)
        else:
            found = not_checked("config", f"campaign {campaign.campaign}: the potentials come with LAMMPS")
    except UserError as error:
        return [missing("config", str(error), "fix the config (nnexafs plan checks it as well)")]
    return [
        found,
        machine.disk(campaign, results=results),
        store.mlflow(campaign.tracking, results=results),
    ]


def _of_slurm(wanted: bool, *, asked: bool | None) -> list[Finding]:
    if not wanted:
        why = "not asked for" if asked is False else "no sbatch here; --slurm insists"
        return [not_checked("SLURM", why)]
    return [software.executor_plugin(), *scheduler.slurm()]
