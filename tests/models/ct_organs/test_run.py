"""`ct-organs` as users run it; what the network says is put in, so that these tests do not depend on weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models import get_model
from napari_radcnn.models.ct_organs import run as pipeline
from napari_radcnn.models.ct_organs.network import CLASSES
from napari_radcnn.models.ct_organs.structures import LABELS, STRUCTURES, VALUES
from napari_radcnn.volume import Volume, VolumeMetadata
from trunk import AXIAL, trunk

VALUE = {label.name: value for value, label in LABELS.items()}


def _answering(classes_at):
    """Return an `ask` whose network says what a function of the position in the patient says."""

    def ask(request, monitor, *, keep_small=False):
        upright = request.volume.reoriented("SPL").geometry
        shape = pipeline._small_shape(list(upright.shape), list(upright.spacing))
        small = [
            (np.arange(n) + 0.5) * pipeline.SPACING / step - 0.5 for n, step in zip(shape, upright.spacing, strict=True)
        ]
        position = upright.to_world(np.stack(np.meshgrid(*small, indexing="ij"), -1))
        classes = classes_at(*np.moveaxis(position, -1, 0))
        values = np.stack([classes == n for n in range(len(CLASSES))]).astype(np.float16)
        for _ in range(pipeline.plan_to_ask(request).patches):
            monitor.step("patch")
        shares = pipeline.Shares(values, upright.spacing, upright.shape)
        return pipeline.Answer(shares, (shape[1] / 2, shape[2] / 2), "cpu", "float32", {}, (), 0.0)

    return ask


def _muscles_beside_a_spine(x, y, z):
    classes = np.zeros(x.shape, int)
    classes[(x - 15) ** 2 + (y - 40) ** 2 < 12**2] = CLASSES.index("vertebrae")
    classes[(x - 60) ** 2 + (y - 40) ** 2 < 20**2] = CLASSES.index("erector spinae")
    classes[(x + 30) ** 2 + (y - 40) ** 2 < 20**2] = CLASSES.index("erector spinae")
    return classes


#: As scanners store it; mirrored, so that it is left-handed; and with slices along the body's side.
_MIRROR = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, AXIAL.shape[2] - 1], [0, 0, 0, 1.0]])
GRIDS = {
    "axial": AXIAL,
    "mirrored": Geometry(AXIAL.shape, AXIAL.affine @ _MIRROR),
    "sagittal": AXIAL.reoriented(AXIAL.axis_map("RPS")),
}


@pytest.mark.parametrize("name", GRIDS)
def test_left_is_the_patients_left_of_the_spine_however_a_scan_lies(name, monkeypatch):
    monkeypatch.setattr(pipeline, "ask", _answering(_muscles_beside_a_spine))
    scan, _ = trunk(GRIDS[name])
    found = radcnn.segment(scan, "ct-organs")
    for side, middle in (("left", 60), ("right", -30)):
        where = np.argwhere(found.array == VALUE[f"{side} erector spinae"])
        np.testing.assert_allclose(found.geometry.to_world(where).mean(0)[:2], (middle, 40), atol=1.5)


def test_only_what_was_tested_and_found_is_shown():
    path = Path(__file__).parents[3] / "benchmarks" / "models" / "ct_organs" / "ct-organs.figures.json"
    figures = json.loads(path.read_text(encoding="utf-8"))
    found = {name: row["learned_parts"] for name, row in figures["structures"].items()}
    for row in figures["angiographies"]:
        found.setdefault(row["structure"], row["dice"])
    assert {structure.name for structure in STRUCTURES} <= set(found)
    assert all(found[structure.name] >= 0.7 for structure in STRUCTURES), found


def test_every_class_of_a_structure_exists_and_values_run_from_one():
    assert list(LABELS) == list(range(1, len(LABELS) + 1))
    assert set(VALUES) <= set(CLASSES) - {"other"}
    sided = [structure.name for structure in STRUCTURES if structure.has_sides]
    assert {f"left {name}" for name in sided} | {f"right {name}" for name in sided} <= set(VALUE)


def test_what_cannot_be_a_ct_of_a_trunk_is_refused():
    scan, _ = trunk()
    shifted = scan.with_array(scan.array + 1024)
    with pytest.raises(ModelError, match="not in Hounsfield units"):
        radcnn.segment(shifted, "ct-organs", anyway=True)
    two = Volume(
        scan.array[:2], Geometry((2, *scan.geometry.shape[1:]), scan.geometry.affine), VolumeMetadata("two", "CT")
    )
    with pytest.raises(GeometryError, match="2 slices 5 mm apart"):
        radcnn.segment(two, "ct-organs", anyway=True)
    empty = scan.with_array(np.full_like(scan.array, -1000))
    with pytest.raises(ModelError, match="same value everywhere"):
        radcnn.segment(empty, "ct-organs", anyway=True)


def test_nothing_found_is_said(monkeypatch):
    monkeypatch.setattr(pipeline, "ask", _answering(lambda x, y, z: np.zeros(x.shape, int)))
    with pytest.raises(ModelError, match="No organ was detected"):
        radcnn.segment(trunk()[0], "ct-organs")


def test_a_spine_in_front_is_told(monkeypatch):
    monkeypatch.setattr(pipeline, "ask", _answering(_muscles_beside_a_spine))
    scan, _ = trunk()
    assert not radcnn.segment(scan, "ct-organs").warnings
    turned = Geometry(scan.geometry.shape, scan.geometry.affine * np.array([-1, -1, 1, 1])[:, None])
    monkeypatch.setattr(pipeline, "ask", _answering(lambda x, y, z: _muscles_beside_a_spine(-x, -y, z)))
    (told,) = radcnn.segment(Volume(scan.array, turned, scan.metadata), "ct-organs").warnings
    assert "spine seems to lie in front" in told


def test_the_weights_are_those_of_the_tissues_too():
    assert get_model("ct-tissues").weights == get_model("ct-organs").weights
    assert replace(get_model("ct-organs"), name="x").weights
