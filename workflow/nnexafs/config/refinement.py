"""Refinement of measured spectra: structures whose spectrum is the measured one."""

from nnexafs.config.base import Count, Model, PhaseName, Positive, key


class Refinement(Model):
    """What each measurement of the campaign's own element is refined with (engine nbody only)."""

    enabled: bool = key(True, "refine measured spectra; false: none of them")
    phases: list[PhaseName] = key([], "phases to try; empty: all of the campaign")
    mixtures: bool = key(
        False, "also try mixtures of two crystals, with a free share; false: single phases only"
    )
    replicas: Count = key(
        8, "snapshots of a simulation that are refined together; all of them where a run has fewer"
    )
    stop: Positive = key(1.0, "misfit to stop at, in units of what noise and the theory's error leave")
    calls: Count = key(20, "most evaluations of spectrum and gradient in one descent")
    threads: Count = key(2, "cores of one refinement; no result depends on it")
