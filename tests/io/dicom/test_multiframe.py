"""Files of many frames with one position: every frame in its place, whatever the sign of the spacing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dcm2niix_oracle import converted, same_voxels
from dicom_factory import write_dicom_series, write_enhanced
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.phantom import oblique_geometry, rotation, world_field
from napari_radcnn.volume import Volume

SHAPE = (5, 6, 8)
SAGITTAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
GRIDS = {
    "axial": Geometry.from_parts(SHAPE, (4.8, 3.9, 3.1), (-40.0, -30.0, 100.0)),
    "oblique": oblique_geometry(SHAPE),
    "sagittal": Geometry.from_parts(SHAPE, (4.8, 3.9, 3.1), (12.0, -80.0, 33.5), rotation(3, -5, 8) @ SAGITTAL),
}
NUCLEAR, DOSE = "1.2.840.10008.5.1.4.1.1.20", "1.2.840.10008.5.1.4.1.1.481.2"
CT, OPHTHALMIC = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.77.1.5.4"
CRANIOFACIAL, ULTRASOUND = "1.2.840.10008.5.1.4.1.1.13.1.2", "1.2.840.10008.5.1.4.1.1.6.2"


def turned(geometry: Geometry) -> Geometry:
    """Return the same places, counted from the other end."""
    affine = geometry.affine.copy()
    affine[:3, 3] += (geometry.shape[0] - 1) * affine[:3, 0]
    affine[:3, 0] *= -1
    return Geometry(geometry.shape, affine)


def values_of(geometry: Geometry) -> np.ndarray:
    return np.rint(10 * world_field(geometry).array).astype(np.int16)


def write_frames(
    folder: Path, geometry: Geometry, frames: np.ndarray, sop_class: str, modality: str, **tags: Any
) -> Path:
    """Write frames as one file that has the position of the first voxel of a grid."""
    one = Volume(frames[:1], Geometry((1, *geometry.shape[1:]), geometry.affine))
    given = {"SOPClassUID": sop_class, "NumberOfFrames": len(frames), "PixelData": frames.tobytes(), **tags}
    (path,) = write_dicom_series(folder, one, modality=modality, **given)
    return path


def signed_spacing(geometry: Geometry) -> float:
    """Return the spacing, negative where the slices go against the cross product of row and column directions."""
    across = np.cross(geometry.affine[:3, 2], geometry.affine[:3, 1])
    return float(np.sign(across @ geometry.affine[:3, 0]) * geometry.spacing[0])


def write_nuclear(folder: Path, geometry: Geometry, frames: np.ndarray, **tags: Any) -> Path:
    """Write a reconstruction whose position stands in its detector."""
    given = {
        "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        "SpacingBetweenSlices": f"{signed_spacing(geometry):.6f}",
        "SliceVector": [*range(1, len(frames) + 1)],
        **tags,
    }
    path = write_frames(folder, geometry, frames, NUCLEAR, "NM", **given)
    dataset, detector = dcmread(path), Dataset()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
        setattr(detector, keyword, dataset[keyword].value)
        delattr(dataset, keyword)
    dataset.DetectorInformationSequence = [detector]
    dataset.save_as(path)
    return path


def is_in_place(volume: Volume) -> bool:
    """Whether every voxel holds ten times the world field, rounded."""
    return float(np.abs(volume.array - 10 * world_field(volume.geometry).array).max()) <= 0.51


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_nuclear_slices_follow_the_signed_spacing(tmp_path: Path, grid: str, is_turned: bool) -> None:
    geometry = turned(GRIDS[grid]) if is_turned else GRIDS[grid]
    (volume,) = read(write_nuclear(tmp_path, geometry, values_of(geometry)))
    assert is_in_place(volume)
    assert volume.warnings == ()
    wrong = volume.with_array(volume.array[::-1])
    assert not is_in_place(wrong)


def test_nuclear_slices_in_any_order_and_gated(tmp_path: Path) -> None:
    geometry = GRIDS["oblique"]
    order = [(slot, k) for k in (3, 0, 4, 1, 2) for slot in (1, 0, 2)]
    truth = values_of(geometry)
    frames = np.stack([truth[k] + np.int16(3000 * slot) for slot, k in order])
    path = write_nuclear(
        tmp_path,
        geometry,
        frames,
        ImageType=["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"],
        SliceVector=[k + 1 for _, k in order],
        TimeSlotVector=[slot + 1 for slot, _ in order],
    )
    volumes = read(path)
    assert [volume.name for volume in volumes] == ["NM 1 · 1", "NM 1 · 2", "NM 1 · 3"]
    for slot, volume in enumerate(volumes):
        assert is_in_place(volume.with_array(volume.array - 3000 * slot))


def test_nuclear_without_spacing_takes_the_thickness_and_says_so(tmp_path: Path) -> None:
    geometry = GRIDS["axial"]
    path = write_nuclear(
        tmp_path, geometry, values_of(geometry), SpacingBetweenSlices=None, SliceThickness=geometry.spacing[0]
    )
    (volume,) = read(path)
    assert is_in_place(volume)
    assert any("SliceThickness was used" in line for line in volume.warnings)


@pytest.mark.parametrize("kind", ["TOMO", "STATIC", "WHOLE BODY"])
def test_projections_are_no_slices(tmp_path: Path, kind: str) -> None:
    geometry = GRIDS["axial"]
    path = write_nuclear(tmp_path, geometry, values_of(geometry), ImageType=["ORIGINAL", "PRIMARY", kind, "EMISSION"])
    (volume,) = read(path)
    assert not volume.metadata.is_placed
    assert any("geometry is unknown" in line for line in volume.warnings)


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_cone_beam_slices_follow_the_first(tmp_path: Path, grid: str, is_turned: bool) -> None:
    geometry = turned(GRIDS[grid]) if is_turned else GRIDS[grid]
    spacing = f"{signed_spacing(geometry):.6f}"
    sop_class = "1.2.840.10008.5.1.4.1.1.2"
    path = write_frames(tmp_path, geometry, values_of(geometry), sop_class, "CT", SpacingBetweenSlices=spacing)
    (volume,) = read(path)
    assert is_in_place(volume)
    assert any("assumed to follow along the normal" in line for line in volume.warnings)


@pytest.mark.parametrize("grid", GRIDS)
def test_cone_beam_with_functional_groups_in_any_order(tmp_path: Path, grid: str) -> None:
    geometry = GRIDS[grid]
    scan = Volume(values_of(geometry), geometry)
    order = np.random.default_rng(2).permutation(SHAPE[0])
    path = write_enhanced(tmp_path / "cb.dcm", [scan], order, SOPClassUID=CRANIOFACIAL, Modality="CT")
    (volume,) = read(path)
    assert is_in_place(volume)


def test_frames_in_time_are_no_stack(tmp_path: Path) -> None:
    geometry = GRIDS["axial"]
    sop_class = "1.2.840.10008.5.1.4.1.1.2"
    path = write_frames(
        tmp_path, geometry, values_of(geometry), sop_class, "CT", FrameIncrementPointer=0x00181063, FrameTime="50"
    )
    (volume,) = read(path)
    assert not volume.metadata.is_placed


@pytest.mark.parametrize("z", [[100.0, 104.8, 109.6, 114.4, 119.2], [100.0, 95.2, 90.4, 85.6, 80.8]])
@pytest.mark.parametrize("is_prone", [False, True])
def test_absolute_dose_offsets_are_z(tmp_path: Path, z: list[float], is_prone: bool) -> None:
    step = z[1] - z[0]
    columns = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]] if is_prone else [[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)
    affine = np.eye(4)
    affine[:3, :3] = columns * np.array([4.8, 3.9, 3.1])
    affine[:3, 0] = [0, 0, step]
    affine[:3, 3] = [-40, -30, z[0]]
    geometry = Geometry(SHAPE, affine)
    stored = np.rint(10 * (world_field(geometry).array + 2000)).astype(np.uint16)
    path = write_frames(
        tmp_path, geometry, stored, DOSE, "RTDOSE", GridFrameOffsetVector=z, DoseGridScaling="0.1", DoseUnits="GY",
        RescaleSlope=None, RescaleIntercept=None,
    )  # fmt: skip
    (volume,) = read(path)
    assert np.abs(volume.array - 2000 - world_field(volume.geometry).array).max() < 0.06


@pytest.mark.parametrize(
    ("grid", "offsets", "word"),
    [
        ("axial", [90.0, 94.8, 99.6, 104.4, 109.2], "the first lies at z 100"),
        ("oblique", [40.25, 42.75, 45.25, 47.75, 50.25], "do not lie across the body"),
        ("axial", [0.0, 4.8, 9.6], "has 3 values for 5 frames"),
    ],
)
def test_dose_offsets_that_cannot_be_are_refused(tmp_path: Path, grid: str, offsets: list[float], word: str) -> None:
    stored = values_of(GRIDS[grid]).view(np.uint16)
    path = write_frames(tmp_path, GRIDS[grid], stored, DOSE, "RTDOSE", GridFrameOffsetVector=offsets, DoseGridScaling=1)
    with pytest.raises(ReadError, match=word) as caught:
        read(path)
    assert path.name in str(caught.value)


def write_ultrasound(path: Path, volumes: list[Volume], order: np.ndarray) -> Path:
    """Write an enhanced ultrasound volume: positions in a frame of reference of its own."""
    write_enhanced(path, volumes, order, SOPClassUID=ULTRASOUND, Modality="US")
    dataset = dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    orientation = Dataset()
    orientation.ImageOrientationVolume = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    shared.PlaneOrientationVolumeSequence = [orientation]
    del shared.PlaneOrientationSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        position = Dataset()
        position.ImagePositionVolume = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionVolumeSequence = [position]
        del group.PlanePositionSequence
    dataset.save_as(path)
    return path


@dataclass(frozen=True)
class Kind:
    """How a file of many frames is written.

    Attributes
    ----------
    name, places, volumes : str
        For the table of the documentation: what it is, the tags that place its frames and that tell volumes apart.
    write : callable
        Writes it, given a folder and the grid of its voxels.
    is_compared : bool
        Whether dcm2niix reads its places; otherwise every voxel says where it lies.
    """

    name: str
    places: str
    volumes: str
    write: Callable[[Path, Geometry], Path]
    is_compared: bool = True

    def __str__(self) -> str:
        return self.name


def _gated(folder: Path, geometry: Geometry) -> Path:
    frames = np.concatenate([values_of(geometry) + np.int16(2000 * slot) for slot in range(3)])
    kind = ["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"]
    slices, slots = [*range(1, SHAPE[0] + 1)] * 3, [slot for slot in (1, 2, 3) for _ in range(SHAPE[0])]
    return write_nuclear(folder, geometry, frames, ImageType=kind, SliceVector=slices, TimeSlotVector=slots)


def _one_enhanced(sop_class: str, modality: str) -> Callable[[Path, Geometry], Path]:
    def write(folder: Path, geometry: Geometry) -> Path:
        folder.mkdir()
        scan = Volume(values_of(geometry), geometry)
        order = np.arange(SHAPE[0])
        return write_enhanced(folder / "one.dcm", [scan], order, SOPClassUID=sop_class, Modality=modality)

    return write


def _cone_beam(folder: Path, geometry: Geometry) -> Path:
    spacing = f"{signed_spacing(geometry):.6f}"
    return write_frames(folder, geometry, values_of(geometry), CT, "CT", SpacingBetweenSlices=spacing)


def _ultrasound(folder: Path, geometry: Geometry) -> Path:
    folder.mkdir()
    scans = [Volume(values_of(geometry) + np.int16(2000 * n), geometry) for n in range(3)]
    return write_ultrasound(folder / "us.dcm", scans, np.random.default_rng(4).permutation(3 * SHAPE[0]))


KINDS = (
    Kind(
        "SPECT, reconstructed (NM)",
        "DetectorInformationSequence, SpacingBetweenSlices with its sign, SliceVector",
        "one",
        lambda folder, geometry: write_nuclear(folder, geometry, values_of(geometry)),
    ),
    Kind("SPECT, gated (NM)", "as above", "TimeSlotVector", _gated, is_compared=False),
    Kind("CBCT, CT with many frames", "ImagePositionPatient of the first, SpacingBetweenSlices", "one", _cone_beam),
    Kind("CBCT, craniofacial", "PlanePositionSequence", "one", _one_enhanced(CRANIOFACIAL, "CT")),
    Kind("OCT, ophthalmic", "PlanePositionSequence", "one", _one_enhanced(OPHTHALMIC, "OPT")),
    Kind(
        "ultrasound volume, enhanced",
        "PlanePositionVolumeSequence, in a frame of reference of its own",
        "DimensionIndexValues",
        _ultrasound,
        is_compared=False,
    ),
)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_file_lies_where_dcm2niix_and_its_values_say(tmp_path: Path, kind: Kind, grid: str) -> None:
    kind.write(tmp_path / "in", GRIDS[grid])
    volumes = read(tmp_path / "in")
    assert len(volumes) == (1 if kind.volumes == "one" else 3)
    for n, volume in enumerate(volumes):
        assert is_in_place(volume.with_array(volume.array - 2000 * n))
    if kind.is_compared:
        (other,) = converted(tmp_path / "in", tmp_path / "out")
        assert same_voxels(volumes[0], other)


def test_the_documented_kinds_are_those_that_are_tested() -> None:
    lines = (Path(__file__).parents[3] / "docs" / "dicom-series.md").read_text().splitlines()
    start = lines.index("|---|---|---|---|", lines.index("## Files of many frames"))
    compared = {True: "dcm2niix", False: "a field of values"}
    rows = [f"| {one.name} | {one.places} | {one.volumes} | {compared[one.is_compared]} |" for one in KINDS]
    assert lines[start + 1 : start + 1 + len(rows)] == rows
    assert not any(line.startswith("|") for line in lines[start + 1 + len(rows) :])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("grid", GRIDS)
def test_ultrasound_volumes_have_their_own_places(tmp_path: Path, grid: str, count: int) -> None:
    geometry = GRIDS[grid]
    scans = [Volume(values_of(geometry) + np.int16(2000 * n), geometry) for n in range(count)]
    order = np.random.default_rng(4).permutation(count * SHAPE[0])
    volumes = read(write_ultrasound(tmp_path / "us.dcm", scans, order))
    assert len(volumes) == count
    for n, volume in enumerate(volumes):
        assert is_in_place(volume.with_array(volume.array - 2000 * n))
        assert not volume.metadata.is_placed
        assert any("not in the patient" in line for line in volume.warnings)
