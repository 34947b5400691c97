"""Small valid spectra in every form that is read: columns, XDI, Athena of Perl and JSON, gzipped or not."""

import gzip
import json

import numpy as np

E0_EV = 8333.0


def energy_and_mu() -> tuple[np.ndarray, np.ndarray]:
    """Ninety-five points of an edge with some oscillation, at nickel's energies."""
    energy = np.concatenate(
        [np.linspace(8150, 8320, 20), np.linspace(8325, 8345, 25), np.linspace(8350, 9300, 50)]
    )
    k = np.sqrt(0.2625 * np.maximum(energy - E0_EV, 0))
    edge = 0.5 + np.arctan((energy - E0_EV) / 1.5) / np.pi
    return energy, 0.2 + edge * (1 + 0.3 * np.sin(4.6 * k) * np.exp(-0.1 * k) / (1 + k))


def columns(header: str = "# energy mu") -> bytes:
    """Two columns below a header."""
    return "\n".join(
        [header, *(f"{e:.3f} {m:.6f}" for e, m in zip(*energy_and_mu(), strict=True)), ""]
    ).encode()


def intensities() -> bytes:
    """Energy, I0 and I of a transmission measurement."""
    rows = (f"{e:.3f} 20000 {20000 * np.exp(-m):.3f}" for e, m in zip(*energy_and_mu(), strict=True))
    return "\n".join(["# energy i0 itrans", *rows, ""]).encode()


def chi_columns() -> bytes:
    """k and chi."""
    k = np.arange(0, 16, 0.1)
    return "\n".join(["# k chi", *(f"{x:.2f} {np.sin(4.6 * x) / (5 + x * x):.7f}" for x in k), ""]).encode()


def xdi() -> bytes:
    """An XDI file."""
    head = [
        *("# XDI/1.0 nnexafs", "# Column.1: energy eV", "# Column.2: mutrans", "# Element.symbol: Ni"),
        *(
            "# Element.edge: K",
            "# Mono.d_spacing: 3.13550",
            "# ///",
            "# a foil",
            "#-----",
            "# energy mutrans",
        ),
    ]
    return columns("\n".join(head))


def _perl(values: object) -> str:
    return "(" + ",".join(f"'{value}'" for value in values) + ");"


def athena_perl() -> bytes:
    """An Athena project of two groups, as Athena writes it."""
    energy, mu = energy_and_mu()
    lines = ["# Athena project file -- Demeter version 0.9.26", "# This file created at 2024-01-01"]
    for name, factor in (("cold", 1.0), ("hot", 2.0)):
        args = ["annotation", "", "bkg_eshift", "0.5", "is_chi", "0", "label", name]
        lines += [f"$old_group = '{name[:3]}xy';", f"@args = {_perl(args)}"]
        lines += [f"@x = {_perl(energy)}", f"@y = {_perl(factor * mu)}", "[record]   # ", ""]
    return "\n".join([*lines, "@journal = ('made for a test');", "1;"]).encode()


def athena_json() -> bytes:
    """The same as larch writes it in JSON."""
    energy, mu = energy_and_mu()
    project = {"_____header1": "# Athena project file -- Demeter version 0.9.26", "_____journal": "",
               "_____order": ["cold", "hot"]}  # fmt: skip
    for name, factor in (("cold", 1.0), ("hot", 2.0)):
        args = {"label": name, "bkg_eshift": 0.5, "is_chi": "0"}
        project[name] = {"args": args, "x": energy.tolist(), "y": (factor * mu).tolist()}
    return json.dumps(project).encode()


def all_of_them() -> list[bytes]:
    """Every form."""
    plain = [columns(), columns(""), intensities(), chi_columns(), xdi(), athena_perl(), athena_json()]
    return [*plain, gzip.compress(athena_perl(), mtime=0), gzip.compress(columns(), mtime=0)]
