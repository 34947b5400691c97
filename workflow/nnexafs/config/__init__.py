"""The campaign's configuration: typed, every key described, unknown keys refused.

The defaults *are* the nickel campaign. `config/config.yaml`, its JSON schema and the table in
`config/README.md` are generated from these models (`nnexafs config write`).
"""

from nnexafs.config.base import Model, PhaseName, Range, key
from nnexafs.config.campaign import CampaignConfig
from nnexafs.config.exafs import Distributions, Exafs, Feff, Theory
from nnexafs.config.learning import (
    Augmentation,
    DatasetSettings,
    Learning,
    LeftOut,
    Network,
    Representation,
    Shares,
    Study,
    Tracking,
    Training,
)
from nnexafs.config.measured import Background, Comparison, KnownShell, Measurement, Report
from nnexafs.config.objective import Objective
from nnexafs.config.reading import canonical, load, merge, one_line, validate
from nnexafs.config.refinement import Refinement
from nnexafs.config.structures import (
    Composition,
    Crystal,
    Dynamics,
    DynamicsChecks,
    EamPotential,
    FinnisSinclairPotential,
    Grid,
    HeldOutSeries,
    Liquid,
    MeamPotential,
    Mixtures,
    Phases,
    Potential,
    SeriesPhases,
    SuttonChenPotential,
)
from nnexafs.config.variants import Variants

__all__ = [
    "Augmentation",
    "Background",
    "CampaignConfig",
    "Comparison",
    "Composition",
    "Crystal",
    "DatasetSettings",
    "Distributions",
    "Dynamics",
    "DynamicsChecks",
    "EamPotential",
    "Exafs",
    "Feff",
    "FinnisSinclairPotential",
    "Grid",
    "HeldOutSeries",
    "KnownShell",
    "Learning",
    "LeftOut",
    "Liquid",
    "MeamPotential",
    "Measurement",
    "Mixtures",
    "Model",
    "Network",
    "Objective",
    "PhaseName",
    "Phases",
    "Potential",
    "Range",
    "Refinement",
    "Report",
    "Representation",
    "SeriesPhases",
    "Shares",
    "Study",
    "SuttonChenPotential",
    "Theory",
    "Tracking",
    "Training",
    "Variants",
    "canonical",
    "key",
    "load",
    "merge",
    "one_line",
    "validate",
]
