"""How vendors write several volumes into files of many frames (DICOM PS3.3, C.7.6.16): rows of docs/dicom-series.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import generate_uid

from dicom_factory import write_enhanced
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume
from vendor_layouts import B_VALUES, DIRECTIONS
from vendor_series import values

STACK, IN_STACK, TIME, B_VALUE, DIRECTION, ECHO = 0x00209056, 0x00209057, 0x00209128, 0x00189087, 0x00189089, 0x00189082
#: What Philips counts kinds of pictures by, in an element of its own.
PHILIPS_KIND = 0x20051011
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


@dataclass(frozen=True)
class Enhanced:
    """How a vendor writes a kind of series.

    Attributes
    ----------
    vendor, kind, by : str
        For the table of the documentation.
    manufacturer : str
        What stands in the files.
    groups : callable
        What stands in the functional groups of slice k of volume n, beside its place.
    dimensions : sequence of int
        The tags that DimensionIndexValues count.
    indices : callable
        DimensionIndexValues of slice k of volume n.
    volumes : int
        How many.
    is_jumbled : bool
        Whether the frames stand in any order.
    is_file_each : bool
        Whether every volume is a file.
    tags : dict
        What else stands in the file.
    names : tuple of str
        What the volumes are called; numbers by default.
    is_read_by_dcm2niix : bool
        Whether dcm2niix tells the volumes apart.
    is_in_order : bool
        Whether the file says in what order they were scanned.
    """

    vendor: str
    kind: str
    by: str
    manufacturer: str
    groups: Callable[[int, int], dict[str, Any]]
    dimensions: Sequence[int] = (STACK, IN_STACK, TIME)
    indices: Callable[[int, int], Sequence[int]] = lambda n, k: (1, k + 1, n + 1)
    volumes: int = 4
    is_jumbled: bool = True
    is_file_each: bool = False
    tags: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    is_read_by_dcm2niix: bool = True
    is_in_order: bool = True

    def __str__(self) -> str:
        return f"{self.vendor} {self.kind}"


def _time(n: int, k: int) -> dict[str, Any]:
    return {"FrameContentSequence": {"StackID": "1", "InStackPositionNumber": k + 1, "TemporalPositionIndex": n + 1}}


def _first_time(n: int, k: int) -> dict[str, Any]:
    return {"FrameContentSequence": {"StackID": "1", "InStackPositionNumber": k + 1, "TemporalPositionIndex": 1}}


def _diffusion(n: int, k: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "DiffusionBValue": float(B_VALUES[n]),
        "DiffusionDirectionality": "DIRECTIONAL" if B_VALUES[n] else "NONE",
    }
    if B_VALUES[n]:
        said["DiffusionGradientDirectionSequence"] = {"DiffusionGradientOrientation": list(DIRECTIONS[n])}
    return _first_time(n, k) | {"MRDiffusionSequence": said}


def _field_map(n: int, k: int) -> dict[str, Any]:
    kind = (("M_FFE", "M"), ("B0 MAP", "B0"))[n]
    frame = {"FrameType": ["ORIGINAL", "PRIMARY", *kind], "ComplexImageComponent": ("MAGNITUDE", "PHASE")[n]}
    return _first_time(n, k) | {"MRImageFrameTypeSequence": frame}


def _echo(n: int, k: int) -> dict[str, Any]:
    return _first_time(n, k) | {"MREchoSequence": {"EffectiveEchoTime": 4.5 + 2.25 * n}}


def _acquisition(n: int, k: int) -> dict[str, Any]:
    groups = _time(n, k)
    groups["FrameContentSequence"]["FrameAcquisitionNumber"] = n + 1
    return groups


PHILIPS, SIEMENS, CANON = "Philips Medical Systems", "SIEMENS", "CANON_MEC"
ENHANCED: tuple[Enhanced, ...] = (
    Enhanced("Philips", "fMRI", "TemporalPositionIndex, DimensionIndexValues", PHILIPS, _time),
    Enhanced(
        "Philips",
        "DTI",
        "DiffusionBValue, DiffusionGradientOrientation, DimensionIndexValues",
        PHILIPS,
        _diffusion,
        (STACK, IN_STACK, B_VALUE, DIRECTION),
        lambda n, k: (1, k + 1, 1 + bool(n), n + 1),
    ),
    Enhanced(
        "Philips",
        "DTI (release 11)",
        "DiffusionBValue, DiffusionGradientOrientation",
        PHILIPS,
        _diffusion,
        (STACK, IN_STACK, B_VALUE, DIRECTION),
        lambda n, k: (1, k + 1, B_VALUES[n], 0),
        is_read_by_dcm2niix=False,
        is_in_order=False,
    ),
    Enhanced(
        "Philips",
        "field map",
        "FrameType",
        PHILIPS,
        _field_map,
        (STACK, IN_STACK, PHILIPS_KIND),
        volumes=2,
        names=("magnitude", "field map"),
    ),
    Enhanced(
        "Philips",
        "echoes",
        "EffectiveEchoTime, DimensionIndexValues",
        PHILIPS,
        _echo,
        (STACK, IN_STACK, ECHO),
        volumes=3,
        names=("echo 1", "echo 2", "echo 3"),
    ),
    Enhanced("Siemens", "fMRI (XA, a file a volume)", "InstanceNumber", SIEMENS, _acquisition, is_file_each=True),
    Enhanced(
        "Siemens",
        "DTI (XA)",
        "DiffusionBValue, DiffusionGradientOrientation",
        SIEMENS,
        _diffusion,
        (STACK, IN_STACK, B_VALUE, DIRECTION),
        lambda n, k: (1, k + 1, 1 + bool(n), n + 1),
        is_jumbled=False,
        is_read_by_dcm2niix=False,
    ),
    Enhanced(
        "Canon",
        "DTI",
        "DiffusionBValue, DiffusionGradientOrientation",
        CANON,
        _diffusion,
        (STACK, IN_STACK, TIME),
        lambda n, k: (1, k + 1, 1),
        is_jumbled=False,
    ),
    Enhanced(
        "Canon",
        "fMRI",
        "the order of the frames",
        CANON,
        _first_time,
        (STACK, IN_STACK, TIME),
        lambda n, k: (1, k + 1, 1),
        is_jumbled=False,
        is_read_by_dcm2niix=False,
    ),
    Enhanced(
        "any",
        "perfusion CT",
        "FrameAcquisitionNumber, TemporalPositionIndex, DimensionIndexValues",
        "any",
        _acquisition,
        tags={"SOPClassUID": ENHANCED_CT, "Modality": "CT"},
    ),
)


def write_enhanced_layout(folder: Path, layout: Enhanced, grid: Geometry) -> None:
    """Write the series of a vendor."""
    folder.mkdir(parents=True)
    scans = [Volume(values(grid.shape, n), grid) for n in range(layout.volumes)]
    frames = np.arange(layout.volumes * grid.shape[0])
    given = {"Manufacturer": layout.manufacturer, "SeriesInstanceUID": generate_uid(), **layout.tags}
    given |= {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "PatientID": "1"}
    how = {"groups": layout.groups, "dimensions": layout.dimensions, "indices": layout.indices}
    if layout.is_file_each:
        for n, order in enumerate(frames.reshape(layout.volumes, -1)):
            name = f"X{(7 * n) % 1009:04d}.dcm"
            write_enhanced(folder / name, scans, order, **how, **given, InstanceNumber=n + 1, AcquisitionNumber=n + 1)
        return
    if layout.is_jumbled:
        frames = np.random.default_rng(5).permutation(frames)
    write_enhanced(folder / "x.dcm", scans, frames, **how, **given)


def enhanced_table() -> list[str]:
    """Return the rows of the table in docs/dicom-series.md."""
    return [
        f"| {one.vendor} | {one.kind} | {one.by} | {', '.join(one.names) or 'numbers'} | "
        f"{'dcm2niix' if one.is_read_by_dcm2niix else 'values'} |"
        for one in ENHANCED
    ]
