"""SUV of a dynamic PET scan: all its volumes are corrected to one time, also where it was reconstructed again later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dicom_factory import write_dicom_series
from napari_radcnn.io import read
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume

GRID = oblique_geometry((3, 7, 9))
DOSE, HALF_LIFE, WEIGHT = 370e6, 6588.0, 70.0
#: Minutes between the starts of the frames, which last as long as that.
FRAME_MINUTES = 20


def factor(minutes: float) -> float:
    """Return kg * 1000 / decayed dose for a scan that began so long after the injection."""
    return WEIGHT * 1000 / (DOSE * 2 ** (-minutes * 60 / HALF_LIFE))


def drug(**changes: Any) -> list[Dataset]:
    item = Dataset()
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = DOSE, HALF_LIFE
    item.RadiopharmaceuticalStartTime = "090000"
    for keyword, value in changes.items():
        delattr(item, keyword) if value is None else setattr(item, keyword, value)
    return [item]


def write_frames(
    folder: Path,
    start: datetime,
    series: datetime,
    change: Callable[[int], dict[str, Any]] = lambda n: {},
    injected: str = "090000",
    count: int = 3,
) -> list[list[Path]]:
    """Write a dynamic scan that began at `start` and was reconstructed at `series`; return the files of every frame."""
    series_uid, study_uid, frame_uid = generate_uid(), generate_uid(), generate_uid()
    files = []
    for n in range(count):
        moment = start + timedelta(minutes=n * FRAME_MINUTES)
        tags: dict[str, Any] = {
            "Units": "BQML",
            "DecayCorrection": "START",
            "CorrectedImage": ["DECY", "ATTN"],
            "PatientWeight": WEIGHT,
            "SeriesDate": series.strftime("%Y%m%d"),
            "SeriesTime": series.strftime("%H%M%S"),
            "AcquisitionDate": moment.strftime("%Y%m%d"),
            "AcquisitionTime": moment.strftime("%H%M%S"),
            "FrameReferenceTime": (n + 0.5) * FRAME_MINUTES * 60_000,
            "ActualFrameDuration": FRAME_MINUTES * 60_000,
            "RadiopharmaceuticalInformationSequence": drug(RadiopharmaceuticalStartTime=injected),
        }
        scan = Volume(np.full(GRID.shape, 1000 * (n + 1), np.int16), GRID)
        uids = {"study_uid": study_uid, "series_uid": series_uid, "frame_of_reference_uid": frame_uid}
        files.append(write_dicom_series(folder, scan, modality="PT", prefix=f"t{n}_", **uids, **(tags | change(n))))
    return files


def said(volume: Volume, *words: str) -> bool:
    return any(all(word in line for word in ("SUV", *words)) for line in volume.warnings)


TEN = datetime(2024, 1, 2, 10, 0)


@pytest.mark.parametrize(
    ("start", "series", "injected", "minutes"),
    [
        (TEN, datetime(2024, 1, 2, 12, 0), "090000", 60),
        (TEN, datetime(2024, 1, 2, 10, 30), "090000", 60),
        (TEN, datetime(2024, 1, 9, 8, 30), "094500", 15),
        (datetime(2024, 1, 2, 23, 50), datetime(2024, 1, 3, 9, 0), "233000", 20),
        (datetime(2024, 1, 3, 0, 10), datetime(2024, 1, 3, 9, 0), "233000", 40),
        (TEN, TEN, "090000", 60),
        (TEN, datetime(2024, 1, 2, 9, 59), "090000", 59),
    ],
    ids=["later", "between frames", "a week later", "over midnight", "evening before", "at once", "before"],
)
def test_all_frames_have_one_factor(
    tmp_path: Path, start: datetime, series: datetime, injected: str, minutes: float
) -> None:
    write_frames(tmp_path, start, series, injected=injected)
    volumes = read(tmp_path)
    assert [int(volume.array[0, 0, 0]) for volume in volumes] == [1000, 2000, 3000]
    assert [volume.suvbw_factor for volume in volumes] == pytest.approx([factor(minutes)] * 3, rel=1e-6)
    assert all(said(volume, "midnight") == (start.hour == 0) for volume in volumes)
    assert all(said(volume, "made after the scan") == (series > start) for volume in volumes)


def test_date_and_time_in_one_attribute(tmp_path: Path) -> None:
    def change(n: int) -> dict[str, Any]:
        moment = TEN + timedelta(minutes=n * FRAME_MINUTES)
        stated = moment.strftime("%Y%m%d%H%M%S.25")
        return {"AcquisitionDate": None, "AcquisitionTime": None, "AcquisitionDateTime": stated}

    write_frames(tmp_path, TEN, TEN + timedelta(hours=3), change)
    assert [v.suvbw_factor for v in read(tmp_path)] == pytest.approx([factor(60 + 0.25 / 60)] * 3, rel=1e-6)


def test_time_of_the_scan_in_a_private_element(tmp_path: Path) -> None:
    def with_private(item: Dataset) -> Dataset:
        item.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240102095500.00")
        return item

    from pydicom import dcmread

    for files in write_frames(tmp_path, TEN, TEN + timedelta(hours=3)):
        for path in files:
            with_private(dataset := dcmread(path))
            dataset.save_as(path)
    assert [v.suvbw_factor for v in read(tmp_path)] == pytest.approx([factor(55)] * 3, rel=1e-6)


def test_later_frames_alone_give_no_factor(tmp_path: Path) -> None:
    files = write_frames(tmp_path, TEN, TEN + timedelta(hours=3))
    for path in files[0]:
        path.unlink()
    for volume in read(tmp_path):
        assert volume.suvbw_factor is None
        assert said(volume, "first frames of the scan are missing", "30 minutes")


def test_the_first_frame_alone_gives_one(tmp_path: Path) -> None:
    files = write_frames(tmp_path, TEN, TEN + timedelta(hours=3))
    (volume,) = read(files[0][1])
    assert volume.suvbw_factor == pytest.approx(factor(60), rel=1e-6)


def test_without_any_acquisition_time_the_series_counts_and_that_is_said(tmp_path: Path) -> None:
    write_frames(tmp_path, TEN, TEN, lambda n: {"AcquisitionTime": None, "TemporalPositionIdentifier": n})
    for volume in read(tmp_path):
        assert volume.suvbw_factor == pytest.approx(factor(60), rel=1e-6)
        assert said(volume, "SeriesTime", "AcquisitionTime is missing")


def test_unknown_time_of_one_slice_gives_no_factor(tmp_path: Path) -> None:
    def change(n: int) -> dict[str, Any]:
        moment = (TEN + timedelta(minutes=n * FRAME_MINUTES)).strftime("%H%M%S")
        return {"AcquisitionTime": lambda k: None if (n, k) == (0, 1) else moment, "TemporalPositionIdentifier": n}

    write_frames(tmp_path, TEN, TEN + timedelta(hours=3), change)
    for volume in read(tmp_path):
        assert volume.suvbw_factor is None
        assert said(volume, "has no AcquisitionTime")


@pytest.mark.parametrize(
    ("keyword", "of_slice"),
    [
        ("PatientWeight", lambda k: 75 if k == 1 else WEIGHT),
        ("DecayCorrection", lambda k: "ADMIN" if k == 2 else "START"),
        ("CorrectedImage", lambda k: ["DECY", "ATTN"] if k else ["DECY"]),
        (
            "RadiopharmaceuticalInformationSequence",
            lambda k: drug(RadionuclideTotalDose=DOSE / 2) if k == 1 else drug(),
        ),
        ("RadiopharmaceuticalInformationSequence", lambda k: None if k == 2 else drug()),
    ],
)
def test_slices_that_differ_in_what_suv_needs(tmp_path: Path, keyword: str, of_slice: Callable[[int], Any]) -> None:
    write_frames(tmp_path, TEN, TEN, lambda n: {keyword: of_slice}, count=1)
    (volume,) = read(tmp_path)
    assert volume.suvbw_factor is None
    assert said(volume, "differ in", keyword)


def test_numbers_written_in_two_ways_do_not_differ(tmp_path: Path) -> None:
    weights = {"PatientWeight": lambda k: "70" if k else "70.00"}
    drugs = {"RadiopharmaceuticalInformationSequence": lambda k: drug(RadionuclideTotalDose="370000000" if k else DOSE)}
    write_frames(tmp_path, TEN, TEN, lambda n: weights | drugs, count=1)
    (volume,) = read(tmp_path)
    assert volume.suvbw_factor == pytest.approx(factor(60), rel=1e-6)
