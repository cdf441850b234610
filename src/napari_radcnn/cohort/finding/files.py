"""Cases of a folder of images and of a BIDS tree."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.cases import IMAGE, Case, CaseList
from napari_radcnn.cohort.finding.choice import Candidate, Choice, choose
from napari_radcnn.cohort.finding.names import told_apart
from napari_radcnn.cohort.finding.rules import Facts, Rule
from napari_radcnn.io.contents import ScansAtPath, find_scans
from napari_radcnn.io.omezarr import is_zarr

_SUFFIXES = re.compile(r"(\.ome)?\.(nii|zarr|nrrd|mha|mhd|mgz|mgh|dcm|png|jpe?g|tiff?)(\.gz)?$", re.I)
_NIBABEL, _ITK = re.compile(r"\.(nii(\.gz)?|mgz|mgh)$", re.I), re.compile(r"\.(nrrd|mha|mhd)$", re.I)
_ENTITY = re.compile(r"([a-zA-Z0-9]+)-([a-zA-Z0-9]+)")
#: Parts of names of what is no scan but was drawn on one.
_DRAWN = re.compile(r"(^|[_.\-])(seg|segmentation|mask|label|labels|lesion|roi|dseg|gt)([_.\-]|$)", re.I)
#: Folders of BIDS that hold pictures which a model may take.
_BIDS_FOLDERS = ("anat", "pet", "ct", "dwi", "perf", "func")


def cases_of_folder(found: ScansAtPath, rules: Sequence[Rule]) -> CaseList:
    """Return a case for each image of a folder; where its images lie in folders, one for each of those.

    Parameters
    ----------
    found : ScansAtPath
        As `napari_radcnn.io.find_scans` returns it.
    rules : sequence of Rule
        Which file of a case is wanted for which input, by words in its name.
    """
    folder = found.path
    direct = [path for path in found.images if path.parent == folder]
    if direct and not rules:
        cases = [_single(path) for path in direct]
        return CaseList(_numbered(cases), (IMAGE,), folder)
    groups = _groups(folder, direct)
    if direct and len(rules) == 1:
        groups = _one_each(groups, rules[0])
    wanted = tuple(rules) or (Rule(),)
    cases = [_grouped(name, paths, wanted, is_default=not rules) for name, paths in groups.items()]
    return CaseList(_numbered(cases), tuple(rule.name for rule in wanted), folder)


def cases_of_bids(folder: Path, rules: Sequence[Rule]) -> CaseList:
    """Return a case for each subject and session of a BIDS tree; its columns are the suffixes: ``T1w``, ``FLAIR``, ...

    Parameters
    ----------
    folder : path
        Holds ``sub-*``.
    rules : sequence of Rule
        Which file is wanted for which input, by words in its name; without one every suffix is a column.
    """
    cases = []
    columns: dict[str, None] = {rule.name: None for rule in rules}
    for subject in sorted(path for path in folder.glob("sub-*") if path.is_dir()):
        sessions = sorted(path for path in subject.glob("ses-*") if path.is_dir()) or [subject]
        for session in sessions:
            name = subject.name if session == subject else f"{subject.name}_{session.name}"
            scans = _bids_scans(session)
            if rules:
                case = _grouped(name, scans, rules, is_default=False)
            else:
                case = _by_suffix(name, scans)
                columns |= dict.fromkeys(case.values)
            cases.append(Case(name, case.values, subject.name.removeprefix("sub-"), case.why, case.doubt))
    return CaseList(_numbered(cases), tuple(columns), folder)


def _bids_scans(session: Path) -> list[Path]:
    return [
        path
        for kind in _BIDS_FOLDERS
        for path in sorted((session / kind).glob("*.nii*"))
        if path.name.endswith((".nii", ".nii.gz")) and not _DRAWN.search(_stem(path))
    ]


def _by_suffix(name: str, scans: Sequence[Path]) -> Case:
    by_suffix: dict[str, list[Path]] = {}
    for path in scans:
        by_suffix.setdefault(_stem(path).rpartition("_")[2], []).append(path)
    choices = {
        suffix: choose(
            [_candidate(path, n, is_measured=False) for n, path in enumerate(paths)], Rule(suffix), is_default=True
        )
        for suffix, paths in by_suffix.items()
    }
    return _case(name, choices, "no scan in the folders of BIDS" if not scans else "")


def _grouped(name: str, paths: Sequence[Path], rules: Sequence[Rule], *, is_default: bool) -> Case:
    scans = [path for path in paths if is_default is False or not _DRAWN.search(_stem(path))] or list(paths)
    is_measured = any(map(_asks_for_size, rules))
    candidates = [_candidate(path, n, is_measured=is_measured) for n, path in enumerate(scans)]
    return _case(name, {rule.name: choose(candidates, rule, is_default=is_default) for rule in rules}, "")


def _case(name: str, choices: dict[str, Choice], doubt: str) -> Case:
    doubts = [*filter(None, [doubt]), *(choice.doubt for choice in choices.values() if choice.doubt)]
    why = "; ".join(choice.why for choice in choices.values() if choice.why)
    return Case(name, {key: choice.cell for key, choice in choices.items() if choice.cell}, "", why, "; ".join(doubts))


def _single(path: Path) -> Case:
    doubt = "its name is that of a mask or label map, not of a scan" if _DRAWN.search(_stem(path)) else ""
    return Case(_stem(path), {IMAGE: str(path.absolute())}, "", f"{IMAGE}: {path.name}, a file of the folder", doubt)


def _groups(folder: Path, direct: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the images of each case: those in a folder of their own, or those whose names begin alike."""
    if direct:
        groups: dict[str, list[Path]] = {}
        for path in direct:
            subject = re.split(r"[_ .]", _stem(path))[0]
            groups.setdefault(subject, []).append(path)
        return groups
    inner = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and not is_zarr(p))
    return {path.name: list(find_scans(path).images) for path in inner}


def _one_each(groups: dict[str, list[Path]], rule: Rule) -> dict[str, list[Path]]:
    """Return a group for each file that fits, where most names that begin alike are of several cases: IMG_1, IMG_2."""
    is_measured = _asks_for_size(rule)
    fitting = {
        name: [path for path in paths if not rule.against(_candidate(path, 0, is_measured=is_measured).facts)]
        for name, paths in groups.items()
    }
    if 2 * sum(len(paths) > 1 for paths in fitting.values()) <= len(groups):
        return groups
    found: dict[str, list[Path]] = {}
    for path in (path for paths in fitting.values() for path in paths):
        found.setdefault(_stem(path), []).append(path)
    return found


def _candidate(path: Path, order: int, *, is_measured: bool) -> Candidate:
    entities = " ".join(value for _, value in _ENTITY.findall(_stem(path)))
    slices, spacing = _size(path) if is_measured else (None, None)
    title = path.name if slices is None else f"{path.name} ({slices} slices)"
    facts = Facts("", f"{_stem(path)} {entities}", slices, spacing)
    return Candidate(str(path.absolute()), title, facts, order=order)


def _asks_for_size(rule: Rule) -> bool:
    return (rule.fewest, rule.most, rule.thickest_mm) != (None, None, None)


def _size(path: Path) -> tuple[int | None, float | None]:
    """Return the number of slices of an image and the distance between them, mm, from its header; None if unknown."""
    if _NIBABEL.search(path.name):
        import nibabel

        try:
            header: Any = nibabel.load(path).header  # type: ignore[attr-defined]  # voxels stay on the disk
            shape, zooms = header.get_data_shape(), header.get_zooms()
        except (OSError, ValueError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError):
            return None, None
        return (int(shape[2]), float(zooms[2])) if len(shape) > 2 else (1, None)
    if _ITK.search(path.name):
        import SimpleITK

        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            return None, None
        size = reader.GetSize()
        return (int(size[2]), float(reader.GetSpacing()[2])) if len(size) > 2 else (1, None)
    return None, None


def _numbered(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Return cases with their rows, and names of their own: two files may differ in the suffix alone."""
    names = told_apart([case.name for case in cases])
    return tuple(
        replace(case, name=name, row=row) for row, (case, name) in enumerate(zip(cases, names, strict=True), 2)
    )


def _stem(path: Path) -> str:
    return _SUFFIXES.sub("", path.name) or path.name
