"""The display windows and tables that a file carries (DICOM PS3.3, C.11.2 and C.7.6.16.2.10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import damage, floats, text, texts
from napari_radcnn.voi import STATED_FUNCTIONS, VoiFunction, VoiWindow

#: Free text of a file that is shown in a menu is cut to this.
_MOST_NAME = 32
#: Entries of a table that are kept: what a display can show.
_MOST_ENTRIES = 1024


def windows_of(frame: Frame) -> tuple[VoiWindow, ...]:
    """Return the windows of a frame, then its tables; a broken one is left out, and no reason not to open a scan.

    Returns
    -------
    tuple of VoiWindow
        Of rescaled values.
    """
    return (*_stated_windows(frame), *_tables(frame))


def is_inverted(frame: Frame) -> bool:
    """Return whether low values are to look bright.

    MONOCHROME1 says so, and PresentationLUTShape INVERSE says the same again (DICOM PS3.3, C.8.11.3.1.2): a file that
    has both is not inverted twice.
    """
    tags = frame.instance.tags
    return text(tags, "PhotometricInterpretation") == "MONOCHROME1" or text(tags, "PresentationLUTShape") == "INVERSE"


def mapped(
    windows: Sequence[VoiWindow], rescaled: tuple[float, float], mapping: tuple[float, float]
) -> tuple[VoiWindow, ...]:
    """Return windows of rescaled values as those of real world values; a table has no meaning there and is left out.

    Parameters
    ----------
    windows : sequence of VoiWindow
        Of values rescaled by slope and intercept `rescaled`.
    rescaled, mapping : (slope, intercept)
        From stored values to rescaled and to real world ones.
    """
    factor = mapping[0] / rescaled[0]
    found = []
    for window in windows:
        if window.function == "TABLE":
            continue
        center = (window.center - rescaled[1]) * factor + mapping[1]
        function: VoiFunction = "SIGMOID" if window.function == "SIGMOID" else "LINEAR_EXACT"
        found.append(VoiWindow(center, window.width * abs(factor), window.name, function))
    return tuple(found)


def _stated_windows(frame: Frame) -> list[VoiWindow]:
    try:
        centers, widths = (floats(frame.tags, keyword, frame.path) for keyword in ("WindowCenter", "WindowWidth"))
        names = texts(frame.tags, "WindowCenterWidthExplanation")
        stated = text(frame.tags, "VOILUTFunction").upper()
    except ReadError:
        return []
    function: VoiFunction = next((known for known in STATED_FUNCTIONS if known == stated), "LINEAR")
    least = 1.0 if function == "LINEAR" else math.ulp(0.0)  # DICOM PS3.3, C.11.2.1.2
    return [
        VoiWindow(center, width, _name(names[n] if n < len(names) else ""), function)
        for n, (center, width) in enumerate(zip(centers, widths, strict=False))
        if math.isfinite(center) and least <= width < math.inf
    ]


def _tables(frame: Frame) -> list[VoiWindow]:
    try:
        return [table for item in frame.tags.get("VOILUTSequence") or [] if (table := _table(item)) is not None]
    except ReadError:
        return []
    except damage():  # of an item, which pydicom looks into when it is asked for
        return []


def _table(item: Any) -> VoiWindow | None:
    """Return an item of VOI LUT Sequence (DICOM PS3.3, C.11.2.1.1); None where it cannot be used."""
    n_entries, first, bits = (int(value) for value in item.LUTDescriptor)
    n_entries = n_entries or 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):
        kind = "<u1" if len(data) == n_entries and bits <= 8 else "<u2"
        entries = np.frombuffer(data[: len(data) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)
    else:
        entries = np.atleast_1d(np.asarray(data))
    entries = entries[:n_entries].astype(np.float64)
    if len(entries) < max(n_entries, 2) or not 1 <= bits <= 16:
        return None
    brightness = np.clip(entries / ((1 << bits) - 1), 0.0, 1.0)
    if n_entries > _MOST_ENTRIES:
        brightness = np.interp(np.linspace(0, n_entries - 1, _MOST_ENTRIES), np.arange(n_entries), brightness)
    name = _name(text(item, "LUTExplanation"))
    return VoiWindow.of_limits((first, first + n_entries - 1), name, "TABLE", tuple(brightness.tolist()))


def _name(value: str) -> str:
    return " ".join(value.split())[:_MOST_NAME]
