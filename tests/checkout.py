"""The checkout that is tested, its programs, and folders in which its campaigns can run."""

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
CAMPAIGNS = CHECKOUT / "config" / "campaigns"
FOILS = CHECKOUT / "resources" / "foils"


def run(*command: str | Path, cwd: Path = CHECKOUT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of the environment's programs to its end, with these environment variables added."""
    program, *words = map(str, command)
    return subprocess.run(
        [str(BIN / program), *words], cwd=cwd, capture_output=True, text=True, env=os.environ | environment
    )


def snakemake(
    folder: Path, *options: str | Path, profile: str = "default", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the checkout's workflow in a folder."""
    return run(*snakemake_command(folder, *options, profile=profile), cwd=folder, **environment)


def snakemake_command(folder: Path, *options: str | Path, profile: str = "default") -> list[str]:
    """The command that a user would repeat in the checkout."""
    words = (
        BIN / "snakemake", "--snakefile", CHECKOUT / "Snakefile", "--directory", folder,
        "--workflow-profile", CHECKOUT / "profiles" / profile, *options,
    )  # fmt: skip
    return [str(word) for word in words]


def prepared(folder: Path) -> Path:
    """A folder in which a campaign can run, as in a checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config", "resources"):
        if not (folder / name).exists():
            (folder / name).symlink_to(CHECKOUT / name)
    return folder
