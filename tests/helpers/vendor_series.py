"""Series of several volumes in the layout of each vendor: what differs from slice to slice, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicom_factory import write_dicom_series
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume

Tags = dict[str, Any]
#: (group, creator, offset, type, value)
PrivateTag = tuple[int, str, int, str, Any]

DIRECTIONS = ((0.0, 0.0, 0.0), (0.6, 0.0, 0.8), (0.0, -0.8, 0.6), (0.8, 0.6, 0.0))
B_VALUES = (0, 1000, 1000, 1000)


def no_tags(n: int, k: int) -> Tags:
    return {}


def no_private(n: int, k: int) -> list[PrivateTag]:
    return []


def in_blocks(n: int, k: int, volumes: int, slices: int) -> int:
    """Number the slices volume by volume."""
    return n * slices + k + 1


def interleaved(n: int, k: int, volumes: int, slices: int) -> int:
    """Number the volumes slice by slice."""
    return k * volumes + n + 1


def downwards(n: int, k: int, volumes: int, slices: int) -> int:
    """Number the slices volume by volume, from the last place to the first."""
    return n * slices + slices - k


@dataclass(frozen=True)
class Layout:
    """How a vendor writes a kind of series.

    Attributes
    ----------
    vendor, kind : str
        For people, and the table of the documentation.
    by : str
        The tags that tell the volumes apart, for that table.
    manufacturer : str
        What stands in the files.
    tags, private : callable
        What slice k of volume n has, beside what all have.
    number : callable
        InstanceNumber of slice k of volume n.
    volumes : int
        How many.
    modality : str
        Modality.
    names : tuple of str
        What the volumes are called within their series, in order; numbers by default.
    """

    vendor: str
    kind: str
    by: str
    manufacturer: str
    tags: Callable[[int, int], Tags] = no_tags
    private: Callable[[int, int], list[PrivateTag]] = no_private
    number: Callable[[int, int, int, int], int] = in_blocks
    volumes: int = 4
    modality: str = "MR"
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.vendor} {self.kind}"


def _ge(n: int, k: int) -> list[PrivateTag]:
    return [(0x0043, "GEMS_PARM_01", 0x39, "IS", [0, 268435456, 0, 0]), (0x0043, "GEMS_PARM_01", 0x2F, "SS", 0)]


def _ge_dti(n: int, k: int) -> list[PrivateTag]:
    return [
        (0x0043, "GEMS_PARM_01", 0x39, "IS", [B_VALUES[n], 8, 0, 0]),
        *((0x0019, "GEMS_ACQU_01", 0xBB + axis, "DS", f"{DIRECTIONS[n][axis]:.6f}") for axis in range(3)),
    ]


def _ge_parts(n: int, k: int) -> list[PrivateTag]:
    return [(0x0043, "GEMS_PARM_01", 0x2F, "SS", n % 4)]


def _philips_dti(n: int, k: int) -> list[PrivateTag]:
    return [
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", float(B_VALUES[n])),
        *((0x2005, "Philips MR Imaging DD 001", 0xB0 + axis, "FL", DIRECTIONS[n][axis]) for axis in range(3)),
    ]


def _siemens_dti(n: int, k: int) -> list[PrivateTag]:
    said: list[PrivateTag] = [(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", str(B_VALUES[n]))]
    return said + [(0x0019, "SIEMENS MR HEADER", 0x0E, "FD", list(DIRECTIONS[n]))] * bool(B_VALUES[n])


def _uih_dti(n: int, k: int) -> list[PrivateTag]:
    return [
        (0x0065, "Image Private Header", 0x09, "FD", float(B_VALUES[n])),
        (0x0065, "Image Private Header", 0x37, "FD", list(DIRECTIONS[n])),
    ]


def _labeling(n: int, k: int) -> list[PrivateTag]:
    return [(0x2005, "Philips MR Imaging DD 005", 0x29, "CS", ("CONTROL", "LABEL")[n % 2])]


def _canon_comment(n: int, k: int) -> Tags:
    return {"ImageComments": "b={}({:.3f},{:.3f},{:.3f})".format(B_VALUES[n], *DIRECTIONS[n])}


def _clock(n: int, k: int) -> Tags:
    return {"AcquisitionTime": f"1015{10 * n + k:02d}.50", "ContentTime": f"1115{10 * n + k:02d}"}


GE, PHILIPS, SIEMENS = "GE MEDICAL SYSTEMS", "Philips Medical Systems", "SIEMENS"
LAYOUTS: tuple[Layout, ...] = (
    Layout("GE", "fMRI (epiRT)", "InstanceNumber", GE, private=_ge),
    Layout("GE", "fMRI, from the head down", "InstanceNumber", GE, private=_ge, number=downwards),
    Layout(
        "GE",
        "fMRI (epi, multiphase)",
        "InstanceNumber, TriggerTime",
        GE,
        tags=lambda n, k: {"TriggerTime": 2000 * n + 40 * k, "TemporalPositionIdentifier": n + 1},
        private=_ge,
    ),
    Layout("GE", "DTI", "(0043,xx39), (0019,xxBB) to (0019,xxBD), InstanceNumber", GE, private=_ge_dti),
    Layout(
        "GE",
        "cine",
        "InstanceNumber slice by slice, TriggerTime",
        GE,
        tags=lambda n, k: {"TriggerTime": 35 * n + 3 * k, "CardiacNumberOfImages": 4},
        number=interleaved,
    ),
    Layout(
        "GE",
        "complex images",
        "(0043,xx2F)",
        GE,
        private=_ge_parts,
        number=interleaved,
        names=("magnitude", "phase", "real", "imaginary"),
    ),
    Layout("GE", "perfusion", "AcquisitionTime, InstanceNumber", GE, tags=_clock),
    Layout(
        "Canon",
        "perfusion CT (dynamic volume)",
        "AcquisitionTime, InstanceNumber",
        "CANON_MEC",
        tags=lambda n, k: {"AcquisitionTime": f"1015{2 * n:02d}.25", "ContentTime": f"1016{2 * n:02d}.75"},
        modality="CT",
    ),
    Layout(
        "Canon",
        "perfusion MR",
        "TriggerTime, AcquisitionTime, InstanceNumber",
        "CANON_MEC",
        tags=lambda n, k: _clock(n, k) | {"TriggerTime": 1500 * n},
    ),
    Layout("Canon", "DTI", "ImageComments, InstanceNumber", "CANON_MEC", tags=_canon_comment),
    Layout(
        "Canon",
        "fMRI",
        "TemporalPositionIdentifier",
        "CANON_MEC",
        tags=lambda n, k: {"TemporalPositionIdentifier": n + 1},
        number=in_blocks,
    ),
    Layout(
        "Toshiba",
        "DTI",
        "DiffusionBValue, DiffusionGradientOrientation",
        "TOSHIBA_MEC",
        tags=lambda n, k: (
            {"DiffusionBValue": float(B_VALUES[n]), "DiffusionGradientOrientation": list(DIRECTIONS[n])}
            if B_VALUES[n]
            else {}
        ),
    ),
    Layout(
        "Philips",
        "fMRI",
        "TemporalPositionIdentifier",
        PHILIPS,
        tags=lambda n, k: {"TemporalPositionIdentifier": n + 1},
        number=interleaved,
    ),
    Layout(
        "Philips", "DTI", "(2001,xx03), (2005,xxB0) to (2005,xxB2)", PHILIPS, private=_philips_dti, number=interleaved
    ),
    Layout(
        "Philips",
        "field map",
        "ImageType",
        PHILIPS,
        number=in_blocks,
        volumes=2,
        names=("magnitude", "field map"),
        tags=lambda n, k: {
            "ImageType": ["ORIGINAL", "PRIMARY", *(("M_FFE", "M", "FFE"), ("B0 MAP", "B0", "UNSPECIFIED"))[n]]
        },
    ),
    Layout(
        "Philips",
        "ASL",
        "(2005,xx29), TemporalPositionIdentifier",
        PHILIPS,
        private=_labeling,
        tags=lambda n, k: {"TemporalPositionIdentifier": n // 2 + 1},
        number=interleaved,
    ),
    Layout(
        "Siemens",
        "DTI (no mosaic)",
        "(0019,xx0C), (0019,xx0E)",
        SIEMENS,
        private=_siemens_dti,
        tags=lambda n, k: {"AcquisitionNumber": n + 1},
    ),
    Layout(
        "Siemens",
        "perfusion MR (no mosaic)",
        "AcquisitionNumber, AcquisitionTime, ContentTime",
        SIEMENS,
        tags=lambda n, k: _clock(n, k) | {"AcquisitionNumber": n + 1},
    ),
    Layout(
        "Siemens",
        "perfusion CT",
        "AcquisitionNumber, AcquisitionTime, InstanceNumber from the head down",
        SIEMENS,
        tags=lambda n, k: {"AcquisitionNumber": n + 1, "AcquisitionTime": f"1015{3 * n:02d}.5"},
        number=downwards,
        modality="CT",
    ),
    Layout(
        "Siemens",
        "echoes",
        "EchoTime, EchoNumbers",
        SIEMENS,
        volumes=3,
        names=("echo 1", "echo 2", "echo 3"),
        tags=lambda n, k: {"EchoTime": 4.5 + 3 * n, "EchoNumbers": n + 1},
    ),
    Layout(
        "Siemens",
        "magnitude and phase",
        "ImageType",
        SIEMENS,
        volumes=2,
        names=("magnitude", "phase"),
        tags=lambda n, k: {"ImageType": ["ORIGINAL", "PRIMARY", "MP"[n], "ND"]},
    ),
    Layout("UIH", "DTI (slice by slice)", "(0065,xx09), (0065,xx37), InstanceNumber", "UIH", private=_uih_dti),
    Layout(
        "Hitachi",
        "DTI",
        "DiffusionBValue, DiffusionGradientOrientation",
        "Hitachi Medical Corporation",
        tags=lambda n, k: {"DiffusionBValue": float(B_VALUES[n]), "DiffusionGradientOrientation": list(DIRECTIONS[n])},
    ),
    Layout(
        "any",
        "dynamic PET",
        "ImageIndex, FrameReferenceTime",
        "any",
        modality="PT",
        tags=lambda n, k: {
            "ImageIndex": n * 5 + k + 1,
            "FrameReferenceTime": 30000 * n + 15000,
            "Units": "BQML",
            "AcquisitionTime": f"10{15 + n}00",
        },
    ),
    Layout(
        "any",
        "cardiac CT",
        "NominalPercentageOfCardiacPhase",
        "any",
        modality="CT",
        tags=lambda n, k: {"NominalPercentageOfCardiacPhase": 10.0 * n, "AcquisitionNumber": n + 1},
    ),
    Layout(
        "any",
        "dual-energy CT",
        "KVP",
        "any",
        modality="CT",
        volumes=2,
        names=("80 kV", "140 kV"),
        tags=lambda n, k: {"KVP": (80, 140)[n], "AcquisitionNumber": n + 1},
    ),
)


def values(shape: tuple[int, int, int], n: int) -> np.ndarray:
    """Return values of volume n that differ in every voxel of the series: 1000 n and a slope along each axis."""
    k, j, i = np.indices(shape)
    return (1000 * (n + 1) + 100 * k + 9 * j + i).astype(np.int16)


def write_layout(
    folder: Path, layout: Layout, grid: Geometry, *, syntax: str = ExplicitVRLittleEndian, **changes: Any
) -> list[list[Path]]:
    """Write the series of a vendor, under file names that say nothing, and return the files of every volume.

    Parameters
    ----------
    folder : Path
        Created if missing.
    layout : Layout
        Of whom.
    grid : Geometry
        Of all volumes.
    syntax : str
        A native transfer syntax.
    **changes
        Keywords with a function of n and k, whose value replaces what the layout has; None deletes it.
    """
    uids = {"study_uid": generate_uid(), "series_uid": generate_uid(), "frame_of_reference_uid": generate_uid()}
    slices = grid.shape[0]
    written = []
    for n in range(layout.volumes):
        every: set[str] = {key for k in range(slices) for key in layout.tags(n, k)} | set(changes)

        def value(key: str, k: int, n: int = n) -> Any:
            return changes[key](n, k) if key in changes else layout.tags(n, k).get(key)

        tags = {key: (lambda k, key=key: value(key, k)) for key in sorted(every)}
        tags.setdefault("InstanceNumber", lambda k, n=n: layout.number(n, k, layout.volumes, slices))
        tags.setdefault("Manufacturer", lambda k: layout.manufacturer)
        scan = Volume(values(grid.shape, n), grid)
        prefix = f"X{(7 * n) % 1009:04d}_"
        paths = write_dicom_series(folder, scan, modality=layout.modality, prefix=prefix, **uids, **tags)
        for k, path in enumerate(paths):
            _add_private(path, layout.private(n, k), syntax)
        written.append(paths)
    return written


def _add_private(path: Path, given: list[PrivateTag], syntax: str) -> None:
    dataset: Dataset = pydicom.dcmread(path)
    for group, creator, offset, kind, value in given:
        dataset.private_block(group, creator, create=True).add_new(offset, kind, value)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=syntax == pydicom.uid.ImplicitVRLittleEndian, little_endian=True)


def table() -> list[str]:
    """Return the rows of the table in docs/dicom-series.md."""
    return [f"| {one.vendor} | {one.kind} | {one.by} | {', '.join(one.names) or 'numbers'} |" for one in LAYOUTS]
