"""OME-Zarr: round trips on awkward grids, zarr itself as second opinion, stores written by hand, and hostile ones."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import grids
from napari_radcnn.errors import CancelledError, ReadError, WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read, sniff, write
from napari_radcnn.io.omezarr import chunks, write_omezarr
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

ARRAY = np.arange(60, dtype="<i2").reshape(grids.SHAPE)
SCALE = {"type": "scale", "scale": [2.5, 0.8, 0.7]}
TRANSLATION = {"type": "translation", "translation": [40.25, 17.5, -31.0]}


def axes(names: str = "zyx", unit: str | None = "millimeter") -> list[dict[str, str]]:
    types = {"t": "time", "c": "channel"}
    made = [{"name": name, "type": types.get(name, "space")} for name in names]
    return [axis | ({"unit": unit} if unit and axis["type"] == "space" else {}) for axis in made]


def multiscale(
    names: str = "zyx", unit: str | None = "millimeter", transformations: object = (SCALE, TRANSLATION), **more: object
) -> dict[str, Any]:
    dataset: dict[str, Any] = {"path": "0"}
    if transformations is not None:
        dataset["coordinateTransformations"] = transformations
    return {"axes": axes(names, unit), "datasets": [dataset], **more}


def store_04(path: Path, array: np.ndarray = ARRAY, attributes: object = None, **zarray: object) -> Path:
    """Write an OME-Zarr 0.4 store by hand: JSON, and one uncompressed chunk."""
    meta = {
        "zarr_format": 2,
        "shape": list(array.shape),
        "chunks": list(array.shape),
        "dtype": array.dtype.str,
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
        **zarray,
    }
    chunk = path.joinpath("0", *["0"] * array.ndim)
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(array.tobytes())
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    attributes = {"multiscales": [multiscale(version="0.4")]} if attributes is None else attributes
    (path / ".zattrs").write_text(attributes if isinstance(attributes, str) else json.dumps(attributes))
    (path / "0" / ".zarray").write_text(json.dumps(meta))
    return path


def store_05(path: Path, array: np.ndarray = ARRAY, ome: dict | None = None, **options: Any) -> Path:
    """Write an OME-Zarr 0.5 store with zarr."""
    ome = {"version": "0.5", "multiscales": [multiscale()]} if ome is None else ome
    group = zarr.create_group(store=str(path), zarr_format=3, attributes={"ome": ome})
    stored = group.create_array("0", shape=array.shape, dtype=array.dtype, **{"chunks": array.shape, **options})
    stored[...] = array
    return path


def edit_json(path: Path, change: Any) -> None:
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def refused(path: Path, words: str) -> None:
    """Reading must fail with an error that names the store and the cause."""
    with pytest.raises(ReadError, match=words) as caught:
        read(path)
    assert path.name in str(caught.value)


# -- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", grids.ALL.values(), ids=grids.ALL)
@pytest.mark.parametrize("suffix", [".ome.zarr", ".zarr"])
def test_round_trip(tmp_path: Path, grid: Any, suffix: str) -> None:
    field = world_field(grid())
    path = write(field, tmp_path / f"scan.v2{suffix}")
    (volume,) = read(path)
    assert volume.geometry.is_close(field.geometry, 1e-6)
    assert np.array_equal(volume.array, field.array)
    assert volume.warnings == ()
    assert (volume.name, volume.metadata.source_format, volume.metadata.source) == ("scan.v2", "OME-Zarr", path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", ">i2", "uint16", "int32", "int64", "float16", "f4", "f8"]
)
def test_types(tmp_path: Path, dtype: str) -> None:
    array = (np.arange(60).reshape(grids.SHAPE) % 7 * 3).astype(dtype)
    (volume,) = read(write(Volume(array, grids.oblique()), tmp_path / "a.ome.zarr"))
    assert volume.array.dtype == (np.uint8 if dtype == "bool" else np.dtype(dtype).newbyteorder("="))
    assert np.array_equal(volume.array, array)


def test_metadata_comes_back_and_nothing_personal_is_written(tmp_path: Path) -> None:
    metadata = VolumeMetadata(
        name="CT 3",
        modality="CT",
        units="HU",
        description="MUELLER HEAD",
        window_center=40.0,
        window_width=80.0,
        is_inverted=True,
        padding_value=-2000.0,
        study_uid="1.2.3",
        is_calibrated=False,
    )
    path = write(Volume(ARRAY, grids.oblique(), metadata, suvbw_factor=0.25), tmp_path / "a.ome.zarr")
    (volume,) = read(path)
    back = volume.metadata
    assert (back.modality, back.units, back.is_inverted, back.padding_value) == ("CT", "HU", True, -2000.0)
    assert (back.window_center, back.window_width, back.is_calibrated) == (40.0, 80.0, False)
    assert volume.suvbw_factor == 0.25
    text = (path / "zarr.json").read_text()
    assert "MUELLER" not in text
    assert "1.2.3" not in text


def test_color(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (*grids.SHAPE, 3)).astype(np.uint8)
    path = write(Volume(array, grids.oblique()), tmp_path / "a.ome.zarr")
    (volume,) = read(path)
    assert np.array_equal(volume.array, array)
    assert zarr.open_array(str(path / "0")).shape == (3, *grids.SHAPE)


def test_labels(tmp_path: Path) -> None:
    array = (ARRAY % 4).astype(np.uint16)
    labels = LabelMap(array, grids.sheared(), {1: Label("brain", (1.0, 0.5, 0.0)), 3: Label("tumor")})
    path = write(labels, tmp_path / "a.ome.zarr")
    (volume,) = read(path)
    assert np.array_equal(volume.array, array)
    assert volume.array.dtype == np.uint16
    assert volume.metadata.is_label
    assert volume.metadata.description == "1 brain, 3 tumor"
    assert volume.geometry.is_close(labels.geometry, 1e-6)
    said = dict(zarr.open_group(str(path)).attrs)["ome"]["image-label"]
    assert said["colors"] == [{"label-value": 1, "rgba": [255, 128, 0, 255]}]
    assert said["properties"] == [{"label-value": 1, "name": "brain"}, {"label-value": 3, "name": "tumor"}]
    assert volume.labels == {1: Label("brain", (1.0, 128 / 255, 0.0)), 3: Label("tumor")}
    (again,) = read(write(volume, tmp_path / "b.zarr"))
    assert again.metadata.is_label
    assert again.labels == volume.labels


def test_colors_without_names_and_damaged_ones(tmp_path: Path) -> None:
    path = write(
        LabelMap((ARRAY % 4).astype(np.uint8), grids.axial(), {1: Label("brain", (1, 1, 1))}), tmp_path / "a.zarr"
    )
    group = zarr.open_group(str(path), mode="r+")
    ome = dict(group.attrs)["ome"]
    colors = {0: [1, 2, 3, 4], 1: [0, 51, 255, 128], 2: [255, 0, 0, 255], 3: [1, 2, 3, 0], 4: [1, 2], 5: [0.5, 0, 0, 1]}
    listed = [{"label-value": value, "rgba": rgba} for value, rgba in colors.items()]
    ome["image-label"]["colors"] = [*listed, 7, {"rgba": [1, 2, 3, 4]}, {"label-value": "1", "rgba": [9, 9, 9, 9]}]
    group.attrs["ome"] = ome
    (volume,) = read(path)
    assert volume.labels == {1: Label("brain", (0.0, 0.2, 1.0)), 2: Label("label 2", (1.0, 0.0, 0.0))}


def test_values_that_are_no_numbers_of_zarr_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="complex64"):
        write(Volume(ARRAY.astype(np.complex64), grids.axial()), tmp_path / "a.ome.zarr")
    assert list(tmp_path.iterdir()) == []


# -- second opinions --------------------------------------------------------------------------------------------------


def test_what_zarr_says_of_a_written_store(tmp_path: Path) -> None:
    path = write(Volume(ARRAY, grids.axial()), tmp_path / "a.ome.zarr")
    group = zarr.open_group(str(path), mode="r")
    stored = group["0"]
    assert np.array_equal(stored[...], ARRAY)
    assert stored.metadata.zarr_format == 3
    assert stored.metadata.dimension_names == ("z", "y", "x")
    ome = dict(group.attrs)["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert [(a["name"], a["type"], a["unit"]) for a in image["axes"]] == [(n, "space", "millimeter") for n in "zyx"]
    assert image["axes"][2]["orientation"] == {"type": "anatomical", "value": "right-to-left"}
    scale, translation = image["datasets"][0]["coordinateTransformations"]
    assert np.allclose(scale["scale"], grids.SPACING)
    assert np.allclose(translation["translation"], grids.ORIGIN[::-1])


def test_every_level_lies_in_the_same_place(tmp_path: Path) -> None:
    """A linear field stays itself under averaging, so every voxel of every level knows where it is."""
    geometry = Geometry.from_parts((6, 300, 514), (2.5, 0.8, 0.7), grids.ORIGIN)
    field = world_field(geometry)
    path = write(field, tmp_path / "a.ome.zarr")
    group = zarr.open_group(str(path), mode="r")
    datasets = dict(group.attrs)["ome"]["multiscales"][0]["datasets"]
    shapes = [group[d["path"]].shape for d in datasets]
    assert shapes == [(6, 300, 514), (6, 150, 257), (3, 75, 129)]
    for dataset in datasets:
        (scale, translation), level = dataset["coordinateTransformations"], group[dataset["path"]][...]
        z, y, x = np.meshgrid(*[np.arange(n - 1) for n in level.shape], indexing="ij")
        (sz, sy, sx), (tz, ty, tx) = scale["scale"], translation["translation"]
        expected = 3 * (x * sx + tx) + 5 * (y * sy + ty) + 7 * (z * sz + tz)
        assert np.allclose(level[:-1, :-1, :-1], expected, atol=1e-2)
    assert group["0"].chunks == (6, 128, 128)


def test_levels_of_labels_hold_labels_only(tmp_path: Path) -> None:
    array = np.zeros((4, 5, 600), np.uint8)
    array[..., 100:401] = 7
    array[..., 401:500] = 200
    path = write(LabelMap(array, Geometry.from_parts(array.shape, (2.5, 0.8, 0.7)), {}), tmp_path / "a.ome.zarr")
    level = zarr.open_group(str(path), mode="r")["2"][...]
    assert level.shape[2] == 150
    assert set(np.unique(level)) == {0, 7, 200}
    assert level[0, 0, 24] == 0
    assert level[0, 0, 25] == 7
    assert abs(int((level[0, 0] == 7).sum()) - 301 / 4) < 1


def test_averages_are_rounded_and_keep_nan(tmp_path: Path) -> None:
    array = np.zeros((1, 2, 300), np.int16)
    array[..., 1::2] = -7
    path = write(Volume(array, Geometry.from_parts(array.shape, (1.0, 1.0, 1.0))), tmp_path / "a.zarr")
    assert set(np.unique(zarr.open_group(str(path))["1"][...])) == {-4}
    holed = np.ones((1, 2, 300), np.float32)
    holed[0, 0, 0] = np.nan
    path = write(Volume(holed, Geometry.from_parts(array.shape, (1.0, 1.0, 1.0))), tmp_path / "b.zarr")
    level = zarr.open_group(str(path))["1"][...]
    assert np.isnan(level[0, 0, 0])
    assert np.isfinite(level[0, 0, 1:]).all()


# -- what others write ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [store_04, store_05])
def test_plain_stores(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path / "a.ome.zarr")
    (volume,) = read(path)
    assert np.array_equal(volume.array, ARRAY)
    assert volume.geometry.is_close(grids.axial(), 1e-9)
    assert len(volume.warnings) == 1
    assert "left and right may be swapped" in volume.warnings[0]
    found = sniff(path)
    assert found is not None
    assert found.name == "OME-Zarr"


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (2, 3, 4)},
        {"chunks": (1, 2, 5), "shards": (2, 4, 5)},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}, "chunks": (2, 3, 4)},
        {"chunk_key_encoding": {"name": "default", "separator": "."}, "chunks": (2, 3, 4)},
        {"compressors": [zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()]},
        {"compressors": zarr.codecs.GzipCodec(), "filters": zarr.codecs.TransposeCodec(order=(2, 0, 1))},
        {"fill_value": -5},
    ],
)
def test_layouts_of_zarr_3(tmp_path: Path, options: dict) -> None:
    (volume,) = read(store_05(tmp_path / "a.ome.zarr", ARRAY + 1, **options))
    assert np.array_equal(volume.array, ARRAY + 1)
    assert not any("chunk" in line for line in volume.warnings)


@pytest.mark.parametrize("compressor", ["zlib", "gzip", "bz2", "lzma", "lz4", "zstd", "blosc"])
def test_layouts_of_zarr_2(tmp_path: Path, compressor: str) -> None:
    import numcodecs

    path = tmp_path / "a.ome.zarr"
    group = zarr.create_group(store=str(path), zarr_format=2, attributes={"multiscales": [multiscale()]})
    stored = group.create_array(
        "0",
        shape=ARRAY.shape,
        chunks=(2, 3, 4),
        dtype=">i2",
        order="F",
        filters=[numcodecs.Delta(dtype=">i2")],
        compressors=numcodecs.get_codec({"id": compressor}),
        fill_value=-9,
    )
    stored[...] = ARRAY
    (volume,) = read(path)
    assert np.array_equal(volume.array, ARRAY)
    assert volume.array.dtype.isnative


def test_bits_are_read_as_numbers(tmp_path: Path) -> None:
    (volume,) = read(store_05(tmp_path / "a.ome.zarr", ARRAY % 2 == 0))
    assert volume.array.dtype == np.uint8
    assert np.array_equal(volume.array, (ARRAY + 1) % 2)


def test_transformations_apply_in_order(tmp_path: Path) -> None:
    image = multiscale(
        transformations=[SCALE, {"type": "identity"}],
        coordinateTransformations=[
            {"type": "scale", "scale": [2.0, 2.0, 2.0]},
            {"type": "translation", "translation": [1.0, 2.0, 3.0]},
        ],
    )
    (volume,) = read(store_04(tmp_path / "a.ome.zarr", attributes={"multiscales": [image]}))
    assert volume.geometry.spacing == pytest.approx((5.0, 1.6, 1.4))
    assert volume.geometry.origin == pytest.approx((3.0, 2.0, 1.0))
    image["datasets"][0]["coordinateTransformations"] = [SCALE, TRANSLATION]
    (volume,) = read(store_04(tmp_path / "b.ome.zarr", attributes={"multiscales": [image]}))
    assert volume.geometry.origin == pytest.approx((-59.0, 37.0, 81.5))


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("micrometer", 1e-3), ("meter", 1e3), ("nanometer", 1e-6), ("centimeter", 10.0), ("millimeter", 1.0)],
)
def test_units(tmp_path: Path, unit: str, factor: float) -> None:
    (volume,) = read(store_04(tmp_path / "a.ome.zarr", attributes={"multiscales": [multiscale(unit=unit)]}))
    assert volume.geometry.spacing == pytest.approx(np.array(grids.SPACING) * factor)
    assert volume.geometry.origin == pytest.approx(np.array(grids.ORIGIN) * factor)
    assert not any("unit" in line for line in volume.warnings)


@pytest.mark.parametrize("unit", [None, "parsec"])
def test_no_usable_unit_is_told(tmp_path: Path, unit: str | None) -> None:
    (volume,) = read(store_04(tmp_path / "a.ome.zarr", attributes={"multiscales": [multiscale(unit=unit)]}))
    assert volume.geometry.spacing == pytest.approx(grids.SPACING)
    assert any("unit" in line and "millimeters are assumed" in line for line in volume.warnings)


def test_no_scale_is_told(tmp_path: Path) -> None:
    image = multiscale(transformations=None)
    (volume,) = read(store_04(tmp_path / "a.ome.zarr", attributes={"multiscales": [image]}))
    assert not volume.metadata.is_calibrated
    assert any("spacing is unknown" in line for line in volume.warnings)


def test_anatomical_orientation(tmp_path: Path) -> None:
    image = multiscale()
    for axis, value in zip(
        image["axes"], ("left-to-right", "superior-to-inferior", "posterior-to-anterior"), strict=True
    ):
        axis["orientation"] = {"type": "anatomical", "value": value}
    (volume,) = read(store_04(tmp_path / "a.ome.zarr", attributes={"multiscales": [image]}))
    assert volume.geometry.orientation == "RIA"
    assert volume.geometry.origin == pytest.approx((-40.25, 31.0, -17.5))
    assert volume.warnings == ()


def test_time_and_channels_become_volumes(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 60, dtype="<u2").reshape(2, 3, *grids.SHAPE)
    scale = {"type": "scale", "scale": [1.5, 1.0, *grids.SPACING]}
    window = [{"window": {"start": n, "end": n + 10, "min": 0, "max": 99}} for n in range(3)]
    attributes = {"multiscales": [multiscale("tczyx", transformations=[scale])], "omero": {"channels": window}}
    path = store_04(tmp_path / "a.ome.zarr", array, attributes)
    volumes = read(path)
    assert [v.name for v in volumes] == [f"a · {n}" for n in range(1, 7)]
    for n, volume in enumerate(volumes):
        assert np.array_equal(volume.array, array[n // 3, n % 3])
        assert volume.geometry.spacing == pytest.approx(grids.SPACING)
        assert volume.metadata.window_center == n % 3 + 5
        assert volume.metadata.window_width == 10


def test_axes_in_another_order_are_turned(tmp_path: Path) -> None:
    scale = {"type": "scale", "scale": [0.7, 0.8, 2.5]}
    path = store_04(
        tmp_path / "a.ome.zarr",
        np.ascontiguousarray(ARRAY.transpose(2, 1, 0)),
        {"multiscales": [multiscale("xyz", transformations=[scale])]},
    )
    (volume,) = read(path)
    assert np.array_equal(volume.array, ARRAY)
    assert volume.geometry.spacing == pytest.approx(grids.SPACING)


def test_one_slice(tmp_path: Path) -> None:
    scale = {"type": "scale", "scale": [0.8, 0.7]}
    attributes = {"multiscales": [multiscale("yx", transformations=[scale])]}
    (volume,) = read(store_04(tmp_path / "a.ome.zarr", ARRAY[0], attributes))
    assert volume.array.shape == (1, 4, 5)
    assert volume.geometry.spacing == pytest.approx((1.0, 0.8, 0.7))
    assert any("no slice spacing" in line for line in volume.warnings)


@pytest.mark.parametrize("make", [store_04, store_05])
def test_labels_beside_an_image(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path / "a.ome.zarr")
    image = multiscale(transformations=[{"type": "scale", "scale": [5.0, 0.8, 0.7]}])
    said = {"image-label": {"properties": [{"label-value": 2, "name": "liver"}]}, "multiscales": [image]}
    labels = (ARRAY % 3).astype("<u2")[:2]
    if make is store_04:
        store_04(path / "labels" / "organs", labels, said)
        (path / "labels" / ".zgroup").write_text('{"zarr_format": 2}')
        (path / "labels" / ".zattrs").write_text('{"labels": ["organs", "lost"]}')
    else:
        zarr.create_group(store=str(path / "labels"), zarr_format=3, attributes={"ome": {"labels": ["organs", "lost"]}})
        store_05(path / "labels" / "organs", labels, {"version": "0.5", **said})
    scan, found = read(path)
    assert not scan.metadata.is_label
    assert found.metadata.is_label
    assert found.name == "a · organs"
    assert found.metadata.description == "2 liver"
    assert found.geometry.spacing == pytest.approx((5.0, 0.8, 0.7))
    assert np.array_equal(found.array, labels)
    assert any("Left out" in line and "lost" in line for line in scan.warnings)


def test_numbered_images_of_bioformats2raw(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for name in ("0", "1"):
        store_04(path / name)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    assert [v.name for v in read(path)] == ["a · 1", "a · 2"]


def test_folder_with_stores(tmp_path: Path) -> None:
    store_04(tmp_path / "a.ome.zarr")
    store_04(tmp_path / "b.ome.zarr", attributes="{")
    (volume,) = read(tmp_path)
    assert volume.name == "a"
    assert any("b.ome.zarr" in line for line in volume.warnings)
    found = sniff(tmp_path)
    assert found is not None
    assert found.name == "OME-Zarr"


def test_missing_chunks_are_told(tmp_path: Path) -> None:
    path = store_05(tmp_path / "a.ome.zarr", ARRAY + 1, chunks=(1, 4, 5), fill_value=-3)
    shutil.rmtree(path / "0" / "c" / "1")
    (volume,) = read(path)
    assert np.array_equal(volume.array[::2], ARRAY[::2] + 1)
    assert (volume.array[1] == -3).all()
    (line,) = (line for line in volume.warnings if "chunk" in line)
    assert "1 of 3" in line
    assert "chunk 1/0/0" in line
    assert "filled with -3" in line


def test_nan_as_fill_value(tmp_path: Path) -> None:
    path = store_04(tmp_path / "a.ome.zarr", ARRAY.astype("<f4"), fill_value="NaN", chunks=[2, 4, 5])
    (path / "0/0/0/0").write_bytes(np.ones((2, 4, 5), "<f4").tobytes())
    (volume,) = read(path)
    assert (volume.array[:2] == 1).all()
    assert np.isnan(volume.array[2]).all()


# -- our block --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["scale", "translation", "shape"])
def test_a_block_that_contradicts_the_store_is_ignored(tmp_path: Path, what: str) -> None:
    path = write(world_field(grids.oblique()), tmp_path / "a.ome.zarr")

    def change(node: dict) -> None:
        scale, translation = node["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        if what == "scale":
            scale["scale"][1] *= 2
        elif what == "translation":
            translation["translation"][2] += 1
        else:
            node["attributes"]["radcnn"]["shape"][0] += 1

    edit_json(path / "zarr.json", change)
    (volume,) = read(path)
    assert any("contradicts" in line for line in volume.warnings)
    assert volume.geometry.orientation == "SPL"
    assert volume.geometry.is_axis_aligned


@pytest.mark.parametrize("affine", ["rubbish", [[1, 2], [3, 4]], [[0] * 4] * 4, None, [[1e999] * 4] * 4])
def test_a_damaged_block_is_ignored(tmp_path: Path, affine: object) -> None:
    path = write(world_field(grids.oblique()), tmp_path / "a.ome.zarr")
    edit_json(path / "zarr.json", lambda node: node["attributes"]["radcnn"].update(affine_lps=affine))
    (volume,) = read(path)
    assert any("damaged" in line for line in volume.warnings)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zarray", "words"),
    [
        ({"dtype": "|O"}, "dtype.*refused"),
        ({"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}, "dtype.*refused"),
        ({"dtype": [["a", "<i2"]]}, "dtype.*refused"),
        ({"dtype": "<U4"}, "dtype.*refused"),
        ({"dtype": "<c8"}, "dtype.*refused"),
        ({"dtype": "rubbish"}, "dtype.*refused"),
        ({"filters": [{"id": "pickle", "protocol": 4}]}, "'pickle' is refused"),
        ({"filters": [{"id": "vlen-utf8"}]}, "'vlen-utf8' is refused"),
        ({"compressor": {"id": "pickle"}}, "'pickle' is refused"),
        ({"compressor": "zlib"}, "'zlib' is refused"),
        ({"filters": [{"id": "delta", "dtype": "|O"}]}, "dtype.*refused"),
        ({"filters": {"id": "delta"}}, "'filters' is not a list"),
        ({"order": "Z"}, "'order'"),
        ({"dimension_separator": "/../"}, "separator"),
        ({"zarr_format": 3}, "Zarr format 3"),
        ({"shape": [3, 4, 0]}, "impossible size"),
        ({"shape": [3, 4, True]}, "impossible size"),
        ({"shape": "3"}, "list of sizes"),
        ({"chunks": [3, 4]}, "differ in length"),
        ({"fill_value": "rubbish"}, "fill value"),
        ({"fill_value": 70000}, "fill value"),
        ({"shape": [3, 4, 5, 6], "chunks": [3, 4, 5, 6]}, "3 axes.*has 4"),
        ({"shape": [10**6] * 3, "chunks": [10**6] * 3}, "chunk.*memory"),
        ({"chunks": [10**6] * 3}, "chunk.*memory"),
        ({"compressor": {"id": "zlib"}}, "chunk 0/0/0 is truncated or damaged"),
        ({"compressor": {"id": "blosc"}}, "chunk 0/0/0 is truncated or damaged"),
    ],
)
def test_array_metadata_that_is_refused(tmp_path: Path, zarray: dict, words: str) -> None:
    refused(store_04(tmp_path / "v.ome.zarr", **zarray), words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_type": "string"}, "refused"),
        ({"data_type": {"name": "numpy.datetime64"}}, "refused"),
        ({"data_type": "r16"}, "refused"),
        ({"codecs": [{"name": "vlen-bytes"}]}, "'vlen-bytes' is refused"),
        ({"codecs": [{"name": "numcodecs.pickle"}, {"name": "bytes"}]}, "pickle' is refused"),
        (
            {
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {"chunk_shape": [3, 4, 5], "codecs": [{"name": "numcodecs.pickle"}]},
                    }
                ]
            },
            "pickle' is refused",
        ),
        (
            {
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {"chunk_shape": [3, 4, 5], "codecs": ["bytes", {"name": "blosc"}]},
                    }
                ]
            },
            "refused",
        ),
        ({"codecs": [{"name": "bytes"}, {"name": "blosc"}, {"name": "gzip"}]}, "Blosc followed by .* is refused"),
        ({"codecs": []}, "'codecs'"),
        ({"chunk_grid": {"name": "rectilinear"}}, "rectilinear"),
        ({"chunk_key_encoding": {"name": "other"}}, "other"),
        ({"storage_transformers": [{"name": "x"}]}, "transformers"),
        ({"node_type": "group"}, "does not describe a Zarr format 3 array"),
    ],
)
def test_array_metadata_of_zarr_3_that_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    path = store_05(tmp_path / "v.ome.zarr")
    edit_json(path / "0" / "zarr.json", lambda node: node.update(change))
    refused(path, words)


def test_nothing_is_opened_by_zarr_before_the_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "open_stored", lambda array: pytest.fail("zarr saw the array"))
    refused(store_04(tmp_path / "v.ome.zarr", dtype="|O", filters=[{"id": "vlen-utf8"}, {"id": "pickle"}]), "refused")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("../b.ome.zarr/0", "outside"),
        ("0/../../b.ome.zarr/0", "outside"),
        ("..\\b.ome.zarr\\0", "outside"),
        ("/etc", "outside"),
        ("C:/data", "outside"),
        ("https://example.org/a.zarr/0", "outside"),
        ("s3://bucket/a.zarr/0", "outside"),
        ("simplecache::https://example.org/0", "outside"),
        ("link", "outside the store through a link"),
        ("1", "'1' is missing"),
        ("", "path"),
        (3, "path"),
    ],
)
def test_paths_that_are_refused(tmp_path: Path, place: object, words: str) -> None:
    store_04(tmp_path / "b.ome.zarr")
    path = store_04(tmp_path / "v.ome.zarr")
    (path / "link").symlink_to(tmp_path / "b.ome.zarr" / "0")
    edit_json(path / ".zattrs", lambda found: found["multiscales"][0]["datasets"][0].update(path=place))
    refused(path, words)


@pytest.mark.parametrize("name", ["0/0/0/0", "0/.zarray", ".zattrs", "0/.zattrs"])
def test_links_out_of_the_store_are_refused(tmp_path: Path, name: str) -> None:
    path = store_04(tmp_path / "v.ome.zarr")
    secret = tmp_path / "secret"
    secret.write_bytes((path / name).read_bytes() if (path / name).exists() else b"{}")
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(secret)
    refused(path, "outside")


def test_links_to_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    path = store_04(tmp_path / "v.ome.zarr", chunks=[1, 4, 5])
    (path / "0" / "1").symlink_to(path / "0" / "0")
    refused(path, "link to a folder")
    (path / "0" / "1").unlink()
    os.mkfifo(path / "0" / ".zattrs")
    refused(path, "not a regular file")


@pytest.mark.parametrize("name", [".zattrs", ".zgroup", "0/.zarray"])
@pytest.mark.parametrize("text", ["{not json", "[1, 2]", "", "[" * 100_000, "\xff"])
def test_broken_json(tmp_path: Path, name: str, text: str) -> None:
    path = store_04(tmp_path / "v.ome.zarr")
    (path / name).write_text(text, encoding="latin-1")
    refused(path, "metadata.*JSON")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, "multiscales"),
        ({"multiscales": []}, "'multiscales'"),
        ({"multiscales": [{}]}, "'datasets'"),
        ({"multiscales": [multiscale(axes=None)]}, "'axes'"),
        ({"multiscales": [multiscale("qyx")]}, "axes"),
        ({"multiscales": [multiscale("yyx")]}, "axes"),
        ({"multiscales": [multiscale("tcz")]}, "axes"),
        ({"multiscales": [multiscale("czyx")]}, "4 axes"),
        ({"multiscales": [multiscale(version="0.2")]}, "0.2.*0.4 and 0.5"),
        ({"multiscales": [multiscale(version="0.6")]}, "0.6.*0.4 and 0.5"),
        ({"multiscales": [multiscale(transformations=[{"type": "affine"}])]}, "'affine'"),
        ({"multiscales": [multiscale(transformations=[{"type": "scale", "scale": [1.0]}])]}, "1 numbers for 3 axes"),
        ({"multiscales": [multiscale(transformations=[{"type": "scale", "path": "x"}])]}, "list of numbers"),
        ({"multiscales": [multiscale(transformations=[{"type": "scale", "scale": [0, 1, 1]}])]}, "not zero"),
        ({"multiscales": [multiscale(transformations=[{"type": "scale", "scale": [1e999, 1, 1]}])]}, "numbers"),
        ({"plate": {}}, "plate"),
    ],
)
def test_image_metadata_that_is_refused(tmp_path: Path, attributes: dict, words: str) -> None:
    refused(store_04(tmp_path / "v.ome.zarr", attributes=attributes), words)


@pytest.mark.parametrize("compressor", [zarr.codecs.ZstdCodec(checksum=True), zarr.codecs.BloscCodec(), None])
@pytest.mark.parametrize("damage", ["cut", "empty", "long"])
def test_damaged_chunks(tmp_path: Path, compressor: Any, damage: str) -> None:
    path = store_05(tmp_path / "v.ome.zarr", chunks=(1, 4, 5), compressors=compressor)
    chunk = path / "0" / "c" / "2" / "0" / "0"
    data = chunk.read_bytes()
    chunk.write_bytes({"cut": data[:-7], "empty": b"", "long": data + bytes(4 << 20)}[damage])
    refused(path, "chunk 2/0/0")


def test_blosc_frames_that_lie_are_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """c-blosc believes the lengths in the header: it would read behind what is there, or take any memory."""
    path = store_05(tmp_path / "v.ome.zarr", compressors=[zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()])
    chunk = path / "0" / "c" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    monkeypatch.setattr(chunks, "open_stored", lambda array: pytest.fail("zarr saw the array"))
    chunk.write_bytes(data[:4] + (1 << 30).to_bytes(4, "little") + data[8:])
    refused(path, "declares 1.0 GiB")
    chunk.write_bytes(data[:12] + (1 << 30).to_bytes(4, "little") + data[16:])
    refused(path, "header declares 1073741824")


def test_other_folders_and_files(tmp_path: Path) -> None:
    (tmp_path / "empty.ome.zarr").mkdir()
    refused(tmp_path / "empty.ome.zarr", "no Zarr metadata")
    zarr.create_array(store=str(tmp_path / "bare.zarr"), shape=(3, 4, 5), dtype="i2")
    refused(tmp_path / "bare.zarr", "multiscales")
    (tmp_path / "file.ome.zarr").write_bytes(b"PK\x03\x04")
    refused(tmp_path / "file.ome.zarr", "folder")


def test_labels_that_are_no_whole_numbers(tmp_path: Path) -> None:
    attributes = {"multiscales": [multiscale()], "image-label": {}}
    refused(store_04(tmp_path / "v.ome.zarr", ARRAY.astype("<f4"), attributes), "whole numbers")


def test_cancel_and_progress(tmp_path: Path) -> None:
    path = store_05(tmp_path / "v.ome.zarr", chunks=(1, 4, 5))
    steps: list[tuple[int, int]] = []
    read(path, progress=lambda done, total, message: steps.append((done, total)))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        read(path, progress=lambda done, total, message: cancel.set(), cancel=cancel)


# -- all or nothing ---------------------------------------------------------------------------------------------------


def test_overwrite(tmp_path: Path) -> None:
    path = write(Volume(ARRAY, grids.axial()), tmp_path / "a.ome.zarr")
    with pytest.raises(WriteError, match="already exists"):
        write(Volume(ARRAY + 1, grids.axial()), path)
    assert np.array_equal(read(path)[0].array, ARRAY)
    write(Volume(ARRAY[:2] + 1, grids.axial().cropped((slice(0, 2), slice(None), slice(None)))), path, overwrite=True)
    assert np.array_equal(read(path)[0].array, ARRAY[:2] + 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_folders_that_are_no_store_are_never_replaced(tmp_path: Path) -> None:
    for name in ("file.ome.zarr", "link.ome.zarr"):
        (tmp_path / "kept").mkdir(exist_ok=True)
        if name.startswith("link"):
            (tmp_path / name).symlink_to(tmp_path / "kept")
        else:
            (tmp_path / name).write_text("mine")
        with pytest.raises(WriteError, match="other than a Zarr store"):
            write(Volume(ARRAY, grids.axial()), tmp_path / name, overwrite=True)
    photos = tmp_path / "photos.ome.zarr"
    photos.mkdir()
    (photos / "a.jpg").write_text("mine")
    with pytest.raises(WriteError, match="other than a Zarr store"):
        write(Volume(ARRAY, grids.axial()), photos, overwrite=True)
    assert (photos / "a.jpg").read_text() == "mine"
    with pytest.raises(WriteError, match="does not exist"):
        write(Volume(ARRAY, grids.axial()), tmp_path / "none" / "a.zarr")


@pytest.mark.parametrize("step", ["_write_store", "verify_written"])
def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = write(Volume(ARRAY, grids.axial()), tmp_path / "a.ome.zarr")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"napari_radcnn.io.omezarr.write.{step}", fail)
    for name in ("a.ome.zarr", "b.ome.zarr"):
        with pytest.raises(WriteError, match="disk is full"):
            write_omezarr(Volume(ARRAY + 1, grids.axial()), tmp_path / name, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ome.zarr"]
    assert np.array_equal(read(path)[0].array, ARRAY)


def test_the_old_store_comes_back_when_the_new_one_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(Volume(ARRAY, grids.axial()), tmp_path / "a.ome.zarr")
    rename = Path.rename

    def guarded(self: Path, target: Path) -> Path:
        if self.name.startswith(".radcnn") and "-old-" not in self.name:
            raise PermissionError(13, "no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", guarded)
    with pytest.raises(WriteError, match="permission denied"):
        write(Volume(ARRAY + 1, grids.axial()), path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ome.zarr"]
    assert np.array_equal(read(path)[0].array, ARRAY)


def test_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    read(write(Volume(ARRAY.astype(np.float16), grids.axial()), tmp_path / "a.ome.zarr"))
    assert capfd.readouterr() == ("", "")
    assert list(recwarn) == []
