"""3D Slicer's segmentations (.seg.nrrd): names, numbers, layers and colors of segments, read and written."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import napari_radcnn as radcnn
from grids import ALL, oblique
from napari_radcnn import Label, LabelMap
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom_results import as_label_map
from napari_radcnn.io.itk.segments import segment_keys

SHAPE = (2, 3, 4)
#: Lengths of a step along i, j, k, mm, and where each points: turned about z, then flipped along it; LPS.
STEPS = ((1.4 * 0.8, 1.4 * 0.6, 0.0), (-1.9 * 0.6, 1.9 * 0.8, 0.0), (0.0, 0.0, -3.0))
ORIGIN = (-10.0, -20.0, 30.0)
Segment = Mapping[str, object]


def write_as_slicer(path: Path, layers: list[np.ndarray], segments: list[Segment], kind: str = "list", **more) -> Path:
    """Write layers of ``(k, j, i)`` labels, the layers as the fastest axis, and keys for each segment."""
    is_layered = len(layers) > 1
    directions = " ".join(f"({x},{y},{z})" for x, y, z in STEPS)
    sizes = " ".join(str(n) for n in SHAPE[::-1])
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "type: unsigned char",
        f"dimension: {3 + is_layered}",
        "space: left-posterior-superior",
        f"sizes: {f'{len(layers)} ' * is_layered}{sizes}",
        f"space directions: {'none ' * is_layered}{directions}",
        f"kinds: {f'{kind} ' * is_layered}domain domain domain",
        "encoding: gzip",
        f"space origin: ({','.join(map(str, ORIGIN))})",
        *(f"Segment{n}_{key}:={value}" for n, segment in enumerate(segments) for key, value in segment.items()),
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|Closed surface|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
        *(f"{key}:={value}" for key, value in more.items()),
    ]
    voxels = np.stack(layers, axis=-1).astype(np.uint8).tobytes()
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + gzip.compress(voxels))
    return path


def segment(name: str, value: int, layer: int = 0, color: str = "0.8 0.5 0.4") -> Segment:
    about = {"ID": f"Segment_{name}", "Name": name, "LabelValue": value, "Layer": layer, "Color": color}
    return {**about, "Extent": "0 3 0 2 0 1", "Tags": "Segmentation.Status:inprogress|"}


def two_layers() -> list[np.ndarray]:
    """Return labels 1 and 2, and a label 1 that covers some of both."""
    below, above = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    below[0, 0:2, 1:3], below[1, 2, 3] = 1, 2
    above[0, 1, 0:4] = above[1, 2, 3] = 1
    return [below, above]


def names(volume: radcnn.Volume) -> dict[int, str]:
    return {value: label.name for value, label in volume.labels.items()}


# -- reading ----------------------------------------------------------------------------------------------------------


def test_each_layer_has_its_own_segments_and_numbers(tmp_path: Path) -> None:
    segments = [segment("liver", 1), segment("spleen", 2), segment("tumor", 1, 1, "1 0 0")]
    below, above = radcnn.read(write_as_slicer(tmp_path / "x.seg.nrrd", two_layers(), segments))
    assert (names(below), names(above)) == ({1: "liver", 2: "spleen"}, {1: "tumor"})
    for found, wanted in zip((below, above), two_layers(), strict=True):
        np.testing.assert_array_equal(found.array, wanted)
        assert found.metadata.is_label
        corner = np.array(ORIGIN) + np.array([3, 2, 1]) @ np.array(STEPS)
        np.testing.assert_allclose(found.geometry.to_world((1, 2, 3)), corner)
        assert any("overlap" in line for line in found.warnings)
    assert above.labels[1].color == (1.0, 0.0, 0.0)
    assert below.labels[2].color == pytest.approx((0.8, 0.5, 0.4))


def test_one_layer_keeps_numbers_that_are_not_in_order(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, 0], labels[1, 1, 1:3], labels[1, 2, 0] = 7, 3, 9
    segments = [segment("spleen", 7, color="0 0.25 1"), segment("liver", 3)]
    (found,) = radcnn.read(write_as_slicer(tmp_path / "x.seg.nrrd", [labels], segments))
    assert names(found) == {7: "spleen", 3: "liver"}
    assert found.labels[7] == Label("spleen", (0.0, 0.25, 1.0))
    assert found.warnings == ()
    np.testing.assert_array_equal(found.array, labels)


def test_before_layers_had_numbers_each_segment_was_one(tmp_path: Path) -> None:
    old = [{"ID": f"s{n}", "Name": name, "Extent": "0 3 0 2 0 1"} for n, name in enumerate(("liver", "tumor"))]
    found = radcnn.read(write_as_slicer(tmp_path / "x.seg.nrrd", two_layers(), old))
    assert [names(one) for one in found] == [{1: "liver"}, {1: "tumor"}]


@pytest.mark.parametrize("kind", ["list", "vector", "3-color"])
def test_three_layers_are_no_colors(kind: str, tmp_path: Path) -> None:
    layers = [np.full(SHAPE, value, np.uint8) for value in (1, 0, 1)]
    layers[1][1, 2, 3] = 4
    segments = [segment(name, value, n) for n, (name, value) in enumerate((("a", 1), ("b", 4), ("c", 1)))]
    found = radcnn.read(write_as_slicer(tmp_path / "x.seg.nrrd", layers, segments, kind))
    assert [names(one) for one in found] == [{1: "a"}, {4: "b"}, {1: "c"}]
    assert [one.shape for one in found] == [SHAPE] * 3
    assert int(found[1].array[1, 2, 3]) == 4


@pytest.mark.parametrize(
    ("stored", "read"),
    [("Größe der Leber", "Größe der Leber"), (r"a \\ b", "a \\ b"), (r"two\nlines", "two lines"), ("a := b", "a := b")],
)
def test_names_are_read_as_they_were_typed(stored: str, read: str, tmp_path: Path) -> None:
    (found,) = radcnn.read(write_as_slicer(tmp_path / "x.seg.nrrd", two_layers()[:1], [segment(stored, 1)]))
    assert names(found) == {1: read}


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    (found,) = radcnn.read(write_as_slicer(tmp_path / "x.nrrd", two_layers()[:1], [segment("liver", 1)]))
    assert found.metadata.is_label
    assert names(found) == {1: "liver"}


def test_segments_that_contradict_the_file_are_told(tmp_path: Path) -> None:
    wrong = [
        segment("far", 1, 5),
        segment("ground", 0),
        segment("liver", 1, color="red"),
        segment("again", 1, color="nan 0 0"),
        segment("bright", 2, color="2 0 -1"),
        {"ID": "only an ID", "LabelValue": 3},
    ]
    (found,) = radcnn.read(write_as_slicer(tmp_path / "x.seg.nrrd", two_layers()[:1], wrong))
    assert found.labels == {1: Label("liver"), 2: Label("bright", (1.0, 0.0, 0.0)), 3: Label("only an ID")}
    for said in ("the segment 'far' number 1 in layer 5", "'ground'", "'liver' and 'again' are the same voxels"):
        assert any(said in line for line in found.warnings)


def test_segments_without_numbers_are_counted_and_told(tmp_path: Path) -> None:
    (found,) = radcnn.read(
        write_as_slicer(tmp_path / "x.seg.nrrd", two_layers()[:1], [{"Name": "liver"}, {"Name": "spleen"}])
    )
    assert names(found) == {1: "liver", 2: "spleen"}
    assert any("LabelValue" in line for line in found.warnings)


# -- writing ----------------------------------------------------------------------------------------------------------


def labels_on(geometry: Geometry) -> LabelMap:
    array = np.zeros(geometry.shape, np.uint8)
    array[0, 0, 0:2], array[1, 1, 1], array[0, 2, 0] = 2, 5, 9
    known = {2: Label("Größe \\ Leber", (0.2, 0.4, 0.6)), 5: Label("lung nodule"), 7: Label("empty", (1, 0, 0.5))}
    return LabelMap(array, geometry, known, "labels")


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nrrd"])
@pytest.mark.parametrize("grid", ["axial", "oblique", "left_handed"])
def test_names_numbers_and_colors_come_back(grid: str, suffix: str, tmp_path: Path) -> None:
    labels = labels_on(ALL[grid]())
    radcnn.write(labels, tmp_path / f"x{suffix}")
    (back,) = radcnn.read(tmp_path / f"x{suffix}")
    assert names(back) == {2: "Größe \\ Leber", 5: "lung nodule", 7: "empty", 9: "label 9"}
    assert back.labels[2].color == pytest.approx((0.2, 0.4, 0.6))
    assert (back.labels[5].color, back.labels[7].color) == (None, (1.0, 0.0, 0.5))
    np.testing.assert_array_equal(back.array, labels.array)
    assert back.warnings == ()


def test_another_reader_sees_what_slicer_looks_for(tmp_path: Path) -> None:
    radcnn.write(labels_on(oblique()), tmp_path / "x.seg.nrrd")
    image = SimpleITK.ReadImage(tmp_path / "x.seg.nrrd")
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment")}
    depth, rows, columns = oblique().shape
    assert keys["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert [keys[f"Segment{n}_LabelValue"] for n in range(4)] == ["2", "5", "7", "9"]
    assert [keys[f"Segment{n}_Name"] for n in range(4)] == ["Größe \\ Leber", "lung nodule", "empty", "label 9"]
    assert keys["Segment0_Color"] == "0.2 0.4 0.6"
    assert "Segment1_Color" not in keys
    assert keys["Segment3_Extent"] == f"0 {columns - 1} 0 {rows - 1} 0 {depth - 1}"
    assert len({keys[f"Segment{n}_ID"] for n in range(4)}) == 4


def test_an_image_gets_no_segments(tmp_path: Path) -> None:
    radcnn.write(radcnn.Volume(labels_on(oblique()).array, oblique()), tmp_path / "x.nrrd")
    (back,) = radcnn.read(tmp_path / "x.nrrd")
    assert not back.metadata.is_label
    assert back.labels == {}


@pytest.mark.parametrize("name", ["y.seg.nrrd", "y.ome.zarr"])
def test_a_layer_that_was_read_is_written_with_its_names(name: str, tmp_path: Path) -> None:
    segments = [segment("liver", 1), segment("spleen", 2), segment("tumor", 1, 1, "1 0 0")]
    _, above = radcnn.read(write_as_slicer(tmp_path / "x.seg.nrrd", two_layers(), segments))
    radcnn.write(above, tmp_path / name)
    (back,) = radcnn.read(tmp_path / name)
    assert back.labels == {1: Label("tumor", (1.0, 0.0, 0.0))}
    np.testing.assert_array_equal(back.array, two_layers()[1])


def test_more_values_than_a_header_holds_leave_only_those_with_a_name() -> None:
    geometry = Geometry((2, 60, 50), oblique().affine)
    many = np.arange(6000, dtype=np.uint16).reshape(geometry.shape)
    keys = segment_keys(LabelMap(many, geometry, {4999: Label("liver")}))
    assert [value for key, value in keys.items() if key.endswith("_LabelValue")] == ["4999"]
    assert keys["Segment0_Name"] == "liver"


def test_labels_beyond_16_bits_do_not_become_others(tmp_path: Path) -> None:
    array = np.zeros(oblique().shape, np.uint32)
    array[0, 0, 0], array[1, 1, 1] = 70_001, 4_465  # the first, cut to 16 bits, would be the second
    radcnn.write(LabelMap(array, oblique(), {70_001: Label("liver")}), tmp_path / "x.seg.nrrd")
    (back,) = radcnn.read(tmp_path / "x.seg.nrrd")
    labels = as_label_map(back)
    assert np.unique(labels.array).tolist() == [0, 4_465, 70_001]
    assert labels.labels[70_001].name == "liver"
