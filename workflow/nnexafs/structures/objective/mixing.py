"""Several species on the sites of a structure: any composition, at random or segregated."""

import numpy as np
from ase import Atoms

SEGREGATED = 0.5  # fraction of the structures whose species are separated more or less


def mixed(atoms: Atoms, element: str, species: tuple[str, ...], generator: np.random.Generator) -> Atoms:
    """The same sites with species at random fractions, of which the absorbing `element` has at least one atom.

    Half of the structures are random alloys. In the others species gather on one side or, as core and shell, around the
    centre: the sites are ordered by a sum of their place and noise in random proportion, and the species follow in
    random order.
    """
    shares = generator.dirichlet(np.ones(len(species)))
    counts = generator.multinomial(len(atoms) - 1, shares)
    counts[species.index(element)] += 1
    order = np.argsort(_field(atoms, generator), kind="stable")
    sequence = generator.permutation(len(species))
    found = np.empty(len(atoms), dtype="<U2")
    found[order] = np.repeat(np.array(species)[sequence], counts[sequence])
    changed = atoms.copy()
    changed.symbols = found
    return changed


def _field(atoms: Atoms, generator: np.random.Generator) -> np.ndarray:
    """A number for each site, by which the species are sorted."""
    noise = generator.uniform(size=len(atoms))
    if generator.uniform() > SEGREGATED:
        return noise
    centred = atoms.positions - atoms.positions.mean(axis=0)
    direction = generator.normal(size=3)
    along = generator.choice([centred @ direction, np.linalg.norm(centred, axis=1)])
    rank = np.argsort(np.argsort(along)) / len(atoms)
    return rank + generator.uniform(0, 2) * noise
