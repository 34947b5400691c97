"""Measured spectra: files of a beamline to chi(k).

Takes    mu(E) or chi(k): columns, XDI, Athena projects
Gives    chi.nc
Entry    measured.chi.read, measured.chi.process, measured.quality.quality_of
Rules    spectrum (workflow/rules/measured.smk)
Results  spectra/
"""
