"""PNG, JPEG and TIFF as radiographs: one picture, no place, pixels of unknown size."""

import io as streams

import numpy as np
import pytest
from PIL import Image

from dicom_factory import write_dicom_series
from films import corner_picture
from napari_radcnn.errors import ReadError
from napari_radcnn.io import find_scans, read, sniff
from napari_radcnn.phantom import oblique_geometry, world_field

PICTURE = corner_picture()  # (40, 60), bright in the upper right corner


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.tiff"])
def test_sixteen_bits_come_back_as_they_were(tmp_path, name):
    Image.fromarray(PICTURE.astype(np.uint16)).save(tmp_path / name)
    assert sniff(tmp_path / name).name == "picture"
    (film,) = read(tmp_path / name)
    assert film.array.dtype in (np.uint16, np.int32)
    assert np.array_equal(film.array, PICTURE[None])
    assert (film.name, film.modality) == ("a", "")
    assert not film.metadata.is_placed
    assert not film.metadata.is_calibrated
    assert film.metadata.sides is None
    assert film.warnings == ("The size of its pixels is not known: lengths are in pixels, not mm.",)


def test_resolutions_of_printers_are_no_spacing(tmp_path):
    Image.fromarray(PICTURE.astype(np.uint8)).save(tmp_path / "a.png", dpi=(300, 300))
    (film,) = read(tmp_path / "a.png")
    assert film.geometry.spacing == (1.0, 1.0, 1.0)
    assert not film.metadata.is_calibrated


def test_gray_in_three_channels_is_gray_and_colors_stay(tmp_path):
    gray = (PICTURE // 4).astype(np.uint8)
    Image.fromarray(np.stack([gray] * 3, axis=-1)).save(tmp_path / "gray.png")
    (film,) = read(tmp_path / "gray.png")
    assert np.array_equal(film.array, gray[None])
    Image.fromarray(np.stack([gray, gray, gray + 5], axis=-1)).save(tmp_path / "color.png")
    (photo,) = read(tmp_path / "color.png")
    assert photo.is_color
    assert photo.shape == (1, 40, 60, 3)


def test_other_ways_to_hold_gray(tmp_path):
    gray = (PICTURE // 4).astype(np.uint8)
    Image.fromarray(gray).convert("LA").save(tmp_path / "alpha.png")
    Image.fromarray(gray).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(gray).save(tmp_path / "lossy.jpg", quality=95)
    Image.fromarray(gray > 100).save(tmp_path / "bits.png")
    for name in ("alpha.png", "palette.png"):
        assert np.array_equal(read(tmp_path / name)[0].array, gray[None]), name
    assert np.abs(read(tmp_path / "lossy.jpg")[0].array.astype(int) - gray[None]).max() < 40
    assert np.array_equal(read(tmp_path / "bits.png")[0].array, 255 * (gray > 100)[None].astype(np.uint8))


def test_a_photograph_of_a_film_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: stored columns are rows
    Image.fromarray((PICTURE // 4).astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    (film,) = read(tmp_path / "a.jpg")
    assert film.shape == (1, 60, 40)
    assert film.array[0, 45:55, 30:35].mean() > film.array[0, :30, :20].mean() + 100


def test_several_pictures_are_no_radiograph(tmp_path):
    pages = [Image.fromarray(PICTURE.astype(np.uint8)) for _ in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ReadError, match=r"a\.tif: contains 3 pictures"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
@pytest.mark.parametrize("part", [0.1, 0.5])
def test_a_damaged_picture_is_refused_by_name(tmp_path, kind, part):
    stream = streams.BytesIO()
    noise = np.random.default_rng(3).integers(0, 255, (200, 300), dtype=np.uint8)
    Image.fromarray(noise).save(stream, kind)
    whole = stream.getvalue()
    path = tmp_path / f"a.{kind}"
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ReadError, match=rf"a\.{kind}"):
        read(path)


def test_a_picture_of_impossible_size_is_refused(tmp_path, monkeypatch):
    Image.fromarray(PICTURE.astype(np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ReadError, match=r"a\.png: cannot be read as a picture"):
        read(tmp_path / "a.png")


def test_pictures_in_a_folder_count_only_where_there_is_nothing_else(tmp_path):
    Image.fromarray(PICTURE.astype(np.uint8)).save(tmp_path / "b.png")
    Image.fromarray(PICTURE.astype(np.uint8)).save(tmp_path / "a.jpg")
    assert [path.name for path in find_scans(tmp_path).images] == ["a.jpg", "b.png"]
    assert sniff(tmp_path).name == "picture"
    field = world_field(oblique_geometry((3, 4, 5)))
    write_dicom_series(tmp_path, field.with_array(field.array.astype(np.int16)))
    assert find_scans(tmp_path).images == ()
    assert sniff(tmp_path).name == "DICOM"
    assert len(read(tmp_path)) == 1
