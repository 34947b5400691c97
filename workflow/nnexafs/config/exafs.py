"""How spectra are computed, and the grids of the structure that belongs to them."""

from typing import Literal

from pydantic import model_validator

from nnexafs.config.base import Count, Model, Positive, key, ordered


class Feff(Model):
    """FEFF8.5L: frozen potentials of the reference cell, then paths of each absorber."""

    path_length_angstrom: float = key(
        5.5, "RPATH: half of the longest path, angstrom; also the radius of the cluster", gt=2, le=10
    )
    legs: int = key(4, "NLEG: largest number of legs of a path", ge=2, le=8)
    curved_wave_criterion: float = key(
        0.0,
        "CRITERIA: curved-wave amplitude (percent of the largest) below which a path is left out; it is applied "
        "after the path was computed, so 0 costs nothing",
        ge=0,
        lt=100,
    )
    plane_wave_criterion: float = key(
        2.0,
        "CRITERIA: plane-wave estimate (percent) below which a path is not computed; 0: all",
        ge=0,
        lt=100,
    )
    scf: bool = key(True, "self-consistent potentials (computed once per campaign, in seconds to a minute)")
    exchange: Literal[0, 1, 2, 3, 5] = key(0, "EXCHANGE: 0 is Hedin-Lundqvist")
    k_max_per_angstrom: float = key(18.0, "end of the k grid of FEFF's chi, per angstrom", ge=5, le=20)
    timeout_seconds: Positive = key(900.0, "time limit of one FEFF stage, s")


MAY_DIFFER = ("scf", "exchange")


class Theory(Model):
    """Another theory of FEFF: keys of `exafs.feff` that change the potentials, and nothing else of the spectra."""

    scf: bool | None = key(None, "self-consistent potentials; null: as in exafs.feff")
    exchange: Literal[0, 1, 2, 3, 5] | None = key(
        None, "EXCHANGE: 5 is Dirac and Hara with Hedin-Lundqvist's damping; null: as in exafs.feff"
    )

    @model_validator(mode="before")
    @classmethod
    def only_potentials(cls, content: object) -> object:
        """Paths and grids must be the campaign's, or its spectra could not be compared with the theory's."""
        others = set(Feff.model_fields) - set(MAY_DIFFER)
        if isinstance(content, dict) and (wrong := sorted(others & set(content))):
            raise ValueError(
                f"{wrong[0]} must be the campaign's own; a theory differs in {' and '.join(MAY_DIFFER)} alone"
            )
        return content

    @property
    def differences(self) -> dict[str, object]:
        """The keys that are given, by name."""
        return {name: getattr(self, name) for name in MAY_DIFFER if getattr(self, name) is not None}


class Exafs(Model):
    """Spectra and structure of the snapshots, over the same absorbers."""

    @model_validator(mode="before")
    @classmethod
    def without_subsets(cls, content: object) -> object:
        """Configs of campaigns of version 0.1 have the keys of the random subsets, which are gone."""
        if not isinstance(content, dict) or "subsets_per_snapshot" not in content:
            return content
        if content["subsets_per_snapshot"]:
            raise ValueError("subsets_per_snapshot: random subsets of absorbers are gone; remove the key")
        return {name: value for name, value in content.items() if not name.startswith("subset")}

    engine: Literal["nbody", "feff"] = key(
        "nbody",
        "nbody: every absorber of every snapshot, from FEFF's path amplitudes, checked by FEFF on a few; feff: only "
        "the chosen absorbers, by FEFF itself",
    )
    snapshots: Count = key(12, "snapshots of each trajectory, evenly chosen")
    absorbers_per_snapshot: Count = key(
        2, "engine feff: absorbers of each snapshot, chosen at random (nbody takes all)"
    )
    four_body_absorbers: int = key(
        32,
        "engine nbody: number of absorbers of each trajectory whose four-body paths (through three neighbours) are "
        "summed; their mean is added to its spectra. 0: none",
        ge=0,
    )
    control_absorbers: int = key(
        1,
        "engine nbody: number of absorbers of a trajectory that are also computed by FEFF with all paths, to check the "
        "engine; a large difference stops the job. With two or more, the mean difference is added to the spectra. 0: "
        "none",
        ge=0,
    )
    control_every_trajectory: bool = key(
        False,
        "if there is one control absorber: true: in every trajectory; false: only in one trajectory of each phase and "
        "temperature, that with the lattice scale nearest to 1",
    )
    closest_angstrom: Positive | None = key(
        None,
        "engine nbody: smallest distance between two atoms in the amplitude tables, angstrom; null: 0.7 of the nearest "
        "distance in the reference cell",
    )
    processes: Count = key(1, "FEFF processes at once inside one job")
    failure_fraction: float = key(0.1, "a job fails if a larger fraction of its absorbers fails", ge=0, lt=1)
    feff: Feff = key(Feff(), "FEFF's settings")


class Distributions(Model):
    """Grids of the targets: pair distribution n(r) and bond angles."""

    r_min_angstrom: float = key(1.6, "start of the r grid, angstrom", ge=0)
    r_max_angstrom: Positive = key(5.5, "end of the r grid, angstrom (at most the path length)")
    r_step_angstrom: Positive = key(0.02, "bin of the r grid, angstrom")
    angle_cutoff_angstrom: Positive = key(
        3.05,
        "bond angles are those between neighbours closer than this, angstrom (between the first and second shell)",
    )
    angle_step_degree: Positive = key(2.0, "bin of the angle grid (0 to 180), degree", le=30)

    @model_validator(mode="after")
    def whole_bins(self) -> "Distributions":
        reach = ordered((self.r_min_angstrom, self.r_max_angstrom))
        for width, step in ((reach[1] - reach[0], self.r_step_angstrom), (180.0, self.angle_step_degree)):
            if abs(width / step - round(width / step)) > 1e-6:
                raise ValueError(f"a bin of {step:g} does not divide the range of {width:g}")
        return self
