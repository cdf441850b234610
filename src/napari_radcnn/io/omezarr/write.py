"""Write OME-Zarr 0.5: a pyramid for viewers, the true affine in a block of our own, all or nothing."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import WriteError
from napari_radcnn.io.guard import verify_written
from napari_radcnn.io.omezarr.block import is_own_block, make_block, plain_origin
from napari_radcnn.io.omezarr.folder import atomic_folder
from napari_radcnn.io.omezarr.labels import image_label
from napari_radcnn.io.omezarr.read import holds_zarr, read_omezarr
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume

_CHUNK = 128
_SMALLEST_LEVEL = 256
#: An axis is halved while its voxels are less than twice as long as the shortest: voxels become alike.
_COARSE = 2.0
#: Output slices that are averaged at once.
_SLAB = 16
_TYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
_AXES = (("z", "inferior-to-superior"), ("y", "anterior-to-posterior"), ("x", "right-to-left"))


def write_omezarr(obj: Volume | LabelMap, path: Path, overwrite: bool = False) -> None:
    """Write an OME-Zarr 0.5 store; labels become a label image, as it would lie in the ``labels`` of an image.

    Raises
    ------
    WriteError
        If the store cannot be written, or the type of the values has no place in Zarr; if a store is in the way that
        holds more than this function writes, such as labels.
    """
    with atomic_folder(path, overwrite, holds_zarr, foreign_in_store) as temporary:
        write_beside(obj, temporary, path)


def write_beside(obj: Volume | LabelMap, temporary: Path, target: Path, label: Mapping[str, Any] | None = None) -> None:
    """Write a store under a temporary name and read it back.

    Parameters
    ----------
    obj : Volume or LabelMap
        What is written.
    temporary, target : path
        Where it is written, and the name it is to get.
    label : mapping, optional
        What else stands in ``image-label``, for a label image in the store of its image.

    Raises
    ------
    WriteError
        As of `write_omezarr`.
    """
    array = np.asarray(obj.array)
    if array.dtype.name not in _TYPES.split():
        raise WriteError(f"{target}: OME-Zarr cannot store values of type {array.dtype}.")
    array = array.astype(np.uint8) if array.dtype == np.bool_ else array
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    _write_store(obj, array, temporary, target, label or {})
    verify_written(obj, temporary, target, lambda written: read_omezarr(written, None, None))


def foreign_in_store(folder: Path) -> str:
    """Return what in a store was not written by `write_omezarr`, as a relative path; empty where all of it was.

    Labels that were added later count as foreign: they are more than what was written.
    """
    try:
        node = json.loads((folder / "zarr.json").read_bytes())
        (image,) = node["attributes"]["ome"]["multiscales"]
        levels = {str(one["path"]) for one in image["datasets"]}
        is_ours = is_own_block(node["attributes"])
    except (OSError, ValueError, KeyError, TypeError):
        return "zarr.json"
    if not is_ours:
        return "zarr.json"
    for parent, folders, files in os.walk(folder):
        inside = Path(parent).relative_to(folder).parts
        for name in (*folders, *files):
            path = (*inside, name)
            is_link = Path(parent, name).is_symlink()
            is_level = len(path) == 1 and path[0] in levels
            is_metadata = name == "zarr.json" and (not inside or (len(inside) == 1 and inside[0] in levels))
            is_chunk = len(path) > 1 and path[0] in levels and path[1] == "c" and all(map(str.isdigit, path[2:]))
            if is_link or not (is_level or is_metadata or is_chunk):
                return "/".join(path)
    return ""


def _write_store(
    obj: Volume | LabelMap, array: npt.NDArray[Any], folder: Path, target: Path, label: Mapping[str, Any]
) -> None:
    import zarr

    is_label = isinstance(obj, LabelMap) or (obj.metadata.is_label and array.dtype.kind in "iu" and not obj.is_color)
    factors = pyramid(obj)
    attributes = store_attributes(obj, array, factors, is_label)
    attributes["ome"].get("image-label", {}).update(label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr, on types that Zarr 3 has not settled yet; they are read back
        store = zarr.storage.LocalStore(folder)
        try:
            group = zarr.create_group(store=store, zarr_format=3, attributes=attributes)
            level = array
            for n, factor in enumerate(factors):
                if n:
                    steps = tuple(f // before for f, before in zip(factor, factors[n - 1], strict=True))
                    level = _nearest(array, factor) if is_label else _averaged(level, steps)
                _write_level(group, str(n), level)
        except (ValueError, TypeError, RuntimeError) as error:
            raise WriteError(f"{target}: the Zarr store cannot be written: {error}.") from error


def _write_level(group: Any, name: str, level: npt.NDArray[Any]) -> None:
    data = np.moveaxis(level, 3, 0) if level.ndim == 4 else level
    create_level(group, name, data.shape, data.dtype)[...] = data


def create_level(group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Create the array of one resolution, empty, in a Zarr group and return it.

    Parameters
    ----------
    group : zarr.Group
        Of the store.
    name : str
        ``"0"`` is the full resolution.
    shape : tuple of int
        ``(k, j, i)``, after a channel axis where there is color.
    dtype : dtype
        Of its values.
    """
    import zarr

    return group.create_array(
        name,
        shape=shape,
        chunks=(*(1,) * (len(shape) - 3), *(min(n, _CHUNK) for n in shape[-3:])),
        dtype=dtype,
        fill_value=0,
        compressors=zarr.codecs.ZstdCodec(level=3, checksum=True),
        dimension_names=["c", "z", "y", "x"][-len(shape) :],
        config={"write_empty_chunks": True},  # a chunk that is missing is then a chunk that was lost
    )


def store_attributes(
    obj: Volume | LabelMap, array: npt.NDArray[Any], factors: list[tuple[int, int, int]], is_label: bool
) -> dict[str, Any]:
    """Return the attributes of the store's group: axes, resolutions, display, and our own block.

    Parameters
    ----------
    obj : Volume or LabelMap
        What is written; only its name, its grid and its description are used. The name of the store is anybody's, and
        may name the patient.
    array : (k, j, i) or (k, j, i, 3) array
        Its values, for the display range of an image.
    factors : list of (k, j, i) tuple of int
        See `pyramid`.
    is_label : bool
        Whether it is a label image.
    """
    upright = obj.geometry.orientation == "SPL" and obj.geometry.is_axis_aligned
    axes: list[dict[str, Any]] = [
        {"name": name, "type": "space", "unit": "millimeter"}
        | ({"orientation": {"type": "anatomical", "value": orientation}} if upright else {})
        for name, orientation in _AXES
    ]
    lead = [1.0] * (array.ndim - 3)
    if lead:
        axes.insert(0, {"name": "c", "type": "channel"})
    datasets = []
    for n, factor in enumerate(factors):
        scale = [s * f for s, f in zip(obj.geometry.spacing, factor, strict=True)]
        along = [step * (f - 1) / 2 for step, f in zip(obj.geometry.spacing, factor, strict=True)]
        translation = [origin + a for origin, a in zip(plain_origin(obj.geometry), along, strict=True)]
        transformations = [
            {"type": "scale", "scale": [*lead, *scale]},
            {"type": "translation", "translation": [*(0.0 for _ in lead), *translation]},
        ]
        datasets.append({"path": str(n), "coordinateTransformations": transformations})
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": obj.name, "axes": axes, "datasets": datasets}],
    }
    if is_label:
        ome["image-label"] = image_label(obj.labels)
        ome["multiscales"][0]["type"] = "nearest"
    else:
        ome["multiscales"][0]["type"] = "mean"
        ome |= _omero(obj, array) if isinstance(obj, Volume) else {}
    return {"ome": ome, **make_block(obj)}


def _omero(obj: Volume, array: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the display window, where the scan carries one."""
    if obj.is_color:
        window = {"min": 0.0, "max": 255.0, "start": 0.0, "end": 255.0}
        colors = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
        return {
            "omero": {
                "channels": [{"label": label, "color": c, "window": window, "active": True} for label, c in colors]
            }
        }
    center, width = obj.metadata.window_center, obj.metadata.window_width
    if center is None or width is None or not (math.isfinite(center) and 0 < width < math.inf):
        return {}
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    window = {"min": low, "max": high, "start": center - width / 2, "end": center + width / 2}
    channel = {
        "label": obj.metadata.modality or "image",
        "color": "FFFFFF",
        "window": window,
        "active": True,
        "inverted": obj.metadata.is_inverted,
    }
    return {"omero": {"channels": [channel]}}


def pyramid(obj: Volume | LabelMap) -> list[tuple[int, int, int]]:
    """Return by how much every level is coarser than the first along ``(k, j, i)``; the first is ``(1, 1, 1)``."""
    shape, factor = obj.geometry.shape, (1, 1, 1)
    levels = [factor]
    while max(sizes := [-(-n // f) for n, f in zip(shape, factor, strict=True)]) > _SMALLEST_LEVEL:
        spacing = [s * f for s, f in zip(obj.geometry.spacing, factor, strict=True)]
        finest = min(s for s, n in zip(spacing, sizes, strict=True) if n > 1)
        halved = [n > 1 and s < _COARSE * finest for s, n in zip(spacing, sizes, strict=True)]
        k, j, i = (2 * f if half else f for f, half in zip(factor, halved, strict=True))
        factor = k, j, i
        levels.append(factor)
    return levels


def _averaged(array: npt.NDArray[Any], steps: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return means over blocks of `steps`, an incomplete last block filled up with its last voxels."""
    shape = tuple(-(-n // s) for n, s in zip(array.shape, steps, strict=False)) + array.shape[3:]
    out = np.empty(shape, array.dtype)
    wide = np.float64 if array.dtype.itemsize > 2 and array.dtype != np.float32 else np.float32
    for k in range(0, shape[0], _SLAB):
        block: npt.NDArray[Any] = array[k * steps[0] : (k + _SLAB) * steps[0]].astype(wide)
        with np.errstate(invalid="ignore", over="ignore"):  # nan and infinities of the image stay what they are
            for axis, step in enumerate(steps):
                if step == 1:
                    continue
                if block.shape[axis] % 2:
                    block = np.concatenate([block, block.take([-1], axis)], axis)
                first, second = (block.take(range(n, block.shape[axis], 2), axis) for n in (0, 1))
                block = (first + second) / 2
            out[k : k + _SLAB] = np.rint(block) if array.dtype.kind in "iu" else block
    return out


def _nearest(array: npt.NDArray[Any], factor: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Return the voxels of the full resolution that lie nearest to the centers of blocks of `factor`."""
    picked = [np.minimum(np.arange(-(-n // f)) * f + f // 2, n - 1) for n, f in zip(array.shape, factor, strict=False)]
    return array[np.ix_(*picked)]
