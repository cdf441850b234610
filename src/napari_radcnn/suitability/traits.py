"""What a scan is: each trait with what told it, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Source = Literal["", "header", "voxels", "header and voxels"]
#: From here on a trait is relied upon.
SURE = 0.8


@dataclass(frozen=True)
class Trait:
    """One thing that is known of a scan.

    Attributes
    ----------
    value : object
        A JSON type; None where it is not known.
    source : str
        What told it.
    sure : float
        0 (a guess) to 1.
    """

    value: Any = None
    source: Source = ""
    sure: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def is_sure(self) -> bool:
        """Whether it can be relied upon."""
        return self.is_known and self.sure >= SURE


#: What is not known.
UNKNOWN = Trait()


@dataclass(frozen=True)
class Traits:
    """What a scan is.

    Attributes
    ----------
    kind : Trait
        ``"image"``; or what it holds instead: ``"label map"``, ``"drawing"``, ``"probability map"``, ``"constant"``,
        ``"noise"``, ``"gradient"``, ``"no numbers"``, ``"color"``.
    modality : Trait
        DICOM's code.
    layout : Trait
        ``"volume"``, ``"slice"``, ``"projection"``, or ``"picture"`` for a single one of which that is not known.
    regions : Trait
        The regions of the body, from feet to head: a list.
    view : Trait
        Of a radiograph: ``"frontal"``, ``"lateral"`` or ``"other"``.
    contrast : Trait
        Of an MR: ``"T1"``, ``"T2"``, ``"FLAIR"``.
    stripped : Trait
        Of a head: whether the brain is shown alone.
    contrast_agent : Trait
        Of a CT: whether there is contrast medium.
    hounsfield : Trait
        Whether the values are Hounsfield units.
    offset : Trait
        What must be added to make them that.
    slice_mm : Trait
        The distance of slices: the greatest spacing.
    noise : Trait
        Its standard deviation, in the scan's own units.
    cut_off : Trait
        At which ends the anatomy is cut off: a list of letters such as ``"S"``.
    turned : Trait
        How it lies otherwise than its orientation says, in words; False where it lies as it says.
    normalized : Trait
        Whether the values have mean 0 and deviation 1.
    inverted : Trait
        Whether bright is dark.
    missing : Trait
        The share of values that are no finite numbers.
    milliliters : Trait
        Of what is outlined in a map of one label.
    contradictions : tuple of str
        Where header and voxels say different things, a line each.
    """

    kind: Trait = UNKNOWN
    modality: Trait = UNKNOWN
    layout: Trait = UNKNOWN
    regions: Trait = UNKNOWN
    view: Trait = UNKNOWN
    contrast: Trait = UNKNOWN
    stripped: Trait = UNKNOWN
    contrast_agent: Trait = UNKNOWN
    hounsfield: Trait = UNKNOWN
    offset: Trait = UNKNOWN
    slice_mm: Trait = UNKNOWN
    noise: Trait = UNKNOWN
    cut_off: Trait = UNKNOWN
    turned: Trait = UNKNOWN
    normalized: Trait = UNKNOWN
    inverted: Trait = UNKNOWN
    missing: Trait = UNKNOWN
    milliliters: Trait = UNKNOWN
    contradictions: tuple[str, ...] = field(default=())

    def each(self) -> Mapping[str, Trait]:
        """Return the traits by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "contradictions"}

    def to_dict(self) -> dict[str, Any]:
        """Return them as JSON types."""
        told = {
            name: {"value": trait.value, "source": trait.source, "sure": round(trait.sure, 2)}
            for name, trait in self.each().items()
        }
        return {**told, "contradictions": list(self.contradictions)}
