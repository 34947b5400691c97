"""The test set by other theories: the trajectories and the structure of the dataset, and potentials of their own."""

from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.campaign.verification.findings import Findings
from nnexafs.config import CampaignConfig
from nnexafs.dataset import theories
from nnexafs.dataset.file import read as read_samples
from nnexafs.dataset.gathering import GRIDS, TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.files import read_json

LARGEST_R = 0.1
"""Of a theory's mean spectra against the campaign's, at the best E0 and amplitude: nickel's differ by 1e-3, spectra of
another element by 0.3 and more."""
STRUCTURE_TOLERANCE = 1e-5  # of n(r) and angles, relative to the largest: the dataset is in single precision


def check_theories(config: CampaignConfig, folder: Path, phases_hash: str, findings: Findings) -> None:
    """Check the spectra of every theory, whose files exist."""
    if not config.theories:
        return
    dataset = folder / "dataset" / "dataset.nc"
    tested = trajectory_means(read_samples(dataset, splits={TEST}, dtype=np.float64))
    for name in config.theories:
        place = folder / "theories" / name
        own = read_json(place / "scattering" / "manifest.json", what="frozen phases")["phases_hash"]
        findings.expect(own != phases_hash, f"theory {name}: its phases are the campaign's")
        found = theories.read(place / "spectra.nc")
        findings.expect(
            found.attrs["phases_hash"] == own, f"theory {name}: spectra of other phases than its own"
        )
        check_spectra(found, tested, findings)
        findings.count("spectra by other theories", found.sizes["sample"])


def check_spectra(found: xr.Dataset, tested: xr.Dataset, findings: Findings) -> None:
    """Means of every trajectory of the test set (`tested`), with its structure, and a chi that resembles its own."""
    name = f"theory {found.attrs['theory']}"
    grids = all(np.array_equal(found[axis].values, tested[axis].values) for axis in GRIDS)
    same = (
        found["state_point"].values.astype(str).tolist() == tested["state_point"].values.astype(str).tolist()
    )
    findings.expect(grids, f"{name}: its grids are not the dataset's")
    findings.expect(same, f"{name}: its trajectories are not the dataset's test set")
    if not (grids and same):
        return
    for curve in ("pair_distribution", "angle_distribution"):
        one, other = found[curve].values, tested[curve].values
        near = np.allclose(one, other, rtol=0, atol=STRUCTURE_TOLERANCE * np.abs(other).max())
        findings.expect(near, f"{name}: {curve} is not that of the dataset's test set")
    if findings.expect(np.isfinite(found["chi"].values).all(), f"{name}: chi is not finite"):
        r = theories.likeness(found["chi"].values, tested["chi"].values, found["k"].values).r
        findings.expect(r <= LARGEST_R, f"{name}: its spectra differ from the dataset's by R {r:.2g}")
