"""An operation over a list of cases: whatever is done stays done, whatever fails is told, and it can go on any time."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.cases import Case, CaseList, check_carried, inputs_for, missing_files, shared_files
from napari_radcnn.cohort.chain import Resolved, Step, chain_of, changes, keys_of, resolve, wanted_columns
from napari_radcnn.cohort.finding import find_cases
from napari_radcnn.cohort.jobs import FULL, Answer, Done, Job, Placed
from napari_radcnn.cohort.reading import locate
from napari_radcnn.cohort.results.folder import check_folder, describe_run, read_run
from napari_radcnn.cohort.results.layout import (
    BIDS_IGNORE,
    LOG,
    RECORDS,
    RUN,
    TABLE,
    WORK,
    bids_description,
    check_layout,
    places,
)
from napari_radcnn.cohort.results.record import Record, commit, read_record, record_path
from napari_radcnn.cohort.results.table import Log, Table, first_columns, row_of
from napari_radcnn.cohort.tables import read_list
from napari_radcnn.cohort.work.workers import Processes, Workers
from napari_radcnn.errors import CancelledError, OptionError, ReadError, WriteError
from napari_radcnn.files import owned, replace_text
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel
from napari_radcnn.version import __version__


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes
    ----------
    out : Path
        Its folder.
    n_done, n_failed : int
        Cases that have their results, and those that do not.
    n_kept : int
        Of those that are done, how many were before this run.
    failed : dict of str to str
        The first reasons, by case; not all of very many.
    seconds : float
        How long it took.
    """

    out: Path
    n_done: int
    n_failed: int
    n_kept: int
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run(
    model: str | Path | Sequence[Step],
    cases: str | Path | CaseList,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    suffix: str = "",
    inputs: Mapping[str, str] | None = None,
    jobs: int = 1,
    device: str = "auto",
    precision: str = "auto",
    layout: str = "cases",
    anyway: bool = False,
    trust: str | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    tell: Callable[[str], object] | None = None,
) -> Summary:
    """Run a model, another operation or a chain on every case of a list.

    What was done by an earlier run into the same folder stays: a case is done where its files are there and agree with
    the hashes of its record. What was changed since (an option, the model, a scan) is done anew, and what follows it.

    Parameters
    ----------
    model : str, path or sequence of Step
        As of `napari_radcnn.cohort.chain.chain_of`: a model, ``"convert"``, ``"evaluate"``, or a chain in YAML.
    cases : path or CaseList
        A list (``.csv``, ``.tsv``, ``.xlsx``, ``.json``), or a folder that cases are looked for in.
    out : path
        A new or empty folder, or that of the same run before.
    options : mapping, optional
        Of the model.
    suffix : str
        How the names of results end, such as ``".nrrd"`` or ``".seg.dcm"``.
    inputs : mapping of str to str, optional
        Which column of the list holds which input, where they are called differently.
    jobs : int
        Processes on this computer, which together take no more memory than is free.
    device, precision : str
        As of `napari_radcnn.inference.settings.RunSettings`. What was done on another device stays done.
    layout : {"cases", "bids"}
        ``OUT/CASE/STEP.nii.gz``, or BIDS derivatives.
    anyway : bool
        Whether models run on scans that they were not made for.
    trust : str, optional
        As of `napari_radcnn.open_model`.
    workers : Workers, optional
        Whoever works instead of processes here.
    progress, cancel
        As everywhere; the steps are cases.
    tell : callable, optional
        Called with a line for what should be known before the work.

    Returns
    -------
    Summary
        The rest stands in ``OUT/results.csv`` and ``OUT/log.jsonl``.

    Raises
    ------
    RadcnnError
        If nothing can be begun: the list, the chain or the folder cannot be used. What goes wrong with a case stands in
        the table.
    CancelledError
        If `cancel` was set; what was done stays done.
    """
    settings = RunSettings(device, precision)
    steps = resolve(chain_of(model, options, suffix), precision=settings.precision, trust=trust, anyway=anyway)
    listed = cases if isinstance(cases, CaseList) else _cases(Path(cases), progress, cancel)
    session = _Session(
        Path(out), steps, listed, dict(inputs or {}), check_layout(layout), settings.device, trust,
        progress, cancel, tell or _nobody,
    )  # fmt: skip
    return session.run(workers or Processes(_at_least_one(jobs)))


def _nobody(text: str) -> None:
    """Tell nobody."""


def _at_least_one(jobs: int) -> int:
    if jobs < 1:
        raise OptionError(f"jobs (--jobs) must be at least 1, got {jobs}.")
    return jobs


def _cases(path: Path, progress: Progress | None, cancel: CancelEvent | None) -> CaseList:
    return find_cases(path, progress=progress, cancel=cancel) if path.is_dir() else read_list(path)


class _Session:
    """One run, from its lock to its summary."""

    def __init__(
        self,
        out: Path,
        steps: tuple[Resolved, ...],
        cases: CaseList,
        mapped: dict[str, str],
        layout: Any,
        device: str,
        trust: str | None,
        progress: Progress | None,
        cancel: CancelEvent | None,
        tell: Callable[[str], object],
    ) -> None:
        self.out, self.steps, self.cases, self.layout = out, steps, cases, layout
        self.device, self.trust, self.tell = device, trust, tell
        self.progress, self.cancel = progress, cancel
        self.columns = inputs_for(cases, wanted_columns(steps), mapped)
        self.carried = check_carried(cases, self.columns.values())
        self.keys = keys_of(steps)
        self.name = secrets.token_hex(4)
        self.counts = {"done": 0, "failed": 0, "kept": 0}
        self.reasons: dict[str, str] = {}
        self._pending: dict[str, tuple[Case, str, list[Done], Record | None]] = {}

    def run(self, workers: Workers) -> Summary:
        began = time.monotonic()
        with ExitStack() as stack:
            try:
                before = check_folder(self.out, self.steps, self.cases, self.columns)
                self.out.mkdir(parents=True, exist_ok=True)
                stack.enter_context(owned(self.out / RUN))
            except OSError as error:
                raise self._stopped(error) from error
            self._begin(before or read_run(self.out))
            answers = workers.work(self._jobs(), self._at_case, self.cancel)
            stack.callback(getattr(answers, "close", lambda: None))
            try:
                for job, answer in answers:
                    self._take(job, answer)
                self.table.put_in_order(self.cases, first_columns(self.carried, self.steps))
                seconds = time.monotonic() - began
                self.log.tell("ended", **self.counts, seconds=round(seconds, 3))
            except CancelledError:
                with suppress(OSError):  # a full disk: that it was cancelled stands nowhere then
                    self.log.tell("cancelled", **self.counts)
                raise self._cancelled() from None
            except OSError as error:
                raise self._stopped(error) from error
            shutil.rmtree(self.out / WORK, ignore_errors=True)
        counts = self.counts
        return Summary(
            self.out, counts["done"], counts["failed"], counts["kept"], self.reasons, time.monotonic() - began
        )

    def _begin(self, before: Mapping[str, Any] | None) -> None:
        """Say what is known before the work, and write down what is going to be done."""
        self._check_places()
        missing = missing_files(self.cases, self.columns.values())
        self.missing = missing
        if missing:
            names = ", ".join(list(missing)[:3]) + (" ..." if len(missing) > 3 else "")
            self.tell(
                f"{len(missing)} of {len(self.cases)} cases lack a file ({names}); they will be listed as failed."
            )
        shared = shared_files(self.cases, tuple(self.columns.values()))
        if shared:
            pairs = ", ".join(f"{one} and {other}" for one, other in shared[:3]) + (" ..." if len(shared) > 3 else "")
            self.tell(f"{len(shared)} of {len(self.cases)} cases name the same files as an earlier one ({pairs}).")
        doubtful = len(self.cases.doubtful)
        if doubtful:
            self.tell(f"{doubtful} of {len(self.cases)} cases are marked as doubtful in the list.")
        described = [step.describe() for step in self.steps]
        if before is not None:
            found = changes(before.get("steps", []), described)
            if found:
                self.tell(f"changed since the last run, and computed again: {'; '.join(found)}.")
        try:
            shutil.rmtree(self.out / WORK, ignore_errors=True)
            (self.out / WORK).mkdir()
            self.log = Log(self.out / LOG)
            replace_text(
                self.out / RUN, json.dumps(describe_run(self.name, self.steps, self.cases, self.layout)) + "\n"
            )
            if self.layout == "bids":
                text = json.dumps(bids_description(__version__, self.steps), indent=1)
                replace_text(self.out / "dataset_description.json", text + "\n")
                replace_text(self.out / ".bidsignore", BIDS_IGNORE)
            self.log.tell("began", run=self.name, cases=len(self.cases), steps=described, version=__version__)
            self.table = Table(self.out / TABLE, first_columns(self.carried, self.steps))
        except OSError as error:
            raise self._stopped(error) from error

    def _check_places(self) -> None:
        """Refuse cases whose files would lie in one place, or where those of the run do."""
        own = {name.casefold() for name in (TABLE, LOG, RUN, RECORDS, WORK)}
        seen: dict[tuple[str, str], str] = {}
        for case in self.cases:
            column = next(iter(self.columns.values()))
            first, _ = locate(case.values.get(column, ""), self.cases.folder)
            folder, names = places(self.layout, case, self.steps, first)
            if folder.casefold() in own:
                raise ReadError(f"{self.cases.where}: no case can be called '{case.name}' (row {case.row}); rename it.")
            other = seen.setdefault((folder, next(iter(names.values()))), case.name)
            if other != case.name:
                raise ReadError(
                    f"{self.cases.where}: the results of '{other}' and '{case.name}' would have the same name, "
                    f"{folder}/{next(iter(names.values()))}; give each its own patient or file name."
                )

    def _jobs(self) -> Iterator[Job]:
        """Yield what is to be done; what is done already goes straight to the table."""
        for number, case in enumerate(self.cases):
            checked_cancel(self.cancel)
            reason = self.missing.get(case.name)
            if reason is not None:
                self._row(case, "failed", reason, [])
                continue
            job = self._job(case, number)
            folder, names = places(self.layout, case, self.steps, Path(next(iter(job.inputs.values())).path))
            record = read_record(record_path(self.out, case.name))
            whole = self._whole(record, job, folder)
            if len(whole) == len(self.steps):
                self.counts["kept"] += 1
                self._row(case, "done", "", [whole[step.name] for step in self.steps])
                continue
            if record is not None:
                self.log.tell("again", case=case.name, steps=[s.name for s in self.steps if s.name not in whole])
            reuse = {name: str(self.out / folder / next(iter(done.files))) for name, done in whole.items()}
            self._pending[case.name] = (case, folder, list(whole.values()), record)
            self.log.tell("queued", case=case.name)
            yield replace(job, names=names, reuse=reuse)

    def _job(self, case: Case, number: int) -> Job:
        placed = {}
        for name, column in self.columns.items():
            path, which = locate(case.values[column], self.cases.folder)
            placed[name] = Placed(str(path.absolute()), which)
        staging = (self.out / WORK / f"{self.name}-{number}").absolute()
        return Job(case.name, placed, self.steps, self.keys, {}, str(staging), device=self.device, trust=self.trust)

    def _whole(self, record: Record | None, job: Job, folder: str) -> dict[str, Done]:
        """Return the steps of a case that are done, each of which has all it was made from done as well."""
        if record is None or record.case != job.case or record.folder != folder:
            return {}
        whole = record.whole_steps(self.out, self.keys)
        if not whole or not record.has_inputs(job):
            return {}
        kept: dict[str, Done] = {}
        for step in self.steps:
            made_of = [where.removeprefix("step:") for where in step.inputs.values() if where.startswith("step:")]
            if step.name in whole and all(name in kept for name in made_of):
                kept[step.name] = whole[step.name]
        return kept

    def _take(self, job: Job, answer: Answer) -> None:
        """Move what came back to its place, and write it down."""
        if answer.case not in self._pending:  # a second answer for a case that somebody else did meanwhile
            shutil.rmtree(job.staging, ignore_errors=True)
            return
        case, folder, kept, record = self._pending.pop(answer.case)
        if answer.is_full:
            raise self._stopped(None)
        made = commit(self.out, folder, job, answer, kept, record)
        self._row(case, answer.state, answer.reason, made.steps, answer)

    def _row(self, case: Case, state: str, reason: str, steps: Sequence[Done], answer: Answer | None = None) -> None:
        row = row_of(case, state, reason, self.carried, steps, len(self.steps))
        self.table.add(row)
        told: dict[str, Any] = {"state": state, **({"reason": reason} if reason else {})}
        if answer is not None:
            told |= {"seconds": round(answer.seconds, 3), "tries": answer.tries}
            told |= {"where": answer.where} if answer.where else {}
            self.log.tell("answered", case=case.name, **told)
        else:
            self.log.tell("kept" if state == "done" else "answered", case=case.name, **told)
        self.counts[state] += 1
        if reason and len(self.reasons) < 1000:
            self.reasons[case.name] = reason
        self._show(f"{case.name}: {state}")

    def _at_case(self, case: str, done: int, total: int, message: str) -> None:
        self._show(f"{case}: {message} ({done}/{total})" if total else f"{case}: {message}")

    def _show(self, message: str) -> None:
        if self.progress is not None:
            self.progress(self.counts["done"] + self.counts["failed"], len(self.cases), message)

    def _so_far(self) -> str:
        return f"{self.counts['done'] + self.counts['failed']} of {len(self.cases)} cases were done"

    def _cancelled(self) -> CancelledError:
        found = CancelledError()
        found.args = (
            f"Cancelled: {self._so_far()} and are kept in {self.out}; start the same run again to resume it.",
        )
        return found

    def _stopped(self, error: OSError | None) -> WriteError:
        is_full = error is None or error.errno in FULL
        cause = "the disk is full" if error is None else error.strerror or str(error)
        cure = "Make room" if is_full else "Solve this, or choose another folder"
        return WriteError(
            f"{self.out}: {cause}; {self._so_far()} and are kept. {cure}, and run the same command again to resume."
        )
