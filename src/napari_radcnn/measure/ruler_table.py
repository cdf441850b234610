"""Rulers as CSV, and read again."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_radcnn.errors import OptionError, ReadError, WriteError
from napari_radcnn.files import write_text
from napari_radcnn.files.cells import as_cell, from_cell
from napari_radcnn.measure.rulers import Ruler

#: What a ruler is, then what it measures.
_RULER = ("name", "kind", "visit", "target", "node")
_FIGURES = (
    "length_mm",
    "angle_deg",
    "long_axis_mm",
    "short_axis_mm",
    "area_mm2",
    "diameter_mm",
    "volume_ml",
    "voxels",
    "mean",
    "sd",
    "min",
    "max",
)
_REST = ("unit", "frame_of_reference_uid", "points_mm")


def write_rulers(
    rulers: Sequence[Ruler],
    path: str | Path,
    measured: Sequence[Mapping[str, float | int | None]] = (),
    unit: str = "",
    overwrite: bool = False,
) -> Path:
    """Write rulers as ``.csv``: a row each, with their points, so that `read_rulers` reads them again.

    Parameters
    ----------
    rulers : sequence of Ruler
        In order.
    path : path
        Of the file.
    measured : sequence of mapping
        What `Ruler.measure` gave for each; their sizes by default.
    unit : str
        Of the scan's values.
    overwrite : bool
        Whether the file may exist.

    Raises
    ------
    WriteError
        If it cannot be written, or its name is that of another format.
    """
    if Path(path).suffix.lower() != ".csv":
        raise WriteError(
            f"{path}: rulers are written as .csv here; the page Measure, and in Python "
            "napari_radcnn.io.dicom_results.write.rulers.write_ruler_report, write .sr.dcm."
        )
    figures = measured or [ruler.sizes for ruler in rulers]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_RULER, *_FIGURES, *_REST])
    for ruler, found in zip(rulers, figures, strict=True):
        points = ";".join(" ".join(repr(float(value)) for value in point) for point in ruler.points)
        numbers = ["" if found.get(name) is None else found[name] for name in _FIGURES]
        marks = ["yes" if mark else "" for mark in (ruler.is_target, ruler.is_node)]
        rest = [unit if found.get("mean") is not None else "", ruler.frame_of_reference_uid, points]
        writer.writerow([as_cell(ruler.name), ruler.kind, as_cell(ruler.visit), *marks, *numbers, *rest])
    return write_text(path, text.getvalue(), overwrite)


def read_rulers(path: str | Path) -> list[Ruler]:
    """Return the rulers of a file that `write_rulers` wrote; figures are not read but measured again.

    Raises
    ------
    ReadError
        If it cannot be read, or a line is no ruler; names the line.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ReadError(f"{path} cannot be read as CSV: {error}.") from error
    found = []
    for line, row in enumerate(rows, 2):
        try:
            points = [tuple(float(value) for value in point.split()) for point in row["points_mm"].split(";")]
            found.append(
                Ruler(
                    row["kind"],  # type: ignore[arg-type]  # it is checked there
                    tuple(points),  # type: ignore[arg-type]
                    from_cell(row["name"]),
                    from_cell(row["visit"]),
                    row["target"] == "yes",
                    row["node"] == "yes",
                    row["frame_of_reference_uid"],
                )
            )
        except (KeyError, ValueError, TypeError, AttributeError, OptionError) as error:
            raise ReadError(f"{path}, line {line}: no ruler with name, kind and points_mm ({error}).") from error
    return found


def figure_text(value: float, digits: int) -> str:
    """Return a number with so many digits that count, and all of those before the point: never as a power of ten.

    Examples
    --------
    >>> figure_text(12345.6, 4), figure_text(800.04, 4), figure_text(-0.01234, 3), figure_text(105072, 4)
    ('12346', '800', '-0.0123', '105072')
    """
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def value_text(found: Mapping[str, float | int | None], unit: str) -> str:
    """Return what a ruler measures with units, such as ``"47.1 mm² · 800 ± 9 HU"``."""
    parts = []
    if "angle_deg" in found:
        parts.append(f"{found['angle_deg']:.1f}°")
    if "length_mm" in found:
        parts.append(f"{found['length_mm']:.1f} mm")
    if "area_mm2" in found:
        parts.append(f"{found['area_mm2']:.0f} mm²")
    elif "long_axis_mm" in found:
        parts.append(f"{found['long_axis_mm']:.1f} x {found['short_axis_mm']:.1f} mm")
    if "volume_ml" in found:
        parts.append(f"{found['volume_ml']:.2f} ml")
    mean, sd = found.get("mean"), found.get("sd")
    if mean is not None and sd is not None:
        parts.append(f"{figure_text(mean, 4)} ± {figure_text(sd, 3)} {unit}".rstrip())
    elif found.get("voxels") == 0:
        parts.append("outside of the scan")
    return " · ".join(parts)
