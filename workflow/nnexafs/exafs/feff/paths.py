"""chi(k) of single scattering paths of any geometry, computed by FEFF's genfmt from frozen phases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nnexafs.exafs.feff import pad, process
from nnexafs.exafs.feff.input import Cluster, feff_input
from nnexafs.exafs.feff.process import FeffError
from nnexafs.exafs.feff.reference import FrozenPotentials

BOHR_ANGSTROM = 0.529177249  # as in FEFF's source: its k grid and lengths are converted with this value
PATHS_PER_RUN = 400


@dataclass(frozen=True)
class Momentum:
    """What all paths share: FEFF's own k grid and the complex momentum p(k) on it, per angstrom."""

    k: np.ndarray
    p: np.ndarray

    def on(self, k: np.ndarray) -> np.ndarray:
        """p on another k grid (linear between FEFF's points)."""
        return np.interp(k, self.k, self.p.real) + 1j * np.interp(k, self.k, self.p.imag)


@dataclass(frozen=True)
class PathAmplitudes:
    """Magnitude and continuous phase of each path (path, FEFF's k), without exp(2 i k R)."""

    momentum: Momentum
    half_length_angstrom: np.ndarray
    magnitude: np.ndarray
    phase: np.ndarray

    def chi(self, k: np.ndarray) -> np.ndarray:
        """Complex chi (path, k), its imaginary part what FEFF sums.

        Between its own k points FEFF interpolates magnitude and phase linearly (ff2x, dwadd); so does this.
        """
        index, weight = interpolation(self.momentum.k, k)
        magnitude = between(self.magnitude, index, weight)
        phase = between(self.phase, index, weight) + 2 * np.outer(self.half_length_angstrom, k)
        return magnitude * np.exp(1j * phase)


def interpolation(nodes: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left neighbour and weight of the right one, for linear interpolation (and extrapolation at the ends)."""
    index = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    return index, (at - nodes[index]) / (nodes[index + 1] - nodes[index])


def between(values: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Linear interpolation along the last axis."""
    return values[:, index] * (1 - weight) + values[:, index + 1] * weight


def amplitudes(
    positions: np.ndarray,
    potentials: np.ndarray,
    *,
    phases: FrozenPotentials,
    processes: int = 1,
) -> PathAmplitudes:
    """FEFF's amplitudes of paths from the absorber at the origin through scatterers and back.

    `positions` (path, scatterer, xyz) in angstrom, `potentials` (path, scatterer): unique potentials of the
    frozen phases, 0 for the absorber itself. All paths have the same number of legs. FeffError where genfmt fails.
    """
    if not len(positions) or not np.isfinite(positions).all():
        raise ValueError("paths: none, or positions that are not finite")
    chunks = [slice(start, start + PATHS_PER_RUN) for start in range(0, len(positions), PATHS_PER_RUN)]
    with ThreadPoolExecutor(processes) as pool:
        try:
            found = list(pool.map(lambda c: run_chunk(positions[c], potentials[c], phases), chunks))
        finally:
            pool.shutdown(cancel_futures=True)
    return PathAmplitudes(
        found[0].momentum,
        *(
            np.concatenate([getattr(part, name) for part in found])
            for name in ("half_length_angstrom", "magnitude", "phase")
        ),
    )


def run_chunk(positions: np.ndarray, potentials: np.ndarray, phases: FrozenPotentials) -> PathAmplitudes:
    """One run of genfmt over a list of paths."""
    made = process.run(
        {
            "phase.pad": phases.phase_pad,
            "xsect.json": phases.xsect_json,
            "feff.inp": _input(phases).encode(),
            "paths.dat": paths_file(positions, potentials).encode(),
        },
        ("rdinp", "genfmt"),
        keep=("feff.pad",),
        timeout_seconds=phases.settings.timeout_seconds,
    )
    return read_amplitudes(made["feff.pad"], paths=len(positions))


def paths_file(positions: np.ndarray, potentials: np.ndarray) -> str:
    """The text of paths.dat."""
    return "\n".join(["PATH", " " + 71 * "-", *_path_lines(positions, potentials)]) + "\n"


def _path_lines(positions: np.ndarray, potentials: np.ndarray) -> Iterator[str]:
    legs = positions.shape[1] + 1
    for index, (atoms, scatterers) in enumerate(zip(positions, potentials, strict=True), start=1):
        yield f"{index:6d} {legs:4d}   1.000  index, nleg, degeneracy"
        yield "      x           y           z     ipot  label"
        for (x, y, z), scatterer in zip(atoms, scatterers, strict=True):
            yield f"{x:.9f} {y:.9f} {z:.9f} {scatterer} 'X     '"
        yield "0.0 0.0 0.0 0 'X     '"


def _input(phases: FrozenPotentials) -> str:
    """feff.inp from which rdinp makes genfmt's settings; the atoms play no part."""
    settings = phases.settings.model_copy(update={"curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0})
    species = phases.species
    count = len(species) - 1
    positions = np.arange(1, count + 1)[:, None] * np.array([2.0, 0.0, 0.0])
    cluster = Cluster(positions, np.arange(1, count + 1), species)
    return feff_input(cluster, edge=phases.edge, settings=settings, fresh_potentials=False)


def read_amplitudes(feff_pad: bytes, *, paths: int) -> PathAmplitudes:
    """The paths of a feff.pad, which must hold `paths` of them with equal numbers of legs."""
    lines = feff_pad.splitlines()
    try:
        energies = int(lines[1].split()[2])
        start = 4 + pad.lines_of(2 * energies)  # the central atom's phase shifts come first
        momentum, start, real = read_momentum(lines, start, energies)
        length = block_length(lines[start], energies)
        if (len(lines) - start) != paths * length:
            raise FeffError(f"FEFF genfmt: feff.pad holds {(len(lines) - start) // length} of {paths} paths")
        blocks = np.array(lines[start:], dtype=object).reshape(paths, length)
        per_array = pad.lines_of(energies)
        reff = np.array([float(header.split()[4]) for header in blocks[:, 0]])
        magnitude, phase = (
            pad.numbers(pad.packed(list(blocks[:, columns].ravel()))).reshape(paths, energies)[:, :real]
            for columns in (slice(-2 * per_array, -per_array), slice(-per_array, None))
        )
    except (ValueError, IndexError) as error:
        raise FeffError(f"FEFF genfmt: feff.pad cannot be read: {error}") from error
    if not (np.isfinite(magnitude).all() and np.isfinite(phase).all()):
        raise FeffError("FEFF genfmt: feff.pad holds numbers that are not finite")
    return PathAmplitudes(momentum, reff, magnitude, phase)


def read_momentum(lines: list[bytes], start: int, energies: int) -> tuple[Momentum, int, int]:
    """p(k), where the paths start, and how many points lie on the real axis (the rest is a contour)."""
    middle = start + pad.lines_of(2 * energies)
    end = middle + pad.lines_of(energies)
    pairs = pad.numbers(pad.packed(lines[start:middle])).reshape(-1, 2) / BOHR_ANGSTROM
    k = pad.numbers(pad.packed(lines[middle:end])) / BOHR_ANGSTROM
    real = int(np.argmax(k)) + 1
    return Momentum(k[:real], (pairs[:, 0] + 1j * pairs[:, 1])[:real]), end, real


def block_length(header: bytes, energies: int) -> int:
    """How many lines one path takes."""
    legs = int(header.split()[2])
    return 1 + sum(map(pad.lines_of, (3 * legs, legs, legs, legs, energies, energies)))
