"""How vendors write CT series of several volumes: rows of the table in docs/dicom-series.md."""

from __future__ import annotations

from vendor_series import Layout, PrivateTag, Tags, downwards, interleaved


def _ge_phase(n: int, k: int) -> list[PrivateTag]:
    return [(0x0045, "GEMS_HELIOS_01", 0x33, "CS", str(5 + 30 * n))]


def _toshiba_phase(n: int, k: int) -> list[PrivateTag]:
    return [(0x7005, "TOSHIBA_MEC_CT3", 0x04, "SH", f"{5 + 30 * n}%")]


def _by_place(n: int, k: int) -> Tags:
    """Return times of a scanner that takes all times at a place before it goes to the next one."""
    return {"AcquisitionTime": f"10{15 + k:02d}{2 * n:02d}", "ContentTime": f"11{15 + k:02d}{2 * n:02d}"}


GE, SIEMENS = "GE MEDICAL SYSTEMS", "SIEMENS"
CT_LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "GE",
        "perfusion CT (cine)",
        "InstanceNumber slice by slice, AcquisitionTime, ContentTime",
        GE,
        tags=_by_place,
        number=interleaved,
        modality="CT",
    ),
    Layout(
        "GE",
        "cardiac CT",
        "NominalPercentageOfCardiacPhase, (0045,xx33), InstanceNumber",
        GE,
        tags=lambda n, k: {"NominalPercentageOfCardiacPhase": 5.0 + 30 * n},
        private=_ge_phase,
        modality="CT",
    ),
    Layout(
        "Canon",
        "perfusion CT (dynamic volume)",
        "AcquisitionTime, InstanceNumber",
        "CANON_MEC",
        tags=lambda n, k: {"AcquisitionTime": f"1015{2 * n:02d}.25", "ContentTime": f"1016{2 * n:02d}.75"},
        modality="CT",
    ),
    Layout(
        "Toshiba",
        "perfusion CT (dynamic volume)",
        "AcquisitionNumber, AcquisitionTime",
        "TOSHIBA",
        tags=lambda n, k: {"AcquisitionNumber": n + 1, "AcquisitionTime": f"1015{2 * n:02d}.35"},
        number=downwards,
        modality="CT",
    ),
    Layout(
        "Toshiba",
        "cardiac CT",
        "(7005,xx04), InstanceNumber",
        "TOSHIBA",
        private=_toshiba_phase,
        modality="CT",
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
        "cardiac CT",
        "ScanOptions, InstanceNumber from the head down",
        SIEMENS,
        tags=lambda n, k: {"ScanOptions": f"TP{100 * n:04d}MS"},
        number=downwards,
        modality="CT",
    ),
    Layout(
        "Siemens",
        "dual-energy CT (two tubes)",
        "KVP, InstanceNumber from the head down",
        SIEMENS,
        modality="CT",
        number=downwards,
        volumes=2,
        names=("100 kV", "140 kV"),
        tags=lambda n, k: {"KVP": (100, 140)[n], "AcquisitionNumber": 1},
    ),
    Layout(
        "GE",
        "dual-energy CT (switching)",
        "KVP, AcquisitionTime",
        GE,
        modality="CT",
        number=interleaved,
        volumes=2,
        names=("80 kV", "140 kV"),
        tags=lambda n, k: {"KVP": (80, 140)[n], "AcquisitionTime": f"1015{2 * k + n:02d}.5"},
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
        "respiratory CT",
        "NominalPercentageOfRespiratoryPhase, InstanceNumber",
        "any",
        modality="CT",
        tags=lambda n, k: {"NominalPercentageOfRespiratoryPhase": 25.0 * n},
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
