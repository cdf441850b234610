"""Where the results of a case lie: in a folder of its name, or as BIDS derivatives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from napari_radcnn.cohort.cases import Case
from napari_radcnn.cohort.chain import Resolved
from napari_radcnn.errors import OptionError

Layout = Literal["cases", "bids"]
#: Of a run, in its folder.
TABLE, LOG, RUN, RECORDS, WORK = "results.csv", "log.jsonl", "cohort.json", "records", ".radcnn-work"
#: What stands among the derivatives and has no name in BIDS.
BIDS_IGNORE = "".join(f"{name}\n" for name in (f"{RECORDS}/", TABLE, LOG, RUN, "*.radcnn.json", "*_measures.json"))
_WORDS = re.compile(r"[^A-Za-z0-9]+")
_ENTITIES = re.compile(r"(sub-[A-Za-z0-9]+(?:_(?:ses|acq|ce|rec|run|echo)-[A-Za-z0-9]+)*)_([A-Za-z0-9]+)$")
_DATATYPES = ("anat", "pet", "ct", "dwi", "perf", "func")
_KINDS = {"labels": "dseg", "numbers": "measures"}


def check_layout(layout: str) -> Layout:
    """Return a layout.

    Raises
    ------
    OptionError
        If there is no such layout.
    """
    if layout not in get_args(Layout):
        raise OptionError(f"There is no layout '{layout}'; there are: {', '.join(get_args(Layout))}.")
    return layout  # type: ignore[return-value]


def places(layout: Layout, case: Case, steps: Sequence[Resolved], first: Path) -> tuple[str, dict[str, str]]:
    """Return the folder of a case, relative to that of the run, and the name of each step's file in it.

    Parameters
    ----------
    layout : {"cases", "bids"}
        ``CASE/STEP.nii.gz``, or ``sub-01/ses-1/anat/sub-01_ses-1_desc-STEP_dseg.nii.gz``.
    case : Case
        Whose.
    steps : sequence of Resolved
        The chain.
    first : path
        The first input, whose name BIDS keeps.
    """
    if layout == "cases":
        return case.folder, {step.name: f"{step.name}{step.suffix}" for step in steps}
    found = _ENTITIES.fullmatch(first.name.partition(".")[0])
    subject = f"sub-{_WORDS.sub('', case.patient or case.name) or 'x'}"
    if case.patient and found is None:  # two cases of one patient
        subject = f"{subject}_ses-{_WORDS.sub('', case.name)}"
    entities, kind = (found[1], found[2]) if found else (subject, "image")
    parts = [part for part in entities.split("_") if part.startswith(("sub-", "ses-"))]
    datatype = first.parent.name if first.parent.name in _DATATYPES else "anat"
    names = {
        step.name: f"{entities}_desc-{_WORDS.sub('', step.name)}_{_KINDS.get(step.gives, kind)}{step.suffix}"
        for step in steps
    }
    return str(PurePosixPath(*parts, datatype)), names


def bids_description(version: str, steps: Sequence[Resolved]) -> Mapping[str, object]:
    """Return what the ``dataset_description.json`` of derivatives says (BIDS 1.10, derivatives)."""
    return {
        "Name": f"Results of {', '.join(step.title for step in steps)}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "napari-radcnn", "Version": version}],
    }
