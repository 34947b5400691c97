"""Variants: strained and otherwise disordered copies of the simulated structures, which make the training set dense."""

from pydantic import field_validator

from nnexafs.config.base import Count, Model, Range, key, ordered


class Variants(Model):
    """Copies of each trajectory with another lattice and other displacements."""

    per_trajectory: int = key(
        16, "variants of each trajectory, drawn by seed; engine nbody only. 0: none", ge=0, le=1000
    )
    frames: Count = key(
        12, "frames of the trajectory in each variant, drawn by seed; the fewer, the noisier is its n(r)"
    )
    strain: float = key(
        0.02, "largest isotropic strain: every length is multiplied by 1 - strain to 1 + strain", ge=0, le=0.1
    )
    displacement_factors: Range = key(
        (0.5, 1.6),
        "range of the factor on the displacements of atoms from their mean sites (not in liquids, which have none)",
    )

    @field_validator("displacement_factors")
    @classmethod
    def factors(cls, low_high: Range) -> Range:
        if low_high[0] <= 0:
            raise ValueError("factors must be above 0")
        return ordered(low_high)
