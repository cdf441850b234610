"""Several processes at one target, store, session, install and cache: one has it at a time, the others say so."""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import JournalError, ModelError, RadcnnError, WriteError
from napari_radcnn.foreign.pack import installed, installed_sha256
from napari_radcnn.foreign.unpacked import unpacked
from napari_radcnn.interactive.journal.journal import Journal
from napari_radcnn.io.omezarr.growing import GrowingLabels
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import doubts_of
from napari_radcnn.results import Label
from napari_radcnn.spec.trust import remember_trust, trusted
from napari_radcnn.user_folders import recall, remember
from written import GEOMETRY, OUTPUTS, SHAPE, labels

NUMBERS = [pytest.param(2, marks=pytest.mark.slow), 4]


def race(n: int, folder: Path, work: Callable[[int], object]) -> list[str]:
    """Do something in `n` copies of this process at once; return what each says: nothing, or the error's text."""
    start, children = folder / "start", []
    for number in range(n):
        child = os.fork()
        if not child:
            told = ""
            try:
                while not start.exists():
                    time.sleep(0.001)
                work(number)
            except RadcnnError as error:
                told = f"{type(error).__name__}: {error}"
            except BaseException:  # noqa: BLE001  the copy must not go on with the tests
                told = traceback.format_exc()
            (folder / f"told {number}").write_text(told)
            os._exit(0)
        children.append(child)
    start.touch()
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * n
    return [(folder / f"told {number}").read_text() for number in range(n)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".radcnn-*"))


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("output", ["labels.nii.gz", "labels.mhd", "labels.ome.zarr", "findings.csv"])
def test_one_target(tmp_path: Path, place: Path, output: str, n: int) -> None:
    """Each writes until it has once: what is there in the end is of one, and whole, with its own manifest."""
    write = OUTPUTS[output].prepare(tmp_path / "scan")
    told = race(n, tmp_path, lambda number: write(place, number % 2))
    assert "" in told
    refusals = [text for text in told if text]
    assert all("is writing this file now" in text and "process" in text and "\n" not in text for text in refusals)
    assert OUTPUTS[output].run_in(place) in (0, 1)
    assert hidden(place) == []


@pytest.mark.parametrize("n", NUMBERS)
def test_one_target_that_may_not_be_replaced(tmp_path: Path, place: Path, n: int) -> None:
    target = place / "a.nii.gz"
    told = race(n, tmp_path, lambda number: write_with_manifest(labels(number % 2), target))
    assert told.count("") == 1
    assert all("is writing this" in text or "already exists" in text or "manifest" in text for text in told if text)
    assert doubts_of(target) == []
    run = told.index("") % 2
    assert np.array_equal(radcnn.read(target)[0].array > 0, labels(run).array > 0)
    assert hidden(place) == []


@pytest.mark.parametrize("n", NUMBERS)
def test_one_streamed_store(tmp_path: Path, place: Path, n: int) -> None:
    """The one that begins has it for all of its run; the others say which process that is."""

    def grow(number: int) -> None:
        grown = GrowingLabels(place / "a.ome.zarr", GEOMETRY, {number + 1: Label("a")}, fingerprint=str(number))
        while len(list(tmp_path.glob("met *"))) < n - 1:  # until all others were refused
            time.sleep(0.001)
        grown.write(tuple(slice(0, size) for size in SHAPE), np.full(SHAPE, number + 1))
        grown.mark(SHAPE[0])
        grown.finish()
        grown.close()

    def work(number: int) -> None:
        try:
            grow(number)
        except WriteError:
            (tmp_path / f"met {number}").touch()
            raise

    told = race(n, tmp_path, work)
    assert told.count("") == 1
    winner = told.index("")
    assert all("is writing this file now" in text and "started" in text for text in told if text)
    assert set(np.unique(radcnn.read(place / "a.ome.zarr")[0].array)) == {winner + 1}
    assert hidden(place) == []


@pytest.mark.parametrize("n", NUMBERS)
def test_labels_in_one_store(tmp_path: Path, place: Path, n: int) -> None:
    """Labels of other names are no reason to refuse: all are in the store's list afterwards."""
    store = radcnn.write(radcnn.Volume(np.zeros(SHAPE, np.int16), GEOMETRY), place / "a.ome.zarr")
    told = race(n, tmp_path, lambda number: write_with_manifest(labels(number % 2), store / "labels" / f"l{number}"))
    assert told == [""] * n
    listed = json.loads((store / "labels" / "zarr.json").read_text())["attributes"]["ome"]["labels"]
    assert sorted(listed) == [f"l{number}" for number in range(n)]
    assert len(radcnn.read(store)) == n + 1
    assert hidden(place) == []


@pytest.mark.parametrize("n", NUMBERS)
def test_one_session(tmp_path: Path, place: Path, n: int) -> None:
    journal = Journal.create(place, {"volume": "a"})
    journal.append("step", b"zero")
    path = journal.path
    journal.close()

    def work(number: int) -> None:
        try:
            with Journal.open(path) as taken:
                while len(list(tmp_path.glob("met *"))) < n - 1:
                    time.sleep(0.001)
                taken.append("step", str(number).encode())
        except JournalError:
            (tmp_path / f"met {number}").touch()
            raise

    told = race(n, tmp_path, work)
    assert told.count("") == 1
    assert all("open in another program" in text and "process" in text for text in told if text)
    with Journal.open(path) as again:
        assert [record.payload for record in again.records()] == [b"zero", str(told.index("")).encode()]


@pytest.mark.parametrize("n", NUMBERS)
def test_one_install(tmp_path: Path, place: Path, n: int) -> None:
    write = OUTPUTS["installed model"].prepare(tmp_path / "scan")
    told = race(n, tmp_path, lambda number: write(place, 0))
    assert "" in told
    assert all("two" in text and ("is writing this" in text or "already" in text) for text in told if text)
    os.environ["XDG_DATA_HOME"] = str(place)
    (spec,) = installed()
    installed_sha256(spec)
    assert hidden(place) == []


@pytest.mark.parametrize("n", NUMBERS)
def test_one_cache(tmp_path: Path, place: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache is for all: nobody is refused, and nobody's entry is lost."""
    import zipfile

    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    archive = place / "model.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(20):
            file.writestr(f"model/{number}.txt", "x" * number)

    def work(number: int) -> None:
        assert len(list(unpacked(archive).rglob("*.txt"))) == 20
        for entry in range(4):
            remember("costs", f"{number} {entry}", {"seconds": entry})
        remember_trust(f"{number}" * 64)

    assert race(n, tmp_path, work) == [""] * n
    assert all(recall("costs", f"{number} {entry}") == {"seconds": entry} for number in range(n) for entry in range(4))
    assert trusted() == {f"{number}" * 64 for number in range(n)}
    assert hidden(place) == []


def test_of_a_killed_process_the_next_one_takes_over(tmp_path: Path, place: Path) -> None:
    child = os.fork()
    if not child:
        grown = GrowingLabels(place / "a.ome.zarr", GEOMETRY, {1: Label("a")}, fingerprint="f")
        grown.write(tuple(slice(0, size) for size in SHAPE), np.ones(SHAPE))
        grown.mark(SHAPE[0])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    grown = GrowingLabels(place / "a.ome.zarr", GEOMETRY, {1: Label("a")}, fingerprint="f")
    assert grown.mark_reached == SHAPE[0]
    grown.finish()
    assert radcnn.read(place / "a.ome.zarr")[0].array.all()
    assert hidden(place) == []


def test_a_name_of_ours_is_not_installed_twice(tmp_path: Path, place: Path) -> None:
    write = OUTPUTS["installed model"].prepare(tmp_path / "scan")
    write(place, 0)
    with pytest.raises(ModelError, match="already"):
        write(place, 0)
