"""After a fault at any call, what is on the disk is the old result or the new one, whole, with its own manifest."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import faults
import napari_radcnn
from napari_radcnn.errors import WriteError
from napari_radcnn.files import recover
from written import OUTPUTS, Write

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
#: What the short run looks at; the long one looks at every call of every output.
SHORT = ("nifti", "pair")


def count_of(output: str, tmp_path: Path, had_one: bool) -> int:
    """Return how many calls writing takes."""
    place, write = fresh(output, tmp_path, had_one)
    with faults.Faults(place, -1, faults.kill).on() as counted:
        write(place, 1)
    return counted.count


def fresh(output: str, tmp_path: Path, had_one: bool) -> tuple[Path, Write]:
    """Return a folder with run 0 in it, or nothing, and what writes there."""
    place = tmp_path / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    write = OUTPUTS[output].prepare(tmp_path / "scan")
    if had_one:
        write(place, 0)
    return place, write


def check(output: str, place: Path, had_one: bool, *, is_written: bool | None) -> None:
    """Look at what is there: `is_written` is None after a kill, which may have come before or after."""
    run = OUTPUTS[output].run_in(place)
    before = 0 if had_one else None
    assert run in ((before, 1) if is_written is None else ((1,) if is_written else (before,)))


def succeeds(write: Write, place: Path) -> bool:
    """Write run 1; return whether it says that it did."""
    try:
        write(place, 1)
    except WriteError:
        return False
    return True


def errors_at_every_call(output: str, tmp_path: Path, had_one: bool) -> int:
    """Let each call fail once, with the errors in turn."""
    n = count_of(output, tmp_path, had_one)
    for call in range(n):
        number = ERRORS[call % len(ERRORS)]
        place, write = fresh(output, tmp_path, had_one)
        with faults.Faults(place, call, faults.raising(number)).on():
            is_written = succeeds(write, place)
        check(output, place, had_one, is_written=is_written)
        assert is_written or not [one for one in place.iterdir() if one.name.startswith(".radcnn-")]
    return n


def kills_of_a_program(output: str, tmp_path: Path) -> int:
    """Kill a program of its own at every call, with a result there before."""
    n = count_of(output, tmp_path, True)
    source = Path(napari_radcnn.__file__).parents[1]
    paths = os.pathsep.join([str(source), str(Path(faults.__file__).parent)])
    for call in range(n):
        place, _ = fresh(output, tmp_path, True)
        words = [sys.executable, faults.__file__, str(place), str(call), output]
        done = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
        assert done.returncode == -9, done.stderr.decode()
        check(output, place, True, is_written=None)
    return n


def kills_in_a_fork(output: str, tmp_path: Path, had_one: bool) -> int:
    """Kill a copy of this process at every call, which takes milliseconds where a new program takes seconds."""
    n = count_of(output, tmp_path, had_one)
    for call in range(n):
        place, write = fresh(output, tmp_path, had_one)
        child = os.fork()
        if not child:
            with faults.Faults(place, call, faults.kill).on():
                write(place, 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        check(output, place, had_one, is_written=None)
        assert not [one for one in place.iterdir() if one.name.endswith("-names.json") or "-old-" in one.name]
    return n


@pytest.mark.parametrize("had_one", [True, False])
@pytest.mark.parametrize("output", SHORT)
def test_errors(tmp_path: Path, output: str, had_one: bool) -> None:
    assert errors_at_every_call(output, tmp_path, had_one) > 5


@pytest.mark.parametrize("output", SHORT)
def test_kills(tmp_path: Path, output: str) -> None:
    assert kills_in_a_fork(output, tmp_path, True) > 10


@pytest.mark.slow
@pytest.mark.parametrize("had_one", [True, False])
@pytest.mark.parametrize("output", sorted(OUTPUTS))
def test_errors_everywhere(tmp_path: Path, output: str, had_one: bool) -> None:
    assert errors_at_every_call(output, tmp_path, had_one) > 5


@pytest.mark.slow
@pytest.mark.parametrize("had_one", [True, False])
@pytest.mark.parametrize("output", sorted(OUTPUTS))
def test_kills_everywhere(tmp_path: Path, output: str, had_one: bool) -> None:
    assert kills_in_a_fork(output, tmp_path, had_one) > 5


@pytest.mark.slow
@pytest.mark.parametrize("output", SHORT)
def test_kills_of_a_program(tmp_path: Path, output: str) -> None:
    assert kills_of_a_program(output, tmp_path) > 5


def test_a_list_from_elsewhere_leads_nowhere(tmp_path: Path) -> None:
    """A folder that was sent by somebody may hold a list: nothing outside of it is named or removed by it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (inside / "own.txt").write_text("own")
    (inside / "away").symlink_to(tmp_path)
    (inside / ".radcnn-1-new").write_text("new")
    hidden, target = ".radcnn-1-new", "own.txt"
    for names in (
        ("../mine.txt", hidden, None),
        ("away/mine.txt", hidden, None),
        (target, "own.txt", None),
        (target, None, "own.txt"),
        (str(tmp_path / "mine.txt"), hidden, None),
    ):
        one = dict(zip(("target", "temporary", "aside"), names, strict=True))
        text = json.dumps({"owner": {"pid": 2**22 + 5, "started": 0}, "names": [{**one, "number": 1}]})
        (inside / ".radcnn-1-names.json").write_text(text)
        recover(inside)
        assert (tmp_path / "mine.txt").read_text() == "mine"
        assert (inside / "own.txt").read_text() == "own"
