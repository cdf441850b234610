"""What a model was made for: the scans that it was trained with, as far as whoever made it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Region = Literal["head", "neck", "chest", "abdomen", "pelvis", "limb"]
View = Literal["frontal", "lateral"]
Contrast = Literal["T1", "T2", "FLAIR"]
#: REGIONS, VIEWS and CONTRASTS are the words that a description may use.
REGIONS: tuple[Region, ...] = get_args(Region)
VIEWS: tuple[View, ...] = get_args(View)
CONTRASTS: tuple[Contrast, ...] = get_args(Contrast)

#: What people call regions, organs included.
_WORDS: Mapping[Region, str] = {
    "head": r"head|brain|skull|cranial|cranium|cerebral|face|orbit",
    "neck": r"neck|cervical|larynx|thyroid|c.?spine",
    "chest": r"chest|lungs?|thorax|thoracic|cardiac|heart|breast|ribs?|mediastinum",
    "abdomen": r"abdomen|abdominal|abdo|liver|spleen|pancreas|kidneys?|renal|adrenal|bowel|colon",
    "pelvis": r"pelvis|pelvic|prostate|bladder|uterus|hips?|rectum",
    "limb": r"limbs?|leg|arm|hand|foot|knee|ankle|shoulder|elbow|wrist|femur|tibia|extremity|finger|calf|thigh",
}
_TRUNK = re.compile(r"\b(trunk|torso|body|whole.?body|wholebody|tap|cap)\b")


@dataclass(frozen=True)
class Fingerprint:
    """What of the training data can be compared with a scan.

    Attributes
    ----------
    spacing : ((low, high), ...) or empty
        mm, least and greatest along the finest, the middle and the coarsest axis.
    values : (low, high) or None
        Between which nearly all values of what is looked for lay, of the first input.
    """

    spacing: tuple[tuple[float, float], ...] = ()
    values: tuple[float, float] | None = None


@dataclass(frozen=True)
class Domain:
    """What a model was made for; what is left empty does not matter to it.

    Attributes
    ----------
    regions : tuple of str
        One of them must be in the picture.
    layout : {"", "volume", "projection"}
        Whether it takes slices in three dimensions, or one picture in which all of the depth is seen at once.
    holds : {"image", "labels", "anything"}
        Whether it takes gray values of a patient, labels, or whatever can be filtered.
    views : tuple of str
        Of a radiograph.
    contrasts : tuple of str
        Of an MR.
    stripped : bool or None
        Whether the brain alone must be, or must not be, in the picture.
    is_hounsfield : bool
        Whether values must be Hounsfield units.
    thickest_mm : float or None
        The greatest distance of slices.
    pixel_mm : (low, high) or None
        Of the larger side of a pixel in a slice.
    least_mm : float
        What a scan must cover along every axis.
    milliliters : (low, high) or None
        Of what is outlined in a map of one label.
    whole : bool
        Whether the region must not be cut off.
    any_scale : bool
        Whether values may have been brought to mean 0 and deviation 1.
    fingerprint : Fingerprint
        Of its training data.
    is_read : bool
        Whether `regions` were read from words, not stated as such: then only another region speaks against a scan.
    """

    regions: tuple[Region, ...] = ()
    layout: Literal["", "volume", "projection"] = ""
    holds: Literal["image", "labels", "anything"] = "image"
    views: tuple[View, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    stripped: bool | None = None
    is_hounsfield: bool = False
    thickest_mm: float | None = None
    pixel_mm: tuple[float, float] | None = None
    least_mm: float = 0.0
    milliliters: tuple[float, float] | None = None
    whole: bool = False
    any_scale: bool = True
    fingerprint: Fingerprint = Fingerprint()
    is_read: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what is stated, as JSON types."""
        empty = asdict(Domain())
        return {key: value for key, value in asdict(self).items() if value != empty[key]}


def regions_in(text: str) -> tuple[Region, ...]:
    """Return the regions of the body that a text names, such as DICOM's BodyPartExamined or a model's own words."""
    words = re.sub(r"[^a-z0-9]+", " ", text.lower())
    found = [region for region, pattern in _WORDS.items() if re.search(rf"\b({pattern})\b", words)]
    if _TRUNK.search(words):
        found += [region for region in ("chest", "abdomen", "pelvis") if region not in found]
    return tuple(found)
