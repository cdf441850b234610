"""Sessions on the disk: what was appended is there again."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from journals import HEADER, begin, file_of, only, plain, played, put, start_bytes
from napari_radcnn.errors import JournalError
from napari_radcnn.interactive.journal import saved as journal_saved
from napari_radcnn.interactive.journal.journal import (
    Journal,
    SavedSession,
    discard,
    old_sessions,
    saved_sessions,
    sessions_folder,
)

# What is kept


def test_nothing_is_on_the_disk_before_the_first_step(tmp_path):
    folder = tmp_path / "kept"
    journal = Journal.create(folder, HEADER)
    journal.sync()
    journal.compact()
    assert saved_sessions(folder) == []
    journal.close(is_finished=True, keep=True)
    assert not folder.exists()


def test_what_was_appended_is_there_again(tmp_path):
    large = os.urandom(3_000_001)
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append("step", b"one")
        journal.append("step", large)
        journal.append("undo", b"u")
        journal.append("redo", b"")
        expected = [("step", b"one"), ("step", large), ("undo", b"u"), ("redo", b"")]
        assert plain(journal) == expected
    session = only(tmp_path)
    assert (session.path, session.header, session.steps) == (journal.path, HEADER, 2)
    assert (session.is_alive, session.is_finished, session.problem) == (False, False, "")
    with Journal.open(session.path) as again:
        assert again.header == HEADER
        assert plain(again) == expected
        again.append("undo", b"v")
        assert only(tmp_path).steps == 1
    with Journal.open(session.path) as again:
        assert plain(again) == [*expected, ("undo", b"v")]
        assert again.lost_bytes == 0


def test_records_can_be_read_while_others_are_appended(tmp_path):
    with begin(tmp_path, b"a" * 9000, b"b", b"c") as journal:
        records = journal.records()
        found = [next(records).payload]
        journal.append("step", b"d" * 20_000)
        found += [record.payload for record in records]
        assert found == [b"a" * 9000, b"b", b"c"]


def test_only_the_user_may_read_what_is_kept_and_names_tell_nothing(tmp_path):
    folder = tmp_path / "data" / "sessions"
    before = os.umask(0)
    try:
        journal = Journal.create(folder, {"volume": "Doe^Jane"})
        journal.append("step", b"one")
        journal.append("undo")
        journal.append("step", b"two")
        journal.compact()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, journal.path)] == [0o700, 0o700]
    files = list(journal.path.iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert not any("Doe" in str(path) for path in (journal.path, *files))
    journal.close()


def test_a_step_is_one_call_of_write(tmp_path, monkeypatch):
    calls = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: calls.append(len(data)) or write(descriptor, data))
    journal = begin(tmp_path, b"first")
    calls.clear()
    journal.append("step", b"x" * 2_000_000)
    assert len(calls) == 1
    journal.close()


def test_the_disk_is_waited_for_now_and_then(tmp_path, monkeypatch):
    now, synced = [1000.0], []
    monkeypatch.setattr("napari_radcnn.interactive.journal.journal.time.monotonic", lambda: now[0])
    journal = Journal.create(tmp_path, HEADER)
    journal.append("step", b"0")
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(now[0]) or fsync(descriptor))
    for now[0] in (1001.0, 1002.0, 1004.0, 1005.0, 1008.0):
        journal.append("step", b"1")
    assert synced == [1004.0, 1008.0]
    journal.sync()
    assert len(synced) == 2, "there was nothing left to wait for"
    journal.append("step", b"2")
    journal.close()
    assert len(synced) == 3


def test_there_must_be_something_to_undo_and_to_redo(tmp_path):
    journal = Journal.create(tmp_path, HEADER)
    with pytest.raises(JournalError, match="nothing to undo"):
        journal.append("undo")
    journal.append("step", b"one")
    with pytest.raises(JournalError, match="nothing to redo"):
        journal.append("redo")
    with pytest.raises(JournalError, match="nothing to finish"):
        journal.append("finish")
    journal.close()
    assert only(tmp_path).steps == 1
    with pytest.raises(JournalError, match="closed"):
        journal.append("step", b"two")


@pytest.mark.parametrize("header", [{"a": object()}, {"a": float("nan")}, {"a": "x" * 2**20}])
def test_a_header_that_cannot_be_kept_is_refused_at_once(tmp_path, header):
    with pytest.raises(JournalError, match="header"):
        Journal.create(tmp_path, header)


def test_the_folder_is_the_users_own_or_the_one_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("RADCNN_SESSIONS", raising=False)
    if sys.platform == "linux":
        assert sessions_folder() == Path(os.environ["XDG_DATA_HOME"]) / "napari-radcnn" / "sessions"
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "mine"))
    assert sessions_folder() == tmp_path / "mine"
    journal = begin(None)
    assert journal.path.parent == tmp_path / "mine"
    assert [session.path for session in saved_sessions()] == [journal.path]
    journal.close()


# Compaction


@given(choices=st.lists(st.sampled_from(["step", "undo", "redo"]), max_size=40))
@settings(deadline=None, max_examples=60)
def test_compaction_keeps_every_step_that_undo_or_redo_can_reach(tmp_path_factory, choices):
    folder = tmp_path_factory.mktemp("kept")
    journal = begin(folder, b"0")
    for number, kind in enumerate(choices, 1):
        done, undone = played(plain(journal))
        if kind == "step" or (kind == "undo" and done) or (kind == "redo" and undone):
            journal.append(kind, f"{kind} {number}".encode())
    before = plain(journal)
    journal.compact()
    after = plain(journal)
    done, undone = played(before)
    assert played(after) == (done, undone)
    assert len(after) == len(done) + 2 * len(undone)
    assert {record for record in after if record[0] == "undo"} <= set(before)
    journal.append("step", b"last")
    journal.close()
    with Journal.open(journal.path) as again:
        assert plain(again) == [*after, ("step", b"last")]


def test_compaction_gives_room_back_and_a_crash_in_it_loses_nothing(tmp_path, monkeypatch):
    journal = begin(tmp_path, b"one")
    journal.append("step", os.urandom(100_000))
    journal.append("undo")
    journal.append("step", b"two")
    before = file_of(journal).read_bytes()

    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.compact()
    assert file_of(journal).read_bytes() == before
    assert len(list(journal.path.iterdir())) == 2
    journal.append("step", b"three")
    journal.compact()
    assert file_of(journal).stat().st_size < 1000
    assert plain(journal) == [("step", b"one"), ("step", b"two"), ("step", b"three")]
    journal.append("step", b"four")
    (journal.path / ".radcnn-0123abcd-journal.radcnn").write_bytes(b"half")
    journal.close()
    with Journal.open(journal.path) as again:
        assert [payload for _, payload in plain(again)] == [b"one", b"two", b"three", b"four"]
        assert len(list(again.path.iterdir())) == 2


# Finished, old, discarded


def test_a_finished_session_is_removed_unless_it_is_kept(tmp_path):
    begin(tmp_path).close(is_finished=True)
    assert list(tmp_path.iterdir()) == []
    journal = begin(tmp_path)
    journal.close(is_finished=True, keep=True)
    session = only(tmp_path)
    assert (session.is_finished, session.steps) == (True, 1)
    with Journal.open(session.path) as again:
        assert plain(again) == [("step", b"first")]
        again.append("undo")
        again.append("step", b"more")
        again.compact()
    assert not only(tmp_path).is_finished


def _age(journal: Journal, days: float) -> None:
    when = file_of(journal).stat().st_mtime - days * 86400
    os.utime(file_of(journal), (when, when))


def test_unfinished_work_is_never_removed_unasked(tmp_path):
    sessions = []
    for number in range(24):
        journal = begin(tmp_path, b"work")
        journal.close()
        _age(journal, 91 + number)
        sessions.append(journal.path)
    live = begin(tmp_path, b"now")
    _age(live, 200)
    new = begin(tmp_path, b"new")
    found = {session.path for session in saved_sessions(tmp_path)}
    assert found == {*sessions, live.path, new.path}
    assert {session.path for session in old_sessions(tmp_path)} == set(sessions)
    live.close()
    new.close()


def test_more_than_twenty_unfinished_ones_are_asked_about(tmp_path):
    journals = [begin(tmp_path) for _ in range(22)]
    for number, journal in enumerate(journals):
        journal.close()
        _age(journal, number)
    assert [session.path for session in old_sessions(tmp_path)] == [journal.path for journal in journals[20:]]


def test_finished_ones_go_when_they_are_old_or_many(tmp_path):
    journals = [begin(tmp_path) for _ in range(23)]
    for number, journal in enumerate(journals):
        journal.close(is_finished=True, keep=True)
        _age(journal, number * 5)
    new = begin(tmp_path)
    left = {session.path for session in saved_sessions(tmp_path)} - {new.path}
    assert left == {journal.path for journal in journals[:18]}, "those younger than 90 days"
    new.close(is_finished=True)
    for number, path in enumerate(left):
        os.utime(path / journal_saved.JOURNAL_NAME, (1, 1) if number % 2 else None)
    more = [begin(tmp_path) for _ in range(15)]
    for journal in more:
        journal.close(is_finished=True, keep=True)
    new = begin(tmp_path)
    left = {session.path for session in saved_sessions(tmp_path)} - {new.path}
    assert len(left) == 20
    assert left >= {journal.path for journal in more}
    new.close(is_finished=True)


def test_what_is_left_of_a_session_without_a_step_goes_after_a_day(tmp_path):
    for name, data in [("session-empty", b""), ("session-started", start_bytes(b"{}"))]:
        (tmp_path / name).mkdir()
        (tmp_path / name / journal_saved.JOURNAL_NAME).write_bytes(data)
    (tmp_path / "session-torn").mkdir()
    (tmp_path / "session-torn" / journal_saved.JOURNAL_NAME).write_bytes(start_bytes(b"{}")[:-1])
    (tmp_path / "session-bare").mkdir()
    assert saved_sessions(tmp_path) == []
    begin(tmp_path).close(is_finished=True)
    assert len(list(tmp_path.iterdir())) == 4
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    begin(tmp_path).close(is_finished=True)
    assert list(tmp_path.iterdir()) == []


def test_discarding_takes_only_what_is_ours_and_nothing_that_is_in_use(tmp_path):
    journal = begin(tmp_path)
    session = only(tmp_path)
    with pytest.raises(JournalError, match="open in another"):
        discard(session)
    journal.close()
    (session.path / "notes.txt").write_text("mine")
    discard(session)
    assert [path.name for path in session.path.iterdir()] == ["notes.txt"]
    assert saved_sessions(tmp_path) == []
    discard(SavedSession(tmp_path / "gone", {}, session.saved, 0, False))


def test_a_damaged_session_can_be_discarded(tmp_path):
    put(tmp_path, b"damaged")
    discard(only(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_header_is_kept_as_it_was_given(tmp_path):
    header = {"volume": "é", "shape": (3, 4, 5)}
    journal = Journal.create(tmp_path, header)
    header["volume"] = "changed"
    journal.append("step", b"one")
    expected = json.loads(json.dumps({"volume": "é", "shape": [3, 4, 5]}))
    assert journal.header == expected
    assert only(tmp_path).header == expected
    journal.close()
