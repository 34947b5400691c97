"""Puts the ensemble of a finished campaign among those that come with the project, with a page that says what it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from nnexafs.config import CampaignConfig
from nnexafs.config.reading import config_of
from nnexafs.errors import UserError
from nnexafs.files import read_json, replacing_folder, write_text
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.representation import shortest_range
from nnexafs.learning.shipped import FOLDER

CASES = {"trajectories": "held-out trajectories", "variants": "their strained and disordered copies"}
THEORY = "theory_"
SHOWN = (0.68, 0.95)


def ship(campaign: Path, folder: Path = FOLDER) -> Path:
    """Copy a campaign's ensemble to `<folder>/<element>` with its config and a README; return that folder.

    All of it or nothing; one that was there is replaced. UserError where the campaign is not finished, or its
    evaluation is of another ensemble.
    """
    campaign = Path(campaign)
    ensemble = Ensemble.load(campaign / "ensemble")
    config = config_of(campaign / "config.yaml")
    metrics = read_json(campaign / "evaluation" / "metrics.json", what="metrics")
    manifest = ensemble.manifest
    if metrics.get("dataset_hash") != manifest.get("dataset_hash"):
        raise UserError(
            f"{campaign}: its evaluation is of another ensemble; finish the campaign with `make run`"
        )
    name = str(manifest["element"])
    out = Path(folder).resolve() / name
    with replacing_folder(out) as making:
        for file in (*manifest["files"], "manifest.json"):
            shutil.copyfile(campaign / "ensemble" / file, making / file)
        shutil.copyfile(campaign / "config.yaml", making / "config.yaml")
        size = sum(path.stat().st_size for path in making.iterdir())
        write_text(making / "README.md", readme(manifest, config, metrics, size_bytes=size))
    return out


def readme(manifest: dict, config: CampaignConfig, metrics: dict, *, size_bytes: int) -> str:
    """The page of a shipped ensemble."""
    element, edge, domain = manifest["element"], manifest["edge"], manifest["training_domain"]
    networks = len(manifest["files"]) - 1
    low, high = shortest_range(config.representation)
    lines = [
        f"# {element} {edge} edge",
        "",
        f"{networks} neural networks that read the EXAFS of {element}; {size_bytes / 1e6:.1f} MB. `nnexafs predict "
        f"FILE` takes them for files of this edge, with `--ensemble {element}` for any file. A spectrum must cover k = "
        f"{low:g} to {high:g} per Å.",
        "",
        "## What they know",
        "",
        *_table(["phase", "potential", "temperatures (K)", "runs"], _phases(config, domain)),
        "",
        f"The trajectories are molecular dynamics with these potentials, the spectra by {_engine(manifest)}. Besides "
        f"them: {config.variants.per_trajectory} strained and otherwise disordered "
        f"copies of each trajectory, and {config.objective.structures} structures without dynamics.",
        "",
        "## Errors on what they did not see",
        "",
        *_table(
            [
                "",
                "R₁ (Å)",
                "N₁",
                "σ²₁ (Å²)",
                "n(r), relative",
                *(f"in the {100 * level:g} % band" for level in SHOWN),
            ],
            _errors(metrics),
        ),
        "",
        "Root mean squares over all phases and temperatures, cold and hot together. The last columns say how many bins "
        "of n(r) lie in the bands that should hold 68 and 95 % of them.",
        "",
        "## How they were made",
        "",
        f"`config.yaml` is the whole config. With nnexafs {manifest['versions']['nnexafs']} (commit "
        f"{manifest['git_commit']}):",
        "",
        "```sh",
        f"make run CONFIG=resources/ensembles/{element}/config.yaml",
        f"nnexafs ship results/{config.campaign}",
        "```",
        "",
        "`manifest.json` holds checksums, versions, the errors of each network and the calibration of the bands. "
        "Licence: MIT, as the rest of the project.",
    ]
    return "\n".join(lines) + "\n"


def _engine(manifest: dict) -> str:
    return "FEFF8.5L" if manifest["engine"] == "feff" else "FEFF8.5L amplitudes over all atoms"


def _phases(config: CampaignConfig, domain: dict) -> Iterator[list[str]]:
    for name, grid in config.phases.present().items():
        kelvin = ", ".join(f"{one:g}" for one in sorted(set(grid.temperatures_kelvin)))
        runs = domain.get("phases", {}).get(name, 0)
        yield [name, _described(config, grid.potential), kelvin, str(runs)]


def _described(config: CampaignConfig, name: str) -> str:
    """A potential by its style and file."""
    known = config.potentials[name].model_dump(mode="json")
    file = known.get("file") or known.get("library") or known.get("table") or ""
    return f"{known['style']} {Path(file).name}".strip()


def _errors(metrics: dict) -> Iterator[list[str]]:
    """One row for each kind of spectrum that was held out."""
    cases = {name: (label, metrics.get(name)) for name, label in CASES.items()}
    for name, one in metrics.get("theories", {}).items():
        cases[THEORY + name] = (f"held-out trajectories by another theory ({name})", one)
    for name, (label, case) in cases.items():
        if case is None:
            continue
        errors, within = case["ensemble"], metrics.get("coverage", {}).get(name, {}).get("pair")
        keys = ("R1_error_angstrom_rms", "N1_error_rms", "sigma2_1_error_angstrom2_rms", "pair_relative_l2")
        numbers = ["-" if errors[key] is None else f"{errors[key]:.2g}" for key in keys]
        yield [label, *numbers, *(_coverage(within, level) for level in SHOWN)]


def _coverage(within: dict | None, level: float) -> str:
    if within is None or level not in within["levels"]:
        return "-"
    return f"{100 * within['overall']['pointwise'][within['levels'].index(level)]:.0f} %"


def _table(head: list[str], rows: Iterator[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
