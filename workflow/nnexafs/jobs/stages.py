"""What each stage depends on, stated once: for the workflow's rules, the jobs' records and the verification.

Snakemake reruns a job when its settings or its code change. A new temperature in the grid therefore adds runs and
redoes none, and another learning rate leaves every trajectory alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nnexafs.config import CampaignConfig, Composition, Crystal, Learning, Liquid, seeds
from nnexafs.config.base import Model
from nnexafs.config.objective import nearest_range, shortest_angstrom
from nnexafs.config.state_points import StatePoint, priors_of
from nnexafs.jobs.code import code_hash

GRID_AXES = {"temperatures_kelvin", "lattice_scales", "quasi_random", "replicas", "compositions"}
SIZE = {
    "lattice_angstrom",
    "lattice_by_kelvin",
    "lattice_by_species",
    "density_per_cubic_angstrom",
    "density_by_kelvin",
}


@dataclass(frozen=True)
class Stage:
    """The modules that a stage calls, the part of the config it depends on beside its inputs, and its seed.

    `settings` and `seed` are functions of the config and of what tells the stage's jobs apart: `point` (md), the id
    `state_point` and `controls` (snapshots; variants without it), `part` (objective), `fold`, `study`, `series`,
    `measurement` or `theory` (freeze and tables: None for the campaign's own).
    """

    code: tuple[str, ...]
    settings: Callable[..., dict] = lambda config: {}
    seed: Callable[..., int] | None = None


def settings_of(stage: str, config: CampaignConfig, **which: object) -> dict:
    """The part of the config that a job depends on, its seed included, as plain JSON values."""
    known = STAGES[stage]
    values = known.settings(config, **which)
    if known.seed is not None:
        values = values | {"seed": known.seed(config, **which)}
    plain = {
        name: value.model_dump(mode="json") if isinstance(value, Model) else value
        for name, value in values.items()
    }
    return json.loads(json.dumps(plain))


def settings_text(config: CampaignConfig, stage: str, **which: object) -> str:
    """`settings_of` as one string for one meaning (sorted JSON), for the parameter of a rule."""
    return json.dumps(settings_of(stage, config, **which), sort_keys=True)


def code_of(stage: str) -> str:
    """Hash of the code that a stage's results stand on."""
    return code_hash(*STAGES[stage].code)


def identity_of(stage: str, *, settings: dict | None, inputs: Iterable[str] = ()) -> str:
    """Hash of all that a job's result depends on: its settings, the stage's code, the checksums of its inputs."""
    whole = {"stage": stage, "settings": settings, "code": code_of(stage), "inputs": sorted(inputs)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def size_of(
    grid: Crystal | Liquid, temperature_kelvin: float, composition: Composition | None = None
) -> dict[str, float]:
    """Lattice constant of a crystal, or density of a liquid, at that temperature and scale 1."""
    if isinstance(grid, Crystal):
        return {"lattice_angstrom": grid.lattice_at(temperature_kelvin, composition)}
    return {"density_per_cubic_angstrom": grid.density_at(temperature_kelvin)}


def _md(config: CampaignConfig, point: StatePoint) -> dict:
    grid = config.grid(point.phase, point.series)
    structure = grid.model_dump(mode="json", exclude=GRID_AXES | SIZE)
    return {
        "state_point": point.id,
        "structure": structure | size_of(grid, point.temperature_kelvin, dict(point.composition)),
        "potential": config.potentials[grid.potential],
        "dynamics": config.dynamics,
        "element": config.element,
    }


def _freeze(config: CampaignConfig, theory: str | None = None) -> dict:
    crystals = [grid for name, grid in config.phases.present().items() if name != "liquid"]
    reference = (crystals or list(config.phases.present().values()))[0]
    return {
        "element": config.element,
        "edge": config.edge,
        "feff": config.feff_of(theory),
        "reference": reference.model_dump(mode="json", exclude=GRID_AXES | {"lattice_by_kelvin"}),
        "compositions": config.phases.compositions,
    }


def _tables(config: CampaignConfig, theory: str | None = None) -> dict:
    return {"feff": config.feff_of(theory), "closest_angstrom": config.exafs.closest_angstrom}


def _snapshots(config: CampaignConfig, state_point: str, controls: int | None = None) -> dict:
    """Without `processes`, which only changes how fast the spectra come; `controls` as of `control_absorbers`."""
    left_out = {"processes", "closest_angstrom", "control_every_trajectory"}
    exafs = config.exafs.model_dump(mode="json", exclude=left_out)
    if controls is not None:
        exafs["control_absorbers"] = controls
    return {"exafs": exafs, "distributions": config.distributions}


def _exafs_seed(config: CampaignConfig, state_point: str, controls: int | None = None) -> int:
    return seeds.exafs_seed(config, state_point)


def _variants(config: CampaignConfig, state_point: str) -> dict:
    return {"variants": config.variants, "distributions": config.distributions, "feff": config.exafs.feff}


def _variants_seed(config: CampaignConfig, state_point: str) -> int:
    return seeds.variants_seed(config, state_point)


def _objective(config: CampaignConfig, part: int) -> dict:
    """Of a part only what it draws itself: more structures leave it alone, unless it was the last and not full."""
    chosen = config.objective
    return {
        "objective": chosen.model_dump(mode="json", exclude={"structures", "nearest_angstrom"}),
        "nearest_angstrom": nearest_range(chosen, config.phases),
        "shortest_angstrom": shortest_angstrom(config.phases),
        "part": part,
        "structures": config.objective_parts.get(part, 0),
        "feff": config.exafs.feff,
        "distributions": config.distributions,
    }


def _theory(config: CampaignConfig, theory: str) -> dict:
    left_out = {"processes", "closest_angstrom", "control_absorbers", "control_every_trajectory", "feff"}
    exafs = config.exafs.model_dump(mode="json", exclude=left_out)
    return {
        "theory": theory,
        "exafs": exafs | {"feff": config.feff_of(theory).model_dump(mode="json")},
        "distributions": config.distributions,
    }


def _dataset(config: CampaignConfig) -> dict:
    return {"dataset": config.dataset, "campaign": config.campaign}


def _train(config: CampaignConfig, fold: int | str) -> dict:
    return {"learning": _without_machine(config.learning)}


def _without_machine(learning: Learning) -> dict:
    """The sections of a training without the keys that change no result."""
    return learning.model_dump(mode="json", exclude={"training": {"threads", "accelerator"}})


def _study(config: CampaignConfig, study: str) -> dict:
    chosen = config.studies[study]
    return {
        "learning": _without_machine(config.learning.with_changes(chosen)),
        "leave_out": chosen.leave_out,
        "folds": chosen.folds,
    }


def _series(config: CampaignConfig, series: str) -> dict:
    chosen = config.series[series]
    return {
        "mixtures": chosen.mixtures,
        "cumulant_fit": chosen.cumulant_fit,
        "representation": config.representation,
    }


def _spectrum(config: CampaignConfig, measurement: str) -> dict:
    chosen = config.measurements[measurement]
    left_out = {"compare_with", "known", "fit_shells", "distance_scale", "refine", "kelvin"}
    return {
        "measurement": chosen.model_dump(mode="json", exclude=left_out),
        "element": chosen.element or config.element,
        "edge": config.edge,
        "k_max": config.exafs.feff.k_max_per_angstrom,
    }


def _fit(config: CampaignConfig, measurement: str | None) -> dict:
    """Without a measurement: one shell of the campaign's element."""
    chosen = config.measurements[measurement] if measurement else None
    return {
        "representation": config.representation,
        "shells": chosen.fit_shells if chosen else 1,
        "element": chosen.element if chosen else None,
        "edge": config.edge,
    }


def _predict(config: CampaignConfig, measurement: str) -> dict:
    """What is read, and what the page shows beside it."""
    chosen = config.measurements[measurement]
    return {
        "distance_scale": chosen.distance_scale,
        "known": chosen.known,
        "compare_with": chosen.compare_with,
        "distributions": config.distributions,
        "unrefined": config.unrefined.get(measurement),
    }


def _refine(config: CampaignConfig, measurement: str) -> dict:
    """Without what only changes how fast the answer comes, or whether it is asked for."""
    return {
        "refinement": config.refinement.model_dump(mode="json", exclude={"enabled", "threads"}),
        "kelvin": config.measurements[measurement].kelvin,
        "priors": [point.id for point in priors_of(config, measurement)],
        "representation": config.representation,
        "distributions": config.distributions,
        "augmentation": config.augmentation,
        "edge": config.edge,
    }


def _report(config: CampaignConfig) -> dict:
    """What the report says of the campaign's files."""
    shown = {"measurements", "refinement", "report", "series", "studies", "theories"}
    return config.model_dump(mode="json", include=shown)


STAGES = {
    "md": Stage(("structures.dynamics.simulation",), _md, seeds.dynamics_seed),
    "freeze": Stage(("exafs.feff.reference", "structures.cells"), _freeze),
    "tables": Stage(("exafs.nbody.tables", "exafs.nbody.tables_file"), _tables),
    "snapshots": Stage(("exafs.snapshots",), _snapshots, _exafs_seed),
    "variants": Stage(("exafs.variants",), _variants, _variants_seed),
    "objective": Stage(("exafs.objective",), _objective, lambda config, part: seeds.objective_seed(config)),
    "theory": Stage(("exafs.theory", "dataset.theories"), _theory, lambda config, theory: config.seed),
    "dataset": Stage(("dataset.file",), _dataset, seeds.dataset_seed),
    "track": Stage(
        (),  # a new run of MLflow would be the input of every training
        lambda config: {"tracking": config.tracking, "training": settings_of("train", config, fold="all")},
    ),
    "train": Stage(("learning.training",), _train, seeds.training_seed),
    "study": Stage(("learning.studies",), _study, lambda config, study: seeds.training_seed(config, "all")),
    "ensemble": Stage(
        ("learning.ensemble_folder",), seed=lambda config: seeds.training_seed(config, "calibration")
    ),
    "evaluate": Stage(
        ("learning.evaluation", "learning.ensemble"),
        lambda config: {"augmentation": config.augmentation},
        lambda config: seeds.training_seed(config, "evaluation"),
    ),
    "series": Stage(("learning.held_out", "learning.ensemble", "inversion.cumulant_fit"), _series),
    "spectrum": Stage(("measured.chi",), _spectrum),
    "fit": Stage(("inversion.shell_fit",), _fit),
    "predict": Stage(("inversion.invert", "learning.ensemble"), _predict),
    "refine": Stage(("refinement.refine", "refinement.output", "refinement.inputs"), _refine),
    "report": Stage(("report.build",), _report),
    "verify": Stage(("campaign.verification.campaign",), _report),
    "trajectory-exafs": Stage(("exafs.trajectory",)),
}
