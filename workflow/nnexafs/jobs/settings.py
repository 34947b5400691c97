"""The part of a config that one job depends on, as one canonical string.

Snakemake reruns a job when such a string changes. A new temperature in the grid therefore adds runs and
redoes none, and a change of the learning rate leaves every trajectory alone.
"""

import json

from nnexafs.config import CampaignConfig, Crystal, Grid, Model, canonical
from nnexafs.config.seeds import dataset_seed, dynamics_seed, exafs_seed, training_seed
from nnexafs.config.state_points import StatePoint

GRID_AXES = {"temperatures_kelvin", "lattice_scales", "replicas"}
SIZE = {"lattice_angstrom", "lattice_by_kelvin", "density_per_cubic_angstrom", "density_by_kelvin"}


def strings(**values: object) -> str:
    """One canonical string for named values (models, numbers, text)."""
    plain = {
        name: json.loads(canonical(value)) if isinstance(value, Model) else value
        for name, value in values.items()
    }
    return json.dumps(plain, sort_keys=True)


def dynamics(config: CampaignConfig, point: StatePoint) -> str:
    """What the trajectory of a state point depends on."""
    grid = config.grid(point.phase, point.series)
    return strings(
        state_point=point.id,
        structure=grid.model_dump(mode="json", exclude=GRID_AXES | SIZE)
        | size_of(grid, point.temperature_kelvin),
        potential=config.potentials[grid.potential],
        dynamics=config.dynamics,
        element=config.element,
        seed=dynamics_seed(config, point),
    )


def size_of(grid: Grid, temperature_kelvin: float) -> dict[str, float]:
    """Lattice constant of a crystal, or density of a liquid, at that temperature and scale 1."""
    if isinstance(grid, Crystal):
        return {"lattice_angstrom": grid.lattice_at(temperature_kelvin)}
    return {"density_per_cubic_angstrom": grid.density_at(temperature_kelvin)}


def scattering(config: CampaignConfig) -> str:
    """What the frozen phases depend on."""
    crystals = [grid for name, grid in config.phases.present().items() if name != "liquid"]
    reference = (crystals or list(config.phases.present().values()))[0]
    return strings(
        element=config.element,
        edge=config.edge,
        feff=config.exafs.feff,
        reference=reference.model_dump(mode="json", exclude=GRID_AXES | {"lattice_by_kelvin"}),
    )


def tables(config: CampaignConfig) -> str:
    """What the amplitude tables depend on beside the frozen phases."""
    return strings(feff=config.exafs.feff, closest_angstrom=config.exafs.closest_angstrom)


def exafs(config: CampaignConfig, state_point_id: str) -> str:
    """What the spectra of a trajectory depend on (`processes` only changes how fast they come)."""
    settings = config.exafs.model_dump(mode="json", exclude={"processes", "closest_angstrom"})
    return strings(
        exafs=settings,
        distributions=config.distributions,
        seed=exafs_seed(config, state_point_id),
    )


def dataset(config: CampaignConfig) -> str:
    """What the dataset depends on beside the spectra."""
    return strings(dataset=config.dataset, campaign=config.campaign, seed=dataset_seed(config))


def training(config: CampaignConfig, fold: int | str) -> str:
    """What the network of a fold depends on beside the dataset."""
    return strings(
        representation=config.representation,
        augmentation=config.augmentation,
        network=config.network,
        training=config.training.model_dump(mode="json", exclude={"threads", "accelerator"}),
        seed=training_seed(config, fold),
    )


def study(config: CampaignConfig, name: str) -> str:
    """What a study depends on beside the dataset."""
    chosen = config.studies[name]
    representation, augmentation, network, changed = config.studied(chosen)
    return strings(
        representation=representation,
        augmentation=augmentation,
        network=network,
        training=changed.model_dump(mode="json", exclude={"threads", "accelerator"}),
        validated_with=config.augmentation,
        leave_out=chosen.leave_out,
        folds=chosen.folds,
        seed=training_seed(config, "all"),
    )


def series(config: CampaignConfig, name: str) -> str:
    """What the reading of a held-out series depends on beside its spectra and the ensemble."""
    chosen = config.series[name]
    return strings(mixtures=chosen.mixtures, cumulant_fit=chosen.cumulant_fit)


def measurement(config: CampaignConfig, name: str) -> str:
    """What the processed spectrum of a measurement depends on beside its files."""
    return strings(
        measurement=config.measurements[name].model_dump(
            mode="json", exclude={"compare_with", "known", "fit_shells", "distance_scale"}
        ),
        element=config.measurements[name].element or config.element,
        edge=config.edge,
        k_max=config.exafs.feff.k_max_per_angstrom,
    )


def report(config: CampaignConfig) -> str:
    """What the report depends on beside the campaign's files: what it says of them."""
    sections = {"measurements", "report", "series", "studies"}
    return strings(**config.model_dump(mode="json", include=sections))
