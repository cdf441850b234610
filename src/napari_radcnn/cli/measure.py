"""``radcnn measure``: the labels of a label map in numbers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_radcnn.cli.common import (
    Progress,
    add_on_irregular,
    add_pixel_size,
    add_select,
    check_output,
    choose,
    read_volumes,
    warn,
)
from napari_radcnn.cli.signals import cancelling
from napari_radcnn.errors import OptionError, WriteError

#: What is printed where no file is named: name of the column, heading, digits after the point.
_PRINTED = (
    ("volume_ml", "ml", 2),
    ("mean", "mean", 2),
    ("sd", "SD", 2),
    ("min", "min", 2),
    ("median", "median", 2),
    ("max", "max", 2),
    ("longest_diameter_mm", "longest mm", 1),
    ("suv_peak", "peak", 2),
    ("mtv_ml", "MTV ml", 2),
    ("tlg", "TLG", 2),
)
_REPORT = ".sr.dcm"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    measure = commands.add_parser(
        "measure",
        help="measure the labels of a label map on a scan: volume, diameters, mean, ...",
        description="Measure every label: volume, diameters and shape, and the values of a scan within it. The figures "
        "follow IBSI's definitions where there is one; `-o table.json` states that of each.",
    )
    measure.add_argument(
        "labels",
        metavar="LABELS",
        type=Path,
        help="a label map, DICOM segmentation or contours; or rulers, .csv or DICOM report",
    )
    measure.add_argument(
        "--image", metavar="SCAN", type=Path, help="the scan whose values are measured; without it, shapes only"
    )
    measure.add_argument("--suv", action="store_true", help="measure a PET in SUV by body weight")
    measure.add_argument(
        "--mtv-threshold",
        metavar="VALUE",
        type=float,
        help="lowest value of the metabolic volume of a PET, in the unit of the table (default: 41 %% of the highest)",
    )
    measure.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="file to write: .csv, .json, or .sr.dcm for a DICOM report with its segmentation beside it; without it, "
        "the most important figures are printed",
    )
    add_select(measure)
    add_on_irregular(measure)
    add_pixel_size(measure)
    measure.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    measure.set_defaults(command=_measure)


def check_table(path: Path, overwrite: bool, sources: Sequence[Path], suffixes: Sequence[str] = ()) -> None:
    """Refuse before the work a table that could not be written.

    Raises
    ------
    WriteError
        If its suffix is none of a table's or of `suffixes`, it exists, its folder does not, or it is a source.
    """
    from napari_radcnn.io.targets import refuse_sources
    from napari_radcnn.measure.table import SUFFIXES

    known = (*SUFFIXES, *suffixes)
    if not path.name.lower().endswith(known):
        raise WriteError(f"{path}: a table of measurements is written as {', '.join(known)}.")
    refuse_sources(path, sources)
    check_output(path, overwrite)


def check_unit(image: Any, suv: bool) -> None:
    """Refuse SUV of a scan without it before the work; say of a PET that has it that it is measured otherwise.

    Raises
    ------
    OptionError
        If `suv` is asked for, and the scan has none.
    """
    from napari_radcnn.measure.segments import unit_of

    _, unit = unit_of(image, suv)
    if not suv and image.suvbw_factor is not None:
        warn([f"'{image.name}' is measured in {unit or 'its own unit'}; with --suv in SUV by body weight."])


def _measure(parsed: argparse.Namespace) -> None:
    from napari_radcnn.measure import segments, write_table

    sources = [path for path in (parsed.labels, parsed.image) if path is not None]
    if parsed.output is not None:
        check_table(parsed.output, parsed.overwrite, sources, [_REPORT])
    if _holds_rulers(parsed.labels):
        _measure_rulers(parsed)
        return
    if parsed.suv and parsed.image is None:
        raise OptionError("--suv needs the PET: name it with --image SCAN.")
    with cancelling() as cancel:
        progress = Progress()
        try:
            labels = _read(parsed.labels, parsed, progress, cancel, parsed.image is None)
            image = None if parsed.image is None else _read(parsed.image, parsed, progress, cancel, True)
            if image is not None:
                warn(image.warnings)
                check_unit(image, parsed.suv)
            table = segments(
                labels, image, parsed.suv, mtv_threshold=parsed.mtv_threshold, progress=progress, cancel=cancel
            )
        finally:
            progress.close()
    warn(table["warnings"])
    if parsed.output is None:
        _print(table)
        return
    if parsed.output.name.lower().endswith(_REPORT):
        _write_report(labels, image, table, parsed)
    else:
        write_table(table, parsed.output, parsed.overwrite)
    print(f"written: {parsed.output}")


def _holds_rulers(path: Path) -> bool:
    from napari_radcnn.io.dicom_results import is_report

    return path.suffix.lower() == ".csv" or is_report(path)


def _measure_rulers(parsed: argparse.Namespace) -> None:
    """Measure rulers that were written by the viewer, or by another program as a report."""
    from napari_radcnn.io.dicom_results import read_ruler_report, write_ruler_report
    from napari_radcnn.io.dicom_results.write.figures import left_out
    from napari_radcnn.measure import follow_up, read_rulers, write_rulers
    from napari_radcnn.measure.ruler_table import value_text

    is_table = parsed.labels.suffix.lower() == ".csv"
    rulers = read_rulers(parsed.labels) if is_table else read_ruler_report(parsed.labels)
    image, unit = None, ""
    if parsed.image is not None:
        with cancelling() as cancel:
            progress = Progress()
            image = _read(parsed.image, parsed, progress, cancel, True)
            progress.close()
        warn(image.warnings)
        check_unit(image, parsed.suv)
        unit = "SUVbw" if parsed.suv else image.metadata.units
    away = [ruler.name or ruler.kind for ruler in rulers if image is not None and not ruler.is_in_space_of(image)]
    if image is not None and away:
        warn([f"in another patient space (frame of reference) than '{image.name}', not measured: {', '.join(away)}."])
    measured = [ruler.measure(image, parsed.suv) for ruler in rulers]
    visits, told = follow_up(rulers)
    warn(told)
    if parsed.output is None:
        for ruler, found in zip(rulers, measured, strict=True):
            print(f"{ruler.name}: {value_text(found, unit)}")
        for visit in visits:
            change = "" if visit.from_baseline is None else f", {visit.from_baseline:+.0f} % from baseline"
            print(f"sum at {visit.name}: {visit.total:.1f} mm{change} {visit.response}".rstrip())
        return
    if parsed.output.name.lower().endswith(_REPORT):
        if image is None:
            raise OptionError("A report of rulers needs the scan that they were drawn on: name it with --image SCAN.")
        both = [(ruler, found) for ruler, found in zip(rulers, measured, strict=True) if ruler.is_in_space_of(image)]
        if both and len(both) < len(rulers):
            n = len(rulers) - len(both)
            which = "1 ruler of another patient space is" if n == 1 else f"{n} rulers of other patient spaces are"
            warn([f"{which} not in the report: it is of the study of '{image.name}'."])
            rulers, measured = [one for one, _ in both], [one for _, one in both]
        write_ruler_report(rulers, parsed.output, image, measured, unit, parsed.overwrite)
        if any(found.get("mean") is not None for found in measured):
            warn(list(filter(None, [left_out(unit, image.modality)])))
    elif parsed.output.suffix.lower() == ".csv":
        write_rulers(rulers, parsed.output, measured, unit, parsed.overwrite)
    else:
        raise WriteError(f"{parsed.output}: rulers are written as .csv or .sr.dcm.")
    print(f"written: {parsed.output}")


def _read(path: Path, parsed: argparse.Namespace, progress: Progress, cancel: Any, is_chosen: bool) -> Any:
    """Return the volume at a path; --select and --pixel-size are for the scan where there is one."""
    size = parsed.pixel_size if is_chosen else None
    volumes = read_volumes(path, progress, cancel, parsed.on_irregular, size)
    return choose(volumes, path, parsed.select if is_chosen else None)


def _write_report(labels: Any, image: Any, table: Mapping[str, Any], parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.dicom_results import write_report
    from napari_radcnn.io.dicom_results.write.figures import left_out
    from napari_radcnn.io.dicom_results.write.segmentation import as_label_map

    write_report(as_label_map(labels), parsed.output, parsed.overwrite, image, table=table)
    if image is not None:
        warn(list(filter(None, [left_out(table["unit"], image.modality)])))


def _print(table: Mapping[str, Any]) -> None:
    """Print the most important figures, a line a label."""
    rows = table["labels"]
    if not rows:
        print("no voxel is labeled")
        return
    shown = [column for column in _PRINTED if any(row.get(column[0]) is not None for row in rows)]
    lines = [["label", "name", *(heading for _, heading, _ in shown)]]
    for row in rows:
        figures = ["-" if row.get(key) is None else f"{row[key]:.{digits}f}" for key, _, digits in shown]
        lines.append([str(row["label"]), row["name"], *figures])
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    for line in lines:
        cells = [
            text.ljust(width) if n == 1 else text.rjust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    if "mean" in rows[0]:
        print(f"unit of the values: {table['unit'] or 'unknown'}")
    else:
        print("no scan: volumes and diameters only; --image SCAN gives its values in each label")
