"""Sessions on the disk: what was appended is there again, whatever happened in between."""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
import stat
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_radcnn.errors import JournalError
from napari_radcnn.interactive import journal_records, journal_saved
from napari_radcnn.interactive.journal import (
    Journal,
    SavedSession,
    discard,
    old_sessions,
    saved_sessions,
    sessions_folder,
)

HEADER = {"volume": "liver", "shape": [3, 4, 5]}


def _begin(folder: Path, *payloads: bytes) -> Journal:
    journal = Journal.create(folder, HEADER)
    for payload in payloads or (b"first",):
        journal.append("step", payload)
    return journal


def _file(journal: Journal) -> Path:
    return journal.path / journal_saved.JOURNAL_NAME


def _plain(journal: Journal) -> list[tuple[str, bytes]]:
    return [(record.kind, record.payload) for record in journal.records()]


def _played(records: list[tuple[str, bytes]]) -> tuple[list[bytes], list[bytes]]:
    """Follow the records as a session does: the steps that hold, and those that a redo brings back, next one last."""
    done: list[bytes] = []
    undone: list[bytes] = []
    for kind, payload in records:
        if kind == "step":
            done.append(payload)
            undone.clear()
        elif kind == "undo":
            undone.append(done.pop())
        else:
            done.append(undone.pop())
    return done, undone


def _only(folder: Path) -> SavedSession:
    (session,) = saved_sessions(folder)
    return session


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
        assert _plain(journal) == expected
    session = _only(tmp_path)
    assert (session.path, session.header, session.steps) == (journal.path, HEADER, 2)
    assert (session.is_alive, session.is_finished, session.problem) == (False, False, "")
    with Journal.open(session.path) as again:
        assert again.header == HEADER
        assert _plain(again) == expected
        again.append("undo", b"v")
        assert _only(tmp_path).steps == 1
    with Journal.open(session.path) as again:
        assert _plain(again) == [*expected, ("undo", b"v")]
        assert again.lost_bytes == 0


def test_records_can_be_read_while_others_are_appended(tmp_path):
    with _begin(tmp_path, b"a" * 9000, b"b", b"c") as journal:
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
    journal = _begin(tmp_path, b"first")
    calls.clear()
    journal.append("step", b"x" * 2_000_000)
    assert len(calls) == 1
    journal.close()


def test_the_disk_is_waited_for_now_and_then(tmp_path, monkeypatch):
    now, synced = [1000.0], []
    monkeypatch.setattr("napari_radcnn.interactive.journal.time.monotonic", lambda: now[0])
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
    assert _only(tmp_path).steps == 1
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
    journal = _begin(None)
    assert journal.path.parent == tmp_path / "mine"
    assert [session.path for session in saved_sessions()] == [journal.path]
    journal.close()


# Compaction


@given(choices=st.lists(st.sampled_from(["step", "undo", "redo"]), max_size=40))
@settings(deadline=None, max_examples=60)
def test_compaction_keeps_every_step_that_undo_or_redo_can_reach(tmp_path_factory, choices):
    folder = tmp_path_factory.mktemp("kept")
    journal = _begin(folder, b"0")
    for number, kind in enumerate(choices, 1):
        done, undone = _played(_plain(journal))
        if kind == "step" or (kind == "undo" and done) or (kind == "redo" and undone):
            journal.append(kind, f"{kind} {number}".encode())
    before = _plain(journal)
    journal.compact()
    after = _plain(journal)
    done, undone = _played(before)
    assert _played(after) == (done, undone)
    assert len(after) == len(done) + 2 * len(undone)
    assert {record for record in after if record[0] == "undo"} <= set(before)
    journal.append("step", b"last")
    journal.close()
    with Journal.open(journal.path) as again:
        assert _plain(again) == [*after, ("step", b"last")]


def test_compaction_gives_room_back_and_a_crash_in_it_loses_nothing(tmp_path, monkeypatch):
    journal = _begin(tmp_path, b"one")
    journal.append("step", os.urandom(100_000))
    journal.append("undo")
    journal.append("step", b"two")
    before = _file(journal).read_bytes()

    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.compact()
    assert _file(journal).read_bytes() == before
    assert len(list(journal.path.iterdir())) == 2
    journal.append("step", b"three")
    journal.compact()
    assert _file(journal).stat().st_size < 1000
    assert _plain(journal) == [("step", b"one"), ("step", b"two"), ("step", b"three")]
    journal.append("step", b"four")
    (journal.path / ".radcnn-0123abcd-journal.radcnn").write_bytes(b"half")
    journal.close()
    with Journal.open(journal.path) as again:
        assert [payload for _, payload in _plain(again)] == [b"one", b"two", b"three", b"four"]
        assert len(list(again.path.iterdir())) == 2


# Crashes and damage


def _written(tmp_path: Path) -> tuple[bytes, list[tuple[str, bytes]], list[int]]:
    """Return the bytes of a small journal, its records, and where its header and each record ends."""
    journal = Journal.create(tmp_path / "source", HEADER)
    records = [("step", b"red"), ("step", b""), ("undo", b"\x00\xff" * 9), ("redo", b"r")]
    ends = []
    for kind, payload in records:
        journal.append(kind, payload)
        ends.append(_file(journal).stat().st_size)
    data = _file(journal).read_bytes()
    journal.close(is_finished=True)
    head = journal_records._HEAD_BYTES
    return data, records, [ends[0] - head - len(b"red"), *ends]


def _put(folder: Path, data: bytes) -> Path:
    session = folder / "session-a"
    session.mkdir(parents=True, exist_ok=True)
    (session / journal_saved.JOURNAL_NAME).write_bytes(data)
    return session


def test_every_torn_tail_is_cut_off(tmp_path):
    data, records, ends = _written(tmp_path)
    for length in range(len(data) + 1):
        folder = tmp_path / str(length)
        session = _put(folder, data[:length])
        whole = sum(end <= length for end in ends) - 1
        if whole < 0:
            assert all(found.problem for found in saved_sessions(folder))
            with pytest.raises(JournalError, match="damaged"):
                Journal.open(session)
            continue
        with Journal.open(session) as journal:
            assert _plain(journal) == records[:whole]
            assert journal.lost_bytes == 0, "a crash is no damage"
            assert _file(journal).stat().st_size == ends[whole]
            journal.append("step", b"on")
        with Journal.open(session) as journal:
            assert _plain(journal) == [*records[:whole], ("step", b"on")]


def test_every_flipped_bit_is_noticed(tmp_path):
    data, records, ends = _written(tmp_path)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        session = _put(tmp_path / str(place), bytes(damaged))
        whole = sum(end <= place for end in ends) - 1
        if whole < 0:
            with pytest.raises(JournalError):
                Journal.open(session)
            assert _only(tmp_path / str(place)).problem
            continue
        with Journal.open(session) as journal:
            assert _plain(journal) == records[:whole]
            assert journal.lost_bytes in (0, len(data) - ends[whole])


def test_damage_in_the_middle_is_told_from_a_crash(tmp_path):
    data, _, ends = _written(tmp_path)
    damaged = bytearray(data)
    damaged[ends[1] - 1] ^= 1
    with Journal.open(_put(tmp_path / "middle", bytes(damaged))) as journal:
        assert journal.lost_bytes == len(data) - ends[0]


@given(tail=st.binary(max_size=300), keep=st.integers(0, 400))
@settings(deadline=None, max_examples=100)
def test_any_bytes_give_records_or_one_clear_line(tmp_path_factory, tail, keep):
    folder = tmp_path_factory.mktemp("fuzz")
    data, records, _ = _written(folder)
    session = _put(folder / "kept", data[:keep] + tail)
    listed = saved_sessions(folder / "kept")
    try:
        with Journal.open(session) as journal:
            found = _plain(journal)
    except JournalError as error:
        found, problem = [], str(error)
    else:
        problem = ""
    assert found[: len(records)] == records[: len(found)]
    assert "\n" not in problem
    assert not any(one.problem for one in listed) or problem
    assert not problem or all(one.problem for one in listed)


def _record(kind: int, number: int, payload: bytes, claimed: int | None = None) -> bytes:
    fields = struct.pack(
        "<4sIIQI", b"\nRj\x00", kind, number, len(payload) if claimed is None else claimed, zlib.crc32(payload)
    )
    return fields + struct.pack("<I", zlib.crc32(fields)) + payload


def _start(payload: bytes, schema: int = 1) -> bytes:
    return struct.pack("<14sH", b"radcnn-session", schema) + _record(0, 0, payload)


@pytest.mark.parametrize("claimed", [100, 2**26, 2**30, 2**30 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_giant_length_takes_no_memory(tmp_path, claimed):
    good = _start(b"{}") + _record(1, 1, b"one")
    session = _put(tmp_path, good + _record(1, 2, b"two", claimed))
    with (session / journal_saved.JOURNAL_NAME).open("r+b") as file:
        file.truncate(2**27)  # holes: the length is there, the disk is not used
    gc.collect()
    tracemalloc.start()
    try:
        with Journal.open(session) as journal:
            assert _plain(journal) == [("step", b"one")]
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_many_records_take_no_memory_to_look_through(tmp_path):
    data = _start(b"{}") + b"".join(_record(1, number, b"") for number in range(1, 20_001))
    _put(tmp_path, data)
    gc.collect()
    tracemalloc.start()
    try:
        assert _only(tmp_path).steps == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2**19
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "payload",
    [b"[" * 200_000, b'{"a":' * 100_000, b"[]", b"\xff\xfe", b"", b'{"a": ' + b"9" * 5000 + b"}", b"{}" + b" " * 2**20],
    ids=["deep", "deep keys", "list", "not UTF-8", "empty", "long number", "large"],
)
def test_a_hostile_header_is_unreadable(tmp_path, payload):
    session = _put(tmp_path, _start(payload))
    assert "damaged" in _only(tmp_path).problem
    with pytest.raises(JournalError, match="damaged"):
        Journal.open(session)


@pytest.mark.parametrize("records", [[(2, b"")], [(1, b"a"), (3, b"")], [(9, b"")], [(0, b"{}")]])
def test_records_that_make_no_sense_end_the_journal(tmp_path, records):
    data = _start(b"{}") + b"".join(_record(kind, number, load) for number, (kind, load) in enumerate(records, 1))
    with Journal.open(_put(tmp_path, data)) as journal:
        assert _plain(journal) == [("step", b"a")][: len(records) - 1]
        assert journal.lost_bytes > 0


def test_records_out_of_their_place_are_not_taken(tmp_path):
    data = _start(b"{}") + _record(1, 1, b"a") + _record(1, 3, b"c") + _record(1, 2, b"b")
    with Journal.open(_put(tmp_path, data)) as journal:
        assert _plain(journal) == [("step", b"a")]


def test_a_newer_form_is_refused_and_left_alone(tmp_path):
    data = _start(b"{}", schema=2) + _record(1, 1, b"one")
    session = _put(tmp_path, data)
    with pytest.raises(JournalError, match=r"form 2.*reads form 1.*open it with the version"):
        Journal.open(session)
    assert "form 2" in _only(tmp_path).problem
    assert not _only(tmp_path).is_alive
    assert (session / journal_saved.JOURNAL_NAME).read_bytes() == data


def test_one_damaged_session_does_not_hide_the_others(tmp_path):
    _begin(tmp_path, b"one").close()
    _put(tmp_path, b"something else")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "session-a")
    strange = tmp_path / "session-pipe"
    strange.mkdir()
    os.mkfifo(strange / journal_saved.JOURNAL_NAME)
    assert sorted(bool(session.problem) for session in saved_sessions(tmp_path)) == [False, True]
    with pytest.raises(JournalError, match="no session"):
        Journal.open(strange)
    with pytest.raises(JournalError, match="no session"):
        Journal.open(tmp_path / "photos")


# Disks that are full, or fail


def _fills(journal: Journal, room: list[Path]) -> None:
    """Append until there is no room, make room, and go on."""
    kept = [b"first"]
    large = os.urandom(10_000)
    problem = ""
    while not problem and len(kept) < 100:
        kept.append(large + bytes([len(kept)]))
        try:
            journal.append("step", kept[-1])
        except JournalError as error:
            problem = str(error)
    assert "only in memory" in problem
    assert "\n" not in problem
    assert journal.waiting == 1
    with _file(journal).open("rb") as file:
        found = journal_records.survey(file, "")
    assert found.end == found.size, "a part of the record was left in the file"
    assert found.steps.done == len(kept) - 1 >= 2
    with pytest.raises(JournalError):
        journal.append("undo", b"u")
    assert journal.waiting == 2
    for path in room:
        path.unlink()
    journal.append("redo", b"r")
    assert journal.waiting == 0
    journal.append("step", b"last")
    journal.close()
    with Journal.open(journal.path) as again:
        assert _plain(again) == [("step", one) for one in kept] + [("undo", b"u"), ("redo", b"r"), ("step", b"last")]


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_loses_nothing_and_leaves_nothing_half_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this computer does not let root mount a small disk")
    try:
        filler = disk / "filler"
        filler.write_bytes(bytes(150_000))
        _fills(_begin(disk / "sessions"), [filler])
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="needs root to mount a small disk")
def test_a_session_that_begins_on_a_full_disk_begins_later(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this computer does not let root mount a small disk")
    try:
        (disk / "sessions").mkdir()
        filler = disk / "filler"
        with pytest.raises(OSError, match="space"):
            filler.write_bytes(bytes(2**17))
        journal = Journal.create(disk / "sessions", HEADER)
        for number in range(3):
            with pytest.raises(JournalError, match="disk is full"):
                journal.append("step", bytes([number]))
        assert list((disk / "sessions").iterdir()) == []
        filler.unlink()
        journal.sync()
        assert [payload for _, payload in _plain(journal)] == [b"\0", b"\1", b"\2"]
        journal.close()
        assert _only(disk / "sessions").steps == 3
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_file_that_may_not_grow_keeps_its_last_good_state(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = _begin(tmp_path, b"first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(JournalError, match="File too large"):
            journal.append("step", bytes(10_000))
        assert _only(tmp_path).steps == 1
        assert _file(journal).stat().st_size < 1000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append("step", b"third")
    assert [payload for _, payload in _plain(journal)] == [b"first", bytes(10_000), b"third"]
    journal.close()


def test_what_cannot_be_written_at_the_end_is_said_and_the_session_is_closed(tmp_path, monkeypatch):
    journal = _begin(tmp_path, b"first")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(JournalError, match="disk is full"):
            journal.append("step", b"second")
        with pytest.raises(JournalError, match="disk is full"):
            journal.close()
    journal.close()
    with Journal.open(journal.path) as again:
        assert _plain(again) == [("step", b"first")]


def test_after_a_disk_that_did_not_take_the_bytes_the_file_is_written_anew(tmp_path, monkeypatch):
    journal = _begin(tmp_path, b"first")
    journal.append("step", b"second")
    number = _file(journal).stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(JournalError, match="Input/output error"):
            journal.sync()
    journal.sync()
    assert _file(journal).stat().st_ino != number
    journal.append("step", b"third")
    assert [payload for _, payload in _plain(journal)] == [b"first", b"second", b"third"]
    journal.close()


def test_a_session_whose_files_were_removed_is_there_again_with_the_next_step(tmp_path):
    folder = tmp_path / "kept"
    journal = _begin(folder, b"first", b"second")
    for path in (*journal.path.iterdir(), journal.path, folder):
        path.rmdir() if path.is_dir() else path.unlink()
    journal.append("step", b"third")
    assert _only(folder).is_alive
    journal.close()
    with Journal.open(journal.path) as again:
        assert [payload for _, payload in _plain(again)] == [b"first", b"second", b"third"]


# Finished, old, discarded


def test_a_finished_session_is_removed_unless_it_is_kept(tmp_path):
    _begin(tmp_path).close(is_finished=True)
    assert list(tmp_path.iterdir()) == []
    journal = _begin(tmp_path)
    journal.close(is_finished=True, keep=True)
    session = _only(tmp_path)
    assert (session.is_finished, session.steps) == (True, 1)
    with Journal.open(session.path) as again:
        assert _plain(again) == [("step", b"first")]
        again.append("undo")
        again.append("step", b"more")
        again.compact()
    assert not _only(tmp_path).is_finished


def _age(journal: Journal, days: float) -> None:
    when = _file(journal).stat().st_mtime - days * 86400
    os.utime(_file(journal), (when, when))


def test_unfinished_work_is_never_removed_unasked(tmp_path):
    sessions = []
    for number in range(24):
        journal = _begin(tmp_path, b"work")
        journal.close()
        _age(journal, 91 + number)
        sessions.append(journal.path)
    live = _begin(tmp_path, b"now")
    _age(live, 200)
    new = _begin(tmp_path, b"new")
    found = {session.path for session in saved_sessions(tmp_path)}
    assert found == {*sessions, live.path, new.path}
    assert {session.path for session in old_sessions(tmp_path)} == set(sessions)
    live.close()
    new.close()


def test_more_than_twenty_unfinished_ones_are_asked_about(tmp_path):
    journals = [_begin(tmp_path) for _ in range(22)]
    for number, journal in enumerate(journals):
        journal.close()
        _age(journal, number)
    assert [session.path for session in old_sessions(tmp_path)] == [journal.path for journal in journals[20:]]


def test_finished_ones_go_when_they_are_old_or_many(tmp_path):
    journals = [_begin(tmp_path) for _ in range(23)]
    for number, journal in enumerate(journals):
        journal.close(is_finished=True, keep=True)
        _age(journal, number * 5)
    new = _begin(tmp_path)
    left = {session.path for session in saved_sessions(tmp_path)} - {new.path}
    assert left == {journal.path for journal in journals[:18]}, "those younger than 90 days"
    new.close(is_finished=True)
    for number, path in enumerate(left):
        os.utime(path / journal_saved.JOURNAL_NAME, (1, 1) if number % 2 else None)
    more = [_begin(tmp_path) for _ in range(15)]
    for journal in more:
        journal.close(is_finished=True, keep=True)
    new = _begin(tmp_path)
    left = {session.path for session in saved_sessions(tmp_path)} - {new.path}
    assert len(left) == 20
    assert left >= {journal.path for journal in more}
    new.close(is_finished=True)


def test_what_is_left_of_a_session_without_a_step_goes_after_a_day(tmp_path):
    for name, data in [("session-empty", b""), ("session-started", _start(b"{}"))]:
        (tmp_path / name).mkdir()
        (tmp_path / name / journal_saved.JOURNAL_NAME).write_bytes(data)
    (tmp_path / "session-bare").mkdir()
    assert saved_sessions(tmp_path) == []
    _begin(tmp_path).close(is_finished=True)
    assert len(list(tmp_path.iterdir())) == 3
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    _begin(tmp_path).close(is_finished=True)
    assert list(tmp_path.iterdir()) == []


def test_discarding_takes_only_what_is_ours_and_nothing_that_is_in_use(tmp_path):
    journal = _begin(tmp_path)
    session = _only(tmp_path)
    with pytest.raises(JournalError, match="open in another"):
        discard(session)
    journal.close()
    (session.path / "notes.txt").write_text("mine")
    discard(session)
    assert [path.name for path in session.path.iterdir()] == ["notes.txt"]
    assert saved_sessions(tmp_path) == []
    discard(SavedSession(tmp_path / "gone", {}, session.saved, 0, False))


def test_a_damaged_session_can_be_discarded(tmp_path):
    _put(tmp_path, b"damaged")
    discard(_only(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_header_is_kept_as_it_was_given(tmp_path):
    header = {"volume": "é", "shape": (3, 4, 5)}
    journal = Journal.create(tmp_path, header)
    header["volume"] = "changed"
    journal.append("step", b"one")
    expected = json.loads(json.dumps({"volume": "é", "shape": [3, 4, 5]}))
    assert journal.header == expected
    assert _only(tmp_path).header == expected
    journal.close()
