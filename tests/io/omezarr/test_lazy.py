"""Large OME-Zarr images stay in their store: the same voxels as when read whole, resolutions in their place."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import grids
from napari_radcnn.errors import CancelledError, ReadError, ResourceError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read, write
from napari_radcnn.io.omezarr import chunks, read as reading
from napari_radcnn.phantom import FIELD_COEFFICIENTS, world_field
from napari_radcnn.volume import Volume, VolumeMetadata

BOXES = [
    (slice(None), slice(None), slice(None)),
    (slice(1, 2), slice(0, 3), slice(2, 5)),
    (slice(0, 3), slice(3, 4), slice(4, 5)),
    (slice(1, 1), slice(0, 4), slice(0, 5)),
]
ARRAY = np.arange(60, dtype="<i2").reshape(grids.SHAPE)
SCALE = {"type": "scale", "scale": [2.5, 0.8, 0.7]}


@pytest.fixture
def lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read nothing when a store is opened, however small it is."""
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 0)


def in_both_ways(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Volume], list[Volume]]:
    whole = read(path)
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 0)
    return whole, read(path)


def same(whole: Volume, lazy: Volume) -> None:
    assert whole.is_loaded
    assert not lazy.is_loaded
    assert (lazy.shape, lazy.dtype, lazy.warnings) == (whole.shape, whole.dtype, whole.warnings)
    assert (lazy.metadata, lazy.suvbw_factor) == (whole.metadata, whole.suvbw_factor)
    assert lazy.geometry.is_close(whole.geometry, 1e-9)
    for box in BOXES:
        block = lazy.read_block(tuple(slice(*s.indices(n)[:2]) for s, n in zip(box, lazy.shape, strict=False)))
        wanted = whole.read_block(box)
        assert block.shape == wanted.shape
        assert block.dtype == wanted.dtype
        assert np.array_equal(block, wanted)
    assert not lazy.is_loaded
    assert np.array_equal(lazy.array, whole.array)
    assert lazy.array.dtype.isnative


def store(path: Path, array: np.ndarray = ARRAY, names: str = "zyx", zarr_format: int = 3, **options: Any) -> Path:
    types = {"t": "time", "c": "channel"}
    axes = [{"name": n, "type": types.get(n, "space")} | ({"unit": "mm"} if n in "zyx" else {}) for n in names]
    image = {"axes": axes, "datasets": [{"path": "0"}]}
    ome = {"version": "0.5" if zarr_format == 3 else "0.4", "multiscales": [image]}
    attributes = {"ome": ome} if zarr_format == 3 else ome
    group = zarr.create_group(store=str(path), zarr_format=zarr_format, attributes=attributes)
    stored = group.create_array("0", shape=array.shape, dtype=array.dtype, **{"chunks": array.shape, **options})
    stored[...] = array
    return path


def test_small_images_are_read_when_opened_and_large_ones_are_not(tmp_path: Path, monkeypatch) -> None:
    path = store(tmp_path / "a.ome.zarr", chunks=(2, 3, 4))
    (whole,), (lazy,) = in_both_ways(path, monkeypatch)
    same(whole, lazy)
    assert whole.source is not None
    assert np.array_equal(whole.source.read(BOXES[1]), whole.array[BOXES[1]])
    assert lazy.source is not None
    assert lazy.source.chunks == (2, 3, 4)


@pytest.mark.parametrize("grid", grids.ALL.values(), ids=grids.ALL)
def test_every_grid(tmp_path: Path, grid: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(world_field(grid()), tmp_path / "a.ome.zarr")
    (whole,), (lazy,) = in_both_ways(path, monkeypatch)
    same(whole, lazy)
    for orientation in ("SPL", "RAI", "LSP", "AIR"):
        turned = read(path)[0].reoriented(orientation)
        assert np.array_equal(turned.read_block(BOXES[1]), whole.reoriented(orientation).array[BOXES[1]])
        assert not turned.is_loaded


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (2, 3, 4)},
        {"chunks": (1, 2, 5), "shards": (2, 4, 5)},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}, "chunks": (2, 3, 4)},
        {"chunk_key_encoding": {"name": "default", "separator": "."}, "chunks": (2, 3, 4)},
        {"compressors": [zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()], "chunks": (1, 4, 2)},
        {"compressors": zarr.codecs.GzipCodec(), "filters": zarr.codecs.TransposeCodec(order=(2, 0, 1))},
        {"fill_value": -5, "chunks": (2, 2, 2)},
        {"zarr_format": 2, "dtype": ">i2", "order": "F", "chunks": (2, 3, 4), "fill_value": 3},
        {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}, "chunks": (2, 3, 4)},
    ],
)
def test_layouts(tmp_path: Path, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    array = (ARRAY + 1).astype(options.pop("dtype", "<i2"))
    (whole,), (lazy,) = in_both_ways(store(tmp_path / "a.ome.zarr", array, **options), monkeypatch)
    assert np.array_equal(whole.array, ARRAY + 1)
    same(whole, lazy)


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        ("tczyx", (2, 3, 3, 4, 5)),
        ("czyx", (2, 3, 4, 5)),
        ("yx", (4, 5)),
        ("cyx", (2, 4, 5)),
        ("xyztc", (5, 4, 3, 2, 2)),
    ],
)
def test_axes(tmp_path: Path, names: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(-99, 99, shape).astype("<i2")
    wholes, lazies = in_both_ways(store(tmp_path / "a.zarr", array, names, chunks=(2,) * len(shape)), monkeypatch)
    assert len(wholes) == len(lazies) == array.size // wholes[0].array.size
    for whole, lazy in zip(wholes, lazies, strict=True):
        assert whole.name == lazy.name
        assert np.array_equal(whole.array, lazy.array)
        box = (slice(0, 1), slice(1, 3), slice(2, 5))
        assert np.array_equal(whole.array[box], lazy.read_block(box))


def test_color_bits_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    color = np.random.default_rng(0).integers(0, 255, (*grids.SHAPE, 3)).astype(np.uint8)
    paths = [
        write(Volume(color, grids.oblique()), tmp_path / "color.zarr"),
        store(tmp_path / "bits.zarr", ARRAY % 2 == 0, chunks=(2, 2, 3)),
        write(Volume((ARRAY % 3).astype("u1"), grids.oblique(), VolumeMetadata(is_label=True)), tmp_path / "l.zarr"),
    ]
    wholes = [read(path)[0] for path in paths]
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 0)
    for whole, path in zip(wholes, paths, strict=True):
        same(whole, read(path)[0])


# -- resolutions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [grids.axial, grids.sagittal, grids.left_handed, grids.oblique])
def test_every_level_lies_where_its_voxels_say(tmp_path: Path, direction: Any) -> None:
    """A linear field stays itself under averaging, so every voxel of every level knows where it is."""
    grid = Geometry.from_parts((6, 300, 514), grids.SPACING, grids.ORIGIN, direction().direction)
    (volume,) = read(write(world_field(grid), tmp_path / "a.ome.zarr"))
    assert volume.source is not None
    levels = volume.source.levels
    assert [level.source.shape for level in levels] == [(6, 150, 257), (3, 75, 129)]
    for level in levels:
        block = level.source.read((slice(0, -1), slice(0, -1), slice(0, -1)))  # the last may have been filled up
        index = np.stack(np.meshgrid(*[np.arange(n) for n in block.shape], indexing="ij"), -1)
        assert np.allclose(block, level.geometry.to_world(index) @ FIELD_COEFFICIENTS, atol=0.02)
    turned = volume.reoriented("RSA").source
    assert turned is not None
    assert [level.geometry.orientation for level in turned.levels] == ["RSA"] * 2


def levels_of(path: Path, entries: list[dict], arrays: list[np.ndarray]) -> Path:
    axes = [{"name": n, "type": "space", "unit": "millimeter"} for n in "zyx"]
    image = {"axes": axes, "datasets": entries, "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2]}]}
    ome = {"version": "0.5", "multiscales": [image]}
    group = zarr.create_group(store=str(path), zarr_format=3, attributes={"ome": ome})
    for entry, array in zip(entries, arrays, strict=True):
        group.create_array(entry["path"], data=array)
    return path


def entry(path: str, scale: list[float], translation: list[float]) -> dict:
    steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]
    return {"path": path, "coordinateTransformations": steps}


def test_the_own_transformations_of_a_level_decide(tmp_path: Path) -> None:
    """Every other voxel from the second on, without averaging: factors that the shapes do not tell."""
    fine = np.arange(4 * 6 * 9, dtype=np.int32).reshape(4, 6, 9)
    entries = [entry("0", [3, 1, 0.5], [10, 20, 30]), entry("s", [3, 3, 1], [10, 21, 30.5])]
    (volume,) = read(levels_of(tmp_path / "a.zarr", entries, [fine, fine[:, 1::3, 1::2]]))
    assert volume.source is not None
    (level,) = volume.source.levels
    index = np.argwhere(np.ones(level.source.shape, bool))
    places = np.rint(volume.geometry.to_index(level.geometry.to_world(index))).astype(int)
    assert np.allclose(volume.geometry.to_world(places), level.geometry.to_world(index))
    block = level.source.read((slice(None),) * 3)
    assert np.array_equal(block.ravel(), fine[tuple(places.T)])
    assert volume.geometry.spacing == (3, 1, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "missing"}, "missing"),
        ({"path": "../b"}, "outside"),
        ({"coordinateTransformations": [{"type": "affine"}]}, "'affine'"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [3.0, -2.0, 1.0]}]}, "backwards"),
        ({"path": "same"}, "not a coarser"),
        ({"path": "other"}, "float64"),
    ],
)
def test_levels_that_are_none_are_left_out_and_told(tmp_path: Path, change: dict, words: str) -> None:
    fine = np.arange(4 * 6 * 8, dtype=np.int32).reshape(4, 6, 8)
    entries = [entry("0", [3, 1, 0.5], [0, 0, 0]), entry("1", [3, 2, 1], [0, 0.5, 0.25])]
    path = levels_of(tmp_path / "a.zarr", entries, [fine, fine[:, ::2, ::2]])
    zarr.open_group(str(path)).create_array("same", data=fine)
    zarr.open_group(str(path)).create_array("other", data=fine[::2].astype(float))
    found = json.loads((path / "zarr.json").read_text())
    found["attributes"]["ome"]["multiscales"][0]["datasets"][1].update(change)
    (path / "zarr.json").write_text(json.dumps(found))
    (volume,) = read(path)
    assert volume.source is not None
    assert volume.source.levels == ()
    (line,) = (line for line in volume.warnings if "left out" in line)
    assert words in line
    assert np.array_equal(volume.array, fine)


def test_levels_without_a_scale_cover_the_same_field_of_view(tmp_path: Path) -> None:
    fine = np.arange(4 * 6 * 8, dtype=np.int32).reshape(4, 6, 8)
    entries = [{"path": "0"}, {"path": "1"}]
    (volume,) = read(levels_of(tmp_path / "a.zarr", entries, [fine, fine[:, ::2, ::2]]))
    assert volume.source is not None
    (level,) = volume.source.levels
    assert np.allclose(volume.geometry.to_index(level.geometry.to_world((0, 0, 0))), (0, 0.5, 0.5))


# -- what is wrong is found when it is read ---------------------------------------------------------------------------


@pytest.mark.usefixtures("lazily")
@pytest.mark.parametrize("compressor", [zarr.codecs.ZstdCodec(checksum=True), zarr.codecs.BloscCodec(), None])
def test_a_damaged_chunk_is_named_when_its_voxels_are_read(tmp_path: Path, compressor: Any) -> None:
    path = store(tmp_path / "v.ome.zarr", chunks=(1, 2, 5), compressors=compressor)
    chunk = path / "0" / "c" / "2" / "1" / "0"
    (volume,) = read(path)
    chunk.write_bytes(chunk.read_bytes()[:-7])
    assert np.array_equal(volume.read_block((slice(0, 3), slice(0, 2), slice(0, 5))), ARRAY[:, :2])
    for use in (lambda: volume.read_block((slice(2, 3), slice(0, 4), slice(0, 5))), lambda: volume.array):
        with pytest.raises(ReadError, match=r"v\.ome\.zarr/0: the chunk 2/1/0"):
            use()
    assert not volume.is_loaded


@pytest.mark.usefixtures("lazily")
def test_chunks_are_checked_again_when_they_are_read(tmp_path: Path) -> None:
    path = store(tmp_path / "v.ome.zarr", chunks=(1, 4, 5), compressors=None)
    (volume,) = read(path)
    chunk = path / "0" / "c" / "1" / "0" / "0"
    (tmp_path / "secret").write_bytes(chunk.read_bytes())
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(ReadError, match="outside"):
        volume.read_block((slice(1, 2), slice(0, 1), slice(0, 1)))
    chunk.unlink()
    chunk.write_bytes(bytes(4 << 20))
    with pytest.raises(ReadError, match=r"chunk 1/0/0 has 4\.0 MiB"):
        volume.read_block((slice(1, 2), slice(0, 1), slice(0, 1)))
    shutil.rmtree(path / "0" / "c" / "1")
    outside = tmp_path / "outside"
    (outside / "0").mkdir(parents=True)
    (outside / "0" / "0").write_bytes((tmp_path / "secret").read_bytes())
    (path / "0" / "c" / "1").symlink_to(outside)
    with pytest.raises(ReadError, match="outside"):
        volume.read_block((slice(0, 2), slice(0, 1), slice(0, 1)))


@pytest.mark.usefixtures("lazily")
def test_blosc_frames_that_lie_are_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(tmp_path / "v.ome.zarr", compressors=[zarr.codecs.BloscCodec()])
    (volume,) = read(path)
    monkeypatch.setattr(chunks, "_decoded", lambda *_: pytest.fail("decoded"))
    chunk = path / "0" / "c" / "0" / "0" / "0"
    data = chunk.read_bytes()
    chunk.write_bytes(data[:12] + (1 << 30).to_bytes(4, "little") + data[16:])
    with pytest.raises(ReadError, match="header declares 1073741824"):
        volume.read_block((slice(0, 1), slice(0, 1), slice(0, 1)))


def test_missing_chunks_are_told_and_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(tmp_path / "a.ome.zarr", ARRAY + 1, chunks=(1, 4, 5), fill_value=-3)
    shutil.rmtree(path / "0" / "c" / "1")
    (whole,), (lazy,) = in_both_ways(path, monkeypatch)
    assert any("1 of 3" in line for line in lazy.warnings)
    assert (lazy.read_block((slice(1, 3), slice(0, 2), slice(0, 2)))[0] == -3).all()
    same(whole, lazy)
    monkeypatch.setattr(reading, "_MOST_CHUNKS", 2)
    (unseen,) = read(path)
    assert any("3 chunk files" in line and "value -3" in line for line in unseen.warnings)
    assert np.array_equal(unseen.array, whole.array)


def test_what_is_larger_than_the_memory_opens_and_is_refused_when_loaded(tmp_path: Path) -> None:
    path = store(tmp_path / "v.ome.zarr", chunks=(3, 4, 5))
    meta = json.loads((path / "0" / "zarr.json").read_text())
    meta["shape"] = [30_000_000, 40_000, 5]
    (path / "0" / "zarr.json").write_text(json.dumps(meta))
    (volume,) = read(path)
    assert volume.shape == (30_000_000, 40_000, 5)
    assert any("chunk files" in line for line in volume.warnings)
    assert np.array_equal(volume.read_block((slice(0, 3), slice(0, 4), slice(0, 5))), ARRAY)
    with pytest.raises(ResourceError, match=r"v\.ome\.zarr.*memory"):
        _ = volume.array


@pytest.mark.usefixtures("lazily")
def test_a_store_that_is_gone_or_another_is_not_taken_for_empty(tmp_path: Path) -> None:
    path = write(world_field(grids.axial()), tmp_path / "v.ome.zarr")
    (volume,) = read(path)
    write(Volume(ARRAY, grids.axial()), path, overwrite=True)
    (other,) = read(path)
    shutil.rmtree(path / "0" / "c")
    with pytest.raises(ReadError, match=r"v\.ome\.zarr/0.*changed or removed"):
        volume.read_block((slice(0, 1), slice(0, 1), slice(0, 1)))
    shutil.rmtree(path)
    with pytest.raises(ReadError, match=r"v\.ome\.zarr/0.*changed or removed"):
        _ = other.array


@pytest.mark.usefixtures("lazily")
def test_loading_can_be_stopped(tmp_path: Path) -> None:
    (volume,) = read(store(tmp_path / "v.ome.zarr", chunks=(1, 4, 5)))
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        volume.load(cancel=cancel)


@pytest.mark.usefixtures("lazily")
def test_many_threads_read_at_the_same_time(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 999, (20, 30, 40)).astype(np.int16)
    (volume,) = read(store(tmp_path / "v.ome.zarr", array, chunks=(4, 7, 9)))
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            ends = [sorted(rng.integers(0, n + 1, 2)) for n in array.shape]
            box = tuple(slice(int(a), int(b)) for a, b in ends)
            if not np.array_equal(volume.read_block(box), array[box]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
