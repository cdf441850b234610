"""What lies in a folder as a list of cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_radcnn.cohort.cases import CaseList, checked
from napari_radcnn.cohort.finding.dicom import cases_of_export
from napari_radcnn.cohort.finding.files import cases_of_bids, cases_of_folder
from napari_radcnn.cohort.finding.rules import Rule
from napari_radcnn.errors import ReadError
from napari_radcnn.io import find_scans
from napari_radcnn.progress import CancelEvent, Progress


def find_cases(
    folder: str | Path,
    rules: Sequence[Rule] = (),
    *,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> CaseList:
    """Return the cases in a folder: of a BIDS tree, of an export of DICOM files, or of image files.

    Parameters
    ----------
    folder : path
        A BIDS tree holds ``sub-*``; an export any DICOM files, which are grouped by study; images lie in it, or in a
        folder for each case.
    rules : sequence of Rule
        Which scan is wanted for which input; see `napari_radcnn.cohort.finding.rules.parse_rule`.
    progress, cancel
        As of `napari_radcnn.read`.

    Returns
    -------
    CaseList
        Every case says what was chosen and why (`Case.why`); those in doubt say what is (`Case.doubt`).

    Raises
    ------
    ReadError
        If there is no such folder, or no scan in it.
    CancelledError
        If `cancel` was set.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReadError(f"{folder}: no such folder; check the name.")
    if next(folder.glob("sub-*/**/*.nii*"), None) is not None:
        found = cases_of_bids(folder, rules)
    else:
        scans = find_scans(folder, progress, cancel)
        found = cases_of_export(scans, rules) if scans.dicom.series else cases_of_folder(scans, rules)
        problems = [str(problem) for problem in scans.dicom.problems]
        if scans.dicom.series and scans.images:
            problems.append(f"{folder}: {len(scans.images)} images that are not DICOM were left out.")
        found = replace(found, problems=tuple(problems))
    if not found.cases:
        raise ReadError(f"{folder}: contains no scans; check the name.")
    return checked(found)
