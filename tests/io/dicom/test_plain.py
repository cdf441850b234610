"""Uncompressed 16-bit slices go straight into the array: the same values as by the long way, whatever the bits."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_factory import write_dicom_series
from napari_radcnn.errors import CancelledError, ReadError
from napari_radcnn.io import read
from napari_radcnn.io.dicom import plain, values
from napari_radcnn.phantom import head, oblique_geometry
from napari_radcnn.volume import Volume

GRID = oblique_geometry((3, 9, 11))


def both_ways(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Read with and without the short way; return the array after a comparison."""
    used = []

    def spied(*args: object) -> object:
        used.append(plain.plain_values(*args))  # type: ignore[arg-type]
        return used[-1]

    monkeypatch.setattr(values, "plain_values", spied)
    (short,) = read(folder)
    assert used[0] is not None
    monkeypatch.setattr(values, "plain_values", lambda *args: None)
    (long,) = read(folder)
    assert short.array.dtype == long.array.dtype
    assert np.array_equal(short.array, long.array)
    return short.array


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize(("stored", "high"), [(16, 15), (12, 11), (12, 15), (10, 12), (1, 0)])
def test_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, signed: int, stored: int, high: int
) -> None:
    raw = np.random.default_rng(stored).integers(0, 65536, GRID.shape).astype(np.uint16)
    given = {"BitsStored": stored, "HighBit": high, "PixelRepresentation": signed}
    write_dicom_series(tmp_path, Volume(raw, GRID), modality="CT", transfer_syntax=syntax, **given)
    array = both_ways(tmp_path, monkeypatch)
    expected = (raw.astype(np.int64) >> (high + 1 - stored)) % (1 << stored)
    if signed:
        expected -= (expected >= 1 << (stored - 1)) * (1 << stored)
    assert np.array_equal(array, expected)


@pytest.mark.parametrize("intercepts", [(-1024, -1024, -1024), (0, -5, 7), (40000, 40000, 40000), (-40000, 0, 40000)])
def test_intercepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intercepts: tuple[int, ...]) -> None:
    raw = np.arange(np.prod(GRID.shape), dtype=np.int16).reshape(GRID.shape) - np.int16(100)
    write_dicom_series(tmp_path, Volume(raw, GRID), RescaleIntercept=lambda k: intercepts[k])
    array = both_ways(tmp_path, monkeypatch)
    assert np.array_equal(array, raw.astype(int) + np.array(intercepts)[:, None, None])


@pytest.mark.parametrize(
    "given",
    [{"transfer_syntax": ExplicitVRBigEndian}, {"RescaleSlope": 2}, {"RescaleIntercept": 0.5}],
    ids=["big endian", "slope", "fraction"],
)
def test_everything_else_goes_the_long_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict) -> None:
    found = []
    monkeypatch.setattr(values, "plain_values", lambda *args: found.append(plain.plain_values(*args)))
    write_dicom_series(tmp_path, head(GRID), **given)
    read(tmp_path)
    assert found == [None]


@pytest.mark.parametrize("n_bytes", [12_000, 16_200, 17_000, 200_000])
def test_long_headers(tmp_path: Path, n_bytes: int) -> None:
    """The end of what is read at first may lie in a value, in a sequence, or between elements."""
    item = Dataset()
    item.Manufacturer = "x" * 60
    phantom = head(GRID)
    write_dicom_series(
        tmp_path, phantom, TextString="y" * (n_bytes // 2), SourceImageSequence=Sequence([item] * (n_bytes // 140))
    )
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, phantom.array)


def test_file_cut_after_its_header_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_dicom_series(tmp_path, head(GRID))
    make_volume = values.make_volume

    def cut(*args: object) -> Volume:
        paths[1].write_bytes(paths[1].read_bytes()[:-20])
        return make_volume(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("napari_radcnn.io.dicom.series.make_volume", cut)
    with pytest.raises(ReadError, match=f"{paths[1].name}.*truncated.*198.*178"):
        read(tmp_path)


def test_can_be_stopped(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, head(oblique_geometry((80, 4, 5))))
    cancel = Event()
    messages = []

    def progress(done: int, total: int, message: str) -> None:
        messages.append(message)
        if message.startswith("Reading"):
            cancel.set()

    with pytest.raises(CancelledError):
        read(tmp_path, progress=progress, cancel=cancel)
    assert sum(m.startswith("Reading") for m in messages) == 1
