"""A streamed run that was really killed goes on only where nothing that decides its result has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import killed_run
import napari_radcnn
import napari_radcnn as radcnn


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, a scan, and the part that a run reached before it was killed."""
    folder = tmp_path_factory.mktemp("killed")
    killed_run.prepare(folder)
    paths = os.pathsep.join([str(Path(napari_radcnn.__file__).parents[1]), str(Path(killed_run.__file__).parent)])
    words = [sys.executable, killed_run.__file__, str(folder), "3"]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert (folder / ".radcnn-partial-out.ome.zarr").is_dir()
    assert not (folder / "out.ome.zarr").exists()
    shutil.copytree(folder, folder.with_name("template"), dirs_exist_ok=True)
    return folder


def again(folder: Path) -> Path:
    """Have the same folder as it was after the kill: a model's place is part of what it is."""
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("template"), folder)
    return folder


def gone_on(folder: Path) -> tuple[int, tuple[str, ...], np.ndarray]:
    """Run it again; return the first slice that was computed, what was told, and the labels."""
    first: list[int] = []
    written = killed_run.stream(folder, lambda box, _: first.append(box[0].start))
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []
    return min(first), written.warnings, np.asarray(written.array)


def in_memory(folder: Path) -> np.ndarray:
    (scan,) = radcnn.read(folder / "scan.ome.zarr")
    return np.asarray(radcnn.segment(scan, radcnn.open_model(folder / "model"), **killed_run.HOW).array)


def test_where_nothing_changed_it_goes_on(killed: Path) -> None:
    first, told, found = gone_on(again(killed))
    assert first > 0
    assert not any("from the start" in text for text in told)
    assert len(np.unique(found)) > 1
    assert np.array_equal(found, in_memory(killed))


@pytest.mark.parametrize("kind", killed_run.KINDS)
def test_where_anything_changed_it_begins_anew(killed: Path, kind: str) -> None:
    killed_run.KINDS[kind](again(killed))
    first, told, found = gone_on(killed)
    assert first == 0
    assert any("of another run" in text for text in told)
    assert np.array_equal(found, in_memory(killed))


def test_a_chunk_that_is_lost_is_computed_again(killed: Path) -> None:
    chunks = [
        path for path in (again(killed) / ".radcnn-partial-out.ome.zarr" / "0" / "c").rglob("*") if path.is_file()
    ]
    assert chunks
    for chunk in chunks:
        chunk.unlink()
    first, told, found = gone_on(killed)
    assert first == 0
    assert any("missing or damaged" in text for text in told)
    assert np.array_equal(found, in_memory(killed))
