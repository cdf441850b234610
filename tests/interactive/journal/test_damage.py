"""Sessions on the disk after a crash, with damaged or hostile bytes, and on disks that are full."""

from __future__ import annotations

import errno
import gc
import os
import resource
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from journals import HEADER, begin, file_of, only, plain, put, record_bytes, start_bytes
from napari_radcnn.errors import JournalError
from napari_radcnn.interactive.journal import records as journal_records, saved as journal_saved
from napari_radcnn.interactive.journal.journal import Journal, discard, saved_sessions

# Crashes and damage


def _written(tmp_path: Path) -> tuple[bytes, list[tuple[str, bytes]], list[int]]:
    """Return the bytes of a small journal, its records, and where its header and each record ends."""
    journal = Journal.create(tmp_path / "source", HEADER)
    records = [("step", b"red"), ("step", b""), ("undo", b"\x00\xff" * 9), ("redo", b"r")]
    ends = []
    for kind, payload in records:
        journal.append(kind, payload)
        ends.append(file_of(journal).stat().st_size)
    data = file_of(journal).read_bytes()
    journal.close(is_finished=True)
    head = journal_records._HEAD_BYTES
    return data, records, [ends[0] - head - len(b"red"), *ends]


def test_every_torn_tail_is_cut_off(tmp_path):
    data, records, ends = _written(tmp_path)
    for length in range(len(data) + 1):
        folder = tmp_path / str(length)
        session = put(folder, data[:length])
        whole = sum(end <= length for end in ends) - 1
        if whole < 0:
            assert saved_sessions(folder) == [], "its first step was not acknowledged"
            with pytest.raises(JournalError, match="damaged"):
                Journal.open(session)
            continue
        with Journal.open(session) as journal:
            assert plain(journal) == records[:whole]
            assert journal.lost_bytes == 0, "a crash is no damage"
            assert not (journal.path / journal_saved.DAMAGED_NAME).exists()
            assert file_of(journal).stat().st_size == ends[whole]
            journal.append("step", b"on")
        with Journal.open(session) as journal:
            assert plain(journal) == [*records[:whole], ("step", b"on")]


def test_every_flipped_bit_is_noticed(tmp_path):
    data, records, ends = _written(tmp_path)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        session = put(tmp_path / str(place), bytes(damaged))
        whole = sum(end <= place for end in ends) - 1
        if whole < 0:
            with pytest.raises(JournalError):
                Journal.open(session)
            assert only(tmp_path / str(place)).problem
            continue
        with Journal.open(session) as journal:
            assert plain(journal) == records[:whole]
            assert journal.lost_bytes in (0, len(data) - ends[whole])


def test_damage_in_the_middle_is_told_from_a_crash(tmp_path):
    data, _, ends = _written(tmp_path)
    damaged = bytearray(data)
    damaged[ends[1] - 1] ^= 1
    with Journal.open(put(tmp_path / "middle", bytes(damaged))) as journal:
        assert journal.lost_bytes == len(data) - ends[0]
        copy = journal.path / journal_saved.DAMAGED_NAME
        assert copy.read_bytes() == damaged
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with Journal.open(journal.path) as journal:
        assert journal.lost_bytes == 0
        assert copy.read_bytes() == damaged
    discard(only(tmp_path / "middle"))
    assert list((tmp_path / "middle").iterdir()) == []


@given(tail=st.binary(max_size=300), keep=st.integers(0, 400))
@settings(deadline=None, max_examples=100)
def test_any_bytes_give_records_or_one_clear_line(tmp_path_factory, tail, keep):
    folder = tmp_path_factory.mktemp("fuzz")
    data, records, _ = _written(folder)
    session = put(folder / "kept", data[:keep] + tail)
    listed = saved_sessions(folder / "kept")
    try:
        with Journal.open(session) as journal:
            found = plain(journal)
    except JournalError as error:
        found, problem = [], str(error)
    else:
        problem = ""
    assert found[: len(records)] == records[: len(found)]
    assert "\n" not in problem
    assert not any(one.problem for one in listed) or problem
    assert not problem or all(one.problem for one in listed)


@pytest.mark.parametrize("claimed", [100, 2**26, 2**30, 2**30 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_giant_length_takes_no_memory(tmp_path, claimed):
    good = start_bytes(b"{}") + record_bytes(1, 1, b"one")
    session = put(tmp_path, good + record_bytes(1, 2, b"two", claimed))
    with (session / journal_saved.JOURNAL_NAME).open("r+b") as file:
        file.truncate(2**27)  # holes: the length is there, the disk is not used
    gc.collect()
    tracemalloc.start()
    try:
        with Journal.open(session) as journal:
            assert plain(journal) == [("step", b"one")]
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_many_records_take_no_memory_to_look_through(tmp_path):
    data = start_bytes(b"{}") + b"".join(record_bytes(1, number, b"") for number in range(1, 20_001))
    put(tmp_path, data)
    gc.collect()
    tracemalloc.start()
    try:
        assert only(tmp_path).steps == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2**19
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "payload",
    [b"[" * 200_000, b'{"a":' * 100_000, b"[]", b"\xff\xfe", b"", b'{"a": ' + b"9" * 5000 + b"}", b"{}" + b" " * 2**20],
    ids=["deep", "deep keys", "list", "not UTF-8", "empty", "long number", "large"],
)
def test_a_hostile_header_is_unreadable(tmp_path, payload):
    session = put(tmp_path, start_bytes(payload))
    assert "damaged" in only(tmp_path).problem
    with pytest.raises(JournalError, match="damaged"):
        Journal.open(session)


@pytest.mark.parametrize("records", [[(2, b"")], [(1, b"a"), (3, b"")], [(9, b"")], [(0, b"{}")]])
def test_records_that_make_no_sense_end_the_journal(tmp_path, records):
    data = start_bytes(b"{}") + b"".join(
        record_bytes(kind, number, load) for number, (kind, load) in enumerate(records, 1)
    )
    with Journal.open(put(tmp_path, data)) as journal:
        assert plain(journal) == [("step", b"a")][: len(records) - 1]
        assert journal.lost_bytes > 0


def test_records_out_of_their_place_are_not_taken(tmp_path):
    data = start_bytes(b"{}") + record_bytes(1, 1, b"a") + record_bytes(1, 3, b"c") + record_bytes(1, 2, b"b")
    with Journal.open(put(tmp_path, data)) as journal:
        assert plain(journal) == [("step", b"a")]


def test_a_newer_form_is_refused_and_left_alone(tmp_path):
    data = start_bytes(b"{}", schema=2) + record_bytes(1, 1, b"one")
    session = put(tmp_path, data)
    with pytest.raises(JournalError, match=r"format 2.*reads format 1.*open it with the version"):
        Journal.open(session)
    assert "format 2" in only(tmp_path).problem
    assert not only(tmp_path).is_alive
    assert (session / journal_saved.JOURNAL_NAME).read_bytes() == data


def test_one_damaged_session_does_not_hide_the_others(tmp_path):
    begin(tmp_path, b"one").close()
    put(tmp_path, b"something else")
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
    with file_of(journal).open("rb") as file:
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
        assert plain(again) == [("step", one) for one in kept] + [("undo", b"u"), ("redo", b"r"), ("step", b"last")]


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_loses_nothing_and_leaves_nothing_half_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this computer does not let root mount a small disk")
    try:
        filler = disk / "filler"
        filler.write_bytes(bytes(150_000))
        _fills(begin(disk / "sessions"), [filler])
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
        assert [payload for _, payload in plain(journal)] == [b"\0", b"\1", b"\2"]
        journal.close()
        assert only(disk / "sessions").steps == 3
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_file_that_may_not_grow_keeps_its_last_good_state(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = begin(tmp_path, b"first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(JournalError, match="File too large"):
            journal.append("step", bytes(10_000))
        assert only(tmp_path).steps == 1
        assert file_of(journal).stat().st_size < 1000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append("step", b"third")
    assert [payload for _, payload in plain(journal)] == [b"first", bytes(10_000), b"third"]
    journal.close()


def test_what_cannot_be_written_at_the_end_is_said_and_the_session_is_closed(tmp_path, monkeypatch):
    journal = begin(tmp_path, b"first")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(JournalError, match="disk is full"):
            journal.append("step", b"second")
        with pytest.raises(JournalError, match="disk is full"):
            journal.close()
    journal.close()
    with Journal.open(journal.path) as again:
        assert plain(again) == [("step", b"first")]


def test_after_a_disk_that_did_not_take_the_bytes_the_file_is_written_anew(tmp_path, monkeypatch):
    journal = begin(tmp_path, b"first")
    journal.append("step", b"second")
    number = file_of(journal).stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(JournalError, match="Input/output error"):
            journal.sync()
    journal.sync()
    assert file_of(journal).stat().st_ino != number
    journal.append("step", b"third")
    assert [payload for _, payload in plain(journal)] == [b"first", b"second", b"third"]
    journal.close()


def test_a_session_whose_files_were_removed_is_there_again_with_the_next_step(tmp_path):
    folder = tmp_path / "kept"
    journal = begin(folder, b"first", b"second")
    for path in (*journal.path.iterdir(), journal.path, folder):
        path.rmdir() if path.is_dir() else path.unlink()
    journal.append("step", b"third")
    assert only(folder).is_alive
    journal.close()
    with Journal.open(journal.path) as again:
        assert [payload for _, payload in plain(again)] == [b"first", b"second", b"third"]
