"""What is given away holds nothing of the patient: every byte of it is searched."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

import napari_radcnn as radcnn
from dciodvfy import errors_in
from dicom_factory import write_dicom_series
from grids import axial, oblique
from napari_radcnn.errors import WriteError
from napari_radcnn.io import Deidentifier
from napari_radcnn.io.dicom_results.confidentiality import cleaned, mentions
from napari_radcnn.io.dicom_results.deidentify import doubts
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import manifest_path
from napari_radcnn.phantom import world_field
from napari_radcnn.provenance import identify
from napari_radcnn.results import Classification, Detection, Detections, Label, LabelMap
from napari_radcnn.volume import Volume

NAME, NUMBER, ACCESSION = "Hexenbein^Zyprian", "PID-77315-QX", "ACC99121X"
BORN, SEEN, CLOCK = "19630714", "20230405", "093217"
UIDS = "1.2.826.0.1.99999."
SECRETS = ("hexenbein", "zyprian", "pid-77315", "acc99121x", BORN, SEEN, "1963-07-14", "2023-04-05", CLOCK, UIDS)
#: What the reader goes by: with nonsense in it, there would be no scan.
STRUCTURE = (
    *("SOPClassUID", "Modality", "PhotometricInterpretation", "ImageType", "SpecificCharacterSet", "PixelPresentation"),
    *("RescaleType", "ModalityLUTSequence", "RealWorldValueMappingSequence", "SharedFunctionalGroupsSequence"),
    *("PerFrameFunctionalGroupsSequence", "PixelSpacingCalibrationType", "SequenceOfUltrasoundRegions"),
    *("PresentationLUTShape", "BurnedInAnnotation", "LossyImageCompression", "TotalPixelMatrixOriginSequence"),
)
HOSTILE = {
    **dict.fromkeys(("AE", "LO", "LT", "SH", "ST", "UC", "UT"), "of Zyprian"),
    **{"PN": NAME, "CS": "HEXENBEIN", "DA": SEEN, "DT": f"{SEEN}{CLOCK}", "TM": CLOCK, "UI": f"{UIDS}4.5"},
    **{"UR": "http://hexenbein.example", "IS": SEEN, "UN": NAME.encode(), "OB": NAME.encode()},
}
MANIFEST = {
    "schema": "radcnn-manifest/1",
    "model": {"name": "brain-extraction", "version": "1.0", "task": "segmentation", "weights": []},
    "options": {"threshold": 0.5},
}


def hostile(dataset: Dataset, step: int) -> None:
    """Put the patient into every `step`-th attribute that DICOM has, into private ones, and items of sequences."""
    block = dataset.private_block(0x0009, "HEXENBEIN SOFT", create=True)
    block.add_new(1, "LO", NAME)
    for tag in list(DicomDictionary)[::step]:
        keyword = keyword_for_tag(tag)
        vr = DicomDictionary[tag][0].split(" ")[0]
        if not 0x0008 <= tag >> 16 < 0x7FE0 or not keyword or keyword in STRUCTURE:
            continue
        if vr == "SQ":
            item = Dataset()
            item.PatientName, item.PatientID, item.StudyDate, item.ImageComments = NAME, NUMBER, SEEN, NAME
            item.ReferencedSOPInstanceUID, item.CodeMeaning, item.BodyPartExamined = f"{UIDS}7", NAME, "ZYPRIAN"
            item.PersonIdentificationCodeSequence = [Dataset()]
            item.PersonIdentificationCodeSequence[0].PersonName = NAME
            item.private_block(0x0011, "Zyprian", create=True).add_new(1, "LO", NAME)
            dataset.add_new(tag, "SQ", [item])
        elif vr in HOSTILE and (keyword not in dataset or vr in ("DA", "DT", "TM", "PN", "LO", "SH")):
            dataset.add_new(tag, vr, HOSTILE[vr])
    dataset.PatientID, dataset.AccessionNumber, dataset.PatientBirthDate = NUMBER, ACCESSION, BORN


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a") / "Hexenbein"
    uids = {"study_uid": f"{UIDS}1", "series_uid": f"{UIDS}2", "frame_of_reference_uid": f"{UIDS}3"}
    scan = world_field(oblique())
    for k, path in enumerate(
        write_dicom_series(folder, scan.with_array(scan.array.astype(np.int16)), modality="CT", **uids)
    ):
        dataset = pydicom.dcmread(path)
        hostile(dataset, 1 if k == 1 else 29)
        # numbers that the reader takes for volumes of their own, and files their own place
        for keyword in ("AcquisitionNumber", "TemporalPositionIdentifier", "InstanceNumber", "NumberOfFrames"):
            if keyword in dataset:
                del dataset[keyword]
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UIDS}100.{k}"
        dataset.file_meta.PrivateInformationCreatorUID = f"{UIDS}8"
        dataset.file_meta.PrivateInformation = NAME.encode() + b" "
        dataset.file_meta.SourceApplicationEntityTitle = "HEXENBEIN"
        dataset.preamble = NAME.encode().ljust(128, b"\0")
        dataset.save_as(path)
    return folder


@pytest.fixture(scope="module")
def scan(folder: Path) -> Volume:
    (volume,) = radcnn.read(folder)
    return replace(volume, warnings=(f"Excluded: {NAME}",))


@pytest.fixture
def plain(tmp_path: Path) -> Volume:
    """Return a scan like any other."""
    scan = world_field(oblique())
    write_dicom_series(tmp_path / "scan", scan.with_array(scan.array.astype(np.int16)), modality="CT")
    return radcnn.read(tmp_path / "scan")[0]


def labels_on(scan: Volume, names: tuple[str, str] = ("left lung", "mass of Hexenbein")) -> LabelMap:
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[0, 1:3, 1:3], array[1, 0, -1] = 2, 5
    return LabelMap(
        array, scan.geometry, {2: Label(names[0]), 5: Label(names[1])}, NAME, {}, (NAME,), metadata=scan.metadata
    )


def run_on(scan: Volume) -> dict[str, Any]:
    return {**MANIFEST, "input": identify(scan), "warnings": [NAME], "started": "2023-04-05T09:32:17+00:00"}


def results(scan: Volume) -> dict[str, Any]:
    """Return by name all that can be written of a scan."""
    labels, run = labels_on(scan), run_on(scan)
    made = replace(labels, labels={2: Label("brain"), 5: Label("csf")}, provenance=run)
    restored = scan.with_array(scan.array + 0.5, name=NAME, provenance=run)
    boxes = Detections((Detection("nodule", 0.9, (1.0, -2.0, 3.5), (4.0, 6.0, 8.0)),), NAME, run, (NAME,))
    images = {f"image{suffix}": scan for suffix in (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".ome.zarr")}
    masks = {f"labels{suffix}": labels for suffix in (".nii.gz", ".nrrd", ".ome.zarr", ".seg.dcm")}
    return {
        **images,
        **masks,
        "made.seg.dcm": made,
        "report.sr.dcm": made,
        "boxes.sr.dcm": boxes,
        "boxes.json": boxes,
        "boxes.csv": boxes,
        "classes.json": Classification({"normal": 0.3}, NAME, run, (NAME,)),
        "restored": restored,
        "restored.nii.gz": restored,
        "copy": scan,
    }


RESULTS = (
    *("image.nii.gz", "image.nii", "image.nrrd", "image.mha", "image.mhd", "image.ome.zarr", "labels.nii.gz"),
    *("labels.nrrd", "labels.ome.zarr", "labels.seg.dcm", "made.seg.dcm", "report.sr.dcm", "boxes.sr.dcm"),
    *("boxes.json", "boxes.csv", "classes.json", "restored", "restored.nii.gz", "copy"),
)


def files_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def told(folder: Path) -> set[str]:
    """Return which secrets stand in the files of a folder or in their names."""
    found = set()
    for path in files_in(folder):
        content = path.read_bytes()
        content += gzip.decompress(content) if path.suffix == ".gz" else b""
        text = str(path.relative_to(folder)).encode() + content
        found |= {secret for secret in SECRETS if secret.encode() in text.lower()}
    return found


def elements(dataset: Dataset) -> Iterator[Any]:
    for element in dataset:
        yield element
        for item in element.value if element.VR == "SQ" else ():
            yield from elements(item)


def test_the_source_is_hostile(folder: Path, scan: Volume, tmp_path: Path) -> None:
    assert told(folder) >= {*SECRETS} - {"1963-07-14", "2023-04-05"}
    tags = {element.tag for path in folder.iterdir() for element in elements(pydicom.dcmread(path))}
    assert len(tags) > 3000
    for name in ("restored", "restored.nii.gz", "labels.ome.zarr"):
        (tmp_path / f"of_{name}").mkdir()
        write_with_manifest(results(scan)[name], tmp_path / f"of_{name}" / name)
        assert told(tmp_path / f"of_{name}"), f"without being asked, {name} holds something of the patient"


@pytest.mark.parametrize("name", RESULTS)
def test_no_byte_of_the_patient_is_written(name: str, scan: Volume, tmp_path: Path) -> None:
    assert set(results(scan)) == set(RESULTS)
    written = write_with_manifest(results(scan)[name], tmp_path / name, deidentify=True)
    assert all(path.exists() for path in written)
    assert told(tmp_path) == set()
    for path in files_in(tmp_path):
        if path.suffix != ".dcm":
            continue
        dataset = pydicom.dcmread(path)
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
        assert dataset.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert (dataset.PatientName, dataset.PatientID, dataset.StudyDate) == ("", "", "")
        assert dataset.StudyInstanceUID != f"{UIDS}1"
        assert not any(element.tag.is_private for element in elements(dataset))
        times = {str(element.value) for element in elements(dataset) if element.VR in ("DA", "DT", "TM")}
        assert times <= {"", "None", "19000101", "000000", "19000101000000"}
        assert all(UID(str(e.value)).is_valid for e in elements(dataset) if e.VR == "UI" and e.VM == 1)


@pytest.mark.parametrize("name", [name for name in RESULTS if name.startswith(("image", "labels", "restored", "copy"))])
def test_the_voxels_are_still_those_of_the_scan_in_their_place(name: str, plain: Volume, tmp_path: Path) -> None:
    wanted = results(plain)[name]
    radcnn.write(wanted, tmp_path / name, deidentify=True)
    (back,) = radcnn.read(tmp_path / name)
    if name.endswith(".seg.dcm"):  # without its series, a segmentation ends at its first and last slice
        assert (back.array > 0).sum() == (wanted.array > 0).sum()
        assert back.metadata.label_names == {2: "left lung", 5: "label 5"}
        return
    assert back.geometry.is_close(wanted.geometry)
    np.testing.assert_allclose(back.array, wanted.array, atol=0.05 if name == "restored" else 0)


def test_a_run_can_be_told_but_not_the_scan_it_ran_on(scan: Volume, tmp_path: Path) -> None:
    write_with_manifest(results(scan)["restored.nii.gz"], tmp_path / "x.nii.gz", deidentify=True)
    manifest = json.loads(manifest_path(tmp_path / "x.nii.gz").read_text())
    assert manifest["model"] == MANIFEST["model"]
    assert manifest["options"] == {"threshold": 0.5}
    assert set(manifest["input"]) == {"format", "modality", "shape", "spacing_mm", "affine"}
    assert "started" not in manifest
    assert "warnings" not in manifest
    assert manifest["deidentified"] is True


def test_detections_and_names_of_a_model_stay(plain: Volume, tmp_path: Path) -> None:
    radcnn.write(results(plain)["made.seg.dcm"], tmp_path / "x.seg.dcm", deidentify=True)
    segments = pydicom.dcmread(tmp_path / "x.seg.dcm").SegmentSequence
    assert [segment.SegmentLabel for segment in segments] == ["brain", "csf"]
    radcnn.write(results(plain)["boxes.csv"], tmp_path / "x.csv", deidentify=True)
    (_, row) = csv.reader((tmp_path / "x.csv").read_text().splitlines())
    assert row[:2] == ["nodule", "0.9"]


def test_with_one_key_what_is_written_fits_together(plain: Volume, tmp_path: Path) -> None:
    key = Deidentifier(b"thirty-two bytes of no patient's")
    for name in ("copy", "report.sr.dcm", "labels.seg.dcm"):
        radcnn.write(results(plain)[name], tmp_path / name, deidentify=key)
    images = [pydicom.dcmread(path) for path in files_in(tmp_path / "copy")]
    for name in ("report.seg.dcm", "labels.seg.dcm"):
        dataset = pydicom.dcmread(tmp_path / name)
        (series,) = dataset.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == images[0].SeriesInstanceUID
        assert dataset.StudyInstanceUID == images[0].StudyInstanceUID
        assert dataset.FrameOfReferenceUID == images[0].FrameOfReferenceUID
        referenced = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
        assert referenced == {image.SOPInstanceUID for image in images}
    assert pydicom.dcmread(tmp_path / "report.sr.dcm").StudyInstanceUID == images[0].StudyInstanceUID
    # read together, the segmentation lies on the whole grid of the copy
    shutil.copy(tmp_path / "labels.seg.dcm", tmp_path / "copy")
    grids = [volume.geometry for volume in radcnn.read(tmp_path / "copy")]
    assert len(grids) == 2
    assert grids[0].is_close(grids[1])


def test_without_a_key_nothing_links_two_exports(plain: Volume, tmp_path: Path) -> None:
    for name in ("a.seg.dcm", "b.seg.dcm"):
        radcnn.write(labels_on(plain), tmp_path / name, deidentify=True)
    a, b = (pydicom.dcmread(tmp_path / name) for name in ("a.seg.dcm", "b.seg.dcm"))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert a[keyword].value != b[keyword].value


def test_a_report_does_not_take_a_segmentation_that_names_the_patient(plain: Volume, tmp_path: Path) -> None:
    radcnn.write(labels_on(plain), tmp_path / "x.seg.dcm")
    with pytest.raises(WriteError, match=r"x\.seg\.dcm: the file already exists"):
        radcnn.write(labels_on(plain), tmp_path / "x.sr.dcm", deidentify=True)
    assert not (tmp_path / "x.sr.dcm").exists()


@pytest.mark.parametrize("deidentify", [False, True])
def test_a_scan_that_was_scrubbed_before_still_takes_a_report(deidentify: bool, tmp_path: Path) -> None:
    gone = dict.fromkeys(("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"))
    write_dicom_series(tmp_path / "scan", world_field(axial()), modality="CT", **gone)
    (scan,) = radcnn.read(tmp_path / "scan")
    radcnn.write(labels_on(scan), tmp_path / "x.sr.dcm", deidentify=deidentify)
    assert pydicom.dcmread(tmp_path / "x.sr.dcm").PatientBirthDate == ""


@pytest.mark.parametrize("name", ["copy", "x.nii.gz"])
def test_text_in_the_pixels_is_refused(name: str, tmp_path: Path) -> None:
    last = axial().shape[0] - 1
    write_dicom_series(
        tmp_path / "scan", world_field(axial()), BurnedInAnnotation=lambda k: "YES" if k == last else "NO"
    )
    (scan,) = radcnn.read(tmp_path / "scan")
    with pytest.raises(WriteError, match="burned into the images"):
        radcnn.write(scan, tmp_path / name, deidentify=True)
    assert not (tmp_path / name).exists()
    radcnn.write(labels_on(scan), tmp_path / "x.seg.dcm", deidentify=True)  # holds no pixels of the scan
    radcnn.write(scan, tmp_path / name)


def test_what_cannot_be_removed_is_said(scan: Volume) -> None:
    assert "face" in doubts(scan)[0]
    picture = replace(scan, metadata=replace(scan.metadata, modality="US"))
    assert "burned" in doubts(picture)[0]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_a_validator_finds_no_new_errors(modality: str, tmp_path: Path) -> None:
    asked = {"BodyPartExamined": "HEAD", "PatientPosition": "HFS", "KVP": "120", "PositionReferenceIndicator": ""}
    scan = world_field(oblique())
    write_dicom_series(tmp_path / "scan", scan.with_array(scan.array.astype(np.int16)), modality=modality, **asked)
    (scan,) = radcnn.read(tmp_path / "scan")
    for name, deidentify in (("plain", False), ("clean", True)):
        (tmp_path / name).mkdir()
        for what in ("made.seg.dcm", "report.sr.dcm", "boxes.sr.dcm", "restored", "copy"):
            radcnn.write(results(scan)[what], tmp_path / name / what, deidentify=deidentify)
    for path in files_in(tmp_path / "clean"):
        plain = tmp_path / "plain" / path.relative_to(tmp_path / "clean")
        assert errors_in(path) <= errors_in(plain), path.name
        if path.parent.name == "clean":
            assert errors_in(path) == set()


def test_a_segmentation_of_an_enhanced_file(plain: Volume, tmp_path: Path) -> None:
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    headers = [pydicom.dcmread(path) for path in sorted((tmp_path / "scan").iterdir(), reverse=True)]
    for header in headers:
        header.BodyPartExamined, header.PatientName, header.SeriesDate = "HEAD", NAME, SEEN
    made = LegacyConvertedEnhancedCTImage(headers, generate_uid(), 5, generate_uid(), 1)
    (tmp_path / "enhanced").mkdir()
    made.save_as(tmp_path / "enhanced" / "e.dcm")
    (scan,) = radcnn.read(tmp_path / "enhanced")
    (tmp_path / "out").mkdir()
    radcnn.write(labels_on(scan), tmp_path / "out" / "x.sr.dcm", deidentify=True)
    assert told(tmp_path / "out") == set()
    content = b"".join(path.read_bytes() for path in files_in(tmp_path / "out"))
    uids = {header.SOPInstanceUID for header in (*headers, made)}
    assert not any(uid.encode() in content for uid in uids)
    (back,) = radcnn.read(tmp_path / "out" / "x.seg.dcm")
    assert (back.array > 0).sum() == (labels_on(scan).array > 0).sum()


# -- the parts --------------------------------------------------------------------------------------------------------


def test_new_uids_are_valid_keyed_and_the_same_each_time() -> None:
    first, second = Deidentifier(b"a" * 32), Deidentifier(b"b" * 32)
    assert first.uid(f"{UIDS}1") == Deidentifier(b"a" * 32).uid(f"{UIDS}1")
    assert len({key.uid(f"{UIDS}{n}") for key in (first, second) for n in range(50)}) == 100
    for n in range(50):
        assert UID(first.uid(f"{UIDS}{n}")).is_valid
        assert len(first.uid(f"{UIDS}{n}")) <= 64
    assert "aaaa" not in repr(first)
    with pytest.raises(WriteError, match="has 4 bytes"):
        Deidentifier(b"weak")


def test_the_table_of_the_standard_is_kept_to() -> None:
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table

    header = Dataset()
    for tag in DicomDictionary:
        vr = DicomDictionary[tag][0].split(" ")[0]
        value = {"SQ": [Dataset()], "AT": 0x00100010, "UI": f"{UIDS}9"}.get(vr, HOSTILE.get(vr, 7))
        if tag >> 16 >= 0x0008 and keyword_for_tag(tag):
            header.add_new(tag, vr, value)
    (found,) = cleaned([header], Deidentifier().uid)
    for tag in (*table.X_TAGS, *table.X_D_TAGS, *table.X_Z_D_TAGS):
        assert len(tag) > 2 or tag not in found, f"{tag} is to be removed"
    for tag in (*table.Z_TAGS, *table.Z_D_TAGS):
        assert tag not in found or found[tag].is_empty, f"{tag} is to be emptied"
    for tag in (*table.D_TAGS, *table.U_TAGS):
        assert tag not in found or found[tag].value != header[tag].value, f"{tag} is to be replaced"
    assert sum(tag in found for tag in table.U_TAGS) > 40
    assert not any(element.tag.group & 0xFF00 in (0x5000, 0x6000) for element in found)


def test_what_is_about_the_technique_stays() -> None:
    header = Dataset()
    header.Modality, header.PatientName = "CT", "CT^Max"
    header.KVP, header.ConvolutionKernel, header.Manufacturer = "120", "B30f", "Some Works"
    header.BodyPartExamined, header.PatientPosition, header.ScanOptions = "CHEST", "HFS", "HELICAL MODE"
    header.PatientWeight, header.PatientAge, header.StationName = "80", "043Y", "CT3"
    header.SOPClassUID, header.SliceThickness = "1.2.840.10008.5.1.4.1.1.2", "2.5"
    known, own = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "51185008", "SCT", "Chest"
    own.CodeValue, own.CodingSchemeDesignator, own.CodeMeaning = "7", "99WARD", "third floor"
    header.AnatomicRegionSequence, header.ViewCodeSequence = [known], [own]
    (found,) = cleaned([header], Deidentifier().uid)
    kept = {"Modality", "KVP", "ConvolutionKernel", "Manufacturer", "BodyPartExamined", "PatientPosition"}
    kept |= {"ScanOptions", "SOPClassUID", "SliceThickness", "AnatomicRegionSequence", "PatientName"}
    assert {element.keyword for element in found} == kept
    assert found.PatientName == ""
    assert found.SOPClassUID == header.SOPClassUID
    assert header.PatientAge == "043Y", "the original is left alone"


def test_a_damaged_value_goes() -> None:
    header = pydicom.Dataset()
    header[0x00180060] = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(0x00180060), "DS", 4, b"Hexe", 0, False, True, True, None
    )
    assert "KVP" not in cleaned([header], Deidentifier().uid)[0]


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("scan of hexenbein", True),
        ("HEXENBEINSCAN", True),
        ("for ann, thorax", True),
        ("planning", False),
        ("from 1.2.826.0.1.99999.7", True),
        ("software 2.1.3", False),
    ],
)
def test_names_are_found_in_text(text: str, is_named: bool) -> None:
    assert mentions(text, frozenset(("hexenbein", "ann"))) is is_named
