"""What was done, in words to paste into a paper, with what to cite."""

from collections.abc import Mapping

from nnexafs import __version__
from nnexafs.text import counted

CITATIONS = {
    "method": "J. Timoshenko, A. Anspoks, A. Cintins, A. Kuzmin, J. Purans, A. I. Frenkel, Phys. Rev. Lett. 120, "
    "225502 (2018); F. Iesari, H. Setoyama, T. Okajima, Symmetry 13, 1070 (2021)",
    "larch": "M. Newville, J. Phys.: Conf. Ser. 430, 012007 (2013)",
    "autobk": "M. Newville, P. Livins, Y. Yacoby, J. J. Rehr, E. A. Stern, Phys. Rev. B 47, 14126 (1993)",
    "noise": "M. Newville, B. I. Boyanov, D. E. Sayers, J. Synchrotron Rad. 6, 264 (1999)",
    "conformal": "R. Dunn, L. Wasserman, A. Ramdas, J. Am. Stat. Assoc. 118, 2491 (2023)",
    "nnls": "C. L. Lawson, R. J. Hanson, Solving Least Squares Problems, SIAM (1995)",
    "feff": "J. J. Rehr, R. C. Albers, Rev. Mod. Phys. 72, 621 (2000)",
    "lammps": "A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022)",
    "tables": "W. T. Elam, B. D. Ravel, J. R. Sieber, Radiat. Phys. Chem. 63, 121 (2002)",
}


def methods_text(report: Mapping, manifest: Mapping, window: tuple[float, float]) -> str:
    """One paragraph: how chi(k) was made, what read it, and what the errors contain."""
    parts = [_extraction(report), _reading(report, manifest, window), _errors(report), _check(report)]
    return " ".join(filter(None, parts))


def _extraction(report: Mapping) -> str:
    attrs, options = report["spectrum"], report["options"]
    files = attrs.get("files") or []
    repeats = counted(len(files), "scan") if isinstance(files, list) and files else "the scan"
    edge = f"{attrs.get('element', '?')} {attrs.get('edge', '')}".strip()
    if attrs.get("kind") == "mu":
        settings = attrs.get("settings") if isinstance(attrs.get("settings"), dict) else {}
        decay = (
            ", divided by the tabulated decay of the absorption [tables]"
            if attrs.get("decay_corrected")
            else ""
        )
        text = (
            f"χ(k) at the {edge} edge was extracted from {repeats} of μ(E) with larch {attrs.get('larch_version', '')} "
            f"[larch]: E₀ {attrs.get('e0_ev', 0):.1f} eV, background by autobk [autobk] with rbkg "
            f"{settings.get('rbkg_angstrom', 1):g} Å and k weight {settings.get('k_weight', 2)}{decay}."
        )
    else:
        text = f"χ(k) at the {edge} edge was taken from {repeats} as given."
    changes = []
    if options["e0_shift_ev"]:
        changes.append(f"E₀ was raised by {options['e0_shift_ev']:g} eV")
    if options["s02"] != 1:
        changes.append(f"χ was divided by S₀² = {options['s02']:g}")
    if options["distance_scale"] != 1:
        changes.append(f"distances were scaled by {options['distance_scale']:g}")
    return text + (f" Then {', '.join(changes)}." if changes else "")


def _reading(report: Mapping, manifest: Mapping, window: tuple[float, float]) -> str:
    networks, phases = len(report["per_network"]), manifest.get("training_domain", {}).get("phases", {})
    of_phases = f" ({', '.join(f'{count} {name}' for name, count in phases.items())})" if phases else ""
    trajectories = f"{sum(phases.values())} trajectories" if phases else "trajectories"
    engine = "FEFF8.5L" if manifest.get("engine") == "feff" else "FEFF8.5L amplitudes of all atoms"
    return (
        f"It was read between k = {window[0]:.4g} and {window[1]:.4g} 1/Å by {counted(networks, 'neural network')} of "
        f"nnexafs {__version__} [method] (ensemble {report['ensemble']}), trained on EXAFS of "
        f"{manifest.get('element', '?')} that was computed with {engine} [feff] from {trajectories}{of_phases} of "
        "molecular dynamics with LAMMPS [lammps]. R₁, N₁ and σ²₁ are mean, number and variance of the distances up to "
        "the first minimum of the predicted n(r)."
    )


def _errors(report: Mapping) -> str:
    source = (report["quality"].get("noise") or {}).get("source")
    repeats = "the scatter of the repeats" if source == "repeats" else ""
    given = "the noise given with χ(k)" if source == "sigma column" else ""
    more = f" and {repeats or given}" if repeats or given else ""
    noise = (
        " The noise, estimated from χ(R) beyond 18 Å [noise], is not part of them."
        if source == "high R"
        else ""
    )
    if report["errors"] == "calibrated":
        return (
            "Errors are 68 % intervals from split conformal prediction [conformal] on out-of-fold spectra with random "
            f"E₀, S₀², noise and distortion of the theory{more.replace(' and ', ', and ', 1)}."
        )
    return f"Errors are one standard deviation: the spread of the networks{more}, without the error of E₀.{noise}"


def _check(report: Mapping) -> str:
    check = report.get("forward_check")
    if check is None:
        return ""
    low, high = check["r_range_angstrom"]
    if check["verdict"] == "not conclusive":
        return "No mixture of the simulated structures is the predicted one within its errors: it was not checked."
    return (
        "As a check, simulated structures were mixed, by non-negative least squares [nnls], until they had the "
        f"predicted n(r) and bond angles. The same mixture of their spectra, with E₀ and S₀² {check['e0_and_s02']}, "
        f"has an R-factor of {check['r_factor_r']:.2g} against the data (χ(R), R = {low:.1f} to {high:.1f} Å)."
    )


def citations_of(text: str) -> list[tuple[str, str]]:
    """The works that a methods text names in brackets, in the order in which it does."""
    named = [(text.index(f"[{name}]"), name, work) for name, work in CITATIONS.items() if f"[{name}]" in text]
    return [(name, work) for _, name, work in sorted(named)]
