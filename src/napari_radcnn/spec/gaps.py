"""What a model is shown where a scan holds no finite number: one rule, and what a spec says instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: HU at the bottom of the scale: what lies outside of the patient and of the scanned field.
CT_AIR = -1024.0


@dataclass(frozen=True)
class Gaps:
    """How voxels that are no finite numbers are taken.

    Attributes
    ----------
    value : float or None
        What stands for them; None for air in CT, and the scan's least finite value in any other.
    most : float
        The fraction of the scan from which on it is refused. Above a half nobody knows what the rest is worth, unless
        NaN is what a model's usual scans have around what they show.
    """

    value: float | None = None
    most: float = 0.5

    def standing_in(self, modalities: Sequence[str]) -> float | None:
        """Return what stands for a gap in a scan of these DICOM modalities; None for its least finite value."""
        if self.value is not None:
            return self.value
        return CT_AIR if tuple(modalities) == ("CT",) else None
