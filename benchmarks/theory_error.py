"""How wrong is the theory? Misfits of measured foils against those of distorted simulated spectra.

    python benchmarks/theory_error.py results/copper resources/foils/Cu-foil_EXAFS_23068.dat --phase fcc
                                      [--kelvin 300] [--columns 3,4 5,6] [--sizes 0.15 0.3] [--draws 25]
                                      [--out error.json]

The misfit of a spectrum is the root of R that the best non-negative mixture of simulated spectra of one phase leaves
(trajectories and their variants, best E0 and S0^2). For the trajectories of that phase at the foil's temperature, each
without itself and its variants among the known ones, as measured and with the theory distorted as in training, it is
found too, for several values of `augmentation.distortion`. The table says which share of these misfits is larger than
the foil's: where it is nearly zero, the networks have not seen a theory as wrong as the one that the foil shows. Use
foils of other elements than those that the networks are judged by.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
import yaml

from nnexafs.config import CampaignConfig, validate
from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.file import read
from nnexafs.dataset.means import trajectory_means
from nnexafs.inversion.options import Options, usable
from nnexafs.inversion.sources import one_measurement
from nnexafs.learning import baselines
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.baselines import Bank
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.fold_data import represented
from nnexafs.learning.training_set import TrainingSet

SMALL_MISFIT = 1e-4  # the best spectrum is wanted, not the most likely structure
SIZES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


def misfits(bank: Bank, features: np.ndarray) -> np.ndarray:
    """Root of R (S,) that the best mixture leaves of spectra (S, F)."""
    return np.sqrt(np.maximum(bank.mixture(features).misfit, 0))


def of_foils(
    ensemble: Ensemble, bank: Bank, files: Sequence[Path], columns: Sequence[str]
) -> dict[str, float]:
    """Misfits of measured spectra by the file's name."""
    names = ("incident_columns", "transmitted_columns")
    chosen = {name: [int(one) for one in text.split(",")] for name, text in zip(names, columns, strict=False)}
    window, found = ensemble.representation.k_range_per_angstrom, {}
    for file in files:
        k, chi = usable(one_measurement([file], ensemble.manifest, chosen), Options())
        features = ensemble.features(k, chi, window)[:, : ensemble.networks[0].spectral]
        found[file.name] = float(misfits(bank, features).mean())
    return found


def of_simulated(
    samples: xr.Dataset, banks: Sequence[Bank], config: CampaignConfig, *, size: float, draws: int
) -> np.ndarray:
    """Misfits of `draws` of each simulated spectrum, distorted as in training with `distortion: size`."""
    augmentation = config.augmentation.model_copy(update={"distortion": size})
    augmenter = Augmenter(samples["k"].values, config.representation, augmentation)
    generator, window = torch.Generator().manual_seed(config.seed), config.representation.k_range_per_angstrom
    found = []
    for chi, bank in zip(samples["chi"].values, banks, strict=True):
        repeated = torch.as_tensor(np.repeat(chi[None], draws, axis=0), dtype=torch.float32)
        features = represented(augmenter.measured(repeated, generator=generator, window=window), augmenter)
        found.append(misfits(bank, features[:, : len(bank.basis)].double().numpy()))
    return np.concatenate(found)


def compared(given: argparse.Namespace) -> dict:
    """What the output holds: misfits of the foils, and of simulated spectra by the size of the distortion."""
    config = validate(yaml.safe_load((given.campaign / "config.yaml").read_text()))
    dataset = read(given.campaign / "dataset" / "dataset.nc", sources=None, dtype=float)
    own = (dataset["phase"].values.astype(str) == given.phase) & (dataset["source"].values != OBJECTIVE)
    known = dataset.isel(sample=own)
    known = known.assign_coords(split=("sample", np.zeros(known.sizes["sample"], dtype=int)))
    names = known["state_point"].values.astype(str)
    means = trajectory_means(known.isel(sample=is_dynamics(known)))
    samples = means.isel(sample=np.abs(means["temperature_kelvin"].values - given.kelvin) < 1)
    if not samples.sizes["sample"]:
        raise SystemExit(f"{given.campaign}: no trajectory of {given.phase} at {given.kelvin:g} K")

    def bank_of(chosen: np.ndarray) -> Bank:
        training = TrainingSet.of(known.isel(sample=chosen), config.representation, config.augmentation)
        return training.bank(config.representation.k_range_per_angstrom)

    ensemble = Ensemble.load(given.campaign / "ensemble")
    foils = of_foils(ensemble, bank_of(names != ""), given.foils, given.columns)
    banks = [bank_of(names != name) for name in samples["state_point"].values.astype(str)]
    sizes = {}
    for size in given.sizes:
        found = of_simulated(samples, banks, config, size=size, draws=given.draws)
        larger = {name: float((found >= one).mean()) for name, one in foils.items()}
        sizes[f"{size:g}"] = {"median": float(np.median(found)), "larger_than_foil": larger}
        shares = ", ".join(f"{share:.0%}" for share in larger.values())
        print(f"distortion {size:g}: misfit {np.median(found):.3f} (median), {shares} larger", flush=True)
    return {"about": __doc__.split("\n\n")[-1], "foils": foils, "simulated": sizes}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", type=Path, help="folder of a finished campaign of the foils' element")
    parser.add_argument("foils", type=Path, nargs="+")
    parser.add_argument("--phase", required=True, help="phase of the foils, and of the simulated spectra")
    parser.add_argument("--kelvin", type=float, default=300.0, help="temperature of the foils")
    parser.add_argument(
        "--columns",
        nargs=2,
        default=(),
        help="numbers of the columns of intensity before and behind the sample, such as 3,4 5,6",
    )
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES)
    parser.add_argument("--draws", type=int, default=25, help="simulated spectra of each trajectory")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    baselines.MISFIT = SMALL_MISFIT
    found = compared(given)
    for name, misfit in found["foils"].items():
        print(f"{name}: misfit {misfit:.3f}")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
