"""Structured reports are read: our own come back as they were, highdicom's regions lie where highdicom puts them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dicom_factory import PATIENT_ID, save, write_dicom_series
from grids import oblique
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io.dicom_results.codes import code
from napari_radcnn.io.dicom_results.write import report as writer
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Detection, Detections, Label, LabelMap, Measurement
from napari_radcnn.volume import Volume

MODEL = {"model": {"name": "finder", "version": "2", "task": "detection"}}
BOXES = (
    Detection("lung nodule", 0.25, (101.237, -52.113, 333.51), (4.123, 6.5, 8.25)),
    Detection("mass 2", 0.9, (-7.0, 11.5, 0.125), (12.0, 3.0, 5.5)),
    Detection("something", math.nan, (0.0, 0.0, 1.0), (1.0, 2.0, 3.0)),
)


@pytest.fixture
def scan(tmp_path: Path) -> Volume:
    write_dicom_series(tmp_path / "scan", world_field(oblique()), modality="CT")
    (volume,) = radcnn.read(tmp_path / "scan")
    return volume


def header(scan: Volume, k: int) -> pydicom.Dataset:
    """Return the file of slice k."""
    wanted = scan.geometry.to_world((k, 0, 0))
    found = (pydicom.dcmread(path) for path in scan.metadata.source.iterdir())
    return next(dataset for dataset in found if np.allclose(dataset.ImagePositionPatient, wanted, atol=1e-3))


def other_report(path: Path, scan: Volume, groups: Sequence, document: str = "Comprehensive3DSR") -> Path:
    """Write a report as another program would, with highdicom itself."""
    import highdicom as hd

    person = hd.sr.ObserverContext(code("DCM", "Person"), hd.sr.PersonObserverIdentifyingAttributes(name="Reader^One"))
    content = hd.sr.MeasurementReport(
        hd.sr.ObservationContext(observer_person_context=person),
        code("SCT", "ImagingProcedure"),
        list(groups),
        title=code("DCM", "ImagingMeasurementReport"),
    )
    evidence = [header(scan, k) for k in range(scan.geometry.shape[0])]
    getattr(hd.sr, document)(evidence, content[0], hd.UID(), 7, hd.UID(), 1, "another").save_as(path)
    return path


def planar(region, label: str = "Nodule", measurements: Sequence = ()):
    import highdicom as hd

    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier(hd.UID(), "group 1"),
        referenced_region=region,
        finding_type=code("SCT", label),
        measurements=list(measurements),
    )


def image_region(scan: Volume, k: int, graphic: str, points: Sequence):
    import highdicom as hd

    origin = header(scan, k)
    drawn_on = hd.sr.SourceImageForRegion(origin.SOPClassUID, origin.SOPInstanceUID)
    return hd.sr.ImageRegion(graphic, np.array(points, float), drawn_on)


def sides(box: Detection) -> tuple[np.ndarray, np.ndarray]:
    return np.array(box.center) - np.array(box.size) / 2, np.array(box.center) + np.array(box.size) / 2


# -- our own --------------------------------------------------------------------------------------------------------


def test_detections_come_back_as_they_were(scan: Volume, tmp_path: Path) -> None:
    radcnn.write(Detections(BOXES, provenance=MODEL), tmp_path / "x.sr.dcm", reference=scan)
    report = radcnn.read_report(tmp_path / "x.sr.dcm")
    assert [finding.label for finding in report.findings] == ["lung nodule", "mass 2", "something"]
    for finding, box in zip(report.findings, BOXES, strict=True):
        np.testing.assert_allclose(finding.box.center, box.center, atol=1e-3)
        np.testing.assert_allclose(finding.box.size, box.size, atol=1e-3)
        assert finding.box.score == pytest.approx(box.score, nan_ok=True)
        assert (finding.segment, finding.segmentation_uid) == (None, "")
    assert report.findings[0].measurements == (
        Measurement("Probability", 0.25, "1"),
        Measurement("Diameter", 8.25, "mm"),
    )
    assert [measured.name for measured in report.findings[2].measurements] == ["Diameter"]
    assert report.frame_of_reference_uid == scan.metadata.frame_of_reference_uid
    assert report.warnings == ()
    assert [box.label for box in report.detections.boxes] == ["mass 2", "lung nodule", "something"]


def test_detections_that_were_read_can_be_written_again(scan: Volume, tmp_path: Path) -> None:
    radcnn.write(Detections(BOXES, provenance=MODEL), tmp_path / "a.sr.dcm", reference=scan)
    found = radcnn.read_report(tmp_path / "a.sr.dcm").detections
    radcnn.write(found, tmp_path / "b.sr.dcm", reference=scan)
    assert radcnn.read_report(tmp_path / "b.sr.dcm").detections.boxes[:2] == found.boxes[:2]
    radcnn.write(found, tmp_path / "b.json")
    scores = [box["score"] for box in json.loads((tmp_path / "b.json").read_text())["detections"]]
    assert scores == [0.9, 0.25, None]
    radcnn.write(found, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines()[3].startswith("something,,")


def test_volumes_of_segments_come_back_with_their_unit_and_label(scan: Volume, tmp_path: Path) -> None:
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[0, 1:3, 1:3], array[1, 0, -1] = 2, 5
    labels = LabelMap(array, scan.geometry, {2: Label("brain"), 5: Label("level 3 node")}, metadata=scan.metadata)
    radcnn.write(labels, tmp_path / "x.sr.dcm")
    report = radcnn.read_report(tmp_path / "x.sr.dcm")
    uid = pydicom.dcmread(tmp_path / "x.seg.dcm").SOPInstanceUID
    for n, (finding, value) in enumerate(zip(report.findings, (2, 5), strict=True), 1):
        (volume,) = finding.measurements
        assert (volume.name, volume.unit) == ("Volume", "mm3")
        assert volume.value == pytest.approx(labels.volume_ml(value) * 1000, abs=1e-3)
        assert (finding.segmentation_uid, finding.segment, finding.box) == (uid, n, None)
        assert finding.label == labels.labels[value].name
    assert report.detections.boxes == ()


def test_a_report_that_reads_back_wrong_leaves_no_file(scan: Volume, tmp_path: Path, monkeypatch) -> None:
    from dataclasses import replace

    group = writer._box_group
    moved = lambda n, box, *rest: group(n, replace(box, center=(box.center[0] + 0.1, *box.center[1:])), *rest)  # noqa: E731
    monkeypatch.setattr(writer, "_box_group", moved)
    with pytest.raises(WriteError, match=r"x\.sr\.dcm: .* positions differ"):
        radcnn.write(Detections(BOXES), tmp_path / "x.sr.dcm", reference=scan)
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]


# -- of other programs ----------------------------------------------------------------------------------------------


def test_regions_drawn_on_an_image_lie_where_highdicom_puts_them(scan: Volume, tmp_path: Path) -> None:
    from highdicom.spatial import ImageToReferenceTransformer

    line = [[0.5, 0.25], [4.0, 1.5], [2.5, 3.75]]
    ellipse = [[0.5, 2.0], [4.5, 2.0], [2.5, 1.5], [2.5, 2.5]]
    regions = [image_region(scan, 1, "POLYLINE", line), image_region(scan, 2, "ELLIPSE", ellipse)]
    path = other_report(tmp_path / "r.dcm", scan, [planar(region) for region in regions])
    report = radcnn.read_report(path)
    assert [finding.label for finding in report.findings] == ["Nodule", "Nodule"]
    angles = np.linspace(0, 2 * np.pi, 20_001)[:, None]
    round_ = np.array([2.5, 2.0]) + np.hstack([2.0 * np.cos(angles), 0.5 * np.sin(angles)])
    for finding, k, points in zip(report.findings, (1, 2), (np.array(line), round_), strict=True):
        origin = header(scan, k)
        place = ImageToReferenceTransformer(
            origin.ImagePositionPatient, origin.ImageOrientationPatient, origin.PixelSpacing
        )
        in_patient = place(points)
        normal = np.cross(origin.ImageOrientationPatient[:3], origin.ImageOrientationPatient[3:])
        half = np.abs(normal) * scan.geometry.spacing[0] / 2
        low, high = sides(finding.box)
        np.testing.assert_allclose(low, in_patient.min(0) - half, atol=1e-4)
        np.testing.assert_allclose(high, in_patient.max(0) + half, atol=1e-4)
        assert math.isnan(finding.box.score)
    assert report.frame_of_reference_uid == scan.metadata.frame_of_reference_uid


def test_a_circle_on_an_image_is_as_wide_as_its_radius(scan: Volume, tmp_path: Path) -> None:
    path = other_report(tmp_path / "r.dcm", scan, [planar(image_region(scan, 1, "CIRCLE", [[2.5, 1.5], [2.5, 3.0]]))])
    (finding,) = radcnn.read_report(path).findings
    np.testing.assert_allclose(finding.box.center, scan.geometry.to_world((1, 1.0, 2.0)), atol=1e-3)
    _, rows, columns = scan.geometry.spacing
    across = 1.5 * np.hypot(scan.geometry.direction[:, 1] * rows, scan.geometry.direction[:, 2] * columns)
    half = across + np.abs(scan.geometry.direction[:, 0]) * scan.geometry.spacing[0] / 2
    np.testing.assert_allclose(finding.box.size, 2 * half, atol=1e-3)


def test_a_region_whose_image_is_not_there_has_no_place(scan: Volume, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    region = image_region(scan, 1, "POINT", [[1.0, 2.0]])
    size = radcnn_measurement("Diameter", 4.5, "Millimeter")
    path = other_report(tmp_path / "away" / "r.dcm", scan, [planar(region, measurements=[size])], "ComprehensiveSR")
    report = radcnn.read_report(path)
    (finding,) = report.findings
    assert finding.box is None
    assert finding.measurements == (Measurement("Diameter", 4.5, "mm"),)
    assert any("1 regions are drawn on images that are not beside the report" in text for text in report.warnings)


def radcnn_measurement(name: str, value: float, unit: str, derivation: str = ""):
    import highdicom as hd

    derived = code("SCT", derivation) if derivation else None
    return hd.sr.Measurement(code("SCT", name), value, code("UCUM", unit), derivation=derived)


def test_surfaces_polygons_and_turned_ellipsoids_get_the_box_around_them(scan: Volume, tmp_path: Path) -> None:
    import highdicom as hd

    frame = scan.metadata.frame_of_reference_uid
    polygon = np.array([[1.0, 2, 3], [4, 2.5, 3], [4, 7, 3], [1.0, 2, 3]])
    turn = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    radii, center = np.array([5.0, 2.0, 1.0]), np.array([10.0, -20.0, 30.0])
    ends = np.array([center + sign * radii[n] * turn[:, n] for n in range(3) for sign in (-1, 1)])
    surface = hd.sr.VolumeSurface(
        "ELLIPSOID", ends, frame, source_series=hd.sr.SourceSeriesForSegmentation(scan.metadata.series_uid)
    )
    volume = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier(hd.UID(), "the one"), referenced_volume_surface=surface
    )
    groups = [planar(hd.sr.ImageRegion3D("POLYGON", polygon, frame)), volume]
    flat, round_ = radcnn.read_report(other_report(tmp_path / "r.dcm", scan, groups)).findings
    np.testing.assert_allclose(sides(flat.box), [[1, 2, 3], [4, 7, 3]], atol=1e-5)
    directions = np.random.default_rng(1).normal(size=(400_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = center + (directions * radii) @ turn.T
    np.testing.assert_allclose(sides(round_.box), [points.min(0), points.max(0)], atol=0.02)
    assert round_.label == "the one"


def test_measurements_that_differ_in_their_derivation_are_told_apart(scan: Volume, tmp_path: Path) -> None:
    import highdicom as hd

    values = [radcnn_measurement("Diameter", v, "Millimeter", d) for v, d in ((3.5, "Mean"), (9.0, "Maximum"))]
    region = hd.sr.ImageRegion3D("POINT", np.array([[1.0, 2, 3]]), scan.metadata.frame_of_reference_uid)
    (finding,) = radcnn.read_report(other_report(tmp_path / "r.dcm", scan, [planar(region, "Mass", values)])).findings
    assert finding.measurements == (
        Measurement("Diameter", 3.5, "mm", "Mean"),
        Measurement("Diameter", 9.0, "mm", "Maximum"),
    )
    assert finding.box.size == (0, 0, 0)


# -- what is refused ------------------------------------------------------------------------------------------------


def groups_of(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    (container,) = (item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    return list(container.ContentSequence)


def item_of(group: pydicom.Dataset, kind: str) -> pydicom.Dataset:
    return next(item for item in group.ContentSequence if item.ValueType == kind)


@pytest.mark.parametrize("damage", ["coordinates", "infinite", "odd", "number", "code", "truncated"])
def test_damaged_reports_are_refused_by_name(damage: str, scan: Volume, tmp_path: Path) -> None:
    radcnn.write(Detections(BOXES), tmp_path / "x.sr.dcm", reference=scan)
    dataset = pydicom.dcmread(tmp_path / "x.sr.dcm")
    group = groups_of(dataset)[0]
    region, measured = item_of(group, "SCOORD3D"), item_of(group, "NUM")
    if damage == "coordinates":
        region.GraphicData = region.GraphicData[:-3]
    elif damage == "infinite":
        region.GraphicData = [math.inf, *region.GraphicData[1:]]
    elif damage == "odd":
        region.GraphicType, region.GraphicData = "POLYLINE", region.GraphicData[:-1]
    elif damage == "number":
        del measured.MeasuredValueSequence[0]["NumericValue"]
        measured.MeasuredValueSequence[0].FloatingPointValue = math.nan
    elif damage == "code":
        del measured["ConceptNameCodeSequence"]
        measured.add_new("ConceptNameCodeSequence", "LO", "not a sequence")
    dataset.save_as(tmp_path / "bad.dcm")
    if damage == "truncated":
        whole = (tmp_path / "bad.dcm").read_bytes()
        (tmp_path / "bad.dcm").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match=r"^bad\.dcm: ") as caught:
        radcnn.read_report(tmp_path / "bad.dcm")
    assert PATIENT_ID not in str(caught.value)


def test_what_is_no_report_of_measurements_is_refused(scan: Volume, tmp_path: Path) -> None:
    slice_ = next((tmp_path / "scan").iterdir())
    with pytest.raises(ReadError, match=r"not a DICOM structured report"):
        radcnn.read_report(slice_)
    (tmp_path / "x.txt").write_text("a letter")
    with pytest.raises(ReadError, match=r"x\.txt: not a DICOM structured report"):
        radcnn.read_report(tmp_path / "x.txt")
    for missing in (tmp_path / "nowhere.dcm", tmp_path):
        with pytest.raises(ReadError, match=missing.name):
            radcnn.read_report(missing)
    empty = pydicom.Dataset()
    empty.SOPClassUID, empty.SOPInstanceUID, empty.Modality = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.3", "SR"
    save(empty, tmp_path / "empty.dcm")
    with pytest.raises(ReadError, match=r"empty\.dcm: .* without a measurement group"):
        radcnn.read_report(tmp_path / "empty.dcm")
    with pytest.raises(ReadError, match=r"empty\.dcm: not an image: .* `read_report`"):
        radcnn.read(tmp_path / "empty.dcm")


def test_a_tree_that_is_far_too_deep_is_refused(scan: Volume, tmp_path: Path) -> None:
    opening = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    empty = pydicom.Dataset()
    empty.SOPClassUID, empty.SOPInstanceUID, empty.Modality = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.3", "SR"
    save(empty, tmp_path / "deep.dcm")
    with (tmp_path / "deep.dcm").open("ab") as file:
        file.write(opening * 20_000)
    with pytest.raises(ReadError, match=r"deep\.dcm"):
        radcnn.read_report(tmp_path / "deep.dcm")
