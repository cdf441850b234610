"""After a fault at any call, what is on the disk is the old result or the new one, whole, with its own manifest."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import pytest

import faults
import napari_radcnn
from napari_radcnn.cli.signals import cancelling
from napari_radcnn.errors import RadcnnError
from napari_radcnn.files import recover
from napari_radcnn.files.owner import Owner
from written import OUTPUTS, Session

_LOG = logging.getLogger(__name__)
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
#: What no file may grow beyond, bytes.
LIMITS = (0, 1, 100, 260, 300, 400, 600, 1000, 3000)
#: What the short run looks at; the long one looks at every call of every output.
SHORT = ("labels.nii.gz", "labels.mhd")
#: A model is not replaced by installing another one of its name, and what is not there is not removed.
NEVER = {("installed model", True), ("removed model", False)}
ALL = [(output, had_one) for output in OUTPUTS for had_one in (True, False) if (output, had_one) not in NEVER]


class Bench:
    """A folder with run 0 in it, or nothing, in which run 1 is written, again and again."""

    def __init__(self, output: str, tmp_path: Path, had_one: bool) -> None:
        self.output, self.had_one, self.place = OUTPUTS[output], had_one, tmp_path / "place"
        self.after = None if output == "removed model" else 1
        self.before = 0 if had_one else None
        self._template = tmp_path / "template"
        self._template.mkdir()
        self._write = self.output.prepare(tmp_path / "scan")
        if had_one:
            self._write(self._template, 0)
        self.fresh()
        with faults.Faults(self.place, -1, faults.kill).on() as counted:
            self.write()
        self.count = counted.count
        assert self.output.run_in(self.place) == self.after

    def fresh(self) -> None:
        """Have it as it was before."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self._template, self.place)

    def write(self) -> None:
        """Write run 1; what was left by those that were killed may be removed, and told."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._write(self.place, 1)

    def succeeds(self) -> bool:
        """Write run 1; return whether it says that it did."""
        try:
            self.write()
        except RadcnnError:
            return False
        return True

    def check(self, is_written: bool | None) -> None:
        """Look at what is there: `is_written` is None after a kill, which may have come before or after."""
        if isinstance(self.output, Session) and not is_written:
            is_written = None  # a step that could not be written waits, and may be on the disk a moment later
        wanted = (self.before, self.after) if is_written is None else (self.after if is_written else self.before,)
        assert self.output.run_in(self.place) in wanted

    def hidden(self) -> list[str]:
        """Return what lies hidden; a lock that was not yet written to names nobody, and goes after a minute."""
        found = [one for one in self.place.rglob(".radcnn-*") if one.name.endswith("-lock") <= bool(one.stat().st_size)]
        return [str(one.relative_to(self.place)) for one in found]

    def in_a_copy(self, work: Callable[[], None]) -> int:
        """Do something in a copy of this process, which takes milliseconds where a new program takes seconds."""
        child = os.fork()
        if not child:
            try:
                work()
                os._exit(0)
            except RadcnnError:
                os._exit(3)
            except BaseException:  # noqa: BLE001  the copy must not go on with the tests
                traceback.print_exc()
                os._exit(4)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def errors(bench: Bench, numbers: Sequence[int]) -> int:
    """Let each call fail once with each error."""
    for call, number in product(range(bench.count), numbers):
        bench.fresh()
        with faults.Faults(bench.place, call, faults.raising(number)).on() as fault:
            fault.name = ""
            is_written = bench.succeeds()
        bench.check(is_written)
    return bench.count * len(numbers)


def kills(bench: Bench, every: int = 1) -> int:
    """Kill a copy of this process at every call; the next one that writes there writes, and clears."""
    for call in range(0, bench.count, every):
        bench.fresh()

        def work(call: int = call) -> None:
            with faults.Faults(bench.place, call, faults.kill).on():
                bench.write()

        assert bench.in_a_copy(work) == -9
        bench.check(None)
        bench.write()
        bench.check(True)
        assert bench.hidden() == []
    return bench.count


def ends(bench: Bench) -> int:
    """Send SIGTERM at every call: in turn to the command line, which goes on, and to what is ended by it."""
    for call in range(bench.count):
        bench.fresh()
        handles = cancelling if call % 2 else nullcontext

        def work(call: int = call, handles: Callable = handles) -> None:
            with handles(), faults.Faults(bench.place, call, faults.terminate).on():
                bench.write()

        status = bench.in_a_copy(work)
        assert status in ((0, 3) if call % 2 else (-15,))
        bench.check(None)
        assert not call % 2 or bench.hidden() == []
    return bench.count


def full_disks(bench: Bench) -> int:
    """Let no file grow beyond a size, whichever library writes it."""
    for size in LIMITS:
        bench.fresh()

        def work(size: int = size) -> None:
            faults.limited(size)
            bench.write()

        status = bench.in_a_copy(work)
        assert status in (0, 3)
        bench.check(status == 0)
    return len(LIMITS)


def kills_of_a_program(bench: Bench, output: str, tmp_path: Path) -> int:
    """Kill a program of its own at every call."""
    source = Path(napari_radcnn.__file__).parents[1]
    paths = os.pathsep.join([str(source), str(Path(faults.__file__).parent)])
    for call in range(bench.count):
        bench.fresh()
        words = [sys.executable, faults.__file__, str(bench.place), str(call), output]
        done = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
        assert done.returncode == -9, done.stderr.decode()
        bench.check(None)
    return bench.count


@pytest.mark.parametrize("had_one", [True, False])
@pytest.mark.parametrize("output", SHORT)
def test_errors(tmp_path: Path, output: str, had_one: bool) -> None:
    assert errors(Bench(output, tmp_path, had_one), ERRORS[:1]) > 15


@pytest.mark.parametrize("output", SHORT)
def test_kills(tmp_path: Path, output: str) -> None:
    bench = Bench(output, tmp_path, had_one=True)
    assert kills(bench, every=5)
    assert full_disks(bench) > 5


@pytest.mark.slow
@pytest.mark.parametrize(("output", "had_one"), ALL)
def test_errors_everywhere(tmp_path: Path, output: str, had_one: bool) -> None:
    points = errors(Bench(output, tmp_path, had_one), ERRORS)
    _LOG.info("%d points: errors, %s, one there before: %s", points, output, had_one)
    assert points > 15


@pytest.mark.slow
@pytest.mark.parametrize(("output", "had_one"), ALL)
def test_kills_everywhere(tmp_path: Path, output: str, had_one: bool) -> None:
    bench = Bench(output, tmp_path, had_one)
    points = kills(bench) + ends(bench) + full_disks(bench)
    _LOG.info("%d points: kills, %s, one there before: %s", points, output, had_one)
    assert points > 20


@pytest.mark.slow
@pytest.mark.parametrize("output", SHORT[:1])
def test_kills_of_a_program(tmp_path: Path, output: str) -> None:
    assert kills_of_a_program(Bench(output, tmp_path, had_one=True), output, tmp_path) > 15


def test_a_list_from_elsewhere_leads_nowhere(tmp_path: Path) -> None:
    """A folder that was sent by somebody may hold a list: nothing outside of it is named or removed by it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (inside / "own.txt").write_text("own")
    (inside / "away").symlink_to(tmp_path)
    (inside / ".radcnn-1-new").write_text("new")
    hidden, target = ".radcnn-1-new", "own.txt"
    dead = asdict(replace(Owner.this_process(), pid=2**22 + 5))
    for names in (
        ("../mine.txt", hidden, None),
        ("away/mine.txt", hidden, None),
        (target, "own.txt", None),
        (target, None, "own.txt"),
        (str(tmp_path / "mine.txt"), hidden, None),
    ):
        one = dict(zip(("target", "temporary", "aside"), names, strict=True))
        text = json.dumps({"owner": dead, "names": [{**one, "number": 1}]})
        (inside / ".radcnn-1-names.json").write_text(text)
        recover(inside)
        assert (tmp_path / "mine.txt").read_text() == "mine"
        assert (inside / "own.txt").read_text() == "own"
