"""The record of a case: which files a run left, with their hashes; a case is done where all of them agree."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.jobs import Answer, Done, Job, Placed
from napari_radcnn.cohort.reading import hash_of
from napari_radcnn.errors import RadcnnError
from napari_radcnn.files import file_hash, replace_text

SCHEMA = "radcnn-case/1"


@dataclass(frozen=True)
class Record:
    """What is known of the results of a case.

    Attributes
    ----------
    case : str
        Its name.
    folder : str
        Where its files lie, relative to the folder of the run.
    steps : list of Done
        Those that were done.
    inputs : mapping
        By column: ``path``, ``stat`` (size and time of each file) and ``sha256``.
    """

    case: str
    folder: str
    steps: list[Done]
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def whole_steps(self, out: Path, keys: Mapping[str, str]) -> dict[str, Done]:
        """Return the steps that are as they would be made now: same hash of what decides them, files there and whole.

        A step of which a file is missing or changed counts as not done, and so does what follows from it.
        """
        found: dict[str, Done] = {}
        for done in self.steps:
            if keys.get(done.name) == done.key and self._is_whole(out, done):
                found[done.name] = done
        return found

    def has_inputs(self, job: Job) -> bool:
        """Return whether the files of a case are those that its results were made of."""
        for name, placed in job.inputs.items():
            known = self.inputs.get(name, {})
            path = Path(placed.path)
            if known.get("which", "") != placed.which or not path.exists():
                return False
            try:
                # The same time and size, or else the same bytes: a copy is as good.
                if known.get("stat") != stat_of(path) and known.get("sha256") != hash_of(path, placed.which):
                    return False
            except (OSError, RadcnnError):  # whoever works on it says what is wrong with it
                return False
        return set(self.inputs) == set(job.inputs)

    def _is_whole(self, out: Path, done: Done) -> bool:
        folder = out / self.folder
        try:
            return all(file_hash(folder / name) == sha256 for name, sha256 in done.files.items()) and all(
                (folder / name).exists() for name in done.extra
            )
        except OSError:
            return False


def stat_of(path: Path) -> list[Any]:
    """Return what changes when a file or a folder's file is written: sizes and times."""
    if path.is_dir():
        return [[one.name, *stat_of(one)] for one in sorted(path.rglob("*")) if one.is_file()]
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def read_record(path: Path) -> Record | None:
    """Return a record; None where there is none, or none that can be read."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["schema"] != SCHEMA:
            return None
        return Record(plain["case"], plain["folder"], [Done(**step) for step in plain["steps"]], plain["inputs"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def commit(out: Path, folder: str, job: Job, answer: Answer, kept: Sequence[Done], before: Record | None) -> Record:
    """Move the files of an answer to where they belong, and write down that the case is done.

    Only the process that runs a cohort calls this: whoever works writes to a folder of its own. A process that is
    killed in the middle leaves files whose hashes the record does not name; the case is then done again.

    Parameters
    ----------
    out : path
        The folder of the run.
    folder : str
        That of the case, in it.
    job, answer : Job, Answer
        What was asked, and what came back.
    kept : sequence of Done
        Steps that were done already.
    before : Record or None
        What the record said until now; files that are in it and not made any more go.

    Raises
    ------
    OSError
        If the disk is full or cannot be written.
    """
    target, staging = out / folder, Path(job.staging)
    names = {name for done in answer.steps for name in (*done.files, *done.extra)}
    if names:
        target.mkdir(parents=True, exist_ok=True)
    for name in sorted(names):
        _give_place(staging / name, target / name)
    done_now = {done.name: done for done in (*kept, *answer.steps)}
    steps = [done_now[step.name] for step in job.steps if step.name in done_now]
    remaining = {name for done in steps for name in (*done.files, *done.extra)}
    if before is not None:
        gone = {name for done in before.steps for name in (*done.files, *done.extra)}
        for name in gone - (remaining if before.folder == folder else set()):
            with suppress(OSError):
                _remove(out / before.folder / name)
    inputs = {name: _known(placed, answer.inputs.get(name, "")) for name, placed in job.inputs.items()}
    record = Record(answer.case, folder, steps, inputs)
    told = {"schema": SCHEMA, "case": record.case, "folder": folder, "state": answer.state, "inputs": inputs}
    plain = {**told, "steps": [asdict(done) for done in steps]}
    place = record_path(out, answer.case)
    place.parent.mkdir(exist_ok=True)
    replace_text(place, json.dumps(plain, indent=1) + "\n")
    shutil.rmtree(staging, ignore_errors=True)
    return record


def _known(placed: Placed, sha256: str) -> dict[str, Any]:
    """Return what tells a file of a case from another one; nothing of one that cannot be read."""
    path = Path(placed.path)
    told: dict[str, Any] = {"path": placed.path, "which": placed.which}
    try:
        return {**told, "stat": stat_of(path), "sha256": sha256 or hash_of(path, placed.which)}
    except (OSError, RadcnnError):
        return {**told, "stat": None, "sha256": ""}


def record_path(out: Path, case: str) -> Path:
    """Return where the record of a case lies."""
    from napari_radcnn.cohort.cases import folder_name
    from napari_radcnn.cohort.results.layout import RECORDS

    return out / RECORDS / f"{folder_name(case)}.json"


def _give_place(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
