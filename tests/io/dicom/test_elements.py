"""Headers found without pydicom must say the same as pydicom does, damaged ones included."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fuzz_readers import damaged
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.io import list_series
from napari_radcnn.io.dicom import headers
from napari_radcnn.io.dicom.elements import Elements, find_elements
from napari_radcnn.io.dicom.headers import Instance, floats, quiet, read_header, text, texts
from napari_radcnn.phantom import head, oblique_geometry

KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality PatientID SeriesInstanceUID SeriesNumber Rows Columns NumberOfFrames
    SamplesPerPixel BitsAllocated BitsStored HighBit PixelRepresentation PhotometricInterpretation RescaleSlope
    ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness ImageType AcquisitionNumber ContentTime
    SeriesDescription ConvolutionKernel InstitutionName PixelPaddingValue EchoTime
"""
FOUND = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
    "jls": JPEGLSLossless,
}


def write(folder: Path, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Path:
    (path,) = write_dicom_series(folder, head(oblique_geometry((1, 20, 24))), transfer_syntax=syntax, **tags)
    return path


def with_sequences(folder: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a file with sequences of defined and undefined length in each other."""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = [inner, Dataset(inner)]
    outer.ReferencedSOPInstanceUID = "1.2.4"
    dataset = pydicom.dcmread(
        write(folder, syntax, SpecificCharacterSet="ISO_IR 100", InstitutionName="Köln", ConvolutionKernel=["B", "C"])
    )
    dataset.ReferencedImageSequence, dataset.SourceImageSequence = [outer, Dataset(outer)], [inner]
    for sequence in (dataset["ReferencedImageSequence"], outer["PurposeOfReferenceCodeSequence"]):
        sequence.is_undefined_length = True
        for item in sequence.value:
            item.is_undefined_length_sequence_item = True
    dataset.save_as(folder / "nested.dcm")
    return folder / "nested.dcm"


def said(path: Path) -> list[Any]:
    """Return everything that readers take from a header."""
    try:
        item = read_header(path)
    except OSError:  # what pydicom says of a sequence that ends early; `list_series` and `read` make a problem of it
        return ["cannot be read"]
    if not isinstance(item, Instance):
        return [item if item is None else (type(item), str(item))]
    found: list[Any] = [item.transfer_syntax, item.keyword, item.offset, item.length]
    found.append("ReferencedImageSequence" in item.tags)
    for keyword in KEYWORDS.split():
        found += [(keyword, keyword in item.tags, text(item.tags, keyword), texts(item.tags, keyword))]
        try:
            found.append([repr(value) for value in floats(item.tags, keyword, path)])
        except ReadError:
            found.append("not a number")
    return found


def is_found(path: Path) -> bool:
    item = read_header(path)
    return isinstance(item, Instance) and isinstance(item.source, Elements)


@pytest.mark.parametrize("syntax", FOUND)
def test_ordinary_headers_are_found(tmp_path: Path, syntax: str) -> None:
    assert is_found(write(tmp_path / "plain", FOUND[syntax]))
    assert is_found(with_sequences(tmp_path / "nested", FOUND[syntax]))


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_others_are_pydicoms(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path, syntax)
    assert not is_found(path)
    assert isinstance(read_header(path), Instance)


@pytest.mark.parametrize("syntax", FOUND)
def test_both_say_the_same_of_damaged_files(tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [
        p.read_bytes() for p in (write(tmp_path / "a", FOUND[syntax]), with_sequences(tmp_path / "b", FOUND[syntax]))
    ]
    path = tmp_path / "damaged.dcm"
    count = 0
    for number in range(400):
        rng = random.Random(f"{syntax}:{number}")
        path.write_bytes(damaged(bytearray(rng.choice(sources)), rng))
        with quiet():
            monkeypatch.setattr(headers, "find_elements", find_elements)
            ours = said(path)
            count += len(ours) > 1 and is_found(path)
            monkeypatch.setattr(headers, "find_elements", lambda data: None)
            assert ours == said(path), number
    assert count > 40  # enough of them were read both ways


def test_the_header_as_pydicom_reads_it(tmp_path: Path) -> None:
    path = with_sequences(tmp_path)
    item = read_header(path)
    assert isinstance(item, Instance)
    assert item.dataset == pydicom.dcmread(path, stop_before_pixels=True)
    assert item.dataset.ReferencedImageSequence[1].PurposeOfReferenceCodeSequence[1].ReferencedSOPInstanceUID == "1.2.3"


def test_a_long_header_is_read_on(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write(tmp_path))
    block = dataset.private_block(0x0029, "NOBODY", create=True)
    for n in range(5):
        block.add_new(n, "OB", bytes(40_000))
    dataset.save_as(tmp_path / "long.dcm")
    item = read_header(tmp_path / "long.dcm")
    assert isinstance(item, Instance)
    assert isinstance(item.source, Elements)
    assert item.offset > 200_000
    assert (tmp_path / "long.dcm").read_bytes()[item.offset :] == dataset.PixelData


def test_a_folder_is_listed_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dicom_series(tmp_path, head(oblique_geometry()))

    def parse(*_: object, **__: object) -> None:
        raise AssertionError("a header was parsed")

    monkeypatch.setattr(pydicom, "dcmread", parse)
    (info,) = list_series(tmp_path)
    assert info.shape == oblique_geometry().shape
    assert info.problem is None


def test_sequences_too_deep_are_left_to_pydicom(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write(tmp_path))
    for _ in range(12):
        outer = Dataset()
        outer.ReferencedImageSequence = dataset.get("ReferencedImageSequence") or [Dataset()]
        outer["ReferencedImageSequence"].is_undefined_length = True
        for item in outer.ReferencedImageSequence:
            item.is_undefined_length_sequence_item = True
        dataset.ReferencedImageSequence = [outer]
    dataset["ReferencedImageSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    dataset.save_as(tmp_path / "deep.dcm")
    assert find_elements((tmp_path / "deep.dcm").read_bytes()) is None
    assert isinstance(read_header(tmp_path / "deep.dcm"), Instance)
