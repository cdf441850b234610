"""The size of a picture's pixels, typed: in Python and the shell, on its grid, in its warnings, and in a replay."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import napari_radcnn as radcnn
from films import COLUMNS, ROWS, corner_picture, read_film
from napari_radcnn.cli import main
from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.pixel_size import with_pixel_size
from napari_radcnn.phantom import world_field


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "film.png"
    Image.fromarray(corner_picture().astype(np.uint16)).save(path)
    return path


def nrrd(folder):
    path = folder / "film.nrrd"
    sizes = f"{COLUMNS} {ROWS} 1"
    header = f"NRRD0004\ntype: int16\ndimension: 3\nsizes: {sizes}\nendian: little\nencoding: raw\n\n"
    path.write_bytes(header.encode() + corner_picture().astype("<i2").tobytes())
    return path


def mha(folder):
    path = folder / "film.mha"
    sizes = f"{COLUMNS} {ROWS} 1"
    header = f"ObjectType = Image\nNDims = 3\nDimSize = {sizes}\nBinaryDataByteOrderMSB = False\n"
    header += "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    path.write_bytes(header.encode() + corner_picture().astype("<i2").tobytes())
    return path


def dicom(folder):
    read_film(folder / "film", corner_picture(), PixelSpacing=None)
    return folder / "film"


def test_a_typed_size_is_that_of_the_grid_and_moves_no_voxel(picture):
    (unsized,) = radcnn.read(picture)
    (sized,) = radcnn.read(picture, pixel_size=0.143)
    assert unsized.geometry.spacing == (1.0, 1.0, 1.0)
    assert sized.geometry.spacing == pytest.approx((1.0, 0.143, 0.143))
    assert sized.geometry.origin == unsized.geometry.origin
    assert sized.geometry.to_world((0, ROWS - 1, COLUMNS - 1)) == pytest.approx([59 * 0.143, 39 * 0.143, 0])
    assert np.array_equal(sized.array, unsized.array)
    assert sized.metadata.is_calibrated
    assert with_pixel_size(sized, 0.2).geometry.spacing == pytest.approx((1.0, 0.2, 0.2))


@pytest.mark.parametrize("make", [nrrd, mha, dicom])
def test_what_no_longer_holds_is_no_longer_said(make, tmp_path):
    path = make(tmp_path)
    (unsized,) = radcnn.read(path)
    assert not unsized.metadata.is_calibrated
    (sized,) = radcnn.read(path, pixel_size=0.25)
    gone = set(unsized.warnings) - set(sized.warnings)
    assert len(gone) == 1
    assert "spacing" in gone.pop().lower()
    assert sized.warnings[-1] == "Its pixel size of 0.25 mm was typed and is not from its file."
    assert with_pixel_size(sized, 0.5).warnings[-1] == "Its pixel size of 0.5 mm was typed and is not from its file."
    assert len(with_pixel_size(sized, 0.5).warnings) == len(sized.warnings)


@pytest.mark.parametrize("mm", [0.0, -1.0, float("nan"), float("inf"), 1e-5, 143.0])
def test_impossible_sizes_are_refused(mm, picture):
    with pytest.raises(OptionError, match=r"it must be from 0\.001 to 20 mm"):
        radcnn.read(picture, pixel_size=mm)


def test_what_states_its_size_keeps_it(tmp_path):
    read_film(tmp_path / "film", corner_picture())
    with pytest.raises(OptionError, match=r"known from its file: 0.8 x 0.7 mm"):
        radcnn.read(tmp_path / "film", pixel_size=0.2)
    scan = world_field(Geometry.from_parts((3, 4, 5), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25)))
    with pytest.raises(OptionError, match="3 slices"):
        with_pixel_size(scan.with_metadata(is_calibrated=False), 0.2)


def test_the_shell_takes_it_and_a_replay_finds_it(picture, tmp_path, capsys):
    assert main(["info", str(picture), "--json", "--pixel-size", "0.143"]) == 0
    assert json.loads(capsys.readouterr().out)["volumes"][0]["spacing_mm"] == pytest.approx([1.0, 0.143, 0.143])
    out = tmp_path / "out.nii.gz"
    assert main(["convert", str(picture), str(out), "--pixel-size", "0.143"]) == 0
    assert radcnn.read(out)[0].geometry.spacing == pytest.approx((1.0, 0.143, 0.143))
    assert main(["info", str(picture), "--pixel-size", "50"]) == 2
    assert "from 0.001 to 20 mm" in capsys.readouterr().err
    result = radcnn.denoise(radcnn.read(picture, pixel_size=0.143)[0], "nlm-denoise", anyway=True)
    radcnn.write(result, tmp_path / "clean.nii.gz")
    (tmp_path / "m.json").write_text(json.dumps(dict(result.provenance)))
    assert radcnn.replay(tmp_path / "m.json").is_same
