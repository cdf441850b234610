"""How vendors write series of several volumes: the rows of the table in docs/dicom-series.md."""

from __future__ import annotations

import random
from functools import cache

from ct_layouts import CT_LAYOUTS
from vendor_series import Layout, PrivateTag, Tags, downwards, in_blocks, interleaved

DIRECTIONS = ((0.0, 0.0, 0.0), (0.6, 0.0, 0.8), (0.0, -0.8, 0.6), (0.8, 0.6, 0.0))
B_VALUES = (0, 1000, 1000, 1000)


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


def _with_numbers(n: int, k: int) -> list[PrivateTag]:
    """Return what Philips writes where several volumes have no gradient: only their order tells them apart."""
    b_value, direction = (0.0, DIRECTIONS[0]) if n < 2 else (1000.0, DIRECTIONS[n])
    return [
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", b_value),
        *((0x2005, "Philips MR Imaging DD 001", 0xB0 + axis, "FL", direction[axis]) for axis in range(3)),
        (0x2005, "Philips MR Imaging DD 006", 0x96, "IS", str(n + 1)),
    ]


def _philips_mean(n: int, k: int) -> list[PrivateTag]:
    """Return a diffusion scan with the mean of its directions behind it."""
    return _philips_dti(n, k) if n < 4 else [(0x2001, "Philips Imaging DD 001", 0x03, "FL", 1000.0)]


def _philips_phase(n: int, k: int) -> list[PrivateTag]:
    return [(0x2001, "Philips Imaging DD 001", 0x08, "IS", str(n + 1))]


def _several_phases(n: int, k: int) -> list[PrivateTag]:
    return [
        (0x2001, "Philips Imaging DD 001", 0x08, "IS", str(n % 2 + 1)),
        (0x2005, "Philips MR Imaging DD 005", 0x29, "CS", ("CONTROL", "LABEL")[n // 2 % 2]),
    ]


def _ge_labeling(n: int, k: int) -> list[PrivateTag]:
    return [(0x0043, "GEMS_PARM_01", 0xA3, "CS", ("PSEUDOCONTINUOUS", "CONTINUOUS")[n])]


def _uih_repetition(n: int, k: int) -> list[PrivateTag]:
    return [(0x0065, "Image Private Header", 0x2C, "IS", str(n))]


def _slice_uid(n: int, k: int) -> Tags:
    return {"SeriesInstanceUID": f"1.2.392.200036.9116.4.2.9106.366.10001.0.0.1.{k + 1}"}


@cache
def _shuffled(count: int) -> tuple[int, ...]:
    return tuple(random.Random(count).sample(range(1, count + 1), count))


def at_random(n: int, k: int, volumes: int, slices: int) -> int:
    """Number the slices without any order, as Philips may."""
    return _shuffled(volumes * slices)[n * slices + k]


def by_volume(n: int, k: int, volumes: int, slices: int) -> int:
    """Give all slices of a volume the same number."""
    return n + 1


GE, PHILIPS, SIEMENS = "GE MEDICAL SYSTEMS", "Philips Medical Systems", "SIEMENS"
HITACHI = "Hitachi Medical Corporation"
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
        "GE",
        "ASL (perfusion and proton density)",
        "(0043,xxA3), InstanceNumber",
        GE,
        private=_ge_labeling,
        volumes=2,
    ),
    Layout("GE", "field map", "InstanceNumber", GE, private=_ge, volumes=2),
    Layout(
        "GE",
        "echoes",
        "EchoTime, EchoNumbers",
        GE,
        number=interleaved,
        volumes=3,
        names=("echo 1", "echo 2", "echo 3"),
        tags=lambda n, k: {"EchoTime": 2.25 + 2.5 * n, "EchoNumbers": n + 1},
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
        "Canon",
        "fMRI, a series for each slice",
        "SeriesInstanceUID by slice, InstanceNumber",
        "CANON_MEC",
        tags=_slice_uid,
        number=by_volume,
        is_read_by_dcm2niix=False,
    ),
    Layout(
        "Canon",
        "DTI, a series for each slice",
        "SeriesInstanceUID by slice, ImageComments",
        "CANON_MEC",
        tags=lambda n, k: _slice_uid(n, k) | _canon_comment(n, k),
        is_read_by_dcm2niix=False,
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
        "DTI, two without gradient",
        "(2005,xx96)",
        PHILIPS,
        private=_with_numbers,
        number=at_random,
        is_read_by_dcm2niix=False,
    ),
    Layout(
        "Philips",
        "DTI and the mean of its directions",
        "(2001,xx03), (2005,xxB0) to (2005,xxB2)",
        PHILIPS,
        private=_philips_mean,
        number=interleaved,
        volumes=5,
    ),
    Layout(
        "Philips",
        "fMRI, perfusion MR, numbered at random",
        "TemporalPositionIdentifier",
        PHILIPS,
        tags=lambda n, k: {"TemporalPositionIdentifier": n + 1},
        number=at_random,
    ),
    Layout(
        "Philips",
        "cine",
        "TriggerTime, (2001,xx08)",
        PHILIPS,
        tags=lambda n, k: {"TriggerTime": 35.5 * n},
        private=_philips_phase,
        number=at_random,
    ),
    Layout(
        "Philips",
        "cine, phase contrast",
        "ImageType, TriggerTime",
        PHILIPS,
        tags=lambda n, k: {
            "TriggerTime": 35.5 * (n % 2),
            "ImageType": ["ORIGINAL", "PRIMARY", *(("M_FFE", "M", "FFE"), ("PHASE MAP", "P", "PCA"))[n // 2]],
        },
        names=("magnitude · 1", "magnitude · 2", "phase · 1", "phase · 2"),
    ),
    Layout(
        "Philips",
        "complex images",
        "ImageType",
        PHILIPS,
        tags=lambda n, k: {"ImageType": ["ORIGINAL", "PRIMARY", f"{'MPRI'[n]}_FFE", "MPRI"[n], "FFE"]},
        number=interleaved,
        names=("magnitude", "phase", "real", "imaginary"),
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
        "Philips",
        "ASL, several phases",
        "TemporalPositionIdentifier, (2001,xx08), (2005,xx29)",
        PHILIPS,
        private=_several_phases,
        tags=lambda n, k: {"TemporalPositionIdentifier": n // 4 + 1, "TriggerTime": 300 * (n % 2 + 1)},
        number=at_random,
        volumes=8,
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
    Layout(
        "Siemens",
        "DTI without its private elements",
        "SequenceName, AcquisitionNumber",
        SIEMENS,
        tags=lambda n, k: {
            "SequenceName": f"*ep_b{B_VALUES[n]}" + (f"#{n}" if n else ""),
            "AcquisitionNumber": n + 1,
        },
    ),
    Layout(
        "Siemens",
        "ASL (no mosaic)",
        "AcquisitionNumber, InstanceNumber",
        SIEMENS,
        tags=lambda n, k: {"AcquisitionNumber": n + 1},
    ),
    Layout(
        "Siemens",
        "cine",
        "InstanceNumber slice by slice, TriggerTime",
        SIEMENS,
        tags=lambda n, k: {"TriggerTime": 41.25 * n + 10},
        number=interleaved,
        is_read_by_dcm2niix=False,
    ),
    Layout(
        "Siemens",
        "T1 mapping",
        "InversionTime, InstanceNumber",
        SIEMENS,
        tags=lambda n, k: {"InversionTime": (120, 200, 1100, 2100)[n]},
    ),
    Layout("UIH", "DTI (slice by slice)", "(0065,xx09), (0065,xx37), InstanceNumber", "UIH", private=_uih_dti),
    Layout(
        "UIH",
        "fMRI (slice by slice)",
        "(0065,xx2C), AcquisitionTime, InstanceNumber",
        "UIH",
        private=_uih_repetition,
        tags=_clock,
    ),
    Layout("Hitachi", "perfusion MR", "AcquisitionTime, ContentTime, InstanceNumber", HITACHI, tags=_clock),
    Layout(
        "Hitachi",
        "DTI",
        "DiffusionBValue, DiffusionGradientOrientation",
        HITACHI,
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
        "gated PET",
        "ImageIndex, TriggerTime",
        "any",
        modality="PT",
        tags=lambda n, k: {"ImageIndex": n * 5 + k + 1, "TriggerTime": 125.0 * n, "Units": "BQML"},
        number=at_random,
    ),
    Layout(
        "any",
        "perfusion MR",
        "ContentTime",
        "any",
        tags=lambda n, k: {"ContentTime": f"1115{10 * n + 2 * k:02d}"},
        number=at_random,
        is_read_by_dcm2niix=False,
    ),
    *CT_LAYOUTS,
)


def table() -> list[str]:
    """Return the rows of the table in docs/dicom-series.md."""
    return [
        f"| {one.vendor} | {one.kind} | {one.by} | {', '.join(one.names) or 'numbers'} | "
        f"{'dcm2niix' if one.is_read_by_dcm2niix else 'values'} |"
        for one in LAYOUTS
    ]
