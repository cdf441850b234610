"""Files that an earlier version wrote: sessions resume, packs run, manifests replay; what is newer is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.cli import main
from napari_radcnn.interactive.journal.journal import saved_sessions
from napari_radcnn.interactive.tools import Grow
from napari_radcnn.play import play

DATA = Path(__file__).parent / "data" / "earlier"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
CPU = {"device": "cpu", "precision": "float32"}
SESSIONS, PACKS = sorted(EXPECTED["sessions"]), sorted(EXPECTED["packs"])
MANIFESTS = ["tissues.nii.gz", "mass.json", "lesion.nii.gz"]


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _scan(name: str) -> radcnn.Volume:
    return radcnn.read(DATA / f"{name}.nii.gz")[0]


def _check_refusal(text: str, path: Path) -> None:
    """A refusal of what is newer is one line that names the file and says what to do."""
    assert len(text.strip().splitlines()) == 1
    assert path.name in text
    rest = text.replace(str(path), "").replace(path.name, "")  # a folder of tests may be called anything
    assert "newer" in rest
    assert "napari-radcnn" in rest


def test_all_of_them_are_looked_at():
    assert len(SESSIONS) == len(list((DATA / "sessions").iterdir())) == 3
    assert len(PACKS) == len(list((DATA / "packs").glob("*.zip"))) == 3
    assert len(MANIFESTS) == len(list((DATA / "manifests").glob("*.radcnn.json"))) == 3


# -- sessions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sessions(tmp_path: Path) -> Callable[[str], Path]:
    """Return a folder with a copy of one session."""
    return lambda name: Path(shutil.copytree(DATA / "sessions" / name, tmp_path / "sessions"))


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_goes_on_where_it_was(sessions, name):
    folder, wanted = sessions(name), EXPECTED["sessions"][name]
    (saved,) = radcnn.PromptSession.unfinished(folder)
    session = radcnn.PromptSession.resume(saved, _scan("head"))
    assert session.engine == wanted["engine"]
    assert _digest(session.labels) == wanted["labels"]
    assert list(session.history) == wanted["history"]
    objects = {str(item.value): [item.name, list(item.color), item.is_locked] for item in session.objects}
    assert objects.keys() == wanted["objects"].keys()
    for value, (title, color, is_locked) in objects.items():
        assert [title, is_locked] == wanted["objects"][value][::2]
        assert color == pytest.approx(wanted["objects"][value][1])
        assert len(session.prompts(int(value))) == wanted["prompts"][value]
        assert int((session.labels == int(value)).sum()) == wanted["voxels"][value]
    assert session.warnings == ()
    undone = 0
    while session.can_redo:
        session.redo()
        undone += 1
    assert undone == wanted["undone"]
    assert _digest(session.labels) == wanted["redone"]
    while session.can_undo:
        session.undo()
    assert not session.labels.any()
    assert session.objects == ()
    while session.can_redo:
        session.redo()
    assert _digest(session.labels) == wanted["redone"]
    session.close()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_resumed_session_can_be_worked_on_and_resumed_again(sessions, name):
    folder, scan = sessions(name), _scan("head")
    (saved,) = radcnn.PromptSession.unfinished(folder)
    session = radcnn.PromptSession.resume(saved, scan)
    session.add_object("more")
    session.add(radcnn.Prompt.point((-28, 20, 30)))
    session.apply(Grow(7.0))
    labels, history = session.labels.copy(), session.history
    session.close()
    (saved,) = radcnn.PromptSession.unfinished(folder)
    again = radcnn.PromptSession.resume(saved, scan)
    assert np.array_equal(again.labels, labels)
    assert again.history == history
    replayed = play(scan, again.result().provenance)  # by the engine of today, which may answer otherwise
    assert set(np.unique(replayed.array)) == set(np.unique(labels))
    again.close(is_finished=True)
    assert radcnn.PromptSession.unfinished(folder) == []


def test_a_session_of_a_newer_form_is_refused_and_stays_as_it_is(sessions):
    folder = sessions("points")
    (saved,) = radcnn.PromptSession.unfinished(folder)
    file = next(saved.path.glob("journal*"))
    content = bytearray(file.read_bytes())
    assert struct.unpack_from("<H", content, 14) == (1,)
    struct.pack_into("<H", content, 14, 2)
    file.write_bytes(content)
    with pytest.raises(radcnn.RadcnnError) as caught:
        radcnn.PromptSession.resume(saved, _scan("head"))
    _check_refusal(str(caught.value), saved.path)
    (listed,) = saved_sessions(folder)
    _check_refusal(listed.problem, saved.path)
    assert radcnn.PromptSession.unfinished(folder) == []
    assert file.read_bytes() == content


def test_a_session_of_a_newer_schema_is_refused_and_stays_as_it_is(sessions):
    folder = sessions("points")
    (saved,) = radcnn.PromptSession.unfinished(folder)
    assert saved.header["schema"] == "radcnn-session/1"
    file = next(saved.path.glob("journal*"))
    content = file.read_bytes()
    (size,) = struct.unpack_from("<Q", content, 28)
    payload = content[44 : 44 + size].replace(b"radcnn-session/1", b"radcnn-session/2")
    fields = struct.pack("<4sIIQI", b"\nRj\x00", 0, 0, size, zlib.crc32(payload))
    head = fields + struct.pack("<I", zlib.crc32(fields))
    file.write_bytes(content[:16] + head + payload + content[44 + size :])
    (newer,) = saved_sessions(folder)
    assert newer.header.get("schema", "radcnn-session/2") == "radcnn-session/2"
    with pytest.raises(radcnn.RadcnnError) as caught:
        radcnn.PromptSession.resume(newer, _scan("head"))
    _check_refusal(str(caught.value), saved.path)


# -- packs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_is_installed_and_runs(tmp_path, capsys, name):
    pack = Path(shutil.copy(DATA / "packs" / f"{name}.radcnn-model.zip", tmp_path))
    called = EXPECTED["packs"][name]["name"]
    assert main(["models", "verify", str(pack)]) == 0
    assert main(["models", "install", str(pack)]) == 0
    assert called in {spec.name for spec in radcnn.models()}
    assert main(["models", called, "--card"]) == 0
    assert "Random weights, for tests." in capsys.readouterr().out
    found = radcnn.segment(_scan("piece"), called, **CPU)
    (wanted,) = radcnn.read(DATA / "packs" / f"{name}.labels.nii.gz")
    assert found.geometry.is_close(wanted.geometry)
    assert np.bincount(wanted.array.ravel()).tolist() == EXPECTED["packs"][name]["voxels"]
    assert np.mean(found.array == wanted.array) >= 0.999  # in float32, but maybe on another processor
    assert main(["models", "remove", called]) == 0


@pytest.mark.parametrize("word", ["verify", "install"])
def test_a_newer_pack_is_refused(tmp_path, capsys, word):
    pack = tmp_path / "newer.radcnn-model.zip"
    with zipfile.ZipFile(DATA / "packs" / "safetensors.radcnn-model.zip") as old, zipfile.ZipFile(pack, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "pack.json":
                assert b'"radcnn-pack/1"' in content
                content = content.replace(b'"radcnn-pack/1"', b'"radcnn-pack/2"')
            new.writestr(member, content)
    assert main(["models", word, str(pack)]) == 4
    _check_refusal(capsys.readouterr().err, pack)
    assert not {spec.name for spec in radcnn.models()} & {"earlier-safetensors"}


# -- manifests --------------------------------------------------------------------------------------------------------


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """Return a copy of a manifest whose scan lies beside it, with changes."""

    def copy(name: str, **changes: Any) -> Path:
        told = json.loads((DATA / "manifests" / f"{name}.radcnn.json").read_text(encoding="utf-8"))
        scan = Path(shutil.copy(DATA / Path(told["input"]["path"]).name, tmp_path))
        told["input"]["path"] = str(scan)
        path = tmp_path / f"{name}.radcnn.json"
        path.write_text(json.dumps(told | changes), encoding="utf-8")
        return path

    return copy


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_replayed_and_gives_the_same_unless_the_model_is_another(manifest, tmp_path, capsys, name):
    path, again = manifest(name), tmp_path / f"again.{name.partition('.')[2]}"
    assert main(["replay", str(path), "-o", str(again)]) == 0
    said = capsys.readouterr()
    before = json.loads(path.read_text(encoding="utf-8"))
    after = json.loads(Path(f"{again}.radcnn.json").read_text(encoding="utf-8"))
    # That a phantom is no patient is said of every run; beside that, only that the model or the engine is a newer one.
    warnings = [line for line in said.err.splitlines() if "warning" in line and "drawing of few values" not in line]
    is_changed = before["model"]["version"] != after["model"]["version"]
    assert [f"is version {after['model']['version']} on this computer" in line for line in warnings] == [
        True
    ] * is_changed
    assert before["schema"] == after["schema"] == "radcnn-manifest/1"
    if is_changed:
        assert before.get("volumes_ml", {}).keys() == after.get("volumes_ml", {}).keys()
        if not name.endswith(".nii.gz"):
            stored, found = (json.loads(one.read_text(encoding="utf-8")) for one in (DATA / "manifests" / name, again))
            assert found["probabilities"].keys() == stored["probabilities"].keys()
        return
    assert before["result"] == {key: after["result"][key] for key in before["result"]}  # a key may have been added
    if name.endswith(".nii.gz"):
        assert f"identical: the voxels of {name}" in said.out
        assert before["volumes_ml"] == after["volumes_ml"]
    else:
        wanted = json.loads((DATA / "manifests" / name).read_text(encoding="utf-8"))
        found = json.loads(again.read_text(encoding="utf-8"))
        assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-4)


def test_a_manifest_of_prompts_is_a_script(manifest, tmp_path):
    path, again = manifest("lesion.nii.gz"), tmp_path / "again.nii.gz"
    assert main(["interact", str(DATA / "head.nii.gz"), str(path), "-o", str(again)]) == 0
    before = json.loads(path.read_text(encoding="utf-8"))
    after = json.loads(Path(f"{again}.radcnn.json").read_text(encoding="utf-8"))
    assert before["steps"] == after["steps"]
    if before["model"]["version"] == after["model"]["version"]:
        assert before["result"] == {key: after["result"][key] for key in before["result"]}  # a key may have been added


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_newer_manifest_is_not_replayed(manifest, capsys, name):
    path = manifest(name, schema="radcnn-manifest/2")
    assert main(["replay", str(path)]) == 3
    _check_refusal(capsys.readouterr().err, path)


def test_a_newer_manifest_is_no_script(manifest, tmp_path, capsys):
    path = manifest("lesion.nii.gz", schema="radcnn-manifest/2")
    assert main(["interact", str(DATA / "head.nii.gz"), str(path), "-o", str(tmp_path / "again.nii.gz")]) == 3
    _check_refusal(capsys.readouterr().err, path)
    assert not (tmp_path / "again.nii.gz").exists()
