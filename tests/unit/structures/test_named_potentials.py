"""Potentials as the command line names them."""

import pytest

from nnexafs.config import EamPotential, MeamPotential, SuttonChenPotential
from nnexafs.errors import UserError
from nnexafs.structures.potentials.named import potential_of

KNOWN = {"own": SuttonChenPotential(cutoff_angstrom=8.0)}


@pytest.mark.parametrize(
    ("name", "potential"),
    [
        ("own", KNOWN["own"]),
        ("sutton-chen", SuttonChenPotential()),
        ("Ni_u3.eam", EamPotential(style="eam", file="Ni_u3.eam")),
        ("NiAlH_jea.eam.alloy", EamPotential(style="eam/alloy", file="NiAlH_jea.eam.alloy")),
        ("Fe_mm.eam.fs", EamPotential(style="eam/fs", file="Fe_mm.eam.fs")),
        ("library.meam", MeamPotential(library="library.meam")),
        ("eam:Ni_u3.eam", EamPotential(style="eam", file="Ni_u3.eam")),
        (
            "meam:library_2nn.meam,MoCoNiVFeAlCr_2nn.meam",
            MeamPotential(library="library_2nn.meam", parameters="MoCoNiVFeAlCr_2nn.meam"),
        ),
    ],
)
def test_names(name: str, potential: object):
    assert potential_of(name, KNOWN) == potential


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gold", r"a name of the campaign's potentials \(own\), a file that ends with .eam.alloy"),
        ("gold.eam", "no file 'gold.eam'"),
        ("lj:gold.txt", "--potential lj:gold.txt"),
        ("meam:library_2nn.meam,gold.meam", "no file 'gold.meam'"),
    ],
)
def test_mistakes(name: str, words: str):
    with pytest.raises(UserError, match=words):
        potential_of(name, KNOWN)
