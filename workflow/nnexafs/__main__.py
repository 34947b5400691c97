"""`python -m nnexafs` is the `nnexafs` command."""

from nnexafs.cli import main

main()
