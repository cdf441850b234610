"""What killed processes left: found by the lock of what they wrote, told, removed; never that of a living process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from napari_radcnn.cli import main
from napari_radcnn.errors import WriteError, WriteWarning
from napari_radcnn.files import owned, write_text
from napari_radcnn.files.leftovers import clear, leftovers, sweep
from napari_radcnn.files.lock import HeldError, Lock, is_held
from napari_radcnn.files.owner import Owner

LIVING = Owner.this_process()
DEAD = replace(LIVING, started=0.0, started_after_boot=-60.0)
ELSEWHERE = replace(LIVING, pid=2**22 - 3, place="another computer")
DAY = 24 * 3600.0


def leave(folder: Path, owner: Owner, target: str = "a.nii.gz", number: int = 1, age: float = 0.0) -> list[Path]:
    """Leave what a process leaves that is killed while it writes: its lock, and what it was making."""
    lock = folder / f".radcnn-lock-{target}-{number}"
    lock.write_text(json.dumps(asdict(owner)))
    made, store = folder / f".radcnn-0123abcd-new-{target}", folder / f".radcnn-0123abcf-new-{target}"
    made.write_bytes(b"x" * 1000)
    (store / "0").mkdir(parents=True)
    (store / "0" / "c").write_bytes(b"y" * 500)
    left = [lock, made, store]
    for path in (*left, store / "0", store / "0" / "c"):
        os.utime(path, (time.time() - age,) * 2)
    return left


def test_the_next_write_removes_what_a_dead_process_left_and_says_so(tmp_path: Path) -> None:
    left = leave(tmp_path, DEAD)
    with pytest.warns(WriteWarning, match=r"2 hidden files \(1.5 KiB\) that a killed process had left half-written"):
        write_text(tmp_path / "other.txt", "text")
    assert not any(path.exists() for path in left)
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_what_belongs_to_a_living_process_stays(tmp_path: Path) -> None:
    left = leave(tmp_path, LIVING)
    write_text(tmp_path / "other.txt", "text")
    assert clear(tmp_path) == sweep(tmp_path) == []
    assert all(path.exists() for path in left)
    with pytest.raises(WriteError, match="this program is writing this file now"):
        write_text(tmp_path / "a.nii.gz", "text")


@pytest.mark.parametrize("next_owner", [None, ELSEWHERE])
def test_a_lock_that_changes_hands_while_it_is_looked_at_is_let_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, next_owner: Owner | None
) -> None:
    """The process that had it is done: its lock is gone, or under the same name there is that of the next one."""
    lock, *made = leave(tmp_path, LIVING)
    looks = []

    def released(path: Path, signs: Iterable[Path] = ()) -> bool:
        looks.append(path)
        if len(looks) > 1:
            return is_held(path, signs)
        lock.unlink()
        if next_owner is not None:
            lock.write_text(json.dumps(asdict(next_owner)))
        return False

    monkeypatch.setattr("napari_radcnn.files.leftovers.is_held", released)
    assert sweep(tmp_path) == []
    assert [path.exists() for path in (lock, *made)] == [next_owner is not None, True, True]


def test_a_newer_lock_counts_more_than_an_older_one(tmp_path: Path) -> None:
    left = leave(tmp_path, DEAD)
    (tmp_path / ".radcnn-lock-a.nii.gz-2").write_text(json.dumps(asdict(LIVING)))
    assert [one.path for one in sweep(tmp_path)] == []
    assert [path.exists() for path in left] == [False, True, True]


@pytest.mark.parametrize(("age", "stays"), [(0.0, True), (0.4 * DAY, True), (0.6 * DAY, False)])
def test_what_another_computer_left_stays_for_half_a_day(tmp_path: Path, age: float, stays: bool) -> None:
    left = leave(tmp_path, ELSEWHERE, age=age)
    sweep(tmp_path)
    assert [path.exists() for path in left] == [stays] * 3


def test_a_sign_of_life_is_the_newest_of_lock_and_file(tmp_path: Path) -> None:
    _, made, store = leave(tmp_path, ELSEWHERE, age=DAY)
    os.utime(made)
    sweep(tmp_path)
    assert made.exists()
    assert not store.exists()


def test_names_that_contain_others_are_told_apart(tmp_path: Path) -> None:
    """A dead lock of "a" says nothing of "a-1", nor of "old-a"."""
    for number, target in enumerate(("a-1", "old-a", "a.b")):
        (tmp_path / f".radcnn-lock-{target}-1").write_text(json.dumps(asdict(LIVING)))
        (tmp_path / f".radcnn-0000000{number}-new-{target}").write_text("theirs")
    leave(tmp_path, DEAD, "a")
    (tmp_path / ".radcnn-00000009-old-a").write_text("the only copy of what was there before")
    assert len(sweep(tmp_path)) == 2
    assert sorted(path.name for path in tmp_path.iterdir() if "-lock-" not in path.name) == [
        ".radcnn-00000000-new-a-1",
        ".radcnn-00000001-new-old-a",
        ".radcnn-00000002-new-a.b",
        ".radcnn-00000009-old-a",
    ]


def test_what_has_no_lock_stays_until_it_is_asked_for(tmp_path: Path) -> None:
    earlier = [tmp_path / ".radcnn-0123abcd-a.nii.gz", tmp_path / ".radcnn-0123abcd.zraw"]
    mine = [tmp_path / ".radcnn-notes", tmp_path / "a.nii.gz"]
    for path in (*earlier, *mine):
        path.write_text("x")
    assert sweep(tmp_path) == clear(tmp_path) == []
    for path in earlier:
        os.utime(path, (time.time() - DAY,) * 2)
    assert sweep(tmp_path) == []
    assert sorted(one.path for one in clear(tmp_path)) == earlier
    assert all(path.exists() for path in mine)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """The part of a streamed run that was killed."""
    folder = tmp_path / ".radcnn-partial-a.ome.zarr"
    folder.mkdir()
    (folder / "radcnn-progress.json").write_text("{}")
    (tmp_path / ".radcnn-lock-a.ome.zarr-1").write_text(json.dumps(asdict(DEAD)))
    return folder


def test_parts_of_runs_are_listed_and_stay(tmp_path: Path, part: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path)
    assert part.exists()
    assert main(["tidy", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "the partial result 'a.ome.zarr' of a run" in told
    assert "the same run would go on with it" in told
    assert "--clear" in told
    assert part.exists()


def test_the_command_clears_them(tmp_path: Path, part: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(tmp_path, DEAD)
    living = leave(tmp_path, LIVING, "b.nii")
    assert main(["tidy", str(tmp_path), "--clear", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["leftovers"]
    assert {one["path"] for one in found if one["removed"]} == {
        str(tmp_path / name)
        for name in (
            part.name,
            ".radcnn-lock-a.ome.zarr-1",
            ".radcnn-lock-a.nii.gz-1",
            ".radcnn-0123abcd-new-a.nii.gz",
            ".radcnn-0123abcf-new-a.nii.gz",
        )
    }
    assert sorted(path for path in tmp_path.iterdir()) == sorted(living)
    assert main(["tidy", str(tmp_path / "none")]) == 3
    assert "there is no such folder" in capsys.readouterr().err


def test_a_part_that_a_run_goes_on_with_is_not_cleared(tmp_path: Path, part: Path) -> None:
    with owned(tmp_path / "a.ome.zarr"):
        assert not any(one.can_go_on for one in clear(tmp_path))
    assert part.exists()
    assert [one.path for one in clear(tmp_path)][-1:] == [part]
    assert not part.exists()


def test_an_empty_folder_and_none_hold_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leftovers(tmp_path) == leftovers(tmp_path / "none") == []
    assert main(["tidy", str(tmp_path)]) == 0
    assert "nothing hidden" in capsys.readouterr().out


def test_what_is_no_lock_of_ours_is_not_removed_at_once(tmp_path: Path) -> None:
    lock = tmp_path / ".radcnn-lock-a-1"
    lock.write_text("?")
    assert sweep(tmp_path) == []
    assert lock.exists()
    os.utime(lock, (time.time() - 61,) * 2)
    sweep(tmp_path)
    assert not lock.exists()


def test_two_that_meet_after_the_numbers_began_anew_do_not_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One looked while number 1 was of a dead process; meanwhile that was cleared, and another one took number 1."""
    (tmp_path / "x-1").write_text(json.dumps(asdict(DEAD)))
    this_process = Owner.this_process

    def meanwhile() -> Owner:
        (tmp_path / "x-1").write_text(json.dumps(asdict(LIVING)))
        return this_process()

    monkeypatch.setattr(Owner, "this_process", meanwhile)
    with pytest.raises(HeldError):
        Lock.take(tmp_path, "x-")
    assert [path.name for path in tmp_path.iterdir()] == ["x-1"]


def test_a_block_within_a_block_and_the_end_of_it(tmp_path: Path) -> None:
    with owned(tmp_path / "a"), owned(tmp_path / ".." / tmp_path.name / "a"):
        assert [path.name for path in tmp_path.iterdir()] == [".radcnn-lock-a-1"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), owned(tmp_path / "a"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_message_names_the_process(tmp_path: Path) -> None:
    assert str(LIVING) == "this program"
    assert str(ELSEWHERE).startswith(f"process {2**22 - 3} on another, started ")
    assert str(replace(ELSEWHERE, started=float("inf"))).startswith("process")
