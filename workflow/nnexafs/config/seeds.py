"""Seeds: each job's own, from the campaign's seed and the names of what the job makes."""

import hashlib

from nnexafs.config import CampaignConfig
from nnexafs.config.state_points import StatePoint


def seed_of(campaign_seed: int, *parts: object) -> int:
    """A seed in 1 to 2^31 - 1 that depends on nothing but the campaign's seed and the names given."""
    text = "/".join(map(str, (campaign_seed, *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % (2**31 - 1) + 1


def dynamics_seed(config: CampaignConfig, point: StatePoint) -> int:
    """Seed of a state point's velocities."""
    return seed_of(config.seed, "md", point.id)


def exafs_seed(config: CampaignConfig, state_point: str) -> int:
    """Seed of the choice of absorbers; `state_point` is the id."""
    return seed_of(config.seed, "exafs", state_point)


def variants_seed(config: CampaignConfig, state_point: str) -> int:
    """Seed of a trajectory's variants; `state_point` is the id."""
    return seed_of(config.seed, "variants", state_point)


def objective_seed(config: CampaignConfig) -> int:
    """Seed of the structures without dynamics: of one endless list, of which every job computes a part."""
    return seed_of(config.seed, "objective")


def dataset_seed(config: CampaignConfig) -> int:
    """Seed of the split."""
    return seed_of(config.seed, "dataset")


def training_seed(config: CampaignConfig, fold: int | str) -> int:
    """Seed of a fold's initial weights and augmentation."""
    return seed_of(config.seed, "training", fold)
