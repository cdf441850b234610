"""Packs: what was packed is what runs, and nothing else gets in."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from model_factory import UNET, describe, unet, write_bundle, write_safetensors, zipped
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, WriteError
from napari_radcnn.foreign.pack import install, installed, pack, uninstall, unusable, verify
from napari_radcnn.models.registry import install_pack
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.spec.identity import model_identity
from napari_radcnn.spec.trust import forget_trust, remember_trust, trusted
from napari_radcnn.user_folders import data_folder
from napari_radcnn.volume import Volume, VolumeMetadata
from patience import PATIENCE

CPU = {"device": "cpu", "precision": "float32"}
TEXTS = {"licence": "CC BY 4.0\nFree to use.", "card": "# Two organs\nTrained on nothing."}
NNUNET = Path(__file__).parent.parent / "data" / "nnunet" / "Dataset904_Fixture"


def _scan() -> Volume:
    array = np.random.default_rng(0).normal(60, 120, (11, 24, 19)).astype(np.float32)
    return Volume(array, oblique_geometry(array.shape), VolumeMetadata("scan", modality="CT"))


def _bundle(folder: Path) -> Path:
    return write_bundle(folder / "bundle", unet(2))


def _zip(folder: Path) -> Path:
    return zipped(_bundle(folder), folder / "published.zip")


def _safetensors(folder: Path) -> Path:
    described = {"architecture": {"name": "UNet", "arguments": UNET}}
    describe(folder / "model.json", **described, licence="MIT")
    return write_safetensors(folder / "weights.safetensors", unet(2).state_dict())


def _nnunet(folder: Path) -> Path:
    return Path(shutil.copytree(NNUNET, folder / "Dataset904_Fixture"))


@pytest.mark.parametrize("make", [_bundle, _zip, _safetensors])
def test_a_pack_runs_as_the_model_it_was_made_of(tmp_path, make):
    source = tmp_path / "source"
    source.mkdir()
    spec = radcnn.open_model(make(source))
    path = pack(spec, tmp_path / "two.radcnn-model.zip", **TEXTS)
    before = radcnn.segment(_scan(), spec, **CPU)
    shutil.rmtree(source)
    with pytest.raises(ModelError, match="a model pack; install it first"):
        radcnn.open_model(path)
    assert verify(path).title == "Two Organs"
    assert install(path) == "two-organs"
    assert "two-organs" in {model.name for model in radcnn.models()}
    labels = radcnn.segment(_scan(), "two-organs", **CPU)
    assert np.array_equal(labels.array, before.array)
    assert len(np.unique(labels.array)) > 1
    assert radcnn.plan(_scan(), "two-organs").patches == labels.provenance["facts"]["patches"]
    assert labels.provenance["model"]["weights"][0]["sha256"] == spec.files[0].sha256
    uninstall("two-organs")
    assert installed() == []


def test_a_folder_of_nnunet_can_be_packed(tmp_path):
    spec = radcnn.open_model(_nnunet(tmp_path))
    path = pack(spec, tmp_path / "n.zip", name="fixture", **TEXTS)
    shutil.rmtree(tmp_path / "Dataset904_Fixture")
    assert install(path) == "fixture"
    (listed,) = installed()
    assert listed.labels == spec.labels
    assert listed.patch == spec.patch
    assert [file.sha256 for file in listed.files] == [file.sha256 for file in spec.files]
    assert radcnn.plan(_scan(), "fixture").patches == radcnn.plan(_scan(), listed).patches > 0


def test_what_is_listed_says_what_it_is_without_torch(tmp_path):
    import subprocess
    import sys

    install(pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS))
    (spec,) = installed()
    assert spec.modalities == ("CT",)
    assert {value: label.name for value, label in spec.labels.items()} == {1: "liver", 2: "spleen"}
    assert Path(spec.card).read_text() == TEXTS["card"]
    assert spec.spacing == (2.0, 1.5, 1.5)
    code = "import sys, napari_radcnn as r; assert len(r.models()) > 2; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_packing_twice_gives_the_same_file(tmp_path):
    bundle = _bundle(tmp_path)
    one, two = (pack(bundle, tmp_path / f"{name}.zip", **TEXTS) for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(WriteError):
        pack(bundle, one, **TEXTS)
    with pytest.raises(ModelError, match="license"):
        pack(bundle, tmp_path / "c.zip", licence=" ", card="x")
    with pytest.raises(ModelError, match="not a valid name"):
        pack(bundle, tmp_path / "c.zip", name="../evil", **TEXTS)
    assert not (tmp_path / "c.zip").exists()


def test_a_pack_is_not_written_over_what_it_is_made_of(tmp_path):
    bundle = _bundle(tmp_path)
    card = tmp_path / "card.md"
    card.write_text(TEXTS["card"])
    spec = radcnn.open_model(bundle)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    inside = [bundle / "configs" / "inference.json", bundle / "two.zip", bundle / "models" / "model.pt", card]
    for out in inside:
        with pytest.raises(WriteError, match="the input"):
            pack(spec, out, licence=TEXTS["licence"], card=card, overwrite=True)
    weights = _safetensors(tmp_path)
    before |= {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    for out in (weights, tmp_path / "model.json"):
        with pytest.raises(WriteError, match="the input"):
            pack(weights, out, overwrite=True, **TEXTS)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_is_installed_and_cannot_be_used_is_listed_with_the_reason(tmp_path, capsys):
    path = pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS)
    install(path)
    (spec,) = installed()
    listed = Path(spec.card).parent / "pack.json"
    words = json.loads(listed.read_text())
    for text, reason in (
        (json.dumps({**words, "schema": "radcnn-pack/7"}), "written by a newer version of napari-radcnn"),
        ("{", "its pack.json cannot be read"),
        (json.dumps({**words, "task": "cooking"}), "names an unknown task"),
    ):
        listed.write_text(text)
        assert installed() == []
        (left,) = unusable()
        assert left.name == "two-organs"
        assert reason in left.reason
        assert "\n" not in left.reason
        assert main(["models"]) == 0
        assert reason in capsys.readouterr().out.partition("two-organs  (installed, but cannot be used)")[2]
        assert main(["models", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["unusable"] == [{"name": left.name, "reason": left.reason}]
        assert main(["run", "two-organs", "scan.nii", "-o", "out.nii"]) == 4
        assert reason in capsys.readouterr().err
        with pytest.raises(ModelError, match="already installed; remove it first"):
            install(path)
    uninstall("two-organs")
    assert unusable() == []
    assert install(path) == "two-organs"
    assert main(["models", "--json"]) == 0
    assert "unusable" not in json.loads(capsys.readouterr().out)


def test_an_installed_model_is_not_overwritten(tmp_path):
    path = pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS)
    install(path)
    with pytest.raises(ModelError, match="'two-organs', or what is left of one, is already installed; remove it first"):
        install(path)
    other = pack(tmp_path / "bundle", tmp_path / "b.zip", name="nlm-denoise", **TEXTS)
    with pytest.raises(ModelError, match="a model 'nlm-denoise' that is not a pack already exists"):
        install_pack(other)
    for name in ("missing", "../two-organs", "nlm-denoise"):
        with pytest.raises(ModelError, match="is installed; installed: two-organs"):
            uninstall(name)


def _rewritten(path: Path, target: Path, change) -> Path:
    """Write a pack again with other members: `change` takes and returns a mapping of names to bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in change(members).items():
            archive.writestr(name, data)
    return target


def _with_words(**words):
    def change(members):
        found = json.loads(members["pack.json"])
        return {**members, "pack.json": json.dumps({**found, **words}).encode()}

    return change


def _evil(members):
    found = json.loads(members["pack.json"])
    found["files"]["../evil.txt"] = hashlib.sha256(b"x").hexdigest()
    return {**members, "pack.json": json.dumps(found).encode(), "../evil.txt": b"x"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: {**m, "CARD.md": b"another card"}, "'CARD.md' has changed since packing"),
        (lambda m: {**m, "model/more.txt": b"x"}, "contains 'model/more.txt'"),
        (lambda m: {k: v for k, v in m.items() if k != "LICENCE.txt"}, "does not contain 'LICENCE.txt'"),
        (lambda m: {k: v for k, v in m.items() if k != "pack.json"}, "no pack.json"),
        (_evil, "points outside the pack"),
        (_with_words(name="../evil"), "is not a valid name"),
        (_with_words(name="con"), "is not a valid name"),
        (_with_words(entry="../../etc"), "points outside the pack"),
        (_with_words(schema="other"), "does not say"),
        (_with_words(files=[]), "'files' is missing"),
        (_with_words(task="magic"), "unknown task"),
        (_with_words(weights=[{"path": "x", "kind": "pickle"}]), "does not list its weights"),
    ],
)
def test_a_changed_pack_is_refused(tmp_path, change, told):
    path = pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS)
    changed = _rewritten(path, tmp_path / "changed.zip", change)
    for call in (verify, install):
        with pytest.raises(ModelError) as caught:
            call(changed)
        assert told in str(caught.value)
    assert installed() == []
    assert not (tmp_path.parent / "evil.txt").exists()


def test_a_pack_cut_short_is_refused_by_name(tmp_path):
    path = pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS)
    whole = path.read_bytes()
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"^a\.zip: "):
            verify(path)


def test_files_that_change_after_installation_are_not_run(tmp_path):
    install(pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS))
    (spec,) = installed()
    weights = spec.files[0].path
    torch.save(unet(7).state_dict(), weights)
    with pytest.raises(ModelError, match="changed since installation"):
        radcnn.segment(_scan(), "two-organs", **CPU)


def _reword(path: Path, *keys: str, value) -> None:
    """Replace one value in a JSON file."""
    words = json.loads(path.read_text())
    place = words
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(words, indent=1) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda place: _reword(place / "model/configs/inference.json", "inferer", "overlap", value=0.25),
        lambda place: _reword(place / "model/configs/metadata.json", "version", value="0.3.2"),
        lambda place: (place / "model/configs/metadata.json").unlink(),
        lambda place: (place / "model/configs/inference.yaml").write_text("a: 1"),
        lambda place: (place / "model/scripts.py").write_text("print(1)"),
        lambda place: (place / "model/scripts").symlink_to(place.parent),
        lambda place: (place / "CARD.md").write_text("# Another"),
        lambda place: _reword(place / "pack.json", "labels", "1", "name", value="spleen"),
        lambda place: _reword(place / "pack.json", "spacing", value=[1.0, 1.0, 1.0]),
        lambda place: _reword(place / "pack.json", "files", value={}),
    ],
    ids=["config", "metadata", "removed", "added", "code", "link", "card", "labels", "spacing", "list"],
)
def test_an_installed_model_that_was_edited_is_not_run(tmp_path, change):
    name = install(pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS))
    before = radcnn.segment(_scan(), name, **CPU)  # opened once, and held open since
    assert before.array.any()
    (spec,) = installed()
    change(Path(spec.card).parent)
    with pytest.raises(ModelError, match=r"installed model 'two-organs' has changed|is gone|not in"):
        radcnn.segment(_scan(), name, **CPU)


def test_an_installed_model_has_the_identity_of_what_was_packed(tmp_path):
    source = radcnn.open_model(_bundle(tmp_path))
    name = install(pack(source, tmp_path / "a.zip", **TEXTS))
    manifest = radcnn.segment(_scan(), name, **CPU).provenance
    assert manifest["model"]["identity"] == model_identity(source)


def _lose(place, part):
    if part == "weights":
        (place / "model" / "models" / "model.pt").unlink()
    elif part == "list":
        for name in ("pack.json", "CARD.md", "LICENCE.txt"):
            (place / name).unlink()
    else:
        shutil.rmtree(place)
        place.touch() if part == "folder" else place.symlink_to(place.parent / "nowhere")


@pytest.mark.parametrize("part", ["weights", "list", "folder", "all but a link"])
def test_what_is_left_of_a_model_is_removed_and_installed_again(tmp_path, part):
    path = pack(_bundle(tmp_path), tmp_path / "a.zip", **TEXTS)
    place = data_folder() / "models" / install(path)
    _lose(place, part)
    assert [one.name for one in unusable()] == ([] if part == "weights" else ["two-organs"])
    with pytest.raises(ModelError, match="remove it first: radcnn models remove two-organs"):
        install(path)
    assert main(["models", "remove", "two-organs"]) == 0
    assert (installed(), unusable(), list(place.parent.iterdir())) == ([], [], [])
    install(path)
    assert len(np.unique(radcnn.segment(_scan(), "two-organs", **CPU).array)) > 1


def test_trust_is_remembered_for_code_only_and_taken_back(tmp_path, capsys):
    install(pack(_bundle(tmp_path), tmp_path / "a.zip", name="plain", **TEXTS), trust="a" * 64)
    assert trusted() == frozenset()
    torch.jit.save(torch.jit.script(unet()), tmp_path / "net.ts")
    describe(tmp_path / "net.json")
    sha256 = hashlib.sha256((tmp_path / "net.ts").read_bytes()).hexdigest()
    for name in ("one", "two"):
        forget_trust(sha256)
        install(pack(tmp_path / "net.ts", tmp_path / f"{name}.zip", name=name, trust=sha256, **TEXTS), trust=sha256)
    assert trusted() == {sha256}
    uninstall("one")
    assert trusted() == {sha256}  # the other needs it
    uninstall("two")
    assert trusted() == frozenset()
    remember_trust(sha256)
    assert main(["models", "trusted"]) == 0
    assert capsys.readouterr().out == f"{sha256}\n"
    assert main(["models", "trusted", "--forget", sha256.upper()]) == 0
    assert trusted() == frozenset()
    assert main(["models", "trusted", "--forget", sha256]) == 4
    with pytest.raises(ModelError, match="trust='"):
        radcnn.open_model(tmp_path / "net.ts")


def test_a_program_in_a_pack_needs_trust(tmp_path):
    torch.jit.save(torch.jit.script(unet()), tmp_path / "net.ts")
    describe(tmp_path / "net.json")
    with pytest.raises(ModelError) as caught:
        radcnn.open_model(tmp_path / "net.ts")
    sha256 = str(caught.value).split("trust='")[1][:64]
    path = pack(tmp_path / "net.ts", tmp_path / "a.zip", trust=sha256, **TEXTS)
    with pytest.raises(ModelError, match="trust='"):
        install(path)
    assert installed() == []
    install(path, trust=sha256)
    assert len(np.unique(radcnn.segment(_scan(), "two-organs", **CPU).array)) > 1
