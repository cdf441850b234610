"""NIfTI, NRRD, MetaImage: round trips on awkward grids, second opinions, and headers that lie."""

from __future__ import annotations

import gc
import gzip
import resource
import warnings
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

import grids
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.interop import flipped_world
from napari_radcnn.io import read, sniff, write
from napari_radcnn.io.itk.grid import reversed_index
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


def test_flipped_world_is_its_own_inverse() -> None:
    affine = grids.sheared().affine
    assert not np.allclose(flipped_world(affine), affine)
    assert np.allclose(flipped_world(flipped_world(affine)), affine)
    # voxel (i, j, k) = (1, 2, 3) of a RAS file is voxel (3, 2, 1) of ours, x and y of the opposite sign
    ras = flipped_world(affine) @ [1, 2, 3, 1]
    lps = affine @ [3, 2, 1, 1]
    assert np.allclose(ras * [-1, -1, 1, 1], lps)


def test_reversed_index() -> None:
    steps = np.arange(9, dtype=float).reshape(3, 3) + np.eye(3)
    assert np.allclose(
        reversed_index(steps, (7, 8, 9)) @ [3, 2, 1, 1], np.append(steps @ [1, 2, 3] + np.array([7, 8, 9]), 1)
    )


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_no_file_stays_open_where_the_disk_is_full(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(-3000, 3000, (20, 60, 70)).astype(np.int16)
    scan = Volume(noise, grids.oblique().with_shape(noise.shape))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    gc.collect()  # what tests before this one left behind is not this one's
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(WriteError, match="cannot be written: File too large"):
                write(scan, tmp_path / f"a{suffix}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_shear_is_kept_by_nifti(tmp_path: Path, suffix: str) -> None:
    field = world_field(grids.sheared())
    (volume,) = read(write(field, tmp_path / f"a{suffix}"))
    assert volume.geometry.is_close(field.geometry, 1e-3)
    assert volume.warnings == ()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
def test_shear_is_refused_by_others(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(WriteError, match=r"sheared.*\.nii\.gz"):
        write(world_field(grids.sheared()), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels(tmp_path: Path, suffix: str) -> None:
    array = (np.arange(60).reshape(grids.SHAPE) % 4).astype(np.uint16)
    labels = LabelMap(array, grids.oblique(), {1: Label("brain")})
    (volume,) = read(write(labels, tmp_path / f"a{suffix}"))
    assert np.array_equal(volume.array, array)
    assert volume.array.dtype == np.uint16
    assert volume.geometry.is_close(labels.geometry, 1e-3)
    assert suffix not in (".nii", ".nii.gz") or volume.metadata.is_label


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_second_opinion_of_simpleitk(tmp_path: Path, suffix: str) -> None:
    field = world_field(grids.oblique())
    image = SimpleITK.ReadImage(str(write(field, tmp_path / f"a{suffix}")))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), field.array)
    for index in [(0, 0, 0), (2, 0, 0), (0, 3, 1), (1, 2, 4)]:
        point = image.TransformIndexToPhysicalPoint(index[::-1])
        assert np.allclose(point, field.geometry.to_world(index), atol=1e-3)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_simpleitk_writes(tmp_path: Path, suffix: str, compressed: bool) -> None:
    field = world_field(grids.left_handed())
    image = SimpleITK.GetImageFromArray(field.array)
    image.SetSpacing(field.geometry.spacing[::-1])
    image.SetOrigin(field.geometry.origin)
    image.SetDirection(field.geometry.direction[:, ::-1].ravel().tolist())
    SimpleITK.WriteImage(image, str(tmp_path / f"a{suffix}"), useCompression=compressed)
    (volume,) = read(tmp_path / f"a{suffix}")
    assert volume.geometry.is_close(field.geometry, 1e-3)
    assert np.array_equal(volume.array, field.array)


def test_second_opinion_of_nibabel(tmp_path: Path) -> None:
    field = world_field(grids.sheared())
    image = nibabel.load(write(field, tmp_path / "a.nii.gz"))
    assert np.array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), field.array)
    ras = image.affine @ [4, 3, 2, 1]
    assert np.allclose(ras[:3] * [-1, -1, 1], field.geometry.to_world((2, 3, 4)), atol=1e-3)
    assert int(image.header["sform_code"]) == 1
    assert image.header.get_xyzt_units()[0] == "mm"


# -- NIfTI ----------------------------------------------------------------------------------------------------------


def nifti(
    path: Path,
    array: np.ndarray | None = None,
    affine: np.ndarray | None = None,
    kind: type = nibabel.Nifti1Image,
    **fields: object,
) -> Path:
    """Write a NIfTI file with nibabel and then put header fields in as they are."""
    field = world_field(grids.oblique())
    data = field.array.transpose(2, 1, 0) if array is None else array
    image = kind(data, flipped_world(field.geometry.affine) if affine is None else affine)
    image.set_qform(image.affine, 1)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    if fields:
        raw = bytearray(path.read_bytes())
        header = nibabel.Nifti1Header(bytes(raw[:348]), check=False)
        for name, value in fields.items():
            header[name] = value
        path.write_bytes(header.binaryblock + bytes(raw[348:]))
    return path


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image, nibabel.Nifti1Pair])
def test_kinds_of_nifti(tmp_path: Path, kind: type) -> None:
    path = nifti(tmp_path / ("a.img" if kind is nibabel.Nifti1Pair else "a.nii"), kind=kind)
    (volume,) = read(path)
    assert np.array_equal(volume.array, world_field(grids.oblique()).array)
    assert volume.geometry.is_close(grids.oblique(), 1e-3)
    if kind is nibabel.Nifti1Pair:
        assert len(read(tmp_path)) == 1
        (tmp_path / "a.img").unlink()
        with pytest.raises(ReadError, match=r"a\.img is missing"):
            read(tmp_path / "a.hdr")


def test_big_endian_nifti(tmp_path: Path) -> None:
    field = world_field(grids.oblique())
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    array = field.array.astype(np.int16).transpose(2, 1, 0)
    nibabel.Nifti1Image(array, flipped_world(field.geometry.affine), header).to_filename(tmp_path / "a.nii")
    (volume,) = read(tmp_path / "a.nii")
    assert volume.array.dtype == np.dtype(np.int16)
    assert volume.array.dtype.isnative
    assert np.array_equal(volume.array, field.array.astype(np.int16))
    assert volume.geometry.is_close(grids.oblique(), 1e-3)


def test_sform_wins_and_the_conflict_is_told(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", qoffset_x=99.0)
    (volume,) = read(path)
    assert volume.geometry.is_close(grids.oblique(), 1e-3)
    assert any("disagree" in line for line in volume.warnings)


def test_qform_alone(tmp_path: Path) -> None:
    (volume,) = read(nifti(tmp_path / "a.nii", sform_code=0, srow_x=0))
    assert volume.geometry.is_close(grids.oblique(), 1e-3)


def test_no_form_is_told(tmp_path: Path) -> None:
    (volume,) = read(nifti(tmp_path / "a.nii", sform_code=0, qform_code=0))
    assert volume.geometry.spacing == pytest.approx(grids.SPACING)
    assert any("orientation is unknown" in line for line in volume.warnings)


def test_singular_sform_falls_back(tmp_path: Path) -> None:
    (volume,) = read(nifti(tmp_path / "a.nii", srow_x=0, srow_y=0))
    assert volume.geometry.is_close(grids.oblique(), 1e-3)
    assert any("sform" in line for line in volume.warnings)


@pytest.mark.parametrize(("units", "factor"), [(1, 1000), (2, 1), (3, 0.001), (0, 1), (10, 1)])
def test_units_of_length(tmp_path: Path, units: int, factor: float) -> None:
    (volume,) = read(nifti(tmp_path / "a.nii", xyzt_units=units))
    assert np.allclose(volume.geometry.affine[:3], grids.oblique().affine[:3] * factor, rtol=1e-4)


@pytest.mark.parametrize(
    ("slope", "intercept", "told"), [(0, 5, False), (np.nan, 5, False), (np.inf, 0, True), (1, 0, False)]
)
def test_no_scaling(tmp_path: Path, slope: float, intercept: float, told: bool) -> None:
    array = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    (volume,) = read(nifti(tmp_path / "a.nii", array, scl_slope=slope, scl_inter=intercept))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, array.transpose(2, 1, 0))
    assert any("scl_slope" in line for line in volume.warnings) == told


def test_scaling_and_not_a_number(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    (volume,) = read(nifti(tmp_path / "a.nii", array, scl_slope=0.5, scl_inter=-3))
    assert np.array_equal(volume.array, array.transpose(2, 1, 0) * 0.5 - 3)
    floats = array.astype(np.float32)
    floats[1, 2, 0] = np.nan
    (volume,) = read(nifti(tmp_path / "b.nii", floats))
    assert np.isnan(volume.array[0, 2, 1])


def test_four_dimensions_become_volumes(tmp_path: Path) -> None:
    array = np.arange(5 * 4 * 3 * 2, dtype=np.int16).reshape(5, 4, 3, 2)
    first, second = read(nifti(tmp_path / "a.nii", array))
    assert np.array_equal(second.array, array[..., 1].transpose(2, 1, 0))
    assert [first.name, second.name] == ["a · 1", "a · 2"]
    assert first.array.base is second.array.base


def test_complex_is_shown_as_magnitude(tmp_path: Path) -> None:
    array = (np.arange(60) * (3 + 4j)).reshape(5, 4, 3).astype(np.complex64)
    (volume,) = read(nifti(tmp_path / "a.nii", array))
    assert np.allclose(volume.array, np.abs(array).transpose(2, 1, 0))
    assert any("magnitude" in line for line in volume.warnings)


def test_vectors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"a\.nii: .*vectors"):
        read(nifti(tmp_path / "a.nii", np.zeros((5, 4, 3, 1, 3), np.float32)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": [3, -5, 4, 3, 1, 1, 1, 1]}, "dim"),
        ({"dim": [3, 5, 4, 0, 1, 1, 1, 1]}, "dim"),
        ({"dim": [9, 5, 4, 3, 1, 1, 1, 1]}, "dim"),
        ({"dim": [3, 32000, 32000, 32000, 1, 1, 1, 1]}, "expected"),
        ({"dim": [3, 5, 4, 4, 1, 1, 1, 1]}, "truncated"),
        ({"datatype": 77}, "data type"),
        ({"magic": b"abcd"}, "magic"),
        ({"vox_offset": 1e9}, "truncated"),
        ({"vox_offset": np.nan}, "voxels start"),
        ({"vox_offset": 100}, "voxels start"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_nifti_headers_that_lie(tmp_path: Path, fields: dict, words: str, packed: bool) -> None:
    path = nifti(tmp_path / "a.nii", **fields)
    if packed:
        (tmp_path / "b.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "b.nii.gz"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ReadError, match=words) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_damaged_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(nifti(tmp_path / "x.nii").read_bytes())
    path = tmp_path / "a.nii.gz"
    for damage, word in (
        (whole[:-20], "gzip"),
        (whole[:-8] + b"\0\0\0\0" + whole[-4:], "checksum"),
        (whole[:100], "gzip"),
    ):
        path.write_bytes(damage)
        with pytest.raises(ReadError, match=word):
            read(path)
    path.write_bytes((tmp_path / "x.nii").read_bytes())
    assert any("not compressed" in line for line in read(path)[0].warnings)
    path.write_bytes(gzip.compress((tmp_path / "x.nii").read_bytes() + bytes(100 << 20)))
    (volume,) = read(path)
    assert any("1 MiB" in line for line in volume.warnings)


# -- NRRD and MetaImage -----------------------------------------------------------------------------------------------


def nrrd(path: Path, data: bytes = np.arange(60, dtype="<i2").tobytes(), **fields: str | None) -> Path:
    """Write a NRRD file of 5 x 4 x 3 by hand; None leaves a field out."""
    usual: dict[str, str | None] = {
        "type": "int16",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "5 4 3",
        "space directions": "(0.7,0,0) (0,0.8,0) (0,0,2.5)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(-31,17.5,40.25)",
    }
    usual |= {name.replace("_", " "): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in usual.items() if value is not None]
    path.write_bytes(("NRRD0004\n# by hand\n" + "\n".join(lines) + "\n\n").encode() + data)
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [("left-posterior-superior", (1, 1)), ("RAS", (-1, -1)), ("left-anterior-superior", (1, -1)), ("LPS", (1, 1))],
)
def test_spaces_of_nrrd(tmp_path: Path, space: str, signs: tuple[int, int]) -> None:
    path = nrrd(tmp_path / "a.nrrd", space=space)
    (volume,) = read(path)
    wanted = np.array([(-31 + 0.7 * 4) * signs[0], (17.5 + 0.8 * 3) * signs[1], 40.25 + 2.5 * 2])
    assert np.allclose(volume.geometry.to_world((2, 3, 4)), wanted)
    image = SimpleITK.ReadImage(str(path))
    assert np.allclose(image.TransformIndexToPhysicalPoint((4, 3, 2)), wanted)
    assert np.array_equal(volume.array, np.arange(60).reshape(3, 4, 5))
    assert volume.warnings == ()


def test_shear_is_kept_by_nrrd_reading(tmp_path: Path) -> None:
    (volume,) = read(nrrd(tmp_path / "a.nrrd", space_directions="(0.7,0,0) (0,0.8,0) (0,0.9,2.5)"))
    assert np.allclose(volume.geometry.to_world((2, 0, 0)), (-31, 17.5 + 1.8, 45.25))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"space": None}, "orientation"),
        ({"space": "scanner-xyz"}, "orientation"),
        ({"space_directions": None, "space_origin": None, "space": None, "spacings": "0.7 0.8 2.5"}, "orientation"),
        ({"space_directions": None, "space_origin": None, "space": None}, "spacing is unknown"),
        ({"space_origin": None}, "position"),
    ],
)
def test_what_a_nrrd_does_not_say_is_told(tmp_path: Path, fields: dict, words: str) -> None:
    (volume,) = read(nrrd(tmp_path / "a.nrrd", **fields))
    assert any(words in line for line in volume.warnings)
    assert volume.metadata.is_calibrated == ("unknown" not in words or "spacings" in fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"space_directions": "(0.7,0,0) (0,nan,0) (0,0,2.5)"}, "direction"),
        ({"space_directions": "(0.7,0,0) (0,0,0) (0,0,2.5)"}, "zero"),
        ({"space_directions": "(0.7,0,0) (0.7,0,0) (0,0,2.5)"}, "singular"),
        ({"space_directions": "(0.7,0,0) (0,0.8,0)"}, "entries"),
        ({"spacings": "0.7 -1 2", "space_directions": None}, "spacing"),
        ({"sizes": "5 4 300"}, "expected"),
        ({"sizes": "100000 100000 100000"}, "expected"),
        ({"sizes": "100000 100000 100000", "encoding": "gzip"}, "expected"),
        ({"sizes": "5 -4 3"}, "size"),
        ({"sizes": "5 4"}, "dimension"),
        ({"type": "block"}, "type"),
        ({"encoding": "rot13"}, "encoding"),
        ({"endian": None}, "endian"),
        ({"data_file": "/etc/passwd"}, "outside"),
        ({"data_file": "../x.raw"}, "outside"),
        ({"data_file": "none.raw"}, "missing"),
        ({"data_file": "LIST"}, "several files"),
        ({"byte_skip": "x"}, "byte skip"),
    ],
)
def test_nrrd_refusals(tmp_path: Path, fields: dict, words: str) -> None:
    with pytest.raises(ReadError, match=words) as caught:
        read(nrrd(tmp_path / "a.nrrd", **fields))
    assert "a.nrrd" in str(caught.value)


def test_a_nrrd_field_of_two_values_is_refused(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", space="left-posterior-superior")
    field, data = b"space: left-posterior-superior\n", path.read_bytes()
    path.write_bytes(data.replace(field, field + field, 1))
    (volume,) = read(path)
    assert volume.geometry.spacing == (2.5, 0.8, 0.7)
    path.write_bytes(data.replace(field, field + b"Space: RAS\n", 1))
    with pytest.raises(ReadError, match=r"a\.nrrd: the NRRD header gives 'space' two values"):
        read(path)


def test_nrrd_encodings_and_lists(tmp_path: Path) -> None:
    import bz2

    values = np.arange(60, dtype="<i2")
    wanted = values.reshape(3, 4, 5)
    text = " ".join(map(str, values)).encode()
    for data, fields in (
        (gzip.compress(values.tobytes()), {"encoding": "gzip"}),
        (bz2.compress(values.tobytes()), {"encoding": "bzip2"}),
        (text, {"encoding": "ascii", "endian": None}),
        (values.byteswap().tobytes(), {"endian": "big"}),
        (b"x" * 7 + values.tobytes(), {"byte_skip": "7"}),
        (b"x" * 7 + values.tobytes(), {"byte_skip": "-1"}),
        (b"line\n" + values.tobytes(), {"line_skip": "1"}),
    ):
        assert np.array_equal(read(nrrd(tmp_path / "a.nrrd", data, **fields))[0].array, wanted), fields
    packed = gzip.compress(values.tobytes())
    for cut in (packed[:-20], packed[:-3]):
        with pytest.raises(ReadError, match=r"truncated"):
            read(nrrd(tmp_path / "a.nrrd", cut, encoding="gzip"))
    two = np.stack([values, values + 100])
    directions = "(0.7,0,0) (0,0.8,0) (0,0,2.5)"
    first = {
        "dimension": "4",
        "sizes": "2 5 4 3",
        "space_directions": f"none {directions}",
        "kinds": "list domain domain domain",
    }
    last = {
        "dimension": "4",
        "sizes": "5 4 3 2",
        "space_directions": f"{directions} none",
        "kinds": "domain domain domain list",
    }
    for data, fields in ((two.T.tobytes(), first), (two.tobytes(), last)):
        volumes = read(nrrd(tmp_path / "a.nrrd", data, **fields))
        assert [np.array_equal(v.array, wanted + 100 * n) for n, v in enumerate(volumes)] == [True, True]
    assert volumes[0].geometry.spacing == pytest.approx(grids.SPACING)


def test_detached_data(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(np.arange(60, dtype="<i2").tobytes())
    (volume,) = read(nrrd(tmp_path / "a.nhdr", b"", data_file="a.raw"))
    assert np.array_equal(volume.array, np.arange(60).reshape(3, 4, 5))
    outside = tmp_path / "inner"
    outside.mkdir()
    (outside / "link.raw").symlink_to(tmp_path / "a.raw")
    with pytest.raises(ReadError, match="outside"):
        read(nrrd(outside / "a.nhdr", b"", data_file="link.raw"))


def meta(path: Path, data: bytes = np.arange(60, dtype="<i2").tobytes(), **fields: str | None) -> Path:
    """Write a MetaImage of 5 x 4 x 3 by hand; None leaves a field out."""
    usual: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "0 1 0 0 0 1 1 0 0",
        "Offset": "-31 17.5 40.25",
        "ElementSpacing": "0.7 0.8 2.5",
        "DimSize": "5 4 3",
        "ElementType": "MET_SHORT",
    }
    usual |= fields
    usual["ElementDataFile"] = usual.pop("ElementDataFile", "LOCAL")
    path.write_bytes("".join(f"{k} = {v}\n" for k, v in usual.items() if v is not None).encode() + data)
    return path


def test_metaimage_directions_are_listed_axis_by_axis(tmp_path: Path) -> None:
    (volume,) = read(meta(tmp_path / "a.mha"))
    image = SimpleITK.ReadImage(str(tmp_path / "a.mha"))
    assert np.allclose(image.TransformIndexToPhysicalPoint((4, 3, 2)), volume.geometry.to_world((2, 3, 4)))
    assert np.allclose(volume.geometry.to_world((0, 0, 4)), (-31, 17.5 + 2.8, 40.25))


def test_metaimage_encodings(tmp_path: Path) -> None:
    values = np.arange(60, dtype="<i2")
    packed = zlib.compress(values.tobytes())
    for data, fields in (
        (packed, {"CompressedData": "True", "CompressedDataSize": str(len(packed))}),
        (packed, {"CompressedData": "True"}),
        (values.byteswap().tobytes(), {"BinaryDataByteOrderMSB": "True"}),
        (" ".join(map(str, values)).encode(), {"BinaryData": "False"}),
    ):
        (volume,) = read(meta(tmp_path / "a.mha", data, **fields))
        assert np.array_equal(volume.array, values.reshape(3, 4, 5)), fields


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ElementSpacing": "0.7 -0.8 2.5"}, "spacing"),
        ({"ElementSpacing": "0.7 0 2.5"}, "spacing"),
        ({"ElementSpacing": "0.7 nan 2.5"}, "spacing"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 nan"}, "TransformMatrix"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "singular"),
        ({"TransformMatrix": "1 0 0 0 2 0 0 0 1"}, "length 1"),
        ({"Offset": "1 2"}, "Offset"),
        ({"DimSize": "5 4 300"}, "expected"),
        ({"DimSize": "90000 90000 90000"}, "expected"),
        ({"DimSize": "5 4"}, "NDims"),
        ({"ElementType": "MET_STRING"}, "type"),
        ({"ElementNumberOfChannels": "2"}, "channels"),
        ({"ElementDataFile": "/etc/passwd"}, "outside"),
        ({"ElementDataFile": "none.raw"}, "missing"),
        ({"BinaryDataByteOrderMSB": None}, "byte order"),
        ({"CompressedData": "True"}, "damaged"),
    ],
)
def test_metaimage_refusals(tmp_path: Path, fields: dict, words: str) -> None:
    with pytest.raises(ReadError, match=words) as caught:
        read(meta(tmp_path / "a.mha", **fields))
    assert "a.mha" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "words"), [("ElementSpacing", "spacing"), ("TransformMatrix", "orientation"), ("Offset", "position")]
)
def test_what_a_metaimage_does_not_say_is_told(tmp_path: Path, field: str, words: str) -> None:
    (volume,) = read(meta(tmp_path / "a.mha", **{field: None}))
    assert any(words in line for line in volume.warnings)
    assert volume.metadata.is_calibrated == (field != "ElementSpacing")


def test_sniff_goes_by_the_first_bytes(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii").rename(tmp_path / "scan.dat")
    found = sniff(path)
    assert found is not None
    assert found.name == "NIfTI"
    assert np.array_equal(read(path)[0].array, world_field(grids.oblique()).array)
    (tmp_path / "a.txt").write_text("not an image")
    assert sniff(tmp_path / "a.txt") is None
    assert sniff(tmp_path / "none") is None


def test_gzip_of_several_members(tmp_path: Path) -> None:
    """As bgzip and pigz's relatives write it; zeros behind the end are padding."""
    field = world_field(grids.oblique())
    plain = write(field, tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(plain[:400]) + gzip.compress(b"") + gzip.compress(plain[400:]) + bytes(100))
    (volume,) = read(path)
    assert np.array_equal(volume.array, field.array)
    assert volume.warnings == ()
    path.write_bytes(gzip.compress(plain[:400]) + gzip.compress(plain[400:])[:-9])
    with pytest.raises(ReadError, match=r"b\.nii\.gz.*truncated"):
        read(path)
    path.write_bytes(gzip.compress(plain[:400]))
    with pytest.raises(ReadError, match=r"b\.nii\.gz.*truncated"):
        read(path)
