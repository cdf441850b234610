"""The folder of a run: whether it may be used, and what stands in it of the run before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from napari_radcnn import provenance
from napari_radcnn.cohort.cases import Case, CaseList
from napari_radcnn.cohort.chain import Resolved
from napari_radcnn.cohort.reading import hash_of, locate
from napari_radcnn.cohort.results.layout import RECORDS, RUN
from napari_radcnn.cohort.results.record import read_record, record_path
from napari_radcnn.errors import RadcnnError, WriteError
from napari_radcnn.files import some_names
from napari_radcnn.schemas import check_schema
from napari_radcnn.version import __version__

SCHEMA = "radcnn-cohort/1"


#: Cases of the run before whose scans are compared with those of this one.
_MOST_COMPARED = 20


def check_folder(
    out: Path, steps: Sequence[Resolved], cases: CaseList, columns: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return what the folder says of the run before; None where it is new.

    Raises
    ------
    WriteError
        If it holds anything else, or another run: one that has no step in common with this one, no case, or, with
        another list, cases of the same names but of other scans.
    """
    if not out.exists():
        if not out.absolute().parent.is_dir():
            raise WriteError(f"{out}: the folder '{out.parent}' does not exist; create it first.")
        return None
    if not out.is_dir():
        raise WriteError(f"{out}: this is a file; enter the name of a folder.")
    before = read_run(out)
    if before is None:
        there = sorted(path for path in out.iterdir() if not path.name.startswith(".radcnn-"))
        if there:
            raise WriteError(f"{out}: contains other files ({some_names(there)}); choose a new or empty folder.")
        return None
    titles = [str(step.get("model")) for step in before.get("steps", [])]
    has_step = any(step.title in titles for step in steps)
    if not has_step or not _has_case(out, cases, columns, is_same_list=before.get("list") == cases.where):
        raise WriteError(
            f"{out}: belongs to another run ({', '.join(titles)} on {before.get('cases')} cases of "
            f"{before.get('list')}); choose another folder."
        )
    return before


def _has_case(out: Path, cases: CaseList, columns: Mapping[str, str], *, is_same_list: bool) -> bool:
    """Return whether the run before has a case of this one: of its name, and in another list of its scan as well."""
    if not any((out / RECORDS).glob("*.json")):
        return True
    alike = (case for case in cases if record_path(out, case.name).exists())
    if is_same_list:
        return next(alike, None) is not None
    return any(_is_of_scan(out, case, cases, columns) for case in islice(alike, _MOST_COMPARED))


def _is_of_scan(out: Path, case: Case, cases: CaseList, columns: Mapping[str, str]) -> bool:
    """Return whether the record of a case is of one of its scans, or of a copy; also where it says nothing."""
    record = read_record(record_path(out, case.name))
    if record is None or not any(known.get("sha256") for known in record.inputs.values()):
        return True
    for name, column in columns.items():
        path, which = locate(case.values.get(column, ""), cases.folder)
        known = record.inputs.get(name, {})
        if known.get("path") == str(path.absolute()) and known.get("which") == which:
            return True
        try:
            if known.get("sha256") and known["sha256"] == hash_of(path, which):
                return True
        except (OSError, RadcnnError):  # it is told of when its turn comes
            continue
    return False


def read_run(out: Path) -> dict[str, Any] | None:
    """Return what the folder says of its run; None where it says nothing.

    Raises
    ------
    WriteError
        If a newer version wrote it.
    """
    try:
        plain = json.loads((out / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(plain, dict):
        return None
    check_schema(plain.get("schema"), SCHEMA, out / RUN, WriteError)
    return plain if plain.get("schema") == SCHEMA else None


def describe_run(name: str, steps: Sequence[Resolved], cases: CaseList, layout: str) -> dict[str, Any]:
    """Return what is written of a run."""
    return {
        "schema": SCHEMA,
        "run": name,
        "list": cases.where,
        "cases": len(cases),
        "layout": layout,
        "steps": [step.describe() for step in steps],
        "version": __version__,
        "began": provenance.now(),
    }
