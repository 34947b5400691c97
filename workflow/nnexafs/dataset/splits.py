"""Which trajectories are the test set, and which a fold's validation data."""

from collections import Counter

import numpy as np

from nnexafs.config import DatasetSettings
from nnexafs.config.seeds import seed_of
from nnexafs.errors import UserError

TEST = -1


def split_trajectories(phases: dict[str, str], *, settings: DatasetSettings, seed: int) -> dict[str, int]:
    """Assign each trajectory of `phases` (state point to phase) to the test set (-1) or a fold.

    A phase with at least `folds + 1` trajectories is in the test set and in every fold. Rarer phases are
    dealt out together, as if they were one.
    """
    if len(phases) < settings.folds + 1:
        raise UserError(
            f"dataset: {len(phases)} usable trajectories are too few for a test set and {settings.folds} "
            "folds; simulate more state points or lower dataset.folds"
        )
    splits: dict[str, int] = {}
    for name, members in sorted(_strata(phases, settings.folds).items()):
        generator = np.random.default_rng(seed_of(seed, "split", name))
        shuffled = [str(member) for member in generator.permutation(sorted(members))]
        splits |= _deal(shuffled, settings, first_fold=sum(fold != TEST for fold in splits.values()))
    if set(splits.values()) != {TEST, *range(settings.folds)}:
        raise UserError(
            f"dataset: too few trajectories of each phase for {settings.folds} folds and a test set; "
            "simulate more state points or lower dataset.folds"
        )
    return splits


def _strata(phases: dict[str, str], folds: int) -> dict[str, list[str]]:
    strata: dict[str, list[str]] = {}
    counts = Counter(phases.values())
    for state_point, phase in phases.items():
        strata.setdefault(phase if counts[phase] > folds else "rare", []).append(state_point)
    return strata


def _deal(shuffled: list[str], settings: DatasetSettings, *, first_fold: int) -> dict[str, int]:
    """Test trajectories first, the rest to the folds in turn, starting where the last phase stopped."""
    tests = round(settings.test_fraction * len(shuffled))
    tests = max(0, min(max(tests, 1), len(shuffled) - settings.folds))
    folds = {name: (first_fold + i) % settings.folds for i, name in enumerate(shuffled[tests:])}
    return dict.fromkeys(shuffled[:tests], TEST) | folds
