"""Cases of an export of DICOM files: one for each study, with the series that the rules want."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from napari_radcnn.cohort.cases import Case, CaseList
from napari_radcnn.cohort.finding.choice import Candidate, choose
from napari_radcnn.cohort.finding.names import told_apart
from napari_radcnn.cohort.finding.rules import Facts, Rule
from napari_radcnn.io.contents import ScansAtPath
from napari_radcnn.io.dicom.headers import text
from napari_radcnn.io.dicom.series import Series

#: Words of series that nobody runs a model on.
_PLANNING = ("localizer", "scout", "topogram", "survey", "locator", "smartprep", "dose report")


def cases_of_export(found: ScansAtPath, rules: Sequence[Rule]) -> CaseList:
    """Return a case for each study of an export, by patient and date.

    Parameters
    ----------
    found : ScansAtPath
        Headers, as `napari_radcnn.io.find_scans` returns them.
    rules : sequence of Rule
        What is wanted; without one the series with the most slices that is no localizer, in doubt where several are.
    """
    studies: dict[tuple[str, str, int], list[Series]] = defaultdict(list)
    for series in found.dicom.series:
        first = series.instances[0].tags
        studies[text(first, "PatientID"), text(first, "StudyInstanceUID"), series.belonging.patient].append(series)
    people: dict[str, set[int]] = defaultdict(set)
    for patient, _, number in studies:
        people[patient].add(number)
    by_folder = _series_by_folder(found.dicom.series)
    wanted = tuple(rules) or (Rule(without=_PLANNING),)
    names = _names(list(studies), studies)
    cases: list[Case] = []
    for (key, listed), name in zip(studies.items(), names, strict=True):
        candidates = [_candidate(series, by_folder, found.path, n) for n, series in enumerate(listed)]
        choices = [choose(candidates, rule, is_default=not rules) for rule in wanted]
        doubts = [choice.doubt for choice in choices if choice.doubt]
        if len(people[key[0]]) > 1:
            doubts.append(f"{len(people[key[0]])} patients have the ID '{key[0]}': their names or birth dates differ")
        if not key[0]:
            doubts.append("its files contain no patient ID (PatientID)")
        values = {rule.name: choice.cell for rule, choice in zip(wanted, choices, strict=True) if choice.cell}
        why = "; ".join(choice.why for choice in choices if choice.why)
        cases.append(Case(name, values, key[0], why, "; ".join(doubts), len(cases) + 2))
    cases.sort(key=lambda case: case.name)
    return CaseList(tuple(cases), tuple(rule.name for rule in wanted), found.path)


def _names(keys: list[tuple[str, str, int]], studies: dict[tuple[str, str, int], list[Series]]) -> list[str]:
    """Return a name for each study: the patient's number, with the date where there are several, and a number then."""
    dated, of_patient = [], Counter(key[0] for key in keys)
    for key in keys:
        patient = key[0] or "unknown"
        several = of_patient[key[0]] > 1
        date = text(studies[key][0].instances[0].tags, "StudyDate") if several else ""
        dated.append("_".join(filter(None, (patient, date))))
    return told_apart(dated)


def _series_by_folder(series: Sequence[Series]) -> dict[Path, set[int]]:
    found: dict[Path, set[int]] = defaultdict(set)
    for one in series:
        for instance in one.instances:
            found[instance.path.parent].add(id(one))
    return found


def _candidate(series: Series, by_folder: dict[Path, set[int]], root: Path, order: int) -> Candidate:
    info = series.info()
    first = series.instances[0]
    words = [info.description, *(text(first.tags, key) for key in ("ProtocolName", "SequenceName", "BodyPartExamined"))]
    slices = info.shape[0] if info.shape else None
    thick = info.spacing[0] if info.spacing else None
    title = f"series {info.number if info.number is not None else '?'} '{info.description}' ({slices or '?'} slices)"
    folders = {instance.path.parent for instance in series.instances}
    if len(series.instances) == 1:
        place, uid = first.path, ""
    elif len(folders) == 1 and by_folder[first.path.parent] == {id(series)} and first.path.parent != root:
        place, uid = first.path.parent, ""
    else:
        place, uid = (first.path.parent if len(folders) == 1 else root), info.series_uid
    cell = str(place.absolute()) + (f"#{uid}" if uid else "")
    problem = info.problem or (f"holds {info.n_volumes} volumes" if info.n_volumes > 1 else "")
    others = tuple(note for note in info.notes if not note.startswith("This folder contains scans of"))
    return Candidate(
        cell, title, Facts(info.modality, " ".join(words), slices, thick), problem, others, info.number or order
    )
