"""Is a finished campaign complete, unchanged and sound? Trusts nothing that it can recompute."""

from nnexafs.verification.campaign import set_damaged_aside, verify
from nnexafs.verification.findings import Findings
from nnexafs.verification.same import differences

__all__ = ["Findings", "differences", "set_damaged_aside", "verify"]
