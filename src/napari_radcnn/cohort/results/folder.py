"""The folder of a run: whether it may be used, and what stands in it of the run before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_radcnn import provenance
from napari_radcnn.cohort.cases import CaseList
from napari_radcnn.cohort.chain import Resolved
from napari_radcnn.cohort.results.layout import RECORDS, RUN
from napari_radcnn.cohort.results.record import record_path
from napari_radcnn.errors import WriteError
from napari_radcnn.files import some_names
from napari_radcnn.schemas import check_schema
from napari_radcnn.version import __version__

SCHEMA = "radcnn-cohort/1"


def check_folder(out: Path, steps: Sequence[Resolved], cases: CaseList) -> dict[str, Any] | None:
    """Return what the folder says of the run before; None where it is new.

    Raises
    ------
    WriteError
        If it holds anything else, or a run that has neither a step nor a case in common with this one.
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
    has_records = any((out / RECORDS).glob("*.json"))
    has_case = not has_records or any(record_path(out, case.name).exists() for case in cases)
    if not has_step or not has_case:
        raise WriteError(
            f"{out}: belongs to another run ({', '.join(titles)} on {before.get('cases')} cases of "
            f"{before.get('list')}); choose another folder."
        )
    return before


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
