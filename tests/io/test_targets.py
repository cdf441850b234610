"""What is read is never written over: not by its name, nor by any other name, nor by what lies around it or in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dicom_factory
import napari_radcnn as radcnn
from napari_radcnn.cli import main
from napari_radcnn.errors import WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.targets import refuse_sources, sources_of
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume

SHAPE = (6, 7, 8)
GEOMETRY = oblique_geometry(SHAPE)
FIRST = slice(0, 3), slice(None), slice(None)
VALUES = np.random.default_rng(3).integers(-900, 900, SHAPE).astype(np.int16)
MASK = (np.indices(SHAPE).sum(axis=0) % 3).astype(np.uint8)
LABELS = {1: Label("liver"), 2: Label("spleen")}


def contents(folder: Path) -> dict[str, str]:
    """Return what lies below a folder, links followed to files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def scan_at(folder: Path, name: str) -> Path:
    """Write a scan under a name and return what is read."""
    if name == "series":
        dicom_factory.write_dicom_series(folder / name, Volume(VALUES[:3], GEOMETRY.cropped(FIRST)))
        return folder / name
    if name == "one.dcm":
        dicom_factory.write_dicom_series(folder / "slices", Volume(VALUES[:3], GEOMETRY.cropped(FIRST)))
        (sorted((folder / "slices").iterdir())[0]).rename(folder / name)
        return folder / name
    if name == "pair.hdr":
        import nibabel

        nibabel.save(nibabel.Nifti1Pair(VALUES, np.diag([2.5, 0.8, 0.7, 1.0])), folder / name)
        return folder / name
    return radcnn.write(Volume(VALUES, GEOMETRY), folder / name)


def plain(path: Path) -> Path:
    return path


def linked(path: Path) -> Path:
    link = path.parent / "other" / path.name
    link.parent.mkdir()
    link.symlink_to(path)
    return link


def linked_folder(path: Path) -> Path:
    (path.parent.parent / "elsewhere").symlink_to(path.parent)
    return path.parent.parent / "elsewhere" / path.name


def hard_linked(path: Path) -> Path:
    second = path.with_name(f"second-{path.name}")
    os.link(path, second)
    return second


def relative(path: Path) -> Path:
    os.chdir(path.parent)
    return Path("..", path.parent.name, path.name)


FILES = ["a.nii.gz", "a.nii", "a.nrrd", "a.mha", "a.mhd", "one.dcm", "pair.hdr"]
FOLDERS = ["a.ome.zarr", "series"]


@pytest.mark.parametrize("name_as", [plain, linked, linked_folder, relative])
@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_target_that_is_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, name_as: Callable[[Path], Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    source = scan_at(tmp_path / "in", name)
    target = name_as(source)
    with pytest.raises(WriteError, match="the input") as caught:
        refuse_sources(target, [source])
    assert "\n" not in str(caught.value)
    with pytest.raises(WriteError, match="the input"):
        refuse_sources(source, [target])


@pytest.mark.parametrize("name", FILES)
def test_a_second_name_of_a_source(tmp_path: Path, name: str) -> None:
    source = scan_at(tmp_path, name)
    with pytest.raises(WriteError, match="the input"):
        refuse_sources(hard_linked(source), [source])


def test_a_file_system_that_does_not_tell_capitals_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = scan_at(tmp_path, "a.nii")
    refuse_sources(tmp_path / "A.NII", [source])  # two files, here
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **how: stat(self.with_name(self.name.lower()), **how))
    with pytest.raises(WriteError, match=r"is the input 'a\.nii'"):
        refuse_sources(tmp_path / "A.NII", [source])


@pytest.mark.parametrize(
    ("source", "target", "what"),
    [
        ("a.ome.zarr", "a.ome.zarr/0", "lies in"),
        ("a.ome.zarr", "a.ome.zarr/new.nii.gz", "lies in"),
        ("a.ome.zarr", "a.ome.zarr/labels/deep/new", "lies in"),
        ("series", "series/new.nii.gz", "lies in"),
        ("series", "series/sub", "lies in"),
        ("a.nii.gz", ".", "holds"),
        ("series", ".", "holds"),
        ("a.mhd", "a.zraw", "is"),
        ("pair.hdr", "pair.img", "is"),
        ("a.mhd", "A/../a.zraw", "is"),
    ],
)
def test_a_target_that_holds_or_lies_in_a_source(tmp_path: Path, source: str, target: str, what: str) -> None:
    (tmp_path / "in" / "A").mkdir(parents=True)
    given = scan_at(tmp_path / "in", source)
    with pytest.raises(WriteError, match=f"{what} the input '{source}'"):
        refuse_sources(tmp_path / "in" / target, [given])


def test_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = scan_at(tmp_path, "a.nii")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WriteError, match="holds the input"):
        refuse_sources(Path(), [source])
    with pytest.raises(WriteError, match="is the input"):
        refuse_sources(source, [Path("a.nii")])
    with pytest.raises(WriteError, match="lies in the input"):
        refuse_sources(Path("b.nii"), [Path()])


def test_names_that_are_written_with_a_target(tmp_path: Path) -> None:
    (tmp_path / "b.zraw").write_bytes(b"voxels")
    (tmp_path / "b.hdr.mhd").write_text("ElementDataFile = b.zraw\n")
    with pytest.raises(WriteError, match=r"'b\.zraw', which is written with it"):
        refuse_sources(tmp_path / "b.mhd", [tmp_path / "b.hdr.mhd"])
    script = tmp_path / "c.nii.radcnn.json"
    script.write_text("{}")
    with pytest.raises(WriteError, match=r"'c\.nii\.radcnn\.json', which is written with it"):
        refuse_sources(tmp_path / "c.nii", [script])


def test_links_in_a_source_lead_to_sources(tmp_path: Path) -> None:
    series = scan_at(tmp_path, "series")
    first, second, _ = sorted(series.iterdir())
    first.rename(tmp_path / "real.dcm")
    first.symlink_to(tmp_path / "real.dcm")
    os.link(second, tmp_path / "second.dcm")
    with pytest.raises(WriteError, match="is the input"):
        refuse_sources(tmp_path / "real.dcm", [series])
    with pytest.raises(WriteError, match="is a file of the input"):
        refuse_sources(tmp_path / "second.dcm", [series])


def test_what_has_nothing_to_do_with_a_source(tmp_path: Path) -> None:
    one = scan_at(tmp_path, "one.dcm")
    store = scan_at(tmp_path, "a.ome.zarr")
    for target in ("b.nii.gz", "slices/x.nii", "b.ome.zarr", "one.dcm.nii", "a.ome.zarr.nii", "new/deep"):
        refuse_sources(tmp_path / target, [one, store, tmp_path / "gone.nii"])
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    refuse_sources(circle, [one])


def test_objects_know_their_sources(tmp_path: Path) -> None:
    scan = radcnn.read(scan_at(tmp_path, "a.nii.gz"))[0]
    assert sources_of(scan) == [tmp_path / "a.nii.gz"]
    made = {"input": {"path": "/x/a.nii"}, "inputs": {"T1": {"path": "/x/a.nii"}, "T2": {"path": "/x/b.nii"}}}
    found = radcnn.Detections((), provenance=made)
    assert sources_of(found) == [Path("/x/a.nii"), Path("/x/b.nii")]
    assert sources_of(LabelMap(MASK, GEOMETRY, LABELS, provenance={"input": None, "inputs": [1]})) == []


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mhd", "a.ome.zarr"])
def test_python_and_the_command_line_keep_the_scan(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = scan_at(tmp_path, name)
    before = contents(tmp_path)
    scan = radcnn.read(source)[0]
    labels = LabelMap(MASK, GEOMETRY, LABELS, metadata=scan.metadata)
    for obj in (scan, labels):
        for writer in (radcnn.write, write_with_manifest):
            with pytest.raises(WriteError, match="is the input"):
                writer(obj, source, overwrite=True)
    script = tmp_path / "steps.json"
    script.write_text(json.dumps({"steps": []}))
    words = [str(source), str(source), "--overwrite"]
    assert main(["convert", *words]) == 3
    assert main(["run", "brain-extraction", words[0], "-o", *words[1:]]) == 3
    assert main(["interact", words[0], str(script), "-o", *words[1:]]) == 3
    assert capsys.readouterr().err.count("is the input") == 3
    script.unlink()
    assert contents(tmp_path) == before


def test_a_replay_does_not_replace_its_scan_or_its_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = scan_at(tmp_path, "a.nii.gz")
    manifest = {
        "schema": "radcnn-manifest/1",
        "model": {"name": "brain-extraction", "task": "segmentation"},
        "settings": {"device": "cpu"},
        "options": {"x": 1},
        "input": {"path": str(source), "sha256": "0"},
    }
    (tmp_path / "b.nii.gz.radcnn.json").write_text(json.dumps(manifest))
    before = contents(tmp_path)
    for target, what in (("a.nii.gz", "is the input 'a.nii.gz'"), ("b.nii.gz", "which is written with it")):
        words = ["replay", str(tmp_path / "b.nii.gz.radcnn.json"), "-o", str(tmp_path / target), "--overwrite"]
        assert main(words) == 3
        assert what in capsys.readouterr().err
    assert contents(tmp_path) == before


# -- labels over their own file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz", "m.nrrd", "m.seg.nrrd"])
def test_edited_labels_may_replace_the_file_that_they_were_read_from(tmp_path: Path, name: str) -> None:
    scan = scan_at(tmp_path, "a.nii")
    made_by = {"schema": "radcnn-manifest/1", "input": {"path": str(scan)}}
    write_with_manifest(LabelMap(MASK, GEOMETRY, LABELS, provenance=made_by), tmp_path / name)
    (found,) = radcnn.read(tmp_path / name)
    edited = found.with_array(np.where(MASK == 2, 1, MASK).astype(np.uint8)).with_metadata(provenance=made_by)
    with pytest.raises(WriteError, match="already exists"):
        write_with_manifest(edited, tmp_path / name)
    write_with_manifest(edited, tmp_path / name, overwrite=True)
    (again,) = radcnn.read(tmp_path / name)
    assert again.array.max() == 1
    assert np.array_equal(again.array, edited.array)
    with pytest.raises(WriteError, match="is the input"):
        write_with_manifest(edited, scan, overwrite=True)


def test_labels_do_not_replace_a_file_that_holds_more(tmp_path: Path) -> None:
    import nibabel
    import SimpleITK

    plain_file = radcnn.write(LabelMap(MASK, GEOMETRY, LABELS), tmp_path / "m.nii.gz")
    (found,) = radcnn.read(plain_file)
    os.link(plain_file, tmp_path / "second.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(plain_file)
    kept = {"store.ome.zarr": None, "pair.mhd": None, "one.mha": None}
    for name in kept:
        radcnn.write(LabelMap(MASK, GEOMETRY, LABELS), tmp_path / name)
    image = nibabel.Nifti1Image(np.stack([MASK, MASK], -1), np.diag([2.5, 0.8, 0.7, 1.0]))
    image.header.set_intent("label")
    nibabel.save(image, tmp_path / "several.nii")
    slicer = SimpleITK.GetImageFromArray(MASK)
    slicer.SetMetaData("Segment0_Name", "liver")
    slicer.SetMetaData("Segment0_LabelValue", "1")
    slicer.SetMetaData("Segment0_Tags", "Segmentation.Status:completed|")
    SimpleITK.WriteImage(slicer, str(tmp_path / "theirs.seg.nrrd"))
    before = contents(tmp_path)
    for name in (*kept, "m.nii.gz", "link.nii.gz", "several.nii", "theirs.seg.nrrd"):
        (labels, *_) = radcnn.read(tmp_path / name)
        labels = labels.with_metadata(is_label=True)
        with pytest.raises(WriteError, match="the input"):
            radcnn.write(labels, tmp_path / name, overwrite=True)
    (tmp_path / "second.nii.gz").unlink()
    moved = Volume(MASK, Geometry(SHAPE, GEOMETRY.affine @ np.diag([1.1, 1, 1, 1])), found.metadata)
    cropped = Volume(MASK[:3], GEOMETRY.cropped(FIRST), found.metadata)
    scan = found.with_metadata(is_label=False)
    for obj in (moved, cropped, scan):
        with pytest.raises(WriteError, match="the input"):
            radcnn.write(obj, plain_file, overwrite=True)
    assert contents(tmp_path) == {name: sha for name, sha in before.items() if name != "second.nii.gz"}


# -- labels in the store of their scan ------------------------------------------------------------------------------


def test_labels_are_added_to_the_store_of_their_scan(tmp_path: Path) -> None:
    store = scan_at(tmp_path, "a.ome.zarr")
    (store / "note.txt").write_text("mine")
    scan = radcnn.read(store)[0]
    before = contents(tmp_path)
    labels = LabelMap(MASK, GEOMETRY, LABELS, metadata=scan.metadata, provenance={"input": {"path": str(store)}})
    written = write_with_manifest(labels, store / "labels" / "organs")
    assert written[1] == tmp_path / "a.ome.zarr.organs.radcnn.json"
    radcnn.write(replaced(labels, MASK[::-1]), store / "labels" / "mirrored")
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    new = [name for name in after if name not in before]
    assert all(name.startswith("a.ome.zarr/labels/") or name == "a.ome.zarr.organs.radcnn.json" for name in new)
    found = radcnn.read(store)
    assert [volume.name for volume in found] == ["a", "a · organs", "a · mirrored"]
    assert np.array_equal(found[1].array, MASK)
    assert np.array_equal(found[2].array, MASK[::-1])
    node = json.loads((store / "labels" / "organs" / "zarr.json").read_text())
    assert node["attributes"]["ome"]["image-label"]["source"] == {"image": "../../"}


def replaced(labels: LabelMap, array: np.ndarray) -> LabelMap:
    return LabelMap(array, labels.geometry, labels.labels, metadata=labels.metadata)


def test_labels_that_do_not_fit_are_not_added(tmp_path: Path) -> None:
    store = scan_at(tmp_path, "a.ome.zarr")
    scan = radcnn.read(store)[0]
    labels = LabelMap(MASK, GEOMETRY, LABELS, metadata=scan.metadata)
    target = store / "labels" / "organs"
    radcnn.write(labels, target)
    before = contents(tmp_path)
    with pytest.raises(WriteError, match="labels of this name"):
        radcnn.write(labels, target)
    with pytest.raises(WriteError, match="only labels can be added"):
        radcnn.write(scan, store / "labels" / "image")
    apart = Geometry(SHAPE, GEOMETRY.affine @ np.diag([1.1, 1, 1, 1]))
    moved = LabelMap(MASK, apart, LABELS, metadata=scan.metadata)
    with pytest.raises(WriteError, match="the grid of the labels differs"):
        radcnn.write(moved, store / "labels" / "moved")
    with pytest.raises(WriteError, match="cannot be added"):
        radcnn.write(labels, tmp_path / "none.ome.zarr" / "labels" / "organs")
    assert contents(tmp_path) == before
    radcnn.write(replaced(labels, MASK[::-1]), target, overwrite=True)
    assert np.array_equal(radcnn.read(store)[1].array, MASK[::-1])
    (target / "note.txt").write_text("mine")
    with pytest.raises(WriteError, match="another program wrote"):
        radcnn.write(labels, target, overwrite=True)


def test_the_command_line_adds_labels_to_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = scan_at(tmp_path, "a.ome.zarr")
    before = contents(store)
    made = radcnn.write(LabelMap(MASK, GEOMETRY, LABELS), tmp_path / "organs.nii.gz")
    assert main(["convert", str(made), str(store / "labels" / "organs")]) == 0
    assert main(["convert", str(made), str(store / "labels" / "organs")]) == 3
    assert "already exists" in capsys.readouterr().err
    assert main(["convert", str(store), str(store / "labels" / "organs.nii"), "--select", "1"]) == 3
    assert main(["convert", str(store), str(store), "--overwrite"]) == 3
    after = contents(store)
    assert {name: after[name] for name in before} == before
    assert np.array_equal(radcnn.read(store)[1].array, MASK)


# -- what is not ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["note.txt", "0/note.txt", "0/c/0/note.txt", "labels/organs", "link"])
def test_what_was_not_written_with_a_store_is_not_removed_with_it(tmp_path: Path, what: str) -> None:
    store = scan_at(tmp_path, "a.ome.zarr")
    if what.startswith("labels"):
        radcnn.write(LabelMap(MASK, GEOMETRY, LABELS), store / what)
    elif what == "link":
        (store / what).symlink_to(tmp_path)
    else:
        (store / what).write_text("mine")
    before = contents(store)
    with pytest.raises(WriteError, match=f"the store contains '{what.partition('/')[0]}"):
        radcnn.write(Volume(VALUES + 1, GEOMETRY), store, overwrite=True)
    assert contents(store) == before


def test_a_store_of_another_program_is_not_replaced(tmp_path: Path) -> None:
    store = scan_at(tmp_path, "a.ome.zarr")
    node = json.loads((store / "zarr.json").read_text())
    del node["attributes"]["radcnn"]
    (store / "zarr.json").write_text(json.dumps(node))
    with pytest.raises(WriteError, match=r"the store contains 'zarr\.json'"):
        radcnn.write(Volume(VALUES + 1, GEOMETRY), store, overwrite=True)
