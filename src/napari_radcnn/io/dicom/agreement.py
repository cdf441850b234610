"""Slices of one volume that contradict each other: what one of them does not say is not what is usual.

Values are only right where all slices mean the same by them. A slice without the rescale that the others have would be
1024 Hounsfield units off, one of other bits or sign by more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from napari_radcnn.errors import ReadError
from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import Instance, number, text
from napari_radcnn.io.dicom.pixels import stored_bits, stored_values
from napari_radcnn.io.dicom.units import units_of
from napari_radcnn.io.problems import Problem

_ADVICE = "remove these slices or export the series again"


def contradiction(frames: Sequence[Frame]) -> Problem | None:
    """Return in what the headers of the slices of one volume contradict each other, if they do.

    Parameters
    ----------
    frames : sequence of Frame
        All slices of a volume.
    """
    for what, stated in _STATEMENTS:
        answers = [stated(frame) for frame in frames]
        counts = Counter(answers)
        if len(counts) == 1:
            continue
        usual = counts.most_common(1)[0][0]
        odd = [frame for frame, answer in zip(frames, answers, strict=True) if answer != usual]
        answer = stated(odd[0])
        return Problem(
            _labels(odd),
            f"{what} {answer or 'missing'}, but {usual or 'missing'} in {counts[usual]} other slices of the series",
            _ADVICE,
        )
    return None


def check_bits(frames: Sequence[Frame]) -> list[str]:
    """Compare which bits of a pixel hold its value, and with what sign.

    Where slices differ in that, each of those that are fewer is decoded in both ways.

    Returns
    -------
    list of str
        What to say where they differ and the values do not.

    Raises
    ------
    ReadError
        If the values depend on it; or if a file cannot be decoded.
    """
    instances = list({id(frame.instance): frame.instance for frame in frames}.values())
    if len(instances) < 2 or instances[0].keyword != "PixelData":
        return []
    stated = [_bits(instance) for instance in instances]
    counts = Counter(stated)
    if len(counts) == 1:
        return []
    usual = counts.most_common(1)[0][0]
    odd = [(instance, bits) for instance, bits in zip(instances, stated, strict=True) if bits != usual]
    for instance, bits in odd:
        if not np.array_equal(stored_values(instance), stored_values(instance, usual)):
            raise ReadError(
                f"{instance.path.name}: the pixels have {_in_words(bits)}, but {_in_words(usual)} in other slices of "
                f"the series (BitsStored, HighBit, PixelRepresentation), and their values depend on it; {_ADVICE}."
            )
    names = some_names([instance.path for instance, _ in odd])
    return [
        f"{names}: the pixels have {_in_words(odd[0][1])}, but {_in_words(usual)} in other slices of the series "
        "(BitsStored, HighBit, PixelRepresentation). The values are the same either way."
    ]


def _photometric(frame: Frame) -> str:
    kind = text(frame.instance.tags, "PhotometricInterpretation")
    return "color" if kind.startswith(("RGB", "YBR")) else kind  # all of these become RGB


def _allocated(frame: Frame) -> str:
    return text(frame.instance.tags, "BitsAllocated") if frame.instance.keyword == "PixelData" else "floating"


def _rescale(frame: Frame) -> str:
    keywords = ("RescaleSlope", "RescaleIntercept")
    there = [keyword for keyword in keywords if text(frame.tags, keyword)]
    table = ["ModalityLUTSequence"] if frame.instance.tags.get("ModalityLUTSequence") else []
    return " and ".join(there + table)


def _units(frame: Frame) -> str:
    modality = text(frame.instance.tags, "Modality")
    return text(frame.tags, "Units").upper() if modality == "PT" else units_of(frame, modality)


#: What is compared, with its verb, and what a frame says of it; empty where it says nothing.
_STATEMENTS: tuple[tuple[str, Callable[[Frame], str]], ...] = (
    ("the photometric interpretation is", _photometric),
    ("BitsAllocated is", _allocated),
    ("the conversion of stored values to real ones (RescaleSlope and RescaleIntercept) is", _rescale),
    ("the unit of the values (Units or RescaleType) is", _units),
)


def _bits(instance: Instance) -> tuple[int, int, bool]:
    return stored_bits(instance, int(number(instance.tags, "BitsAllocated", instance.path) or 16))


def _in_words(bits: tuple[int, int, bool]) -> str:
    stored, shift, is_signed = bits
    shifted = f", shifted by {shift} bits" if shift else ""
    return f"{stored} {'signed' if is_signed else 'unsigned'} bits{shifted}"


def _labels(frames: Sequence[Frame]) -> str:
    paths = list(dict.fromkeys(frame.path for frame in frames))
    return some_names(paths) if len(paths) > 1 else frames[0].label
