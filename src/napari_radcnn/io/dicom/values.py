"""From a stack of frames to a volume: decode, rescale every slice by its own slope, and say what the values are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.acquisition import acquisition_of, sides_of
from napari_radcnn.io.dicom.agreement import check_bits
from napari_radcnn.io.dicom.colors import color_notes
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import Instance, number, text
from napari_radcnn.io.dicom.patients import readable_name
from napari_radcnn.io.dicom.pixels import excess_note, stored_values
from napari_radcnn.io.dicom.plain import plain_values, smallest_type
from napari_radcnn.io.dicom.real_world import range_note, real_world_mappings
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.io.dicom.suv import suvbw_factor
from napari_radcnn.io.dicom.units import units_of
from napari_radcnn.io.dicom.windows import is_inverted, mapped, windows_of
from napari_radcnn.volume import Volume, VolumeMetadata


def make_volume(
    stack: Stack, name: str, source: Path, done: Callable[[Frame], None], series: Sequence[Instance] = ()
) -> Volume:
    """Decode a stack.

    Parameters
    ----------
    stack : Stack
        What to read.
    name : str
        What a layer is called.
    source : Path
        What the user opened.
    done : callable
        Called with every frame that was read; may raise to stop.
    series : sequence of Instance
        All files of the series, where it makes several volumes.

    Raises
    ------
    ReadError
        If the pixels of a frame cannot be decoded completely, or its rescale is no number.
    """
    warnings = list(stack.warnings)
    middle = len(stack.frames) // 2
    first = stack.frames[middle]
    modality = text(first.instance.tags, "Modality")
    rescales = [_rescale(frame, warnings) for frame in stack.frames]
    rescaled = rescales[middle]
    is_gray = text(first.instance.tags, "PhotometricInterpretation").startswith("MONOCHROME")
    mappings = None
    if is_gray and modality not in ("PT", "RTDOSE"):  # these have units of their own
        mappings, notes = real_world_mappings(stack.frames, rescales)
        warnings += notes
    if mappings is not None:  # they hold for stored values (DICOM PS3.3, C.7.6.16.2.11)
        rescales = [(mapping.slope, mapping.intercept) for mapping in mappings]
    warnings += check_bits(stack.frames)
    warnings += excess_note({id(frame.instance): frame.instance for frame in stack.frames}.values())
    array = _array(stack, rescales, done, warnings, is_mapped=mappings is not None)
    inverted = is_inverted(first)
    if inverted:
        is_monochrome1 = text(first.instance.tags, "PhotometricInterpretation") == "MONOCHROME1"
        warnings.append(
            f"{'MONOCHROME1' if is_monochrome1 else 'PresentationLUTShape INVERSE'}: low values are meant to look "
            "bright; the values are kept and the display is inverted."
        )
    padding = _padding(first, rescales[middle])
    if mappings is not None:
        warnings += range_note(array, stack.frames, mappings, padding)
    if stack.sampling is not None:
        array = stack.sampling.apply(array, padding)
    windows = windows_of(first) if is_gray else ()
    if mappings is not None:
        windows = mapped(windows, rescaled, rescales[middle])
    stated = next((window for window in windows if window.function != "TABLE"), None)
    series_number = text(first.instance.tags, "SeriesNumber")
    units = units_of(first, modality) if mappings is None else mappings[0].units
    factor = None
    if modality == "PT":
        factor, reasons = suvbw_factor(stack.frames, series)
        warnings += reasons
    return Volume(
        array,
        stack.geometry,
        VolumeMetadata(
            name=name,
            modality=modality,
            units=units,
            description=text(first.instance.tags, "SeriesDescription"),
            window_center=None if stated is None else stated.center,
            window_width=None if stated is None else stated.width,
            windows=windows,
            is_inverted=inverted,
            padding_value=padding,
            study_uid=text(first.instance.tags, "StudyInstanceUID"),
            series_uid=text(first.instance.tags, "SeriesInstanceUID"),
            frame_of_reference_uid=text(first.tags, "FrameOfReferenceUID"),
            series_number=int(series_number) if series_number.lstrip("+-").isdigit() else None,
            source=source,
            source_format="DICOM",
            is_calibrated=stack.is_calibrated,
            acquisition=acquisition_of(first.instance),
            is_placed=first.position is not None and first.is_in_patient,
            sides=sides_of(stack.frames) if first.position is None else None,
            patient_name=readable_name(text(first.instance.tags, "PatientName")),
            patient_id=text(first.instance.tags, "PatientID"),
            study_date=_iso_date(text(first.instance.tags, "StudyDate")),
        ),
        tuple(dict.fromkeys(warnings)),
        factor,
    )


def _iso_date(text: str) -> str:
    """Return a date of DICOM as ``YYYY-MM-DD``; empty where it is none."""
    try:
        return date.fromisoformat(text.replace(".", "")).isoformat()  # dots: before DICOM 3.0
    except ValueError:
        return ""


def _array(
    stack: Stack,
    rescales: Sequence[tuple[float, float]],
    done: Callable[[Frame], None],
    warnings: list[str],
    *,
    is_mapped: bool,
) -> npt.NDArray[Any]:
    """Decode the frames, each file once, and rescale them; a mapping to real world values passes by lookup tables."""
    plain = plain_values(stack.frames, rescales, done)
    if plain is not None:
        return plain
    out: npt.NDArray[Any] | None = None
    by_file: dict[int, list[int]] = {}
    for k, frame in enumerate(stack.frames):
        by_file.setdefault(id(frame.instance), []).append(k)
    is_plain = all(slope == 1 and intercept == int(intercept) for slope, intercept in rescales)
    low = high = 0
    for ks in by_file.values():
        instance = stack.frames[ks[0]].instance
        decoded = stored_values(instance)
        if decoded.ndim == 4:
            warnings += color_notes(instance)
        lut = None if is_mapped else _modality_lut(instance, decoded)
        for k in ks:
            done(stack.frames[k])
            pixels = stack.frames[k].of(decoded)
            if pixels.ndim == 3:
                out = np.empty((len(stack.frames), *pixels.shape), np.uint8) if out is None else out
                out[k] = pixels
                continue
            if lut is not None:
                pixels = stack.frames[k].of(lut)
            slope, intercept = (1.0, 0.0) if lut is not None else rescales[k]
            if is_plain and pixels.dtype.kind in "iu":
                values = pixels.astype(np.int64) + int(intercept)
                low, high = min(low, int(values.min())), max(high, int(values.max()))
                out = _grown(out, (len(stack.frames), *pixels.shape), low, high)
                out[k] = values
            else:
                kind = np.float64 if pixels.dtype == np.float64 else np.float32
                out = np.empty((len(stack.frames), *pixels.shape), kind) if out is None else out
                if out.dtype.kind != "f":
                    out = out.astype(kind)
                out[k] = (pixels.astype(np.float64) * slope + intercept).astype(kind)
        if lut is not None:
            warnings.append("The file's modality lookup table was applied.")
    if out is None:
        raise ReadError(f"{stack.frames[0].path.name}: no pixel data.")
    return out


def _grown(out: npt.NDArray[Any] | None, shape: tuple[int, ...], low: int, high: int) -> npt.NDArray[Any]:
    """Return the array in the smallest of int16, uint16 and int32 that holds all values so far."""
    dtype = smallest_type(low, high)
    if out is None:
        return np.empty(shape, dtype)
    return out if out.dtype == dtype else out.astype(dtype)


def _rescale(frame: Frame, warnings: list[str]) -> tuple[float, float]:
    """Return slope and intercept of a frame (DICOM PS3.3, C.7.6.16.2.9 and C.11.1)."""
    if text(frame.instance.tags, "Modality") == "RTDOSE":
        return _dose_scaling(frame), 0.0
    slope = number(frame.tags, "RescaleSlope", frame.path)
    intercept = number(frame.tags, "RescaleIntercept", frame.path)
    slope = 1.0 if slope is None else slope
    intercept = 0.0 if intercept is None else intercept
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise ReadError(f"{frame.label}: RescaleSlope or RescaleIntercept is not finite; the values cannot be trusted.")
    if slope == 0:
        warnings.append("RescaleSlope is 0 in the file, which cannot be right: 1 was used; the values are unscaled.")
        return 1.0, intercept
    return slope, intercept


def _dose_scaling(frame: Frame) -> float:
    """Return what one stored step of an RT Dose is worth: without it the numbers are no dose (DICOM PS3.3, C.8.8.3)."""
    scaling = number(frame.tags, "DoseGridScaling", frame.path)
    if scaling is None or not 0 < scaling < math.inf:
        stated = "missing" if scaling is None else f"{scaling:g}, expected a positive number"
        raise ReadError(f"{frame.label}: DoseGridScaling is {stated}: the dose is unknown; export the dose again.")
    return scaling


def _modality_lut(instance: Instance, decoded: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return the values after the modality lookup table, if the file has one (DICOM PS3.3, C.11.1.1)."""
    if not instance.tags.get("ModalityLUTSequence"):
        return None
    from pydicom.pixels import apply_modality_lut

    return np.asarray(apply_modality_lut(decoded, instance.dataset))


def _padding(frame: Frame, rescale: tuple[float, float]) -> float | None:
    """Return PixelPaddingValue in rescaled values; it is stored with the sign of the pixels."""
    value = number(frame.instance.tags, "PixelPaddingValue", frame.path)
    if value is None:
        return None
    bits = int(number(frame.instance.tags, "BitsAllocated", frame.path) or 16)
    if number(frame.instance.tags, "PixelRepresentation", frame.path) == 1 and value >= 1 << (bits - 1):
        value -= 1 << bits  # written as unsigned by some devices
    return value * rescale[0] + rescale[1]
