"""`radcnn sessions`: what is kept on the disk, from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
import value_engine
from blocks import blocks
from napari_radcnn.cli import main
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools import Grow
from napari_radcnn.session import PromptSession


@pytest.fixture(autouse=True)
def engines(monkeypatch):
    """Let `region` be an engine whose answers are known."""
    return value_engine.register(monkeypatch)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "kept"
    monkeypatch.setenv("RADCNN_SESSIONS", str(folder))
    return folder


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    radcnn.write(blocks(), path)
    return path


def left_open(scan: Path) -> PromptSession:
    """Return a session with an object that was clicked and grown, on a scan that was read from a file."""
    (volume,) = radcnn.read(scan)
    session = PromptSession(volume, engine="region")
    session.add(Prompt.point(volume.geometry.to_world((3, 4, 5))))
    session.apply(Grow(1.5), session.objects[0].value)
    return session


def left_behind(scan: Path) -> np.ndarray:
    """Leave a session on the disk, and return its labels."""
    session = left_open(scan)
    labels = session.labels.copy()
    session.close()
    return labels


def test_sessions_are_listed(kept, scan, capsys):
    assert main(["sessions", "list"]) == 0
    assert capsys.readouterr().out == f"no sessions are kept in {kept}\n"
    left_behind(scan)
    (folder,) = kept.iterdir()
    assert main(["sessions", "list"]) == 0
    name, line = capsys.readouterr().out.splitlines()
    assert name == folder.name
    assert f"· {scan} · region · 2 steps ·" in line
    assert line.endswith("unfinished")
    assert main(["sessions", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["sessions"]
    assert (listed["name"], listed["steps"], listed["is_open"]) == (folder.name, 2, False)
    assert listed["input"]["path"] == str(scan)


def test_a_session_is_exported_and_stays(kept, scan, tmp_path, capsys):
    expected = left_behind(scan)
    (folder,) = kept.iterdir()
    out = tmp_path / "out.nrrd"
    assert main(["sessions", "export", folder.name, "-o", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == [f"written: {out}", f"manifest: {out}.radcnn.json"]
    (written,) = radcnn.read(out)
    assert expected.any()
    assert np.array_equal(written.array, expected)
    assert written.geometry.is_close(blocks().geometry)
    assert len(PromptSession.unfinished()) == 1
    assert main(["replay", f"{out}.radcnn.json"]) == 0
    assert capsys.readouterr().out.startswith("identical")


def test_a_scan_that_was_moved_is_named(kept, scan, tmp_path, capsys):
    expected = left_behind(scan)
    (folder,) = kept.iterdir()
    moved = scan.rename(tmp_path / "moved.nii.gz")
    out = tmp_path / "out.nrrd"
    assert main(["sessions", "export", folder.name, "-o", str(out)]) == 3
    error = capsys.readouterr().err
    assert f"its scan {scan} is not there any more: say where it is now with --scan." in error
    assert not out.exists()
    assert main(["sessions", "export", str(folder), "-o", str(out), "--scan", str(moved)]) == 0
    assert np.array_equal(radcnn.read(out)[0].array, expected)


def test_another_scan_is_refused(kept, scan, tmp_path, capsys):
    left_behind(scan)
    (folder,) = kept.iterdir()
    other, out = tmp_path / "other.nrrd", tmp_path / "out.nrrd"
    radcnn.write(blocks().with_array(blocks().array + 1), other)
    assert main(["sessions", "export", folder.name, "-o", str(out), "--scan", str(other)]) != 0
    assert "another scan" in capsys.readouterr().err
    assert not out.exists()
    assert len(PromptSession.unfinished()) == 1


def test_sessions_are_removed_by_name(kept, scan, capsys):
    left_behind(scan)
    left_behind(scan)
    first, second = sorted(kept.iterdir())
    assert main(["sessions", "remove", first.name]) == 0
    assert capsys.readouterr().out == f"removed: {first.name}\n"
    assert list(kept.iterdir()) == [second]
    assert main(["sessions", "remove", first.name]) == 3
    assert first.name in capsys.readouterr().err
    assert main(["sessions", "remove", "--old"]) == 0
    assert capsys.readouterr().out == "no old sessions are kept\n"
    assert list(kept.iterdir()) == [second]


def test_a_session_that_is_open_is_not_removed_and_neither_are_the_others(kept, scan, capsys):
    left_behind(scan)
    (folder,) = kept.iterdir()
    with left_open(scan) as session:
        assert session.saved_in is not None
        assert main(["sessions", "remove", folder.name, session.saved_in.name]) == 3
        assert "open in another window or process" in capsys.readouterr().err
        assert folder.is_dir()


def test_nothing_to_remove_is_a_mistake_of_use(kept):
    with pytest.raises(SystemExit) as ended:
        main(["sessions", "remove"])
    assert ended.value.code == 2
