"""What a refinement is given: a spectrum, and a campaign or a structure to start from, checked before the work."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
from ase import Atoms
from pydantic import ValidationError

from nnexafs.config import CampaignConfig, Feff, Potential, Representation, load
from nnexafs.config.potential_files import files_of
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE, Engine
from nnexafs.exafs.feff.reference import k_grid
from nnexafs.inversion.sources import Unplaced, read_measurement
from nnexafs.learning.representation import window_for
from nnexafs.refinement.prediction import CURVE, SHELLS, Prediction
from nnexafs.refinement.sources import Material, of_campaign_tables, of_simulations
from nnexafs.refinement.structure import (
    Simulations,
    cells_of,
    first_shell_of,
    lattice_scale,
    of_reference,
    with_structure,
)
from nnexafs.structures.potentials.named import potential_of
from nnexafs.structures.reading import frames_of

LOGGER = logging.getLogger(__name__)
KELVIN = 300.0


@dataclass(frozen=True)
class Options:
    """Where a refinement starts, as the command is told; UserError where options do not go together."""

    campaign: Path | None = None
    """results folder"""
    structure: Path | None = None
    index: str = ":"
    """which frames of `structure`, as ASE's slice"""
    potentials: Sequence[str] = ()
    """names, see `potential_of`"""
    several_edges: bool = False
    """whether spectra of other edges are refined together with the first"""
    prediction: Path | None = None
    """folder of `nnexafs predict`"""
    kelvin: float | None = None
    phases: Sequence[str] = ()
    """of the campaign; all without any"""
    atoms: int = 256
    """of the supercell of `structure`"""
    seed: int = 0
    path_length: float = 5.5
    """half path length, angstrom; this and the next two only without a campaign"""
    scf: bool = True
    cache: Path | None = None

    def __post_init__(self) -> None:
        for wrong, reason in (
            (
                not (self.campaign or self.structure),
                "give --campaign or --structure: where the refinement starts",
            ),
            (
                self.potentials and not self.structure,
                "--potential: it runs the dynamics of a --structure; give one",
            ),
            (
                self.phases and self.structure,
                "--phase: chooses among a campaign's simulations; leave out --structure",
            ),
            (
                self.several_edges and (self.campaign or self.potentials),
                "--also: spectra of several edges are refined from frames; give --structure alone, without --campaign "
                "and --potential",
            ),
        ):
            if wrong:
                raise UserError(reason)


def file_and_element(words: str) -> tuple[Path, str | None]:
    """A spectrum's file and its element, from FILE or FILE:ELEMENT; UserError where there is no such file."""
    file, colon, element = words.rpartition(":")
    found = (Path(words), None) if not colon or Path(words).exists() else (Path(file), element)
    if not found[0].is_file():
        raise UserError(f"--also {words}: no file '{found[0]}'; expected FILE or FILE:ELEMENT")
    return found


@dataclass(frozen=True)
class Origin:
    """Where a refinement starts: everything that was named is read, nothing is computed yet."""

    options: Options
    config: CampaignConfig | None = None
    frames: Sequence[Atoms] = ()
    """of the structure"""
    potentials: Mapping[str, Potential] = field(default_factory=dict)
    prediction: Prediction | None = None

    @classmethod
    def of(cls, options: Options) -> "Origin":
        """Read what the options name; UserError for what is not there or is no such thing."""
        config = load(options.campaign / "config.yaml") if options.campaign else None
        frames = frames_of(options.structure, options.index) if options.structure else []
        known = config.potentials if config else {}
        potentials = {name: potential_of(name, known) for name in options.potentials}
        prediction = Prediction.read(options.prediction) if options.prediction else None
        if len(frames) > 1 and prediction:
            raise UserError(
                "--from: frames leave nothing to choose; leave it out, or name one frame and a --potential"
            )
        if prediction and prediction.verdict == "outside" and not frames:
            LOGGER.warning("--from: the networks do not know such a spectrum: all phases are tried")
        return cls(options, config, frames, potentials, prediction)

    def replicas(self, asked: int | None, *, usual: int, of_dynamics: int) -> int:
        """Frames that are refined together: `asked`, or the usual number (of given frames, at most all).

        UserError for a single structure without a potential, unless one is asked for.
        """
        count = asked or (of_dynamics if self.potentials else usual)
        if not self.frames or self.potentials:
            return count
        if len(self.frames) == 1 and asked != 1:
            raise UserError(
                f"{self.options.structure}: one structure; name a --potential for dynamics of it, give frames of a "
                "trajectory, or refine it as it is with --replicas 1"
            )
        return asked or min(count, len(self.frames))

    def files(self) -> list[Path]:
        """The files that the result depends on, apart from the spectrum."""
        options, found = self.options, []
        if options.campaign:
            scattering = options.campaign / "scattering"
            found += [
                options.campaign / "config.yaml",
                scattering / "manifest.json",
                scattering / TABLES_FILE,
            ]
        if options.structure:
            found.append(options.structure)
        if options.prediction:
            found += [Prediction.folder(options.prediction) / name for name in (SHELLS, CURVE)]
        return [*found, *(path for one in self.potentials.values() for path in files_of(one))]

    def settings(self) -> dict:
        """What else it depends on, fit for JSON."""
        options = self.options
        return {
            "index": options.index,
            "potentials": {name: one.model_dump(mode="json") for name, one in self.potentials.items()},
            "kelvin": options.kelvin,
            "phases": list(options.phases),
            "atoms": options.atoms,
            "seed": options.seed,
            "feff": None if self.config else self._feff().model_dump(mode="json"),
        }

    def measured(
        self,
        spectra: Sequence[Path],
        chosen: Mapping[str, object],
        groups: Sequence[str],
        *,
        k_range: tuple[float, float] | None,
    ) -> xr.Dataset:
        """chi(k) of files that are repeats of one measurement, on the tables' grid, within `k_range` (per angstrom).

        Files that do not say their element are taken for the campaign's, or the structure's only species. UserError for
        data that are too short.
        """
        read = read_measurement(spectra, chosen, groups)
        config = self.config
        element, edge = (config.element, config.edge) if config else self._absorber(read)
        settings = config.exafs.feff if config else self._feff()
        grid = {"chi_k_per_angstrom": k_grid(settings).tolist()}
        spectrum = read.for_ensemble({"element": element, "edge": edge, "grids": grid})
        spectrum.attrs = {"element": element, "edge": edge} | spectrum.attrs
        low, high = k_range or (0.0, np.inf)
        inside = (spectrum["k"].values >= low - 1e-9) & (spectrum["k"].values <= high + 1e-9)
        known = spectrum["k"].values[inside & np.isfinite(spectrum["chi"].values)]
        window_for(known, config.representation if config else Representation())
        return spectrum.isel(k=np.flatnonzero(inside))

    def measured_also(
        self, words: str, chosen: Mapping[str, object], *, k_range: tuple[float, float] | None
    ) -> xr.Dataset:
        """chi(k) of a file of another edge, told as FILE or FILE:ELEMENT (see `file_and_element`).

        Read as `chosen`, but for the element and E0 of the first spectrum. UserError where the element is not known.
        """
        file, element = file_and_element(words)
        background = {**cast("Mapping[str, object]", chosen["background"]), "e0_ev": None}
        own = {**chosen, "element": element, "background": background}
        read = read_measurement([file], own)
        try:
            read.absorber()
        except UserError as error:
            raise UserError(
                f"--also {file}: neither its contents nor its edge tell the element; write {file}:ELEMENT"
            ) from error
        return self.measured([file], own, (), k_range=k_range)

    def material(self, spectrum: xr.Dataset, *, threads: int) -> Material:
        """Tables and simulations to refine the spectrum with; makes the tables where there are none."""
        options = self.options
        if not options.structure and options.campaign:
            kelvin, phases = options.kelvin, options.phases
            return of_simulations(options.campaign, kelvin=kelvin, phases=phases, prediction=self.prediction)
        material, engine = self._tables(spectrum, processes=threads)
        given = partial(with_structure, material, engine, self.frames, **self._structure)
        scale = self._predicted_scale(material.element)
        if scale is None and self.potentials:
            scale = lattice_scale(spectrum, given(), threads=threads)
        return given(scale=scale or 1.0)

    def _tables(self, spectrum: xr.Dataset, *, processes: int) -> tuple[Material, Engine]:
        """The campaign's tables, or those of the structure."""
        if self.options.campaign:
            return of_campaign_tables(self.options.campaign)
        element, settings = spectrum.attrs["element"], self._feff()
        reach = settings.path_length_angstrom
        # before a minute of work for the tables
        cells_of(self.frames, element=element, path_length_angstrom=reach, **self._structure)
        return of_reference(
            self.frames,
            element=element,
            edge=spectrum.attrs["edge"],
            settings=settings,
            folder=self.options.cache,
            processes=processes,
        )

    @property
    def _structure(self) -> dict[str, Any]:
        """The structure's name for messages, and the dynamics that it gets."""
        options, potentials = self.options, self.potentials
        kelvin = options.kelvin or KELVIN
        simulations = Simulations(potentials, kelvin, options.atoms, options.seed) if potentials else None
        return {"name": options.structure and options.structure.name, "simulations": simulations}

    def _predicted_scale(self, element: str) -> float | None:
        """The predicted R1 over that of the structure; None where either is not known."""
        predicted = self.prediction and self.prediction.R1_angstrom
        own = first_shell_of(self.frames, element).R1_angstrom
        return predicted / own if predicted and np.isfinite(own) else None

    def _absorber(self, read: Unplaced) -> tuple[str, str]:
        """Element and edge as the files say or show; of files that do not, the structure's only species."""
        species = sorted(set(self.frames[0].symbols))
        try:
            return read.absorber()
        except UserError:
            if len(species) > 1:
                raise
            return species[0], "K"

    def _feff(self) -> Feff:
        options = self.options
        try:
            return Feff(path_length_angstrom=options.path_length, scf=options.scf)
        except ValidationError as error:
            raise UserError(f"--path-length {options.path_length:g}: {error.errors()[0]['msg']}") from None
