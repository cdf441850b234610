"""Processes that work on cases: they die, hang and fail, and take no more memory together than there is."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import cohorts
from napari_radcnn.cohort import run
from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.cohort.results.table import read_log
from napari_radcnn.cohort.work.budget import MemoryBudget
from napari_radcnn.cohort.work.hands import HandLostError, work_with_tries
from napari_radcnn.cohort.work.workers import Processes
from napari_radcnn.errors import CancelledError, ExitStatus
from patience import PATIENCE


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the cheap model, for ``PYTHONPATH``."""
    return cohorts.lay_out_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def _found(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process and those it starts find the model."""
    monkeypatch.setenv("PYTHONPATH", cohorts.environment(models)["PYTHONPATH"])
    monkeypatch.syspath_prepend(str(models))


@pytest.mark.usefixtures("_found")
def test_a_case_that_kills_or_hangs_its_process_is_tried_three_times_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    run(cohorts.MODEL, cohorts.write_cohort(tmp_path / "one", 1), tmp_path / "first", workers=Processes(1))
    patience = max(4.0, 3 * (time.monotonic() - began))  # longer than any sound case takes, however busy it is here
    marks = tmp_path / "marks"
    monkeypatch.setenv("TOY_MARKS", str(marks))
    cases = cohorts.write_cohort(tmp_path / "in", 5, {1: 9001, 2: 9002, 3: 9003})
    out = tmp_path / "out"
    workers = Processes(2, patience=patience)
    summary = run(cohorts.MODEL, cases, out, workers=workers)
    assert (summary.n_done, summary.n_failed) == (2, 3)
    rows = cohorts.rows_of(out)
    assert "3 times: it was killed by SIGKILL, perhaps because memory ran out" in rows["c001"]["reason"]
    assert f"ended unexpectedly 3 times: it did not respond for {patience:g} s" in rows["c002"]["reason"]
    assert "ZeroDivisionError: a fault of the model" in rows["c003"]["reason"]
    begun = marks.read_text().split()
    assert [begun.count(f"scan00{number}") for number in range(5)] == [1, 3, 3, 1, 1]


@pytest.mark.usefixtures("_found")
def test_all_processes_together_take_no_more_memory_than_there_is(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 6), tmp_path / "out"
    workers = Processes(3, memory=2500)
    run(cohorts.MODEL, cases, out, workers=workers, options={"seconds": 0.3, "memory_bytes": 1000})
    assert workers.budget is not None
    assert workers.budget.peak == 2000


@pytest.mark.usefixtures("_found")
def test_a_case_that_lacks_memory_beside_others_is_tried_again_without_them(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 3, {1: 9004}), tmp_path / "out"
    workers = Processes(2, memory=2500)
    run(cohorts.MODEL, cases, out, workers=workers, options={"memory_bytes": 1000})
    assert workers.budget is not None
    assert workers.budget.peak == 2500  # all of it, for the second try
    rows = cohorts.rows_of(out)
    assert [row["state"] for row in rows.values()] == ["done", "failed", "done"]
    assert "not enough free memory" in rows["c001"]["reason"]
    tries = {event["case"]: event["tries"] for event in read_log(out / "log.jsonl") if event["event"] == "answered"}
    assert tries == {"c000": 1, "c001": 2, "c002": 1}


class _Hand:
    """A process whose ends are known: an answer, or an error."""

    def __init__(self, *ends: Answer | HandLostError) -> None:
        self.ends, self.alone = list(ends), list[bool]()

    def work(self, _job: Job, *, is_alone: bool, **_: object) -> Answer:
        self.alone.append(is_alone)
        end = self.ends.pop(0)
        if isinstance(end, HandLostError):
            raise end
        return end


_SHORT, _DONE = Answer("a", "failed", "no memory", [], is_short=True), Answer("a", "done", "", [])
_KILLED, _HUNG = HandLostError("killed", may_lack_memory=True), HandLostError("hung")


@pytest.mark.parametrize(
    ("ends", "has_others", "alone", "state"),
    [
        ((_SHORT, _DONE), True, [False, True], "done"),
        ((_SHORT, _SHORT), True, [False, True], "failed"),  # others were not to blame
        ((_SHORT,), False, [False], "failed"),
        ((_KILLED, _DONE), True, [False, True], "done"),
        ((_HUNG, _DONE), True, [False, False], "done"),  # whoever hangs must not keep all others waiting
        ((_HUNG, _HUNG, _SHORT), True, [False, False, False], "failed"),
        ((_KILLED, _HUNG, _KILLED), False, [False, False, False], "failed"),
    ],
)
def test_who_is_tried_again_alone(ends: tuple, has_others: bool, alone: list[bool], state: str) -> None:
    hand = _Hand(*ends)
    job = Job("a", {}, (), {}, {}, "nowhere")
    answer = work_with_tries(hand, job, has_others=has_others)  # type: ignore[arg-type]
    assert (hand.alone, answer.state, answer.tries, hand.ends) == (alone, state, len(ends), [])


def test_memory_is_lent_in_the_order_it_is_asked_for() -> None:
    budget = MemoryBudget(100)
    assert budget.lend("a", 60)
    got: list[str] = []

    def ask(who: str, n_bytes: int) -> threading.Thread:
        def lend() -> None:
            if budget.lend(who, n_bytes):
                got.append(who)

        thread = threading.Thread(target=lend)
        thread.start()
        time.sleep(0.05)
        return thread

    # a large step waits; a small one that would fit does not go past it
    threads = [ask("large", 200), ask("small", 10)]
    assert got == []
    budget.give_back("a")
    threads[0].join(PATIENCE)
    assert got == ["large"]
    budget.give_back("large")
    threads[1].join(PATIENCE)
    assert got == ["large", "small"]
    assert not budget.lend("gone", 100, lambda: True)
    assert budget.peak == 200


@pytest.mark.usefixtures("_found")
def test_cancel_ends_the_processes_at_once(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 2), tmp_path / "out"
    cancel = threading.Event()
    began = time.monotonic()

    def progress(done: int, total: int, message: str) -> None:
        if "waiting" in message:
            cancel.set()

    with pytest.raises(CancelledError):
        run(cohorts.MODEL, cases, out, jobs=2, options={"seconds": 300.0}, progress=progress, cancel=cancel)
    assert time.monotonic() - began < 150


def _n_done(out: Path) -> int:
    """Return how many cases are done."""
    return len(list((out / "records").glob("*.json")))


def _killed_and_gone_on(
    tmp_path: Path, models: Path, n_cases: int, seconds: float, delays: Sequence[float] = (), done: Sequence[int] = ()
) -> None:
    """Kill the command line at moments or when so many cases are done, go on, and compare with an undisturbed run."""
    corners = {3: 9001, 7: 9004}
    cases = cohorts.write_cohort(tmp_path / "in", n_cases, corners)
    (tmp_path / "in" / "scan005.nii.gz").unlink()
    words = ["cohort", "run", cohorts.MODEL, str(cases), "--jobs", "2", "--option", f"seconds={seconds}"]
    status, _, errors = cohorts.finished([*words, "-o", str(tmp_path / "whole")], models)
    assert status == ExitStatus.INCOMPLETE, errors
    out = tmp_path / "out"
    kills = 0
    for moment in (*delays, *done):
        with cohorts.started([*words, "-o", str(out)], models) as process:
            if delays:
                time.sleep(moment)
            while not delays and _n_done(out) < moment and process.poll() is None:
                time.sleep(0.01)
            kills += process.poll() is None
            process.kill()
    assert kills > 0
    status, told, errors = cohorts.finished([*words, "-o", str(out)], models)
    assert status == ExitStatus.INCOMPLETE, errors
    assert f"{n_cases - 3} cases done" in told
    assert cohorts.table_without_times(out) == cohorts.table_without_times(tmp_path / "whole")
    assert cohorts.hashes_of(out) == cohorts.hashes_of(tmp_path / "whole")


def test_a_run_that_is_killed_goes_on_and_gives_the_same(tmp_path: Path, models: Path) -> None:
    _killed_and_gone_on(tmp_path, models, 9, 0.2, done=[2])


@pytest.mark.slow
def test_a_run_that_is_killed_at_twenty_moments_gives_the_same(tmp_path: Path, models: Path) -> None:
    import random

    moments = random.Random(5)
    _killed_and_gone_on(tmp_path, models, 60, 0.4, [moments.uniform(0.5, 6.0) for _ in range(20)])


def test_a_run_that_another_process_is_at_is_refused_and_one_that_died_is_not(tmp_path: Path, models: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 2), tmp_path / "out"
    words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(out), "--option", "seconds=60"]
    with cohorts.started(words, models) as process:
        while not (out / "log.jsonl").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        status, _, errors = cohorts.finished(words, models)
        assert status == 3
        assert f"process {process.pid}" in errors
    status, told, errors = cohorts.finished([*words[:-1], "seconds=0"], models)
    assert status == 0, errors
    assert "2 cases done, 0 failed" in told
    assert "option seconds of 'toy-waiting': 60.0 -> 0.0" in errors
