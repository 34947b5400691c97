"""The classical cross-check: larch's fit of FEFF paths to the first shells of a measured chi(k)."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs.feff.absorber import single_scattering_paths
from nnexafs.exafs.feff.input import Edge
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.measured.larch_modules import larch_module
from nnexafs.measured.reading import quiet_larch

SHORTEST_RANGE_PER_ANGSTROM = 5.0  # below it the data hold fewer independent points than free parameters
FIT_K_RANGE = (3.0, 14.0)
SAME_SHELL_ANGSTROM = 0.08  # pi / (2 * 14 per angstrom) is 0.11


def first_shell_fit(
    k: np.ndarray,
    chi: np.ndarray,
    *,
    phases: FrozenPotentials,
    shells: int = 1,
    k_range: tuple[float, float] = (3.0, 14.0),
    r_range: tuple[float, float] | None = None,
    k_weight: int = 2,
) -> dict:
    """Fit R and sigma2 of the `shells` nearest shells, and one S0^2 and one E0, with larch's feffit.

    `k` per angstrom and `chi` of shape (k,), finite; FEFF's paths are those of the frozen phases' reference
    cell. N is fixed to the reference's; S0^2 and N cannot be separated. `e0_shift_ev` is what must be added to
    the E0 that chi was extracted with. Uncertainties are one standard deviation, correlations included.
    `r_range` (angstrom, where the transform peaks) is by default that of `transform_range`.
    Returns plain numbers: `s02, e0_shift_ev, r_factor` with `_std`, and `shells`, a list of
    `{N, R_angstrom, R_std, sigma2_angstrom2, sigma2_std, R_reference_angstrom}`.
    """
    check_fit_range(k, chi, k_range)
    found = nearest_shells(phases, shells)
    ranges = {"k_range": k_range, "r_range": r_range or transform_range(found)}
    paths = [path for shell in found for path in shell]
    result = feffit_of(_start(found), paths, k, chi, **ranges, k_weight=k_weight)
    return _summary(result.params, float(result.rfactor), found)


def fit_beside(
    k: np.ndarray,
    chi: np.ndarray,
    *,
    element: str,
    edge: Edge,
    campaign_phases: FrozenPotentials | None = None,
) -> dict:
    """`first_shell_fit` of a spectrum's first shell, with the campaign's phases or those of the element's own crystal.

    `k` per angstrom and `chi` (K,), finite. Of bcc crystals the two nearest shells are fitted, which n(r) counts as
    one. Beside the fit's numbers `k_range_per_angstrom` and, in words, `phases`; where no fit is possible the only
    entry is `failed`, the reason.
    """
    from ase.data import atomic_numbers, reference_states

    k_range = (max(FIT_K_RANGE[0], float(k[0])), min(FIT_K_RANGE[1], float(k[-1])))
    symmetry = (reference_states[atomic_numbers[element]] or {}).get("symmetry")
    words = (
        "the campaign's reference cell" if campaign_phases else f"{element} {symmetry}, not self-consistent"
    )
    try:
        phases = campaign_phases or own_crystal_phases(element, edge=edge)
        fitted = first_shell_fit(k, chi, phases=phases, shells=2 if symmetry == "bcc" else 1, k_range=k_range)
    except UserError as error:
        return {"failed": str(error)}
    return {**fitted, "k_range_per_angstrom": list(k_range), "phases": words}


def phases_of_campaign(
    ensemble_folder: Path, manifest: Mapping, *, element: str, edge: str
) -> FrozenPotentials | None:
    """The phases that an ensemble's training spectra were computed with, where they still lie beside its folder.

    None for a copied ensemble, one of another element, and phases computed again since.
    """
    folder = Path(ensemble_folder).resolve().parent / "scattering"
    try:
        phases = FrozenPotentials.load(folder)
    except UserError:
        return None
    same = phases.phases_hash == manifest.get("phases_hash") and (phases.element, phases.edge) == (
        element,
        edge,
    )
    return phases if same else None


def check_fit_range(k: np.ndarray, chi: np.ndarray, k_range: tuple[float, float]) -> None:
    """UserError where the data do not reach over the fit range, are not finite, or the range is too short."""
    if not len(k) or not np.isfinite(chi).all():
        raise UserError("first-shell fit: chi(k) is empty or not finite; look at the spectrum")
    if k[-1] < k_range[1]:
        raise UserError(
            f"first-shell fit: chi(k) ends at {k[-1]:.2f} per angstrom, the fit range at {k_range[1]:g}; "
            "shorten the fit range"
        )
    if k_range[1] - k_range[0] < SHORTEST_RANGE_PER_ANGSTROM:
        raise UserError(
            f"first-shell fit: k from {k_range[0]:g} to {k_range[1]:.2f} per angstrom is too short; expected at "
            f"least {SHORTEST_RANGE_PER_ANGSTROM:g}"
        )


def own_crystal_phases(element: str, *, edge: Edge) -> FrozenPotentials:
    """Phases, without self-consistency, of the element's own crystal as ASE tabulates it; takes a few seconds.

    UserError for an element without a simple crystal (ASE's reference state).
    """
    from ase.build import bulk

    try:
        crystal = bulk(element)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"first-shell fit: ASE has no simple crystal of {element}: {error}") from error
    with tempfile.TemporaryDirectory(prefix="nnexafs-feff-") as folder:
        freeze(crystal, element=element, edge=edge, settings=Feff(scf=False), folder=Path(folder) / element)
        return FrozenPotentials.load(Path(folder) / element)


def nearest_shells(phases: FrozenPotentials, wanted: int) -> list[list]:
    """Larch's paths of the reference cell's nearest shells, single scattering."""
    with tempfile.TemporaryDirectory(prefix="nnexafs-feff-") as folder:
        for name, content in single_scattering_paths(phases).items():
            (Path(folder) / name).write_bytes(content)
        return _shells(Path(folder), wanted)


def transform_range(shells: list[list]) -> tuple[float, float]:
    """Range of R (angstrom) in which the Fourier transform holds these shells: 1.6 to 3.0 for nickel's first."""
    # The phase shifts put a peak 0.2 to 0.5 angstrom below its distance.
    first, last = shells[0][0].reff, shells[-1][-1].reff
    return round(0.64 * first, 1), round(max(1.19 * first, last + 0.15), 1)


def _shells(folder: Path, wanted: int) -> list[list]:
    """Larch paths of the nearest shells; distances closer than a fit can tell apart make one shell."""
    feffpath = larch_module("larch.xafs").feffpath

    with quiet_larch():
        paths = [feffpath(str(file)) for file in sorted(folder.glob("feff[0-9][0-9][0-9][0-9].dat"))]
    shells: list[list] = []
    for path in sorted(paths, key=lambda path: path.reff):
        if not shells or path.reff - shells[-1][0].reff > SAME_SHELL_ANGSTROM:
            shells.append([])
        shells[-1].append(path)
    if len(shells) < wanted:
        raise UserError(f"first-shell fit: FEFF found only {len(shells)} shells; ask for fewer")
    return shells[:wanted]


def feffit_of(
    start: dict,
    paths: list,
    k: np.ndarray,
    chi: np.ndarray,
    *,
    k_range: tuple[float, float],
    r_range: tuple[float, float],
    k_weight: int = 2,
) -> Any:
    """Larch's feffit, in R, of paths whose parameters name those of `start`; UserError unless it converges."""
    from larch import Group
    from larch.fitting import param_group

    xafs = larch_module("larch.xafs")
    limits = {"kmin": k_range[0], "kmax": k_range[1], "rmin": r_range[0], "rmax": r_range[1]}
    transform = xafs.feffit_transform(**limits, kweight=k_weight, dk=1, window="hanning")
    try:
        with quiet_larch():
            data = xafs.feffit_dataset(data=Group(k=k, chi=chi), paths=paths, transform=transform)
            result = xafs.feffit(param_group(**start), data)
    except Exception as error:  # larch and its minimizer raise what they stumble over
        text = " ".join(str(error).split())[:200]
        raise UserError(f"first-shell fit: larch cannot fit the spectrum: {text}") from error
    if any(one.vary and one.stderr is None for one in result.params.values()):
        raise UserError("first-shell fit: the fit did not converge; check the spectrum and the ranges")
    return result


def _start(shells: list[list]) -> dict:
    """Start values of the fit's parameters; the paths refer to them by name."""
    from larch.fitting import param

    start = {"s02": param(0.85, vary=True), "e0": param(1.0, vary=True)}
    for number, shell in enumerate(shells, start=1):
        start[f"deltar_{number}"] = param(0.001, vary=True)
        start[f"sigma2_{number}"] = param(0.006, vary=True)
        for path in shell:
            path.s02, path.e0 = "s02", "e0"
            path.deltar, path.sigma2 = f"deltar_{number}", f"sigma2_{number}"
    return start


def _summary(fitted: dict, r_factor: float, shells: list[list]) -> dict:
    return {
        "s02": float(fitted["s02"].value),
        "s02_std": float(fitted["s02"].stderr),
        "e0_shift_ev": float(fitted["e0"].value),
        "e0_shift_std": float(fitted["e0"].stderr),
        "r_factor": r_factor,
        "shells": [_shell_summary(fitted, number, shell) for number, shell in enumerate(shells, start=1)],
    }


def reference_distance(shell: list) -> float:
    """Mean FEFF distance of a shell's paths, angstrom."""
    return float(np.average([path.reff for path in shell], weights=[path.degen for path in shell]))


def _shell_summary(fitted: dict, number: int, shell: list) -> dict[str, float]:
    deltar, sigma2 = fitted[f"deltar_{number}"], fitted[f"sigma2_{number}"]
    reference = reference_distance(shell)
    return {
        "N": float(sum(path.degen for path in shell)),
        "R_angstrom": reference + float(deltar.value),
        "R_std": float(deltar.stderr),
        "R_reference_angstrom": reference,
        "sigma2_angstrom2": float(sigma2.value),
        "sigma2_std": float(sigma2.stderr),
    }
