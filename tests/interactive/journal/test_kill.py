"""A program that is killed at any moment loses no step that it had acknowledged."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import killed_session
from costly import few_rows
from killed_session import BallEngine, play, resumed, scan
from napari_radcnn.interactive.journal.journal import saved_sessions
from napari_radcnn.session import PromptSession
from patience import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")


def _start(*words: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, killed_session.__file__, *map(str, words)],
        bufsize=0,  # `communicate` passes by what `readline` read ahead
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _acknowledged(output: bytes, first: int) -> int:
    """Return how many steps are done, all in all, by what the program said of those from `first` on."""
    lines = output[: output.rfind(b"\n") + 1].split()
    return int(lines[-1]) + 1 if lines and lines[-1] != b"ready" else first


def _seen(session: PromptSession) -> dict[str, object]:
    return {
        "objects": session.objects,
        "prompts": {item.value: session.prompts(item.value) for item in session.objects},
        "volumes": {item.value: session.volume_ml(item.value) for item in session.objects},
        "history": session.history,
        "redo": session.redo_title,
        "active": session.active,
    }


def _are_equal(first: PromptSession, second: PromptSession) -> bool:
    return _seen(first) == _seen(second) and np.array_equal(first.labels, second.labels)


def _have_equal_histories(first: PromptSession, second: PromptSession) -> bool:
    """Go back to the empty beginning and to the end again, with both; leave them as they were."""
    n_undone = 0
    while second.can_redo:
        first.redo(), second.redo()
        n_undone += 1
        if not _are_equal(first, second):
            return False
    n_done = 0
    while second.can_undo:
        first.undo(), second.undo()
        n_done += 1
        if not _are_equal(first, second):
            return False
    if first.can_undo or first.labels.any():
        return False
    for _ in range(n_done - n_undone):
        first.redo(), second.redo()
    return _are_equal(first, second)


def _check(folder: Path, copy: Path, reference: PromptSession, seed: int, acknowledged: int, played: int) -> int:
    """Compare what is on the disk with the reference, which played `played` steps; return how many steps survived."""
    for number in range(played, acknowledged):
        play(reference, seed, number)
    shutil.rmtree(copy, ignore_errors=True)
    if folder.exists():
        shutil.copytree(folder, copy)
    found = saved_sessions(copy)
    if not found:
        assert reference.history == ()
        assert not reference.can_redo
        return acknowledged
    assert [(one.is_alive, one.problem) for one in found] == [(False, "")]
    with resumed(found[0]) as session:
        if not _are_equal(session, reference):  # it was killed after keeping a step and before it could say so
            play(reference, seed, acknowledged)
            acknowledged += 1
        assert _are_equal(session, reference), f"seed {seed}: not the first {acknowledged} steps"
        assert _have_equal_histories(session, reference)
        play(session, seed, 10**6)  # it can go on
    return acknowledged


def _kill_again_and_again(tmp_path: Path, n_kills: int, seed: int) -> int:
    random = np.random.default_rng(seed)
    folder, done = tmp_path / "sessions", 0
    reference = PromptSession(scan(), engine=BallEngine(), autosave=False)
    for _ in range(n_kills):
        process = _start(folder, seed, done)
        output = b""
        for _ in range(1 + int(random.integers(0, 12))):
            output += process.stdout.readline()
        time.sleep(random.uniform(0, 0.05))
        assert process.poll() is None, process.stderr.read().decode()
        process.kill()
        rest, errors = process.communicate()
        assert errors == b""
        acknowledged = _acknowledged(output + rest, done)
        done = _check(folder, tmp_path / "copy", reference, seed, acknowledged, done)
    reference.close()
    return done


def test_a_killed_program_loses_no_acknowledged_step(tmp_path):
    assert _kill_again_and_again(tmp_path, 6, seed=3) > 6


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12, 13, 14, 15])
def test_a_program_killed_fifty_times_loses_no_acknowledged_step(tmp_path, seed):
    assert _kill_again_and_again(tmp_path, 10, seed) > 10


@pytest.mark.parametrize(
    ("record", "n_bytes"),
    few_rows(
        [(1, 0), (1, 10), (1, 60), (1, 400), (7, 0), (7, 3), (7, 20), (7, 28), (7, 100)], (1, 60), (7, 0), (7, 28)
    ),
)
def test_a_program_killed_within_a_record_loses_that_step_alone(tmp_path, record, n_bytes):
    folder, seed = tmp_path / "sessions", 4
    process = _start(folder, seed, 0, 60, record, n_bytes)
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (-9, b"")
    acknowledged = _acknowledged(output, 0)
    assert acknowledged >= record - 1
    reference = PromptSession(scan(), engine=BallEngine(), autosave=False)
    assert _check(folder, tmp_path / "copy", reference, seed, acknowledged, 0) == acknowledged
    reference.close()


def test_it_would_be_noticed_if_a_step_were_missing(tmp_path):
    folder, seed = tmp_path / "sessions", 4
    process = _start(folder, seed, 0, 12)
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, b"")
    file = next(folder.glob("*/journal.radcnn"))
    file.write_bytes(file.read_bytes()[:-1])
    reference = PromptSession(scan(), engine=BallEngine(), autosave=False)
    with pytest.raises(AssertionError):
        _check(folder, tmp_path / "copy", reference, seed, _acknowledged(output, 0), 0)
    reference.close()
