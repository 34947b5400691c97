"""nnexafs: from simulated X-ray absorption spectra to the structure behind a measured one."""

__version__ = "0.1.0"
