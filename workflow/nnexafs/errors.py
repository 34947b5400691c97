"""Errors that a user can correct: one line with the place, what was expected, and what to do."""


class UserError(Exception):
    """A mistake in what the user gave (config, file, option); the command line exits with 2."""


class PhysicsError(Exception):
    """A simulation that cannot be trusted; the message names the state point."""


# What to tell those who lack the packages that simulate and train (the extra `campaign` of pyproject.toml).
INSTALL_CAMPAIGN = "pip install 'nnexafs[campaign]'"
