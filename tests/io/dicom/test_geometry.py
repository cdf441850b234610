"""A DICOM series must come back as the field it was written from, however its files are ordered or named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dicom_factory import PATIENT_ID, PATIENT_NAME, write_dicom_series
from napari_radcnn.errors import CancelledError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import list_series, read, read_series
from napari_radcnn.phantom import FIELD_COEFFICIENTS, head, oblique_geometry, rotation, world_field
from napari_radcnn.volume import Volume

SHAPE = (7, 9, 11)
SPACING = (2.5, 0.8, 0.7)


def grid(direction: np.ndarray | None = None, shape: tuple[int, int, int] = SHAPE) -> Geometry:
    return Geometry.from_parts(shape, SPACING, (-31.0, 17.5, 40.25), direction)


def sheared() -> Geometry:
    affine = grid().affine.copy()
    affine[1, 0] = np.tan(np.radians(20)) * 2.5
    return Geometry(SHAPE, affine)


def misplaced_mm(volume: Volume, offset: float = 0.0) -> float:
    """Return the largest distance at which a voxel of a world field may lie from its true place."""
    wanted = world_field(volume.geometry).array + offset
    return float(np.abs(volume.array - wanted).max() / np.linalg.norm(FIELD_COEFFICIENTS))


ORIENTATIONS = {
    "axial": None,
    "descending": np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], float),
    "coronal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float),
    "sagittal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float),
    "prone": np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]], float),
    "oblique": rotation(12, -9, 17) @ np.eye(3)[:, ::-1],
    "left-handed": rotation(12, -9, 17) @ np.eye(3)[:, ::-1] @ np.diag([-1.0, 1, 1]),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_series_comes_back_in_its_place(tmp_path: Path, name: str) -> None:
    write_dicom_series(tmp_path, world_field(grid(ORIENTATIONS[name])))
    (volume,) = read(tmp_path)
    assert sorted(volume.array.shape) == sorted(SHAPE)
    assert misplaced_mm(volume) < 0.01
    assert volume.warnings == ()


def test_a_wrong_geometry_would_be_seen(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, world_field(oblique_geometry()))
    (volume,) = read(tmp_path)
    turned = Volume(volume.array[::-1], volume.geometry)
    assert misplaced_mm(turned) > 5


def test_second_opinion_of_simpleitk(tmp_path: Path) -> None:
    import SimpleITK

    write_dicom_series(tmp_path, head(oblique_geometry()))
    (volume,) = read(tmp_path)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = SimpleITK.ReadImage(names)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), volume.array)
    for index in [(0, 0, 0), (9, 0, 0), (3, 15, 2), (0, 4, 19)]:
        other = image.TransformIndexToPhysicalPoint(index[::-1])
        assert np.allclose(volume.geometry.to_world(index), other, atol=1e-3)


def test_second_opinion_of_highdicom(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    import pydicom

    paths = write_dicom_series(tmp_path, head(oblique_geometry()))
    (volume,) = read(tmp_path)
    other = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in paths])
    corner = np.array(other.affine @ [0, 0, 0, 1])[:3]
    index = np.rint(volume.geometry.to_index(corner)).astype(int)
    assert np.allclose(volume.geometry.to_world(index), corner, atol=1e-3)
    assert volume.array[tuple(index)] == other.array[0, 0, 0]


def test_gantry_tilt_keeps_the_shear_and_says_so(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, world_field(sheared()))
    (volume,) = read(tmp_path)
    assert volume.geometry.is_sheared
    assert misplaced_mm(volume) < 0.01
    assert any("tilt" in line for line in volume.warnings)


def test_tag_alone_makes_no_tilt(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, world_field(grid()), GantryDetectorTilt=20)
    (volume,) = read(tmp_path)
    assert volume.warnings == ()
    assert not volume.geometry.is_sheared


@pytest.mark.parametrize("numbers", [lambda k: 1, lambda k: 100 - k, None], ids=["constant", "reversed", "missing"])
def test_instance_numbers_do_not_matter(tmp_path: Path, numbers: object) -> None:
    write_dicom_series(tmp_path, world_field(grid()), InstanceNumber=numbers, SliceLocation=lambda k: -k)
    (volume,) = read(tmp_path)
    assert misplaced_mm(volume) < 0.01


def test_rounding_of_positions_and_cosines_is_no_gap(tmp_path: Path) -> None:
    geometry = oblique_geometry()
    random = np.random.default_rng(3)

    def position(k: int) -> list[str]:
        return [f"{v:.6f}" for v in geometry.to_world((k, 0, 0)) + random.uniform(-2e-3, 2e-3, 3)]

    def cosines(k: int) -> list[str]:
        values = np.concatenate([geometry.direction[:, 2], geometry.direction[:, 1]])
        return [f"{v:.8f}" for v in values + random.uniform(-1e-5, 1e-5, 6)]

    write_dicom_series(tmp_path, world_field(geometry), ImagePositionPatient=position, ImageOrientationPatient=cosines)
    (volume,) = read(tmp_path)
    assert misplaced_mm(volume) < 0.02


def test_missing_slice_is_refused_between_which_files(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, world_field(grid()))
    paths[3].unlink()
    with pytest.raises(ReadError, match=r"gap between .* is 5\.000 mm, expected 2\.500 mm") as caught:
        read(tmp_path)
    assert paths[2].name in str(caught.value)
    assert paths[4].name in str(caught.value)


def test_uneven_spacing_is_refused(tmp_path: Path) -> None:
    z = [0, 1.25, 2.5, 3.75, 8.75, 13.75, 18.75]
    write_dicom_series(tmp_path, world_field(grid()), ImagePositionPatient=lambda k: [0, 0, z[k]])
    with pytest.raises(ReadError, match="not evenly spaced"):
        read(tmp_path)


def test_slices_beside_the_line_are_refused(tmp_path: Path) -> None:
    def bent(k: int) -> list[float]:
        return [3.0 * (k == 3), 0, 2.5 * k]

    write_dicom_series(tmp_path, world_field(grid()), ImagePositionPatient=bent)
    with pytest.raises(ReadError, match="from the straight line"):
        read(tmp_path)


def test_same_position_twice_is_refused(tmp_path: Path) -> None:
    volume = head(grid())
    extra = Volume(volume.array[2:3] + 1, volume.geometry.cropped([slice(2, 3), slice(None), slice(None)]))
    for prefix, part in (("IM", volume), ("EXTRA", extra)):
        uids = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "frame_of_reference_uid": "1.2.5"}
        write_dicom_series(tmp_path, part, prefix=prefix, modality="MR", **uids)
    with pytest.raises(ReadError, match="same position"):
        read(tmp_path)


def test_copies_of_a_file_are_left_out(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, world_field(grid()))
    shutil.copy(paths[2], tmp_path / "copy.dcm")
    (volume,) = read(tmp_path)
    assert misplaced_mm(volume) < 0.01
    assert any("duplicate" in line for line in volume.warnings)


PHASES = {
    "acquisition": {"AcquisitionNumber": lambda n, k: n + 1},
    "temporal": {"TemporalPositionIdentifier": lambda n, k: n + 1},
    "trigger": {"TriggerTime": lambda n, k: 100 * n},
    "trigger running through the slices": {"TriggerTime": lambda n, k: 100 * n + 7 * k},
    "echo": {"EchoTime": lambda n, k: 10 * n + 5},
    "diffusion": {"DiffusionBValue": lambda n, k: 500.0 * n},
    "directions": {
        "DiffusionBValue": lambda n, k: 1000.0,
        "DiffusionGradientOrientation": lambda n, k: [float(n == m) for m in range(3)],
    },
    "magnitude and phase": {"ImageType": lambda n, k: ["ORIGINAL", "PRIMARY", "MPR"[n]]},
    "time of day": {"AcquisitionTime": lambda n, k: f"1015{10 + n:02d}.{k:02d}"},
}


@pytest.mark.parametrize("name", PHASES)
def test_volumes_at_the_same_place_are_told_apart(tmp_path: Path, name: str) -> None:
    field = world_field(grid())
    uids = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "frame_of_reference_uid": "1.2.5"}
    for n in range(3):
        shifted = field.with_array(field.array + 100 * n)
        # files of the three must not have the same name, and their numbers must not tell them apart
        tags = {key: (lambda k, value=value, n=n: value(n, k)) for key, value in PHASES[name].items()}
        write_dicom_series(tmp_path / str(n), shifted, prefix=f"P{n}", modality="MR", **uids, **tags)
    volumes = read(tmp_path)
    assert len(volumes) == 3
    assert len({volume.name for volume in volumes}) == 3
    # directions have no order of their own; all others do
    order = [2, 1, 0] if name == "directions" else [0, 1, 2]
    for n, volume in zip(order, volumes, strict=True):
        assert misplaced_mm(volume, 100 * n) < 0.02, n


def test_echo_and_time_together(tmp_path: Path) -> None:
    field = world_field(grid())
    uids = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "frame_of_reference_uid": "1.2.5"}
    for n in range(4):
        tags = {"EchoTime": 5 + n % 2, "TemporalPositionIdentifier": 1 + n // 2}
        shifted = field.with_array(field.array + 100 * n)
        write_dicom_series(tmp_path, shifted, prefix=f"P{n}", modality="MR", **uids, **tags)
    offsets = {round(float(v.array[0, 0, 0] - world_field(v.geometry).array[0, 0, 0]) / 100) for v in read(tmp_path)}
    assert offsets == {0, 1, 2, 3}


def test_two_series_and_a_localizer(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, world_field(grid()), prefix="A", series_number=2)
    write_dicom_series(tmp_path, world_field(oblique_geometry()), prefix="B", series_number=3, modality="MR")
    uids = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "frame_of_reference_uid": "1.2.5"}
    write_dicom_series(tmp_path, world_field(grid()), prefix="C", series_number=4, **uids)
    scout = world_field(grid(ORIENTATIONS["sagittal"], (1, 9, 11)))
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_dicom_series(tmp_path, scout, prefix="S", series_number=4, ImageType=kind, **uids)
    volumes = read(tmp_path)
    assert [v.name for v in volumes] == ["CT 2", "MR 3", "CT 4 · 1", "CT 4 · 2"]
    assert all(misplaced_mm(v) < 0.02 for v in volumes)
    assert any("localizer" in line for line in volumes[2].warnings)
    assert volumes[0].warnings == ()


def test_radial_slices_are_no_stack(tmp_path: Path) -> None:
    def turned(k: int) -> list[float]:
        angle = np.radians(15 * k)
        return [round(v, 8) for v in (np.cos(angle), np.sin(angle), 0, 0, 0, -1)]

    write_dicom_series(tmp_path, head(grid()), ImageOrientationPatient=turned, ImagePositionPatient=[0, 0, 0])
    volumes = read(tmp_path)
    assert [v.array.shape[0] for v in volumes] == [1] * 7
    assert all(any("parallel" in line for line in v.warnings) for v in volumes)


def test_pixel_spacing_that_changes_makes_two_volumes(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, head(grid()), PixelSpacing=lambda k: [0.8, 0.7] if k < 4 else [0.4, 0.35])
    volumes = read(tmp_path)
    assert [v.geometry.spacing for v in volumes] == [(2.5, 0.8, 0.7), (2.5, 0.4, 0.35)]
    assert all(any("spacing" in line for line in v.warnings) for v in volumes)


def test_frame_of_reference_for_every_slice_is_told(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, world_field(grid()), FrameOfReferenceUID=lambda k: f"1.2.{k}")
    (volume,) = read(tmp_path)
    assert misplaced_mm(volume) < 0.01
    assert any("frames of reference" in line for line in volume.warnings)


def test_no_geometry_is_told(tmp_path: Path) -> None:
    field = head(grid())
    write_dicom_series(
        tmp_path, field, InstanceNumber=lambda k: k + 1, ImagePositionPatient=None, ImageOrientationPatient=None
    )
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, field.array)
    assert any("geometry is unknown" in line for line in volume.warnings)


def test_pictures_without_position_are_not_stacked(tmp_path: Path) -> None:
    nothing = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    write_dicom_series(tmp_path, head(grid(shape=(2, 9, 11))), modality="DX", ImagerPixelSpacing=[0.2, 0.1], **nothing)
    volumes = read(tmp_path)
    assert [v.geometry.shape for v in volumes] == [(1, 9, 11), (1, 9, 11)]
    assert volumes[0].geometry.spacing[1:] == (0.2, 0.1)
    assert any("detector" in line for line in volumes[0].warnings)


@pytest.mark.parametrize("value", [None, [0, 0]], ids=["missing", "zero"])
def test_uncalibrated_pixels_are_told(tmp_path: Path, value: object) -> None:
    write_dicom_series(tmp_path, head(grid()), PixelSpacing=value)
    (volume,) = read(tmp_path)
    assert not volume.metadata.is_calibrated
    assert any("uncalibrated" in line for line in volume.warnings)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImagePositionPatient", ["nan", "0", "0"]),
        ("ImagePositionPatient", ["1", "2"]),
        ("ImageOrientationPatient", ["1", "0", "0", "0.05", "1", "0"]),
        ("ImageOrientationPatient", ["2", "0", "0", "0", "1", "0"]),
        ("ImageOrientationPatient", ["0"] * 6),
        ("PixelSpacing", ["-1", "1"]),
        ("PixelSpacing", ["1"]),
    ],
)
def test_impossible_geometry_names_file_and_tag(tmp_path: Path, keyword: str, value: list[str]) -> None:
    paths = write_dicom_series(tmp_path, head(grid()), **{keyword: lambda k: value if k == 3 else _keep(keyword, k)})
    with pytest.raises(ReadError, match=keyword) as caught:
        read(tmp_path)
    assert paths[3].name in str(caught.value)


def _keep(keyword: str, k: int) -> list[str]:
    position = [str(v) for v in grid().to_world((k, 0, 0))]
    return {
        "ImagePositionPatient": position,
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PixelSpacing": ["0.8", "0.7"],
    }[keyword]


def test_a_slice_without_position_among_others_is_refused(tmp_path: Path) -> None:
    paths = write_dicom_series(
        tmp_path, head(grid()), ImagePositionPatient=lambda k: None if k == 3 else _keep("ImagePositionPatient", k)
    )
    with pytest.raises(ReadError, match="ImagePositionPatient") as caught:
        read(tmp_path)
    assert paths[3].name in str(caught.value)


def test_series_are_listed_from_headers(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "b", head(oblique_geometry()), series_number=7, SeriesDescription="T1 oblique")
    broken = write_dicom_series(tmp_path / "a", head(grid()), series_number=2)
    broken[2].unlink()
    steps: list[tuple[int, int, str]] = []
    first, second = list_series(tmp_path, lambda *step: steps.append(step))
    numbers = {info.number: info for info in (first, second)}
    assert numbers[7].shape == (10, 16, 20)
    assert numbers[7].spacing == pytest.approx((2.5, 0.8, 0.7))
    assert numbers[7].description == "T1 oblique"
    assert numbers[7].problem is None
    assert numbers[7].n_files == len(numbers[7].files) == 10
    assert numbers[2].problem is not None
    assert "gap" in numbers[2].problem
    (volume,) = read_series(numbers[7])
    assert volume.geometry.is_close(oblique_geometry())
    with pytest.raises(ReadError, match="gap"):
        read_series(numbers[2])
    assert steps


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    from threading import Event

    write_dicom_series(tmp_path, head(grid()))
    cancel = Event()
    cancel.set()
    with pytest.raises(CancelledError):
        read(tmp_path, cancel=cancel)


def test_no_patient_in_what_is_shown(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, head(grid()), Modality=PATIENT_NAME)
    (volume,) = read(tmp_path)
    assert PATIENT_NAME not in volume.name
    shown = " ".join([volume.name, *volume.warnings, str(list_series(tmp_path)).replace(PATIENT_NAME, "", 1)])
    assert PATIENT_ID not in shown
