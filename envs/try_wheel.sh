#!/usr/bin/env bash
# Install the wheel in dist/ into an empty environment, without the extra `campaign` and away from the checkout, and use it
# there as someone would who inverts spectra and computes the EXAFS of trajectories.  envs/try_wheel.sh ENSEMBLE
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONPATH  # pip takes what it finds there for installed
ensemble=${1:?give the folder of an ensemble, such as results/nickel/ensemble}
test -f "$ensemble/manifest.json" || { echo "$ensemble: no manifest.json; expected the folder of an ensemble"; exit 2; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "installing into $folder: 3.5 GB, a few minutes"
"${PYTHON:-python3.11}" -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install "$@"; }
pip "pip==${PIP:-26.3}"
pip --constraint envs/constraints.txt dist/nnexafs-*.whl
cp -r "$ensemble" "$folder/ensemble"
cp resources/foils/Ni_foil_EXAFS_61348_r1.dat "$folder/foil.dat"

cd "$folder"
export PATH="$folder/venv/bin:$PATH" XDG_CACHE_HOME="$folder/cache"
python -c '
from ase.build import bulk
from ase.io import write
from nnexafs import Ensemble, exafs_of, invert  # the public names

atoms = bulk("Ni", a=3.52, cubic=True) * (2, 2, 2)
atoms.rattle(0.07, seed=1)
write("nickel.extxyz", atoms)
'
nnexafs --version
nnexafs predict foil.dat --ensemble ensemble --out foil
nnexafs predict foil.dat --out shipped  # with the ensemble that the wheel brings
nnexafs exafs nickel.extxyz --absorber Ni --four-body 8 --control 1 --out chi.nc
# Without the extra a command that needs it says so in one line.
message=$(nnexafs md --state-point fcc_T0300_x1.0000_r0 --out md.nc 2>&1) && { echo "md ran without LAMMPS"; exit 1; }
case "$message" in
  *"pip install 'nnexafs[campaign]'") echo "$message" ;;
  *) echo "expected one line that says what to install, got: $message"; exit 1 ;;
esac
echo "the wheel works in an empty environment"
