"""LAMMPS and FEFF: there, and able to do a very small piece of work."""

import subprocess
import sys

import numpy as np
from ase.build import bulk

from nnexafs.campaign.doctor.finding import Finding, missing, ok
from nnexafs.config import Feff
from nnexafs.errors import INSTALL_CAMPAIGN, PhysicsError, UserError
from nnexafs.exafs.feff import process
from nnexafs.exafs.feff.input import clusters, feff_input

TIMEOUT_SECONDS = 120.0
# An absorber with its 12 neighbours, straight there and back: a second.
FEFF_SETTINGS = Feff(path_length_angstrom=3.0, legs=2, scf=False, timeout_seconds=TIMEOUT_SECONDS)


def lammps() -> Finding:
    """LAMMPS loads with its MPI library and runs a few atoms."""
    try:
        run = subprocess.run(
            [sys.executable, "-m", "nnexafs.campaign.doctor.lammps_run"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return missing("LAMMPS", str(error), "try: python -m nnexafs.campaign.doctor.lammps_run")
    if run.returncode:
        last = (run.stderr.strip().splitlines() or [f"ended with status {run.returncode}"])[-1]
        remedy = f"{INSTALL_CAMPAIGN}; then try: python -m nnexafs.campaign.doctor.lammps_run"
        return missing("LAMMPS", last, remedy)
    return ok("LAMMPS", run.stdout.strip().splitlines()[-1])


def feff() -> Finding:
    """Every stage of FEFF8.5L is there and runs on an absorber with its nearest neighbours."""
    cluster = clusters(bulk("Ni", a=3.52, cubic=True), np.array([0]), radius_angstrom=3.0)[0]
    text = feff_input(cluster, edge="K", settings=FEFF_SETTINGS, fresh_potentials=True)
    try:
        folder = process.binaries_folder()
        process.run(
            {"feff.inp": text.encode()},
            process.ALL_STAGES,
            keep=["chi.dat"],
            timeout_seconds=TIMEOUT_SECONDS,
        )
    except (UserError, PhysicsError, OSError) as error:
        return missing("FEFF", str(error), "pip install xraylarch as pinned, on 64-bit Linux")
    return ok("FEFF", f"FEFF8.5L, six stages, an absorber and its neighbours run ({folder})")
