"""What `segments` measured, as CSV, JSON and text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_radcnn.errors import WriteError
from napari_radcnn.files import write_text
from napari_radcnn.files.cells import as_cell
from napari_radcnn.measure.features import BY_NAME
from napari_radcnn.version import __version__

#: What a table can be written as.
SUFFIXES = (".csv", ".json")


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns that any of the rows has, in the order of `FEATURES`."""
    present = set().union(*rows) if rows else {"voxels", "volume_ml"}
    return ["label", "name", *(name for name in BY_NAME if name in present)]


def as_csv(table: Mapping[str, Any], delimiter: str = ",") -> str:
    """Return the table as CSV with a line of names; what is not defined is empty.

    Parameters
    ----------
    table : mapping
        As `segments` returns it.
    delimiter : str
        Between two values; a tab for what is pasted into a spreadsheet.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n", delimiter=delimiter)
    names = [*columns(table["labels"]), "unit"]
    writer.writerow(names)
    for row in table["labels"]:
        values = {**row, "unit": table["unit"]}
        writer.writerow(["" if values.get(name) is None else as_cell(values[name]) for name in names])
    return written.getvalue()


def write_table(table: Mapping[str, Any], path: str | Path, overwrite: bool = False) -> Path:
    """Write the table as ``.csv`` or ``.json``, completely or not at all.

    Raises
    ------
    WriteError
        If the suffix is another, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise WriteError(f"{path}: a table of measurements is written as {' or '.join(SUFFIXES)}.")
    if suffix == ".csv":
        return write_text(path, as_csv(table), overwrite)
    stated = {**table, "program": f"napari-radcnn {__version__}"}
    return write_text(path, json.dumps(stated, indent=2, ensure_ascii=False, allow_nan=False) + "\n", overwrite)
