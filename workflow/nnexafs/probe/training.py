"""The stages `train` and `study`: every fold with as many epochs as the config allows."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from nnexafs.config import CampaignConfig, Network, Representation, Study
from nnexafs.probe.costs import Stage
from nnexafs.representation import operator, window_grid
from nnexafs.statepoints import of_campaign

if TYPE_CHECKING:
    from nnexafs.probe.campaign import Probe

MEASURED_STUDIES = 3


@dataclass(frozen=True)
class Fold:
    """What one fold takes: seconds of an epoch, of everything else, bytes of memory."""

    seconds_per_epoch: float
    seconds_beside: float
    memory_bytes: float


def stages(probe: "Probe", gathered: dict) -> list[Stage]:
    """Training and studies, at most: early stopping ends most folds before."""
    config = probe.config
    folds, training = config.dataset.folds, config.training
    base = _fold(probe, gathered, None)
    job = base.seconds_beside + training.max_epochs * base.seconds_per_epoch
    threads = training.threads
    train = probe.stage(
        "train", [job] * folds, base.memory_bytes, bound="at most", longest_seconds=job / threads
    )
    studies = _studies(probe, gathered, base)
    seconds = []
    for name, fold in studies.items():
        count, epochs = config.studies[name].folds or folds, _sections(config, name)[3].max_epochs
        # the folds of a study are trained in one process
        seconds.append(fold.seconds_beside + count * epochs * fold.seconds_per_epoch)
    memory = max((fold.memory_bytes for fold in studies.values()), default=0.0)
    longest = max(seconds, default=0.0) / threads
    return [train, probe.stage("study", seconds, memory, bound="at most", longest_seconds=longest)]


def _studies(probe: "Probe", gathered: dict, base: Fold) -> dict[str, Fold]:
    """The fold of each study: measured for the first few that differ, else scaled by the weights of its network."""
    config, measured = probe.config, {str(_sections(probe.config, None)): base}
    found = {}
    for name in config.studies:
        sections = str(_sections(config, name))
        if sections not in measured:
            few = len(measured) <= MEASURED_STUDIES
            measured[sections] = _fold(probe, gathered, name) if few else _scaled(config, name, base)
        found[name] = measured[sections]
    return found


def _sections(config: CampaignConfig, name: str | None) -> tuple:
    return config.studied(config.studies[name] if name else Study())


def _fold(probe: "Probe", gathered: dict, study: str | None) -> Fold:
    """A fold of all trajectories, from one or two numbers of them."""
    name = f"training of {study}" if study else "training"
    whole, most = len(of_campaign(probe.config)), gathered["trajectories"]
    dataset = str(probe.folder / "dataset.nc")

    def ask(count: int) -> dict:
        text = f"{name}, {count} trajectories"
        return probe.ask("train", text, dataset_file=dataset, trajectories=count, study=study)

    many = ask(most)
    values = {key: many[key] for key in ("seconds_per_epoch", "seconds_per_job", "peak_bytes")}
    if whole > most:
        few = ask(most // 2)
        steps = (whole - most) / (most - most // 2)
        values = {key: value + steps * max(0.0, value - few[key]) for key, value in values.items()}
    return Fold(values["seconds_per_epoch"], values["seconds_per_job"], values["peak_bytes"])


def _scaled(config: CampaignConfig, name: str, base: Fold) -> Fold:
    representation, _, network, training = _sections(config, name)
    weights = _weights(representation, network) / _weights(config.representation, config.network)
    samples = training.samples_per_epoch / config.training.samples_per_epoch
    return Fold(base.seconds_per_epoch * weights * samples, base.seconds_beside, base.memory_bytes)


def _weights(representation: Representation, network: Network) -> int:
    """Weights between the layers up to the last hidden one."""
    features = len(operator(window_grid(representation), representation))
    return sum(first * second for first, second in pairwise([features, *network.hidden_sizes]))
