"""Labels as DICOM segmentations and reports: voxel for voxel on the source, through our reader and highdicom's."""

from __future__ import annotations

import logging
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dciodvfy import errors_in
from dicom_factory import PATIENT_ID, PATIENT_NAME, write_dicom_series
from grids import ALL, axial, oblique
from napari_radcnn.errors import ReadError, WriteError, WriteWarning
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import list_series, read_series
from napari_radcnn.io.dicom_results.codes import DEFAULT_CODES, LABEL_CODES, code, label_codes
from napari_radcnn.io.dicom_results.write import segmentation as writer
from napari_radcnn.io.guard import label_places
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Detection, Detections, Label, LabelMap
from napari_radcnn.volume import Volume

#: Grids with gantry tilt are among those written below; the warning about them has a test of its own.
pytestmark = pytest.mark.filterwarnings("ignore::napari_radcnn.errors.WriteWarning")

MANIFEST = {
    "model": {
        "name": "brain-extraction",
        "version": "1.0",
        "task": "segmentation",
        "weights": [{"file": "w.safetensors", "sha256": "ab" * 32}],
    }
}
GRIDS = {
    **ALL,
    "coronal": lambda: axial().reoriented(axial().axis_map("PSL")),
    "descending": lambda: axial().reoriented(axial().axis_map("IPL")),
}


def source(folder: Path, grid: Geometry | None = None, **overrides) -> Volume:
    """Write a CT series that has what the standard asks of it, and read it."""
    asked = {"BodyPartExamined": "HEAD", "PatientPosition": "HFS", "KVP": "120", "PositionReferenceIndicator": ""}
    scan = world_field(axial() if grid is None else grid)
    write_dicom_series(folder, scan, modality="CT", **{**asked, **overrides})
    (volume,) = radcnn.read(folder)
    return volume


def labels_on(volume: Volume) -> LabelMap:
    """Return asymmetric labels 2 and 5, which become the segments 1 and 2; the last slices are empty."""
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[0, 1:3, 1:3] = 2
    array[1, 0, -1] = array[0, 0, 0] = 5
    names = {2: Label("brain", (0.9, 0.2, 0.1)), 5: Label("lung nodule"), 9: Label("not there")}
    return LabelMap(array, volume.geometry, names, f"{volume.name} · m", MANIFEST, (), volume.metadata)


@pytest.fixture
def labels(tmp_path: Path) -> LabelMap:
    return labels_on(source(tmp_path / "scan", oblique()))


@pytest.mark.parametrize("name", GRIDS)
def test_a_segmentation_comes_back_voxel_for_voxel(name: str, tmp_path: Path) -> None:
    labels = labels_on(source(tmp_path / "scan", GRIDS[name]()))
    assert radcnn.write(labels, tmp_path / "x.seg.dcm") == tmp_path / "x.seg.dcm"
    (back,) = radcnn.read(tmp_path / "x.seg.dcm")
    assert back.metadata.is_label
    assert back.geometry.is_close(labels.geometry)
    np.testing.assert_array_equal(back.array, labels.array)
    assert {value: label.name for value, label in back.labels.items()} == {2: "brain", 5: "lung nodule"}
    np.testing.assert_allclose(back.labels[2].color, (0.9, 0.2, 0.1), atol=0.5 / 255)
    assert back.labels[5].color is None
    assert back.metadata.frame_of_reference_uid == labels.metadata.frame_of_reference_uid
    assert back.warnings == ()


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "sheared"])
def test_highdicom_reads_the_same_voxels_in_the_same_places(name: str, tmp_path: Path) -> None:
    from highdicom.seg import segread

    labels = labels_on(source(tmp_path / "scan", GRIDS[name]()))
    radcnn.write(labels, tmp_path / "x.dcm")
    found = segread(tmp_path / "x.dcm").get_volume(combine_segments=True)
    wanted = label_places(labels.array, labels.geometry)
    places = label_places(found.array, Geometry(found.array.shape, found.affine))
    for (count, centroid), (n, place) in zip(wanted.values(), places.values(), strict=True):
        assert n == count
        np.testing.assert_allclose(place, centroid, atol=0.01)


def test_tilted_slices_are_told_when_a_segmentation_is_written(tmp_path: Path) -> None:
    labels = labels_on(source(tmp_path / "scan", GRIDS["sheared"]()))
    step, normal = labels.geometry.affine[:3, 0], np.cross(*labels.geometry.direction[:, 1:].T)
    far = np.linalg.norm(2 * (step - (step @ normal) * normal))  # of the third slice
    with pytest.warns(WriteWarning, match=rf"^x\.seg\.dcm: .* by up to {far:.1f} mm .* resample the scan") as caught:
        radcnn.write(labels, tmp_path / "x.seg.dcm")
    assert caught[0].filename == __file__
    straight = labels_on(source(tmp_path / "straight", oblique()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        radcnn.write(straight, tmp_path / "y.seg.dcm")


def test_what_a_segmentation_says(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.seg.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.seg.dcm")
    scan = pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert dataset.SegmentationType == "BINARY"
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert dataset[keyword].value == scan[keyword].value
    assert dataset.SeriesInstanceUID != scan.SeriesInstanceUID
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == scan.SeriesInstanceUID
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == labels.geometry.shape[0]
    assert dataset.ContentLabel == "BRAIN_EXTRACTION"
    brain, nodule = dataset.SegmentSequence
    assert (brain.SegmentNumber, brain.SegmentLabel, brain.SegmentAlgorithmType) == (1, "brain", "AUTOMATIC")
    assert brain.SegmentedPropertyTypeCodeSequence[0].CodeValue == "12738006"
    assert len(brain.RecommendedDisplayCIELabValue) == 3
    assert nodule.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Nodule"
    algorithm = brain.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("brain-extraction", "1.0")
    assert brain.TrackingUID != nodule.TrackingUID
    assert brain.TrackingID
    assert dataset.SoftwareVersions == radcnn.__version__


def test_labels_drawn_or_edited_by_hand_say_so(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(replace(labels, provenance={}), tmp_path / "drawn.seg.dcm")
    (drawn, _) = pydicom.dcmread(tmp_path / "drawn.seg.dcm").SegmentSequence
    assert drawn.SegmentAlgorithmType == "MANUAL"
    assert "SegmentAlgorithmName" not in drawn
    radcnn.write(replace(labels, provenance={**MANIFEST, "edited_by_hand": True}), tmp_path / "edited.seg.dcm")
    assert pydicom.dcmread(tmp_path / "edited.seg.dcm").SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_nothing_of_the_patient_where_people_look(labels: LabelMap, tmp_path: Path, capfd, caplog) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        radcnn.write(labels, tmp_path / "x.sr.dcm")
        radcnn.write(Volume(world_field(labels.geometry).array, labels.geometry, labels.metadata), tmp_path / "out")
        for path in (tmp_path / "x.sr.dcm", tmp_path / "x.seg.dcm", tmp_path / "out" / "IM00001.dcm"):
            dataset = pydicom.dcmread(path)
            for keyword in ("SeriesDescription", "ContentLabel", "ContentDescription", "DerivationDescription"):
                assert PATIENT_ID not in str(dataset.get(keyword, ""))
                assert "PATIENT" not in str(dataset.get(keyword, "")).upper()
    assert not any("PATIENT" in str(path.relative_to(tmp_path)).upper() for path in tmp_path.rglob("*"))
    said = capfd.readouterr()
    assert said.out + said.err == ""
    assert not [record for record in caplog.records if record.name.startswith(("highdicom", "pydicom"))]
    with pytest.raises(WriteError) as caught:
        radcnn.write(labels, tmp_path / "x.sr.dcm")
    assert PATIENT_NAME not in str(caught.value)


# -- what is refused ------------------------------------------------------------------------------------------------


def test_without_a_dicom_source_nothing_is_written(tmp_path: Path) -> None:
    scan = world_field(axial())
    labels = replace(labels_on(scan), metadata=scan.metadata)
    for name in ("x.dcm", "x.seg.dcm", "x.sr.dcm"):
        with pytest.raises(WriteError, match="needs the original DICOM series of the scan"):
            radcnn.write(labels, tmp_path / name)
    with pytest.raises(WriteError, match="needs the original DICOM series of the scan"):
        radcnn.write(scan, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_the_source_may_be_given_or_stand_in_the_manifest(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan", oblique())
    bare = replace(labels_on(scan), metadata=Volume(scan.array, scan.geometry).metadata)
    radcnn.write(bare, tmp_path / "a.dcm", reference=tmp_path / "scan")
    radcnn.write(bare, tmp_path / "b.dcm", reference=scan)
    given = {"path": str(tmp_path / "scan"), "series_uid": scan.metadata.series_uid}
    radcnn.write(replace(bare, provenance={**MANIFEST, "input": given}), tmp_path / "c.dcm")
    assert len(list(tmp_path.glob("*.dcm"))) == 3


def test_labels_in_another_orientation_of_the_grid_are_turned(labels: LabelMap, tmp_path: Path) -> None:
    axes = labels.geometry.axis_map("LIA")
    turned = replace(labels, array=axes.apply(labels.array), geometry=labels.geometry.reoriented(axes))
    radcnn.write(turned, tmp_path / "x.dcm")
    (back,) = radcnn.read(tmp_path / "x.dcm")
    np.testing.assert_array_equal(back.array, labels.array)


def test_another_grid_no_label_and_a_lost_source_are_refused(labels: LabelMap, tmp_path: Path) -> None:
    affine = labels.geometry.affine.copy()
    affine[0, 3] += 0.5
    target = tmp_path / "x.dcm"
    with pytest.raises(WriteError, match="the grid of the result differs"):
        radcnn.write(replace(labels, geometry=Geometry(labels.geometry.shape, affine)), target)
    with pytest.raises(WriteError, match="no voxel is labeled"):
        radcnn.write(replace(labels, array=np.zeros_like(labels.array)), target)
    for path in (tmp_path / "scan").iterdir():
        path.unlink()
    with pytest.raises(WriteError, match="no longer in 'scan'"):
        radcnn.write(labels, target)
    (tmp_path / "scan").rmdir()
    with pytest.raises(WriteError, match="no longer at 'scan'"):
        radcnn.write(labels, target)
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_what_a_reference_needs_is_refused_by_name(tmp_path: Path) -> None:
    labels = labels_on(source(tmp_path / "scan", StudyInstanceUID=None))
    with pytest.raises(WriteError, match=r"lacks StudyInstanceUID \(IM000\d.dcm\)"):
        radcnn.write(labels, tmp_path / "x.dcm")


def test_a_segmentation_that_reads_back_wrong_leaves_no_file(labels: LabelMap, tmp_path: Path, monkeypatch) -> None:
    planes = writer._planes
    monkeypatch.setattr(
        writer, "_planes", lambda source, array: planes(source, np.ascontiguousarray(array[:, :, ::-1]))
    )
    with pytest.raises(WriteError, match="centroid of label 2"):
        radcnn.write(labels, tmp_path / "x.dcm")
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]


def test_an_existing_file_stays(labels: LabelMap, tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"mine")
    with pytest.raises(WriteError, match="already exists"):
        radcnn.write(labels, tmp_path / "x.dcm")
    assert (tmp_path / "x.dcm").read_bytes() == b"mine"
    radcnn.write(labels, tmp_path / "x.dcm", overwrite=True)
    assert radcnn.read(tmp_path / "x.dcm")


@pytest.mark.parametrize("name", ["x.txt", "x"])
def test_a_wrong_suffix_names_those_of_dicom(labels: LabelMap, name: str, tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"\.sr\.dcm, \.seg\.dcm, \.dcm"):
        radcnn.write(labels, tmp_path / name)


def test_an_enhanced_source_takes_segmentations_and_reports(tmp_path: Path) -> None:
    from highdicom import UID
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    scan = source(tmp_path / "scan", oblique())
    headers = [pydicom.dcmread(path) for path in sorted((tmp_path / "scan").iterdir(), reverse=True)]
    made = LegacyConvertedEnhancedCTImage(headers, UID(), 5, UID(), 1)
    (tmp_path / "enhanced").mkdir()
    made.save_as(tmp_path / "enhanced" / "e.dcm")
    (enhanced,) = radcnn.read(tmp_path / "enhanced")
    assert enhanced.geometry.is_close(scan.geometry)
    labels = labels_on(enhanced)
    radcnn.write(labels, tmp_path / "x.sr.dcm")
    (back,) = radcnn.read(tmp_path / "x.seg.dcm")
    assert back.geometry.is_close(labels.geometry)
    np.testing.assert_array_equal(back.array, labels.array)


def test_time_points_are_told_apart_by_their_names(tmp_path: Path) -> None:
    uids = {"series_uid": "1.2.3", "study_uid": "1.2", "frame_of_reference_uid": "1.2.4"}
    for n in (1, 2):
        scan = world_field(oblique())
        part = scan.with_array(scan.array + n)
        write_dicom_series(
            tmp_path / "scan", part, modality="CT", prefix=f"T{n}_", TemporalPositionIdentifier=n, **uids
        )
    first, second = radcnn.read(tmp_path / "scan")
    for volume, prefix in ((first, "T1_"), (second, "T2_")):
        target = tmp_path / f"{prefix}.dcm"
        radcnn.write(labels_on(volume), target)
        used = {
            item.ReferencedSOPInstanceUID
            for item in pydicom.dcmread(target).ReferencedSeriesSequence[0].ReferencedInstanceSequence
        }
        files = (tmp_path / "scan").glob(f"{prefix}*")
        assert used == {pydicom.dcmread(path).SOPInstanceUID for path in files}
    bare = replace(labels_on(first), name="labels", metadata=replace(first.metadata, name="CT 1"))
    with pytest.raises(WriteError, match="2 volumes on the grid"):
        radcnn.write(bare, tmp_path / "x.dcm")


def test_uneven_slices_take_labels_where_they_were_scanned(tmp_path: Path) -> None:
    grid = Geometry((8, 4, 5), oblique().affine)
    source(tmp_path / "scan", grid)
    for path in (tmp_path / "scan").iterdir():
        if np.allclose(pydicom.dcmread(path).ImagePositionPatient, grid.to_world((3, 0, 0)), atol=1e-3):
            path.unlink()
    for n, volume in enumerate(radcnn.read(tmp_path / "scan", on_irregular="split")):
        labels = labels_on(volume)
        radcnn.write(labels, tmp_path / f"{n}.dcm")
        (back,) = radcnn.read(tmp_path / f"{n}.dcm")
        wanted = label_places(labels.array, labels.geometry)
        for label, (count, centroid) in label_places(back.array, back.geometry).items():
            assert count == wanted[label][0]
            np.testing.assert_allclose(centroid, wanted[label][1], atol=0.01)
    assert n == 1
    (whole,) = radcnn.read(tmp_path / "scan", on_irregular="resample")
    with pytest.raises(WriteError, match=r"resampled to, .* derived series .* on_irregular='split'"):
        radcnn.write(labels_on(whole), tmp_path / "x.dcm")


# -- codes ----------------------------------------------------------------------------------------------------------


def test_every_code_is_in_the_dictionary_and_means_its_label() -> None:
    for name, pair in {**LABEL_CODES, "?": DEFAULT_CODES}.items():
        category, kind = (code("SCT", keyword) for keyword in pair)
        assert category.scheme_designator == kind.scheme_designator == "SCT"
        meaning = kind.meaning.lower()
        known = {"csf": "cerebrospinal fluid", "tumor": "neoplasm", "ventricles": "brain ventricle", "lungs": "lung"}
        known |= {"ribs": "rib", "vertebrae": "vertebra", "pallidum": "globus pallidus"}
        known |= {"inferior lateral ventricle": "inferior horn of lateral ventricle"}
        word = known.get(name, name).replace("brainstem", "brain stem")
        assert name == "?" or word in meaning, (name, meaning)


def test_labels_are_looked_up_by_their_words() -> None:
    assert label_codes("Brain")[1].value == "12738006"
    assert label_codes("left_kidney")[1].meaning == "Kidney"
    assert label_codes("lung nodule")[1].meaning == "Nodule"
    assert [found.meaning for found in label_codes("lung wall")] == ["Tissue", "Anatomical Structure"]
    assert [found.meaning for found in label_codes("")] == ["Tissue", "Anatomical Structure"]


# -- reading --------------------------------------------------------------------------------------------------------


def test_a_folder_gives_the_scan_and_its_segmentation(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "labels.dcm").rename(tmp_path / "scan" / "labels.dcm")
    scan, found = radcnn.read(tmp_path / "scan")
    assert (scan.modality, found.modality) == ("CT", "SEG")
    assert found.geometry.is_close(scan.geometry)
    (info,) = (info for info in list_series(tmp_path / "scan") if info.modality == "SEG")
    assert (info.n_volumes, info.problem) == (1, None)
    (again,) = read_series(info)
    np.testing.assert_array_equal(again.array, found.array)


def test_a_segmentation_that_was_read_can_be_written_again(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "a.dcm")
    (found,) = radcnn.read(tmp_path / "a.dcm")
    names = {value: Label(name) for value, name in found.metadata.label_names.items()}
    radcnn.write(LabelMap(found.array, found.geometry, names, metadata=found.metadata), tmp_path / "b.dcm")
    (back,) = radcnn.read(tmp_path / "b.dcm")
    np.testing.assert_array_equal(back.array, found.array)


def test_without_its_series_the_slices_of_the_file_make_the_grid(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.dcm")
    (tmp_path / "away").mkdir()
    shutil.move(tmp_path / "x.dcm", tmp_path / "away")
    (found,) = radcnn.read(tmp_path / "away" / "x.dcm")
    assert found.geometry.shape == (2, 4, 5)  # the last slice holds no label
    assert found.geometry.is_close(labels.geometry.cropped((slice(0, 2), slice(0, 4), slice(0, 5))))
    assert any("not in the folder" in text for text in found.warnings)


def _segmentation(labels: LabelMap, path: Path, kind: str, pixels: np.ndarray, **more) -> Path:
    """Write a segmentation with highdicom itself."""
    from highdicom import UID
    from highdicom.seg import Segmentation

    headers = [pydicom.dcmread(p) for p in sorted(labels.metadata.source.iterdir())]
    headers.sort(key=lambda h: labels.geometry.to_index([float(v) for v in h.ImagePositionPatient])[0])
    maker = writer.maker_of(MANIFEST)
    described = [writer._segment(n, n, Label(f"part {n}"), maker) for n in (1, 2)]
    made = Segmentation(
        headers, pixels, kind, described, UID(), 7, UID(), 1, "m", "m", "1", "1", omit_empty_frames=True, **more
    )
    made.save_as(path)
    return path


def test_overlapping_segments_become_several_volumes(labels: LabelMap, tmp_path: Path) -> None:
    masks = np.zeros((*labels.geometry.shape, 2), np.uint8)
    masks[0, 0:3, 0:3, 0] = masks[0, 2:4, 2:5, 1] = masks[2, 1, 1, 1] = 1
    first, second = radcnn.read(_segmentation(labels, tmp_path / "x.dcm", "BINARY", masks))
    np.testing.assert_array_equal(first.array, masks[..., 0])
    np.testing.assert_array_equal(second.array, masks[..., 1] * 2)
    assert second.metadata.label_names == {2: "part 2"}
    assert any("overlap" in text for text in first.warnings)


def test_fractional_segmentations_are_cut_at_one_half(labels: LabelMap, tmp_path: Path) -> None:
    parts = np.zeros((*labels.geometry.shape, 2), np.float32)
    parts[0, 1, 1:4, 0] = (0.4, 0.5, 0.9)
    parts[1, 2, 2, 1] = 1.0
    (found,) = radcnn.read(_segmentation(labels, tmp_path / "x.dcm", "FRACTIONAL", parts, max_fractional_value=200))
    assert found.array[0, 1].tolist() == [0, 0, 1, 1, 0]
    assert found.array[1, 2, 2] == 2
    assert any("one half" in text for text in found.warnings)


def test_labelmap_segmentations_are_read(labels: LabelMap, tmp_path: Path) -> None:
    numbered = np.searchsorted([0, 2, 5], labels.array).astype(np.uint8)
    (found,) = radcnn.read(_segmentation(labels, tmp_path / "x.dcm", "LABELMAP", numbered))
    np.testing.assert_array_equal(found.array, numbered)


def test_segments_of_others_keep_their_numbers_and_colors(labels: LabelMap, tmp_path: Path) -> None:
    """Numbers with gaps, and identifiers that end in a number, which are no values there."""
    from highdicom.color import CIELabColor

    radcnn.write(labels, tmp_path / "x.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    dataset.ManufacturerModelName = "Other"
    colors = {3: (255, 0, 0), 7: (20, 120, 220)}
    for number, item in zip(colors, dataset.SegmentSequence, strict=True):
        item.SegmentNumber, item.TrackingID = number, f"lesion {number + 40}"
        item.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*colors[number]).value)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        item = group.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = {1: 3, 2: 7}[item.ReferencedSegmentNumber]
    dataset.save_as(tmp_path / "x.dcm")
    (found,) = radcnn.read(tmp_path / "x.dcm")
    np.testing.assert_array_equal(found.array, np.select([labels.array == 2, labels.array == 5], [3, 7]))
    assert {value: label.name for value, label in found.labels.items()} == {3: "brain", 7: "lung nodule"}
    for value, color in colors.items():
        np.testing.assert_allclose(found.labels[value].color, np.array(color) / 255, atol=0.5 / 255)


@pytest.mark.parametrize("stored", [[1, 2], 7, None])
def test_a_damaged_color_is_none(stored, labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    dataset.SegmentSequence[0].RecommendedDisplayCIELabValue = stored
    dataset.save_as(tmp_path / "x.dcm")
    (found,) = radcnn.read(tmp_path / "x.dcm")
    assert found.labels == {2: Label("brain"), 5: Label("lung nodule")}


@pytest.mark.parametrize(
    "identifiers", [("brain 2", "nodule 2"), ("brain", "nodule 5"), ("brain 0", "nodule 5")], ids=["same", "none", "0"]
)
def test_values_that_cannot_be_told_are_the_numbers_of_segments(identifiers, labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    for item, identifier in zip(dataset.SegmentSequence, identifiers, strict=True):
        item.TrackingID = identifier
    dataset.save_as(tmp_path / "x.dcm")
    (found,) = radcnn.read(tmp_path / "x.dcm")
    assert list(found.labels) == [1, 2]
    np.testing.assert_array_equal(found.array, np.searchsorted([0, 2, 5], labels.array))


@pytest.mark.parametrize("characters", ["ISO_IR 100", "ISO_IR 192", None])
@pytest.mark.parametrize("name", ["Größe der Leber", "肝臓 · 右", "Печень"])
def test_names_are_written_in_the_letters_they_were_typed_in(name: str, characters: str | None, tmp_path: Path) -> None:
    patient = "Mueller^Joerg" if characters is None else "Müller^Jörg"
    scan = source(tmp_path / "scan", oblique(), PatientName=patient, SpecificCharacterSet=characters)
    labels = replace(labels_on(scan), labels={2: Label(name), 5: Label("two\\ \nlines")})
    radcnn.write(labels, tmp_path / "x.sr.dcm")
    (back,) = radcnn.read(tmp_path / "x.seg.dcm")
    wanted = [name, "two lines"]
    assert [label.name for label in back.labels.values()] == wanted
    assert [found.label for found in radcnn.read_report(tmp_path / "x.sr.dcm").findings] == wanted
    given = {"path": str(tmp_path / "scan"), "series_uid": scan.metadata.series_uid}
    boxes = (Detection(name, 0.9, (1.0, -2.0, 3.5), (4.0, 6.0, 8.0)),)
    radcnn.write(Detections(boxes, provenance={"input": given}), tmp_path / "y.sr.dcm")
    assert [found.label for found in radcnn.read_report(tmp_path / "y.sr.dcm").findings] == [name]
    for path in tmp_path.glob("*.dcm"):
        assert pydicom.dcmread(path).PatientName == patient
        assert shutil.which("dciodvfy") is None or errors_in(path) == set()


def test_plain_names_leave_the_character_set_of_the_source(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan", oblique(), PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")
    radcnn.write(labels_on(scan), tmp_path / "x.seg.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.seg.dcm")
    assert (dataset.SpecificCharacterSet, dataset.PatientName) == ("ISO_IR 100", "Müller^Jörg")


def test_a_long_name_does_not_cost_a_label_its_value(labels: LabelMap, tmp_path: Path) -> None:
    array = labels.array.astype(np.uint32)
    array[array == 5] = 70_001
    long = {2: Label("a" * 64), 70_001: Label(f"{'b' * 60} 12")}
    radcnn.write(replace(labels, array=array, labels=long), tmp_path / "x.dcm")
    (found,) = radcnn.read(tmp_path / "x.dcm")
    np.testing.assert_array_equal(found.array, array)
    assert {value: label.name for value, label in found.labels.items()} == {v: n.name for v, n in long.items()}
    assert all(len(item.TrackingID) <= 64 for item in pydicom.dcmread(tmp_path / "x.dcm").SegmentSequence)


@pytest.mark.parametrize("damage", ["pixels", "frames", "segment", "position", "rows"])
def test_damaged_segmentations_are_refused(damage: str, labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    if damage == "pixels":
        dataset.PixelData = dataset.PixelData[:2]
    elif damage == "frames":
        dataset.NumberOfFrames = 2_000_000_000
    elif damage == "rows":
        dataset.Rows = 0
    elif damage == "segment":
        dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 77
    else:
        del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    dataset.save_as(tmp_path / "bad.dcm")
    with pytest.raises(ReadError, match=r"bad\.dcm"):
        radcnn.read(tmp_path / "bad.dcm")


def test_a_compressed_segmentation_is_read_and_does_not_lie_about_its_frames(labels: LabelMap, tmp_path: Path) -> None:
    numbered = np.searchsorted([0, 2, 5], labels.array).astype(np.uint8)
    syntax = "1.2.840.10008.1.2.5"  # RLE
    path = _segmentation(labels, tmp_path / "x.dcm", "LABELMAP", numbered, transfer_syntax_uid=syntax)
    (found,) = radcnn.read(path)
    np.testing.assert_array_equal(found.array, numbered)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 2_000_000_000
    dataset.save_as(tmp_path / "bad.dcm")
    with pytest.raises(ReadError, match="more frames than positions"):
        radcnn.read(tmp_path / "bad.dcm")


def test_a_deflated_segmentation_is_read_and_a_bomb_is_not(labels: LabelMap, tmp_path: Path, monkeypatch) -> None:
    from napari_radcnn.io.dicom_results.read import whole

    radcnn.write(labels, tmp_path / "x.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    dataset.save_as(tmp_path / "deflated.dcm")
    (found,) = radcnn.read(tmp_path / "deflated.dcm")
    np.testing.assert_array_equal(found.array, labels.array)
    monkeypatch.setattr(whole, "_MOST_INFLATED", 2000)
    monkeypatch.setattr(whole, "_CHUNK", 100)
    with pytest.raises(ReadError, match=r"deflated\.dcm: .* decompresses to more than"):
        radcnn.read(tmp_path / "deflated.dcm")


def test_positions_far_apart_make_no_huge_grid(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    last = dataset.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence[0]
    last.ImagePositionPatient = [float(value) * 1e9 for value in last.ImagePositionPatient]
    (tmp_path / "away").mkdir()
    dataset.save_as(tmp_path / "away" / "bad.dcm")
    with pytest.raises(ReadError, match=r"bad\.dcm: the positions of the frames do not form a grid"):
        radcnn.read(tmp_path / "away" / "bad.dcm")


# -- reports --------------------------------------------------------------------------------------------------------


def test_a_report_measures_the_segments_it_refers_to(labels: LabelMap, tmp_path: Path) -> None:
    from highdicom.sr import srread

    radcnn.write(labels, tmp_path / "x.sr.dcm")
    segmentation = pydicom.dcmread(tmp_path / "x.seg.dcm")
    groups = srread(tmp_path / "x.sr.dcm").content.get_volumetric_roi_measurement_groups()
    for value, segment, group in zip((2, 5), segmentation.SegmentSequence, groups, strict=True):
        (volume,) = group.get_measurements()
        assert volume.value == pytest.approx(labels.volume_ml(value) * 1000)
        assert (volume.name.value, volume.unit.value) == ("118565006", "mm3")
        assert group.tracking_uid == segment.TrackingUID
        assert group.referenced_segment.referenced_segment_numbers == [segment.SegmentNumber]
        assert group.referenced_segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert group.finding_type.value == segment.SegmentedPropertyTypeCodeSequence[0].CodeValue


def test_a_report_says_which_label_of_the_segmentation_it_measures(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.sr.dcm")
    (segmentation,) = radcnn.read(tmp_path / "x.seg.dcm")
    findings = radcnn.read_report(tmp_path / "x.sr.dcm").findings
    assert [(found.segment, found.label_value) for found in findings] == [(1, 2), (2, 5)]
    for found in findings:
        assert found.label == segmentation.labels[found.label_value].name
        count = int((segmentation.array == found.label_value).sum())
        assert found.measurements[0].value == pytest.approx(count * labels.geometry.voxel_volume)


def test_a_report_uses_the_segmentation_that_is_there_if_it_is_the_same(labels: LabelMap, tmp_path: Path) -> None:
    radcnn.write(labels, tmp_path / "x.seg.dcm")
    before = (tmp_path / "x.seg.dcm").read_bytes()
    radcnn.write(labels, tmp_path / "x.sr.dcm")
    assert (tmp_path / "x.seg.dcm").read_bytes() == before
    (tmp_path / "x.sr.dcm").unlink()
    other = labels.array.copy()
    other[2, 3, 3] = 2
    with pytest.raises(WriteError, match=r"x\.seg\.dcm: the file already exists"):
        radcnn.write(replace(labels, array=other), tmp_path / "x.sr.dcm")
    assert not (tmp_path / "x.sr.dcm").exists()


def test_detections_become_ellipsoids_with_their_score(tmp_path: Path) -> None:
    from highdicom.sr import srread

    scan = source(tmp_path / "scan", oblique())
    given = {"path": str(tmp_path / "scan"), "series_uid": scan.metadata.series_uid}
    boxes = (Detection("nodule", 0.93, (1.0, -2.0, 3.5), (4.0, 6.0, 8.0)), Detection("x", 0.2, (0, 0, 0), (1, 1, 1)))
    radcnn.write(Detections(boxes, provenance={**MANIFEST, "input": given}), tmp_path / "x.sr.dcm")
    report = srread(tmp_path / "x.sr.dcm")
    first, _ = report.content.get_volumetric_roi_measurement_groups()
    score, diameter = first.get_measurements()
    assert (score.name.meaning, score.value) == ("Probability", 0.93)
    assert diameter.value == 8.0
    ends = np.reshape(first.roi.graphic_data, (6, 3))
    np.testing.assert_allclose(ends.mean(0), boxes[0].center)
    np.testing.assert_allclose(np.ptp(ends, axis=0), boxes[0].size)
    assert first.roi.frame_of_reference_uid == scan.metadata.frame_of_reference_uid
    with pytest.raises(ReadError, match=r"structured report .* `read_report`"):
        radcnn.read(tmp_path / "x.sr.dcm")
    with pytest.raises(WriteError, match="there are no findings"):
        radcnn.write(Detections((), provenance={"input": given}), tmp_path / "y.sr.dcm")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("name", GRIDS)
def test_a_validator_finds_nothing(name: str, tmp_path: Path) -> None:
    scan = source(tmp_path / "scan", GRIDS[name]())
    labels = labels_on(scan)
    radcnn.write(labels, tmp_path / "x.sr.dcm")
    given = {"path": str(tmp_path / "scan"), "series_uid": scan.metadata.series_uid}
    found = (Detection("nodule", 0.93, (1.0, -2.0, 3.5), (4.0, 6.0, 8.0)),)
    radcnn.write(Detections(found, provenance={**MANIFEST, "input": given}), tmp_path / "y.sr.dcm")
    radcnn.write(scan.with_array(scan.array + 0.25, provenance=MANIFEST), tmp_path / "out")
    known = errors_in(next((tmp_path / "scan").iterdir()))
    for path in (tmp_path / "x.seg.dcm", tmp_path / "x.sr.dcm", tmp_path / "y.sr.dcm"):
        assert errors_in(path) == set()
    assert errors_in(tmp_path / "out" / "IM00001.dcm") <= known
