"""Damaged and lying DICOM files: refused with the name of the file and the cause, never opened half."""

from __future__ import annotations

import resource
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import HTJ2K, HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

from dicom_factory import HTJ2K_STREAM, save, write_dicom_series, write_htj2k
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import list_series, read
from napari_radcnn.io.dicom.pixels import code_stream_size
from napari_radcnn.phantom import head, oblique_geometry

GRID = Geometry.from_parts((4, 9, 11), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))


def refused(path: Path, *words: str) -> str:
    with pytest.raises(ReadError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text
    return text


def test_truncated_pixels(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    paths[2].write_bytes(paths[2].read_bytes()[:-50])
    refused(tmp_path, paths[2].name, "truncated", "198", "148")


@pytest.mark.parametrize("cut", [2, 30, 100])
def test_truncated_htj2k(tmp_path: Path, cut: int) -> None:
    path = write_htj2k(tmp_path, HTJ2KLossless, HTJ2K_STREAM[:-cut])
    refused(path, path.name, "truncated")


def test_htj2k_of_another_size(tmp_path: Path) -> None:
    lying = HTJ2K_STREAM[:8] + (90_000).to_bytes(4, "big") + HTJ2K_STREAM[12:]
    path = write_htj2k(tmp_path, HTJ2KLossless, lying)
    refused(path, path.name, "declares 12 x 90000", "the header declares 12 x 10")


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_htj2k(tmp_path, HTJ2K)
    monkeypatch.setattr(get_decoder(HTJ2K), "_available", {})
    monkeypatch.setattr(get_decoder(HTJ2K), "_unavailable", {"pylibjpeg": ("pylibjpeg-openjpeg>=2.0",)})
    refused(path, path.name, "High-Throughput", "1.2.840.10008.1.2.4.203", "not installed", "pylibjpeg-openjpeg")


def test_truncated_header(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    paths[2].write_bytes(paths[2].read_bytes()[:400])
    refused(tmp_path, paths[2].name)


def test_pixels_shorter_than_rows_and_columns_say(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(GRID), Rows=lambda k: 9000)
    refused(tmp_path, paths[0].name, "expected")


@pytest.mark.parametrize("frames", [2, 10**9, 0, -1])
def test_number_of_frames_that_lies(tmp_path: Path, frames: int) -> None:
    (path,) = write_dicom_series(tmp_path, head(Geometry((1, 9, 11), GRID.affine)), NumberOfFrames=frames)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, path.name, "rames")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_length_beyond_the_file(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    data = paths[1].read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00OW") + 8
    paths[1].write_bytes(data[:at] + (0xFFFFFFF0).to_bytes(4, "little") + data[at + 4 :])
    refused(tmp_path, paths[1].name, "length")


def test_empty_file_makes_a_gap_that_is_explained(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    paths[1].write_bytes(b"")
    refused(tmp_path, "gap", f"{paths[1].name}: the file is empty")


def test_no_pixels(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(GRID), PixelData=None)
    refused(tmp_path, paths[0].name, "PixelData")


def test_code_stream_cut(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(oblique_geometry((3, 64, 70))), transfer_syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(paths[1])
    stream = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([stream[: len(stream) // 3]])
    dataset.save_as(paths[1])
    refused(tmp_path, paths[1].name, "truncated")
    dataset.PixelData = encapsulate([stream[: len(stream) // 3] + b"\xff\xd9"])
    dataset.save_as(paths[1])
    refused(tmp_path, paths[1].name, "cannot be decoded")


@pytest.mark.parametrize("padding", [b"\0\0", b"\xff", b"\xff\0"])
def test_padding_behind_a_code_stream_is_no_damage(tmp_path: Path, padding: bytes) -> None:
    phantom = head(oblique_geometry((1, 64, 70)))
    (path,) = write_dicom_series(tmp_path, phantom, transfer_syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    stream = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([stream + padding])
    dataset.save_as(path)
    (volume,) = read(path)
    assert np.array_equal(volume.array, phantom.array)


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        ("1.2.840.99999.9.9.9", ["transfer syntax", "1.2.840.99999.9.9.9"]),
        ("1.2.840.10008.1.2.4.102", ["video", "H.264"]),
        ("1.2.840.10008.1.2.4.95", ["transfer syntax"]),
    ],
)
def test_syntaxes_that_cannot_be_read(tmp_path: Path, syntax: str, words: list[str]) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PixelData = encapsulate([b"\0" * 64])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, implicit_vr=False, little_endian=True)
    refused(tmp_path, paths[0].name, *words)


def _report(path: Path, modality: str = "SR", sop_class: str = "1.2.840.10008.5.1.4.1.1.88.11") -> Path:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, generate_uid(), modality
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    return save(dataset, path)


@pytest.mark.parametrize(
    ("modality", "sop_class", "word"),
    [
        ("SR", "1.2.840.10008.5.1.4.1.1.88.11", "structured report"),
        ("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3", "contours"),
        ("OT", "1.2.840.10008.5.1.4.1.1.104.1", "PDF"),
    ],
)
def test_objects_that_are_no_images(tmp_path: Path, modality: str, sop_class: str, word: str) -> None:
    refused(_report(tmp_path / "x.dcm", modality, sop_class), "x.dcm", word)


def test_good_series_beside_bad_ones(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "good", head(GRID), series_number=1)
    bad = write_dicom_series(tmp_path / "bad", head(GRID), series_number=2)
    bad[1].unlink()
    _report(tmp_path / "report.dcm")
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "._IM0001.dcm").write_bytes(b"\0\5\x16\7 junk of macOS")
    (tmp_path / "notes.dcm").write_text("not DICOM")
    (volume,) = read(tmp_path)
    assert volume.name == "MR 1"
    told = "\n".join(volume.warnings)
    assert "gap between" in told
    assert "notes.dcm: not a DICOM file" in told
    assert "report.dcm: not an image" in told
    assert "README" not in told
    problems = {info.modality: info.problem for info in list_series(tmp_path)}
    assert "structured report" in (problems["SR"] or "")


def test_deep_sequences(tmp_path: Path) -> None:
    (path,) = write_dicom_series(tmp_path, head(Geometry((1, 9, 11), GRID.affine)))
    nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(data[:at] + nested)
    refused(path, path.name, "nested")


def test_header_without_preamble(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    for path in paths:
        path.write_bytes(path.read_bytes()[132:])
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, head(GRID).array)


def test_bad_character_set_and_names_do_no_harm(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"TEST^PATIENT", b"T\xff\xfeT^P\x9dTIENT"))
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, head(GRID).array)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom_series(tmp_path, head(GRID), SeriesDescription="\x01" * 80, AccessionNumber="x" * 99)
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_deflated_bomb(tmp_path: Path) -> None:
    import zlib

    paths = write_dicom_series(
        tmp_path, head(Geometry((1, 9, 11), GRID.affine)), transfer_syntax="1.2.840.10008.1.2.1.99"
    )
    data = paths[0].read_bytes()
    start = 132 + 12 + int.from_bytes(data[140:144], "little")
    body = zlib.decompress(data[start:], -15)
    engine = zlib.compressobj(9, wbits=-15)
    # a huge value before the pixels
    at = body.rindex(b"\xe0\x7f\x10\x00OW")
    huge = b"\x20\x00\x00\x40UT\0\0" + (300 << 20).to_bytes(4, "little")
    packed = engine.compress(body[:at] + huge)
    for _ in range(300):
        packed += engine.compress(b" " * (1 << 20))
    paths[0].write_bytes(data[:start] + packed + engine.compress(body[at:]) + engine.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(paths[0], paths[0].name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 350_000


@pytest.mark.parametrize("rest", [b"", bytes(range(256)) * 20], ids=["prefix alone", "rubbish"])
def test_rubbish_after_the_prefix(tmp_path: Path, rest: bytes) -> None:
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + rest)
    assert "prefix" not in refused(tmp_path / "x.dcm", "x.dcm", "header")


def test_stray_slice_does_not_stand_in_for_the_scan(tmp_path: Path) -> None:
    scan = head(Geometry((6, 9, 11), GRID.affine))
    rows = [9, 9, 8, 9, 9, 9]
    pixels = [scan.array[k, :n].tobytes() for k, n in enumerate(rows)]
    write_dicom_series(tmp_path, scan, Rows=rows.__getitem__, PixelData=pixels.__getitem__)
    refused(tmp_path, "gap", "differ in size")


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_code_stream_that_announces_another_size(tmp_path: Path, syntax: str) -> None:
    paths = write_dicom_series(tmp_path, head(oblique_geometry((3, 64, 70))), transfer_syntax=syntax)
    dataset = pydicom.dcmread(paths[1])
    stream = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    assert code_stream_size(stream) == (64, 70, 1)
    width = 4 if syntax == JPEG2000Lossless else 2
    lying = stream.replace((70).to_bytes(width, "big"), (65000).to_bytes(width, "big"), 1)
    dataset.PixelData = encapsulate([lying])
    dataset.save_as(paths[1])
    refused(tmp_path, paths[1].name, "declares", "65000")


def test_damaged_run_lengths(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    paths = write_dicom_series(tmp_path, head(oblique_geometry((3, 64, 70))), transfer_syntax=RLELossless)
    dataset = pydicom.dcmread(paths[1])
    stream = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([stream[: len(stream) // 2]])
    dataset.save_as(paths[1])
    refused(tmp_path, paths[1].name, "cannot be decoded")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("transfer_syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", RLELossless, JPEGLSLossless])
def test_bytes_changed_at_random_are_read_or_refused(tmp_path: Path, transfer_syntax: str) -> None:
    one = head(Geometry((1, 9, 11), GRID.affine))
    (path,) = write_dicom_series(tmp_path, one, transfer_syntax=transfer_syntax)
    whole = path.read_bytes()
    random = np.random.default_rng(7)
    outcomes = set()
    for _ in range(150):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 4):
            data[at] = random.integers(0, 256)
        path.write_bytes(data)
        try:
            outcomes.add(read(path)[0].array.shape)
        except ReadError as error:
            outcomes.add("refused" if path.name in str(error) else "refused without the name of the file")
    assert "refused" in outcomes
    assert (1, 9, 11) in outcomes
    assert "refused without the name of the file" not in outcomes


@pytest.mark.parametrize("share", [0.25, 0.4, 0.6, 0.7])
def test_a_header_cut_short_is_called_so(tmp_path: Path, share: float) -> None:
    path = write_dicom_series(tmp_path, head(oblique_geometry((3, 6, 8))))[0]
    data = path.read_bytes()
    before_rows = data.index(b"\x28\x00\x10\x00US")
    path.write_bytes(data[: int(share * before_rows)])
    with pytest.raises(ReadError) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert "cut short" in str(caught.value) or "truncated" in str(caught.value)
    assert "not an image" not in str(caught.value)


@pytest.mark.parametrize("odd", [0, 2, 4])
def test_one_slice_of_another_size_is_named(tmp_path: Path, odd: int) -> None:
    def rows(k: int) -> int:
        return 5 if k == odd else 6

    paths = write_dicom_series(
        tmp_path,
        head(oblique_geometry((5, 6, 8))),
        Rows=rows,
        PixelData=lambda k: bytes(16 * rows(k)),
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
    )
    try:
        said = " ".join(line for volume in read(tmp_path) for line in volume.warnings)
    except ReadError as error:
        said = str(error)
        assert odd == 2
    assert "differ in size" in said
    assert paths[odd].name in said
