"""What somebody typed is in no file that is given away: objects, labels, findings, notes, files, folders, reasons."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.errors import WriteError
from napari_radcnn.io.dicom_results.names import is_public, is_unit
from napari_radcnn.io.dicom_results.shareable import UNLISTED, shareable
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import manifest_path
from napari_radcnn.models import get_model, registry
from napari_radcnn.phantom import world_field
from napari_radcnn.provenance import identify
from napari_radcnn.results import Classification, Detection, Detections, Label, LabelMap
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume
from toy_engine import BallEngine
from toy_task import Landmarks

SECRET = "Hexenbein"
LABEL_FORMATS = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha", ".mhd", ".ome.zarr", ".seg.dcm", ".sr.dcm")
#: Those that have a place for names.
NAMED_FORMATS = (".nrrd", ".seg.nrrd", ".ome.zarr", ".seg.dcm", ".sr.dcm")
WEIGHTS = [{"file": f"{SECRET}.onnx", "sha256": "ab" * 32}]
SHIPPED = {"name": "ct-tissues", "version": "2", "task": "segmentation", "licence": "BSD-3-Clause", "weights": []}
#: Opened from a folder: its name and license are what somebody wrote into it.
OPENED = {
    "name": f"{SECRET.lower()}-net",
    "version": f"of {SECRET}",
    "task": "segmentation",
    "licence": f"by {SECRET}",
    "weights": WEIGHTS,
    "origin": f"/home/{SECRET}/model",
}


def hits(folder: Path) -> list[str]:
    """Return the files of a folder that hold the secret, or have it in their name."""
    found = []
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        content += gzip.decompress(content) if path.suffix == ".gz" else b""
        if SECRET.lower().encode() in str(path.relative_to(folder)).encode().lower() + content.lower():
            found.append(path.name)
    return found


@pytest.fixture
def scan(tmp_path: Path) -> Volume:
    """Return a scan from a folder that is called after the patient, of which somebody wrote something down."""
    folder = tmp_path / SECRET / f"Scan of {SECRET}"
    field = world_field(oblique())
    whole = field.with_array(field.array.astype(np.int16))
    write_dicom_series(folder, whole, modality="CT", SeriesDescription=f"CT of {SECRET}", RescaleType="HU")
    (volume,) = radcnn.read(folder)
    return replace(volume, warnings=(f"note: {SECRET}",))


def manifest_of(scan: Volume, model: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the manifest of a run in which every word that can be one is the secret."""
    return {
        "schema": "radcnn-manifest/1",
        "model": model,
        "options": {"threshold": 0.5, "name": SECRET, "words": [SECRET], "nested": {SECRET: SECRET}},
        "settings": {"device": "auto", "precision": "auto"},
        "device": "cpu",
        "precision": "float32",
        "input": {**identify(scan), "note": SECRET},
        "inputs": {SECRET: identify(scan)},
        "result": {"sha256": "cd" * 32},
        "facts": {"evidence_for": SECRET, "note": SECRET, "seen": [SECRET, 1], "more": {SECRET: 1}, "patches": 3},
        "warnings": [SECRET],
        "reviews": [{"score_threshold": 0.5, "accepted": 1, "reason": SECRET, "notes": [SECRET], SECRET: 2}],
        "volumes_ml": {SECRET: 1.5, "lung": 2.5, f"{SECRET} 2": 0.5},
        "steps": [{"rename": "object 1", "to": SECRET}],
        "note": SECRET,
        "started": "2026-11-29T00:00:00+00:00",
        **more,
    }


def typed_labels(scan: Volume, manifest: dict[str, Any]) -> LabelMap:
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[0, 1:3, 1:3], array[1, 0, -1], array[2, 2, 2] = 2, 5, 7
    labels = {2: Label(SECRET, (1.0, 0.0, 0.0)), 5: Label("lung"), 7: Label(f"mass of {SECRET}")}
    return LabelMap(array, scan.geometry, labels, f"{SECRET} · labels", manifest, (SECRET,), scan.metadata)


def drawn(scan: Volume, folder: Path) -> LabelMap:
    """Return the objects of an interactive session, two of which somebody called after the patient."""
    with PromptSession(scan, engine=BallEngine(radius=1.0), folder=folder) as session:
        first = session.add_object("")
        session.add(radcnn.Prompt.point(tuple(scan.geometry.to_world((1, 1, 1)))), first.value)
        second = session.add_object(f"tumor of {SECRET}")
        session.add(radcnn.Prompt.point(tuple(scan.geometry.to_world((1, 3, 4)))), second.value)
        session.rename(first.value, SECRET)
        return session.result()


def results(kind: str, scan: Volume, tmp_path: Path) -> LabelMap | Volume:
    """Return labels by who named them."""
    made: dict[str, Callable[[], LabelMap | Volume]] = {
        "session": lambda: drawn(scan, tmp_path / "sessions"),
        "shipped model": lambda: typed_labels(scan, manifest_of(scan, SHIPPED)),
        "opened model": lambda: typed_labels(scan, manifest_of(scan, OPENED)),
        "no model": lambda: typed_labels(scan, {}),
        "file": lambda: _volume(typed_labels(scan, {})),
        "streamed file": lambda: _volume(typed_labels(scan, manifest_of(scan, SHIPPED))),
    }
    return made[kind]()


def _volume(labels: LabelMap) -> Volume:
    metadata = replace(labels.metadata, name=SECRET, provenance=labels.provenance, description=SECRET)
    return Volume(labels.array, labels.geometry, metadata.with_labels(labels.labels), (SECRET,))


KINDS = ("session", "shipped model", "opened model", "no model", "file", "streamed file")


@pytest.mark.parametrize(
    ("kind", "suffix"),
    # reports are written of label maps, not of files
    [(kind, suffix) for kind, suffix in product(KINDS, LABEL_FORMATS) if (suffix != ".sr.dcm" or "file" not in kind)],
)
def test_no_typed_name_is_in_labels_that_are_given_away(kind: str, suffix: str, scan: Volume, tmp_path: Path) -> None:
    given = results(kind, scan, tmp_path)
    out, open_out = tmp_path / "out", tmp_path / "open"
    out.mkdir()
    open_out.mkdir()
    write_with_manifest(given, open_out / f"x{suffix}")
    assert bool(hits(open_out)) == (suffix in NAMED_FORMATS or bool(given.provenance)), (
        "the secret is there to be found"
    )
    written = write_with_manifest(given, out / f"x{suffix}", deidentify=True)
    assert all(path.exists() for path in written)
    assert hits(out) == []


@pytest.mark.parametrize("suffix", [one for one in LABEL_FORMATS if one != ".mhd"])
def test_the_name_of_the_file_is_not_in_it(suffix: str, scan: Volume, tmp_path: Path) -> None:
    """A file is called what it is called; somebody who gives it another name has nothing to look for inside."""
    (tmp_path / "out").mkdir()
    labels = typed_labels(scan, manifest_of(scan, SHIPPED))
    for path in write_with_manifest(labels, tmp_path / "out" / f"{SECRET}{suffix}", deidentify=True):
        path.rename(path.with_name(path.name.replace(SECRET, "x")))
    for path in (tmp_path / "out").glob(f"{SECRET}*"):  # the segmentation beside a report
        path.rename(path.with_name(path.name.replace(SECRET, "y")))
    assert hits(tmp_path / "out") == []


@pytest.mark.parametrize("suffix", [".json", ".csv", ".sr.dcm"])
@pytest.mark.parametrize("model", [SHIPPED, OPENED, None], ids=["shipped", "opened", "none"])
def test_no_typed_name_is_in_findings(model: dict[str, Any] | None, suffix: str, scan: Volume, tmp_path: Path) -> None:
    manifest = {"input": identify(scan)} if model is None else manifest_of(scan, model)
    labels = (SECRET, "lung nodule", f"scar, {SECRET}", SECRET)
    boxes = tuple(Detection(label, 0.5, (n, -2.0, 3.5), (4.0, 6.0, 8.0)) for n, label in enumerate(labels))
    (tmp_path / "out").mkdir()
    write_with_manifest(
        Detections(boxes, SECRET, manifest, (SECRET,)), tmp_path / "out" / f"x{suffix}", deidentify=True
    )
    assert hits(tmp_path / "out") == []
    if suffix == ".sr.dcm":
        found = [finding.label for finding in radcnn.read_report(tmp_path / "out" / "x.sr.dcm").findings]
    else:
        from napari_radcnn.io.reports import read_detections

        found = [box.label for box in read_detections(tmp_path / "out" / f"x{suffix}").boxes]
    assert found == ["finding 1", "lung nodule", "finding 2", "finding 1"]


@pytest.mark.parametrize("name", ["x.nii.gz", "x.ome.zarr", "x.nrrd", "series"])
@pytest.mark.parametrize("model", [SHIPPED, OPENED], ids=["shipped", "opened"])
def test_no_typed_name_is_in_an_image(model: dict[str, Any], name: str, scan: Volume, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    given = scan.with_array(scan.array + 0.5, name=SECRET, units=SECRET, provenance=manifest_of(scan, model))
    write_with_manifest(given, tmp_path / "out" / name, deidentify=True)
    assert hits(tmp_path / "out") == []


def test_no_typed_class_is_in_a_classification(scan: Volume, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    given = Classification({"normal": 0.25, SECRET: 0.5, f"{SECRET}'s": 0.25}, SECRET, manifest_of(scan, OPENED))
    write_with_manifest(given, tmp_path / "out" / "x.json", deidentify=True)
    assert hits(tmp_path / "out") == []
    found = json.loads((tmp_path / "out" / "x.json").read_text())["probabilities"]
    assert found == {"normal": 0.25, "class 1": 0.5, "class 2": 0.25}


def test_results_of_a_kind_that_nothing_is_known_of_are_refused() -> None:
    from napari_radcnn.io import Deidentifier

    with pytest.raises(WriteError, match="it is not known which of its texts"):
        Deidentifier().prepared(Landmarks({SECRET: (1.0, 2.0, 3.0)}), is_dicom=False)


# -- what stays -------------------------------------------------------------------------------------------------------


def test_the_manifest_still_says_how_it_was_made(scan: Volume, tmp_path: Path) -> None:
    labels = typed_labels(scan, manifest_of(scan, SHIPPED))
    write_with_manifest(labels, tmp_path / "x.nii.gz", deidentify=True)
    manifest = json.loads(manifest_path(tmp_path / "x.nii.gz").read_text())
    assert manifest["model"] == SHIPPED
    assert manifest["options"] == {"threshold": 0.5}
    assert manifest["facts"] == {"patches": 3}
    assert manifest["reviews"] == [{"score_threshold": 0.5, "accepted": 1}]
    assert manifest["volumes_ml"] == {"label 2": 1.5, "lung": 2.5, "object 1": 0.5}
    assert manifest["deidentified"] is True
    assert "output" not in manifest


def test_of_a_model_that_was_opened_its_task_and_hashes_stay(scan: Volume, tmp_path: Path) -> None:
    labels = typed_labels(scan, manifest_of(scan, OPENED))
    write_with_manifest(labels, tmp_path / "x.seg.dcm", deidentify=True)
    manifest = json.loads(manifest_path(tmp_path / "x.seg.dcm").read_text())
    assert manifest["model"] == {"name": UNLISTED, "task": "segmentation", "weights": [{"sha256": "ab" * 32}]}
    segment = pydicom.dcmread(tmp_path / "x.seg.dcm").SegmentSequence[0]
    assert segment.SegmentAlgorithmName == UNLISTED
    assert segment.SegmentAlgorithmType == "AUTOMATIC"


@pytest.mark.parametrize("suffix", NAMED_FORMATS[:-1])
def test_numbers_colors_and_names_of_classes_stay(suffix: str, scan: Volume, tmp_path: Path) -> None:
    labels = typed_labels(scan, manifest_of(scan, SHIPPED))
    given = {**labels.labels, 5: Label("other soft tissue", (0.0, 1.0, 0.0)), 7: Label("left kidney")}
    radcnn.write(replace(labels, labels=given), tmp_path / f"x{suffix}", deidentify=True)
    (back,) = radcnn.read(tmp_path / f"x{suffix}")
    names = {value: label.name for value, label in back.labels.items()}
    assert names == {2: "label 2", 5: "other soft tissue", 7: "left kidney"}
    np.testing.assert_allclose(back.labels[2].color, (1.0, 0.0, 0.0), atol=0.5 / 255)


def test_an_installed_model_names_its_own_classes_and_no_others(scan: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = replace(get_model("ct-tissues"), name="own", labels={1: Label("Tumorkern")}, origin=Path("/packs/own"))
    monkeypatch.setattr(registry, "installed", lambda: [pack])
    own, other = ({"model": {"name": name, "origin": f"/home/{SECRET}"}} for name in ("own", "ct-tissues"))
    assert is_public("Tumorkern", own)
    assert not is_public("Tumorkern", other)
    assert not is_public("Tumorkern", {})
    assert not is_public(SECRET, own)
    assert shareable(own)["model"] == {"name": "own", "weights": []}
    monkeypatch.setattr(registry, "installed", list)
    assert not is_public("Tumorkern", own)
    assert shareable(own)["model"]["name"] == UNLISTED


@pytest.mark.parametrize(
    ("name", "may_be_given_away"),
    [
        *((name, True) for name in ("lung nodule", "pneumonia", "Left_Kidney", "gray matter", "airway")),
        *((name, True) for name in ("Pulmonary artery", "Abdominal aorta")),
        *((name, False) for name in ("Brown", "Long", SECRET, f"liver {SECRET}", "", "label 19630714", "__class__")),
        *((name, False) for name in ("mass of nobody", "object 1", "name", "two words", "is cid")),
    ],
)
def test_names_of_classes_and_codes_are_known(name: str, may_be_given_away: bool) -> None:
    assert is_public(name, {}) is may_be_given_away


def test_words_of_options_and_facts_stay_where_they_are_choices() -> None:
    made = {
        "model": {"name": "brain-tissue"},
        "options": {"brain": "whole-head", "other": "whole"},
        "facts": {"brain": "brain-extraction", "backend": "openvino", "evidence_for": "gray matter", "who": "me"},
    }
    manifest = shareable(made)
    assert manifest["options"] == {"brain": "whole-head"}
    assert manifest["facts"] == {k: made["facts"][k] for k in ("brain", "backend", "evidence_for")}


@pytest.mark.parametrize(
    ("unit", "is_one"),
    [*((unit, True) for unit in ("", "HU", "Bq/ml", "mm2/s", "10*-6.mm2/s", "10-3.mm2/s", "Gy")), (SECRET, False)],
)
def test_a_unit_is_one_of_ours_or_of_ucum(unit: str, is_one: bool) -> None:
    assert is_unit(unit) is is_one
