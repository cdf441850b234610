"""UIH grids: every tile a slice in its place, whatever the number of rows, or a picture that says what is missing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from dcm2niix_oracle import converted, same_voxels
from dicom_factory import write_dicom_series
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.phantom import oblique_geometry, rotation, world_field
from napari_radcnn.volume import Volume

AXIAL = Geometry.from_parts((4, 6, 8), (4.2, 3.5, 3.1), (-40.0, -30.0, 100.0))
CORONAL = Geometry.from_parts(
    (7, 6, 8), (4.2, 3.5, 3.1), (12.0, -80.0, 33.5), rotation(3, -5, 8) @ [[0, 0, 1], [1, 0, 0], [0, -1, 0]]
)
#: Slices in a square of tiles, in rows that are not full, and with a whole row less than columns.
GRIDS = {"4": AXIAL, "5": oblique_geometry((5, 6, 8)), "7": CORONAL, "12": oblique_geometry((12, 6, 8))}


def tiles(array: np.ndarray) -> np.ndarray:
    """Return slices as UIH lays them out."""
    count, rows, columns = array.shape
    across = math.ceil(math.sqrt(count))
    picture = np.zeros((math.ceil(count / across) * rows, across * columns), np.int16)
    for k, tile in enumerate(array):
        row, column = k // across * rows, k % across * columns
        picture[row : row + rows, column : column + columns] = tile
    return picture


def write_grid(
    folder: Path, volume: Volume, *, syntax: str = ExplicitVRLittleEndian, count: int | None = None, **tags: Any
) -> Path:
    """Write a volume as one file; `tags` may hold ``positions``, what every item has instead of the true ones."""
    geometry = volume.geometry
    positions = tags.pop("positions", [geometry.to_world((k, 0, 0)) for k in range(geometry.shape[0])])
    picture = tiles(np.asarray(volume.array))[None]
    whole = Volume(picture, Geometry(picture.shape, geometry.affine))
    given = {"Manufacturer": "UIH", "ImageType": ["ORIGINAL", "PRIMARY", "M", "VFRAME"], "ImagePositionPatient": None}
    (path,) = write_dicom_series(folder, whole, modality="MR", **(given | tags))
    dataset = dcmread(path)
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(geometry.shape[0] if count is None else count))
    if positions is not None:
        items = []
        for n, position in enumerate(positions):
            item = Dataset()
            item.AcquisitionTime = f"1337{n:02d}"
            item.ImagePositionPatient = [f"{v:.8f}" for v in position]
            items.append(item)
        block.add_new(0x51, "SQ", Sequence(items))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return path


def scan(geometry: Geometry, n: int = 0) -> Volume:
    return Volume((np.rint(10 * world_field(geometry).array) + 3000 * n).astype(np.int16), geometry)


def misplaced(volume: Volume, n: int = 0) -> float:
    return float(np.abs(volume.array - 3000 * n - 10 * world_field(volume.geometry).array).max())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("grid", GRIDS)
def test_tiles_are_slices(tmp_path: Path, grid: str, syntax: str) -> None:
    (volume,) = read(write_grid(tmp_path / "in", scan(GRIDS[grid]), syntax=syntax))
    assert volume.array.shape == GRIDS[grid].shape
    assert misplaced(volume) <= 0.51
    assert volume.warnings == ()
    (other,) = converted(tmp_path / "in", tmp_path / "out")
    assert syntax == ImplicitVRLittleEndian or same_voxels(volume, other)


def test_every_file_of_a_series_is_a_volume(tmp_path: Path) -> None:
    uids = {"study_uid": generate_uid(), "series_uid": generate_uid(), "frame_of_reference_uid": generate_uid()}
    for n in (2, 0, 1):
        write_grid(tmp_path, scan(GRIDS["5"], n), prefix=f"f{7 - n}", InstanceNumber=n + 1, **uids)
    volumes = read(tmp_path)
    assert [volume.name for volume in volumes] == ["MR 1 · 1", "MR 1 · 2", "MR 1 · 3"]
    assert all(misplaced(volume, n) <= 0.51 for n, volume in enumerate(volumes))


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"count": 6}, "states 6 slices, but positions of 5"),
        ({"count": 0}, "states no slices"),
        ({"positions": None}, "missing or damaged"),
        ({"positions": [[1.0, 2.0]] * 5}, "not three numbers"),
        ({"positions": [[1.0, 2.0, float("nan")]] * 5}, "not three numbers"),
        ({"Rows": 11}, "do not fill 11 x 24 pixels"),
        ({"ImageOrientationPatient": None}, "ImageOrientationPatient is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, tags: dict[str, Any], word: str) -> None:
    if "Rows" in tags:
        tags["PixelData"] = tiles(np.asarray(scan(GRIDS["5"]).array))[:11].tobytes()
    (volume,) = read(write_grid(tmp_path, scan(GRIDS["5"]), **tags))
    assert volume.array.shape[0] == 1
    assert any("UIH grid" in line and word in line for line in volume.warnings)
