"""Are two campaigns the same, bit for bit?"""

from pathlib import Path

from nnexafs.errors import UserError
from nnexafs.jobs.record import sha256

# What holds no run ids, dates or durations: the physics, the networks, what they predict.
RESULTS = (
    "scattering/phase.pad", "scattering/xsect.json", "scattering/tables.nc", "md/*/trajectory.nc",
    "theories/*/scattering/phase.pad", "theories/*/scattering/tables.nc", "theories/*/spectra.nc",
    "exafs/*/spectra.nc", "dataset/dataset.nc", "training/*/network.pt", "training/*/history.csv",
    "ensemble/*.safetensors", "evaluation/evaluation.nc", "series/*/series.nc", "spectra/*/chi.nc",
    "spectra/*/fit.json", "inversion/*/rdf.csv", "inversion/*/angles.csv", "inversion/*/shells.json",
    "inversion/*/forward_check.csv", "refinement/*/rdf.csv", "refinement/*/angles.csv", "refinement/*/structure.extxyz",
)  # fmt: skip


def results_of(folder: Path) -> dict[str, str]:
    """Checksums of the campaign's results, by path."""
    folder = Path(folder)
    files = [file for pattern in RESULTS for file in sorted(folder.glob(pattern))]
    if not files:
        raise UserError(
            f"{folder}: no results there; expected the folder of a campaign, such as results/nickel"
        )
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}


def differences(folder: Path, other: Path) -> list[str]:
    """One line for each result that is not the same in both campaigns, or in one of them only."""
    one, two = results_of(folder), results_of(other)
    lines = [f"{name}: only in {folder}" for name in sorted(one.keys() - two.keys())]
    lines += [f"{name}: only in {other}" for name in sorted(two.keys() - one.keys())]
    return lines + [name for name in sorted(one.keys() & two.keys()) if one[name] != two[name]]
