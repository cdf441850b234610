"""What a header says of how a scan was made: codes and numbers only, nothing that people write into."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import Instance, text, texts
from napari_radcnn.sides import Sides

#: What is kept under which name, and where it stands (DICOM PS3.3, C.7.3.1, C.8.2.1, C.8.3.1, C.8.11.7).
_NUMBERS = {
    "repetition_time": "RepetitionTime",
    "echo_time": "EchoTime",
    "inversion_time": "InversionTime",
    "slice_thickness": "SliceThickness",
}
_CODES = {"body_part": "BodyPartExamined", "view": "ViewPosition"}
#: Right, left, unpaired, both (DICOM PS3.3, C.8.11.3.1.1 and C.7.3.1).
_LATERALITIES = ("R", "L", "U", "B")
_CODE = re.compile(r"[A-Z0-9 _\-]{1,16}")
_NUMBER = re.compile(r"[+-]?[0-9.]{1,12}(e[+-]?[0-9]{1,2})?", re.IGNORECASE)


def acquisition_of(instance: Instance) -> Mapping[str, str]:
    """Return what a header states, by name.

    Returns
    -------
    mapping of str to str
        Of ``body_part``, ``view``, ``laterality`` (``"R"``, ``"L"``, ``"U"``, ``"B"``), ``repetition_time``,
        ``echo_time``, ``inversion_time``, ``slice_thickness``, ``contrast_agent`` and ``is_localizer`` (both ``"yes"``)
        those that are there and of the right form.
    """
    found = {name: text(instance.tags, keyword) for name, keyword in _NUMBERS.items()}
    found = {name: value for name, value in found.items() if _NUMBER.fullmatch(value)}
    for name, keyword in _CODES.items():
        value = text(instance.tags, keyword).upper()
        if _CODE.fullmatch(value):
            found[name] = value
    laterality = text(instance.tags, "ImageLaterality") or text(instance.tags, "Laterality")
    if laterality in _LATERALITIES:
        found["laterality"] = laterality
    if text(instance.tags, "ContrastBolusAgent"):
        found["contrast_agent"] = "yes"
    if "LOCALIZER" in (one.upper() for one in texts(instance.tags, "ImageType")):
        found["is_localizer"] = "yes"
    return found


def sides_of(frames: Sequence[Frame]) -> Sides | None:
    """Return towards what sides of the patient pictures without a place run.

    Returns
    -------
    Sides or None
        What PatientOrientation states (DICOM PS3.3, C.7.6.1.1.1); None where it is missing, cannot be, differs among
        the frames, or uses the letters of animals.
    """
    found = {_sides_of(frame) for frame in frames}
    return found.pop() if len(found) == 1 else None


def _sides_of(frame: Frame) -> Sides | None:
    if text(frame.tags, "AnatomicalOrientationType") == "QUADRUPED":
        return None
    return Sides.from_dicom(texts(frame.tags, "PatientOrientation"))
