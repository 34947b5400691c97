"""The part of a config that one job depends on, as one canonical string.

Snakemake reruns a job when such a string changes. A new temperature in the grid therefore adds runs and
redoes none, and a change of the learning rate leaves every trajectory alone.
"""

import json

from nnexafs.config import CampaignConfig, Model, canonical
from nnexafs.statepoints import StatePoint, find, seed_of

GRID_AXES = {"temperatures_kelvin", "lattice_scales", "replicas"}


def strings(**values: object) -> str:
    """One canonical string for named values (models, numbers, text)."""
    plain = {
        name: json.loads(canonical(value)) if isinstance(value, Model) else value
        for name, value in values.items()
    }
    return json.dumps(plain, sort_keys=True)


def dynamics(config: CampaignConfig, state_point_id: str) -> str:
    """What the trajectory of a state point depends on."""
    point = find(config, state_point_id)
    grid = config.phases.present()[point.phase]
    return strings(
        state_point=state_point_id,
        structure=grid.model_dump(mode="json", exclude=GRID_AXES),
        potential=config.potentials[grid.potential],
        dynamics=config.dynamics,
        element=config.element,
        seed=dynamics_seed(config, point),
    )


def dynamics_seed(config: CampaignConfig, point: StatePoint) -> int:
    """Seed of a state point's velocities."""
    return seed_of(config.seed, "md", point.id)


def scattering(config: CampaignConfig) -> str:
    """What the frozen phases depend on."""
    crystals = [grid for name, grid in config.phases.present().items() if name != "liquid"]
    reference = (crystals or list(config.phases.present().values()))[0]
    return strings(
        element=config.element,
        edge=config.edge,
        feff=config.exafs.feff,
        reference=reference.model_dump(mode="json", exclude=GRID_AXES),
    )


def exafs(config: CampaignConfig, state_point_id: str) -> str:
    """What the spectra of a trajectory depend on (`processes` only changes how fast they come)."""
    settings = config.exafs.model_dump(mode="json", exclude={"processes"})
    return strings(
        exafs=settings,
        distributions=config.distributions,
        seed=exafs_seed(config, state_point_id),
    )


def exafs_seed(config: CampaignConfig, state_point_id: str) -> int:
    """Seed of the choice of absorbers."""
    return seed_of(config.seed, "exafs", state_point_id)


def dataset(config: CampaignConfig) -> str:
    """What the dataset depends on beside the spectra."""
    return strings(dataset=config.dataset, campaign=config.campaign, seed=dataset_seed(config))


def dataset_seed(config: CampaignConfig) -> int:
    """Seed of the split."""
    return seed_of(config.seed, "dataset")


def training(config: CampaignConfig, fold: int | str) -> str:
    """What the network of a fold depends on beside the dataset."""
    return strings(
        representation=config.representation,
        augmentation=config.augmentation,
        network=config.network,
        training=config.training.model_dump(mode="json", exclude={"threads", "accelerator"}),
        seed=training_seed(config, fold),
    )


def training_seed(config: CampaignConfig, fold: int | str) -> int:
    """Seed of a fold's initial weights and augmentation."""
    return seed_of(config.seed, "training", fold)


def measurement(config: CampaignConfig, name: str) -> str:
    """What the processed spectrum of a measurement depends on beside its files."""
    return strings(
        measurement=config.measurements[name].model_dump(mode="json", exclude={"compare_with"}),
        element=config.element,
        edge=config.edge,
        k_max=config.exafs.feff.k_max_per_angstrom,
    )


def comparisons(config: CampaignConfig) -> dict[str, str | None]:
    """Which state point stands beside which measurement in the report."""
    return {name: measured.compare_with for name, measured in config.measurements.items()}
