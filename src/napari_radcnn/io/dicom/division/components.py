"""What part of a complex value a picture shows, in one word, however the vendor says it."""

from __future__ import annotations

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.division.private import Private, PrivateValues
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import texts

#: Values of ImageType from the third on, of ComplexImageComponent, and of Philips's own element.
_WORDS = {
    "magnitude": ("M", "MAG", "MAGNITUDE", "M_FFE", "M_SE", "M_IR", "M_PCA", "MAGNITUDE_IMAGE"),
    "phase": ("P", "PHASE", "PHASE MAP", "PHASE_MAP", "P_FFE", "P_SE", "VELOCITY MAP", "VELOCITY", "P_PCA"),
    "real": ("R", "REAL", "R_FFE", "R_SE", "R_IR"),
    "imaginary": ("I", "IMAGINARY", "I_FFE", "I_SE", "I_IR"),
    "field map": ("B0", "B0 MAP", "B0_MAP", "B0MAP", "FIELD MAP", "FIELD_MAP", "FIELDMAP", "FIELD_MAPPING"),
}
#: In what order kinds are listed where nothing else says so.
ORDER = tuple(_WORDS)
_NAMES = {word: name for name, words in _WORDS.items() for word in words}
_PHILIPS = Private(0x2005, "Philips MR Imaging DD 001", 0x11, "CS")
#: GE numbers them: magnitude, phase, real, imaginary.
_GE, _GE_NAMES = Private(0x0043, "GEMS_PARM_01", 0x2F, "SS"), ("magnitude", "phase", "real", "imaginary")


def component(frame: Frame, private: PrivateValues | None) -> tuple[str, ...]:
    """Return ``("phase",)`` or the like; empty where a header says nothing of it, or several things.

    A field map names itself in ImageType, where it may also be called a phase.
    """
    said = []
    for keyword, first in (("ImageType", 2), ("FrameType", 2), ("ComplexImageComponent", 0)):
        try:
            said += [_NAMES[word.upper()] for word in texts(frame.tags, keyword)[first:] if word.upper() in _NAMES]
        except ReadError:
            continue
    if private is not None:
        said += [_NAMES[str(word).upper()] for word in private.get(_PHILIPS) if str(word).upper() in _NAMES]
        said += [_GE_NAMES[int(n)] for n in private.get(_GE)[:1] if isinstance(n, float | int) and n in (0, 1, 2, 3)]
    if "field map" in said:
        return ("field map",)
    found = set(said)
    if len(found) > 1:  # GE writes 0 where it does not know, and ImageType "M" beside other words
        found.discard("magnitude")
    return tuple(found) if len(found) == 1 else ()
