"""A session belongs to the process that has it open, for as long as that process lives."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from napari_radcnn.errors import JournalError
from napari_radcnn.files.owner import Owner
from napari_radcnn.interactive.journal.journal import Journal, saved_sessions
from napari_radcnn.interactive.journal.lock import is_locked, take as take_lock
from patience import PATIENCE

_OTHER = """
import sys
from pathlib import Path
from napari_radcnn.interactive.journal.journal import Journal
journal = Journal.create(Path(sys.argv[1]), {"volume": "theirs"})
journal.append("step", b"one")
print(journal.path, flush=True)
sys.stdin.readline()
"""


def _other(folder: Path) -> tuple[subprocess.Popen, Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, Path(process.stdout.readline().strip())


def _write(folder: Path, owner: Owner, number: int = 1) -> Path:
    path = folder / f"lock-{number}"
    path.write_text(json.dumps(dataclasses.asdict(owner)))
    return path


def test_a_session_of_a_living_process_is_not_given_away_and_one_of_a_dead_one_is(tmp_path):
    process, path = _other(tmp_path)
    try:
        (session,) = saved_sessions(tmp_path)
        assert (session.path, session.is_alive) == (path, True)
        with pytest.raises(JournalError, match="open in another program"):
            Journal.open(path)
        os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while saved_sessions(tmp_path)[0].is_alive and time.monotonic() < deadline:
            time.sleep(0.01)  # a zombie by then: nobody waited for it yet
        assert not saved_sessions(tmp_path)[0].is_alive
        with Journal.open(path) as journal:
            assert [record.payload for record in journal.records()] == [b"one"]
            assert saved_sessions(tmp_path)[0].is_alive
            with pytest.raises(JournalError, match="open in another program"):
                Journal.open(path)
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_ends_by_itself_gives_the_session_back(tmp_path):
    process, path = _other(tmp_path)
    process.communicate("\n", timeout=PATIENCE)
    assert [entry.name for entry in path.iterdir()] == ["journal.radcnn"]


def test_a_session_that_nobody_holds_any_more_is_free(tmp_path):
    journal = Journal.create(tmp_path, {})
    journal.append("step", b"one")
    path = journal.path
    assert is_locked(path)
    del journal
    gc.collect()
    assert not is_locked(path)


def test_a_number_that_was_given_to_another_process_does_not_hold(tmp_path):
    owner = Owner.this_process()
    _write(tmp_path, owner)
    assert is_locked(tmp_path)
    _write(tmp_path, dataclasses.replace(owner, started=owner.started - 60, started_after_boot=-60.0))
    assert not is_locked(tmp_path)


@pytest.mark.parametrize("moved", [-7200.0, 7200.0])
def test_setting_the_clock_ends_no_process(tmp_path, moved):
    owner = Owner.this_process()
    _write(tmp_path, dataclasses.replace(owner, started=owner.started + moved))
    assert is_locked(tmp_path)


def test_a_computer_that_was_started_anew_has_none_of_its_old_processes(tmp_path):
    owner = Owner.this_process()
    if not owner.boot:
        pytest.skip("this system gives its runs no name")
    _write(tmp_path, dataclasses.replace(owner, boot="another"))
    assert not is_locked(tmp_path)


def test_a_process_elsewhere_is_alive_for_half_a_day_after_its_last_step(tmp_path):
    lock = _write(tmp_path, dataclasses.replace(Owner.this_process(), pid=2**22 - 3, place="another computer"))
    assert is_locked(tmp_path)
    hours_ago = time.time() - 13 * 3600
    os.utime(lock, (hours_ago, hours_ago))
    assert not is_locked(tmp_path)
    (tmp_path / "journal.radcnn").write_bytes(b"a step of now")
    assert is_locked(tmp_path)


def test_who_was_taken_for_dead_notices_and_stops_writing(tmp_path):
    journal = Journal.create(tmp_path, {})
    journal.append("step", b"one")
    size = (journal.path / "journal.radcnn").stat().st_size
    _write(journal.path, dataclasses.replace(Owner.this_process(), place="another computer"), number=2)
    with pytest.raises(JournalError, match="this session was taken over on another computer"):
        journal.append("step", b"two")
    assert (journal.path / "journal.radcnn").stat().st_size == size
    with pytest.raises(JournalError):
        journal.close()


def test_a_process_killed_while_it_locks_leaves_nothing_that_counts(tmp_path, monkeypatch):
    seen = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda *args: seen.append(is_locked(tmp_path)) or write(*args))
    take_lock(tmp_path)
    assert seen == [False], "the lock was there before its bytes were"
    assert is_locked(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock-1"]


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    lock = take_lock(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock-1"]
    with pytest.raises(JournalError, match="open in another"):
        take_lock(tmp_path)
    lock.release()
    assert not is_locked(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "1"}', "[" * 4000, "\xff", '{"pid": 1}'])
def test_a_lock_that_tells_nothing_is_waited_for_a_minute(tmp_path, text):
    lock = tmp_path / "lock-1"
    lock.write_text(text, encoding="latin-1")
    assert is_locked(tmp_path)
    os.utime(lock, (0, 0))
    assert not is_locked(tmp_path)


@pytest.mark.parametrize("pid", [-5, 0, 2**31, 2**70])
def test_numbers_that_no_process_has_hold_nothing(tmp_path, pid):
    _write(tmp_path, dataclasses.replace(Owner.this_process(), pid=pid))
    assert not is_locked(tmp_path)


def test_of_many_that_take_over_a_dead_session_one_succeeds(tmp_path):
    owner = Owner.this_process()
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        _write(folder, dataclasses.replace(owner, started=0.0, started_after_boot=-60.0))
        barrier, taken, refused = threading.Barrier(8), [], []

        def take(folder: Path = folder, barrier=barrier, taken=taken, refused=refused) -> None:
            barrier.wait()
            try:
                taken.append(take_lock(folder))
            except JournalError:
                refused.append(1)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(taken), len(refused)) == (1, 7)
