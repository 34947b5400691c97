"""X-ray scattering: FEFF8.5L with frozen or fresh potentials."""
