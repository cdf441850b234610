"""From a folder to volumes: which image, which level, where it lies, what it is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.omezarr.array import StoredArray, open_array
from napari_radcnn.io.omezarr.axes import LIST_AXES, SPACE_AXES, Axis, parse_axes, scale_and_translation, world_affine
from napari_radcnn.io.omezarr.block import Block, read_block
from napari_radcnn.io.omezarr.chunks import check_chunks, check_memory, read_array
from napari_radcnn.io.omezarr.labels import labels_of
from napari_radcnn.io.omezarr.levels import check_level, geometry_of_level
from napari_radcnn.io.omezarr.source import ZarrSource, list_index, n_volumes
from napari_radcnn.io.omezarr.store import Group, child, open_group, short
from napari_radcnn.io.problems import stem_of
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.volume import Volume, VolumeMetadata
from napari_radcnn.voxels import Level

_VERSIONS = ("0.4", "0.5")
_MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_MOST_LABELS = 1000
#: Images up to this size are decoded when they are opened, which finds damage and takes a moment only.
_READ_AT_ONCE = 32 << 20
#: So many files of a larger image are looked at when it is opened; more would take seconds.
_MOST_CHUNKS = 5_000


def is_zarr(path: Path) -> bool:
    """Whether a folder is, or calls itself, a Zarr store."""
    return path.is_dir() and (path.name.lower().endswith(".zarr") or holds_zarr(path))


def holds_zarr(path: Path) -> bool:
    """Whether a folder holds the metadata of a Zarr store; one that may not be looked into does not."""
    try:
        return any((path / mark).is_file() for mark in _MARKS)
    except PermissionError:
        return False


def read_omezarr(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[Volume]:
    """Read an OME-Zarr image, a volume for every time point and channel, then its label images.

    Small images are read whole; of larger ones only the metadata is, and `Volume.source` reads what is asked for.

    Raises
    ------
    ReadError
        If the store is damaged, incomplete, one of its chunks is too large for the memory, or it asks for anything
        that could run code or lead out of its folder.
    CancelledError
        If `cancel` was set.
    """
    if not path.is_dir():
        raise ReadError(f"{path.name}: OME-Zarr must be a folder, but this is a file; unpack it first.")
    root = path.resolve()
    name = stem_of(path)
    group = open_group(root, path.name, root)
    images = _images(group, root)
    volumes: list[Volume] = []
    left_out: list[str] = []
    for n, image in enumerate(images):
        volumes += _Image(image, root, name if len(images) == 1 else f"{name} · {n + 1}", path).read(progress, cancel)
    for label in _labels(group, root, left_out):
        try:
            inner = open_group(child(group, f"labels/{label}", root), f"{path.name}/labels/{label}", root)
            volumes += _Image(inner, root, f"{name} · {label}", path, is_label=True).read(progress, cancel)
        except ReadError as error:
            left_out.append(str(error))
    if not volumes:
        raise ReadError(" ".join(left_out) or _nothing(group))
    told = tuple(f"Left out: {line}" for line in left_out)
    return [replace(volume, warnings=(*volume.warnings, *told)) for volume in volumes]


def _images(group: Group, root: Path) -> list[Group]:
    """Return the groups that hold an image: this one, or the numbered ones that bioformats2raw writes."""
    if "multiscales" in group.ome:
        return [group]
    if "bioformats2raw.layout" not in group.ome:
        return []
    numbered = sorted((p for p in group.folder.iterdir() if p.name.isdigit() and p.is_dir()), key=lambda p: int(p.name))
    return [open_group(child(group, p.name, root), f"{group.shown}/{p.name}", root) for p in numbered]


def _labels(group: Group, root: Path, left_out: list[str]) -> list[str]:
    """Return the names in the group ``labels``."""
    if not (group.folder / "labels").is_dir():
        return []
    try:
        names = open_group(child(group, "labels", root), f"{group.shown}/labels", root).ome.get("labels", [])
    except ReadError as error:
        left_out.append(str(error))
        return []
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or len(names) > _MOST_LABELS:
        left_out.append(f"{group.shown}/labels: the metadata is damaged: 'labels' is not a list of names.")
        return []
    return names


def _nothing(group: Group) -> str:
    for key in ("plate", "well"):
        if key in group.ome:
            return f"{group.shown}: this is a {key} of many images; open one of the images in it."
    return (
        f"{group.shown}: a Zarr store without OME-Zarr metadata (multiscales); the position of its voxels is unknown."
    )


class _Image:
    """One multiscale image of a store."""

    def __init__(self, group: Group, root: Path, name: str, source: Path, is_label: bool = False) -> None:
        self.group, self.root, self.name, self.source = group, root, name, source
        self.is_label = is_label or "image-label" in group.ome
        self.shown = group.shown
        self.warnings: list[str] = []

    def read(self, progress: Progress | None, cancel: CancelEvent | None) -> list[Volume]:
        """Return a volume for every time point and channel."""
        multiscale = self._multiscale()
        datasets = self._datasets(multiscale)
        stored = self._stored(datasets[0])
        axes = parse_axes(multiscale.get("axes"), len(stored.shape), self.shown)
        block = read_block(self.group.attributes, self.warnings)
        geometry, is_calibrated = self._geometry(axes, stored, (datasets[0], multiscale), block)
        is_color = block.is_color and _has_colors(axes, stored)
        check_memory(stored)
        arrays: list[npt.NDArray[Any] | None] = [None] * n_volumes(axes, stored.shape, is_color=is_color)
        if stored.n_bytes <= _READ_AT_ONCE:
            whole = read_array(stored, self.root, self.warnings, progress, cancel)
            arrays = list(_split(whole.view(np.uint8) if whole.dtype == np.bool_ else whole, axes, is_color=is_color))
        else:
            self._check_chunks(stored)
        levels = self._coarser(stored, axes, geometry, datasets)
        labels = labels_of(self.group.ome)
        metadata = VolumeMetadata(
            modality=block.modality,
            units=block.units,
            is_inverted=block.is_inverted,
            padding_value=block.padding_value,
            is_label=self.is_label,
            description=", ".join(f"{value} {label.name}" for value, label in list(labels.items())[:100]),
            is_calibrated=is_calibrated and block.is_calibrated,
            source=self.source,
            source_format="OME-Zarr",
        )
        metadata = metadata.with_labels(labels) if self.is_label else metadata
        n_channels = next((n for axis, n in zip(axes, stored.shape, strict=True) if axis.name == "c"), 1)
        volumes = []
        for n, array in enumerate(arrays):
            center, width = _window(self.group.ome, n % n_channels)
            named = self.name if len(arrays) == 1 else f"{self.name} · {n + 1}"
            one = replace(metadata, name=named, window_center=center, window_width=width)
            index = list_index(n, axes, stored.shape, is_color=is_color)
            make = partial(ZarrSource, root=self.root, axes=axes, index=index, is_color=is_color)
            source = make(stored, levels=tuple(Level(make(level), place) for level, place in levels))
            told = tuple(self.warnings)
            volumes.append(Volume.lazy(source, geometry, one, told, block.suvbw_factor, array=array))
        return volumes

    def _stored(self, dataset: Mapping[str, Any]) -> StoredArray:
        folder = child(self.group, dataset.get("path"), self.root)
        stored = open_array(folder, f"{self.shown}/{dataset['path']}", self.root)
        if self.is_label and stored.dtype.kind not in "biu":
            raise ReadError(f"{stored.name}: labels must be whole numbers, but are {stored.dtype}.")
        return stored

    def _check_chunks(self, stored: StoredArray) -> None:
        """Look at the files of an array that is not read yet."""
        n_chunks = math.prod(stored.grid)
        if n_chunks <= _MOST_CHUNKS:
            check_chunks(stored, self.root, self.warnings)
            return
        self.warnings.append(
            f"The image has {n_chunks} chunk files, which are read only when needed; if one is missing, its voxels "
            f"have the value {stored.fill_value}."
        )

    def _coarser(
        self, stored: StoredArray, axes: list[Axis], geometry: Geometry, datasets: list[Mapping[str, Any]]
    ) -> list[tuple[StoredArray, Geometry]]:
        """Return the other resolutions, as long as each is coarser than the one before; the rest gives a warning."""
        found: list[tuple[StoredArray, Geometry]] = []
        finer = stored
        for dataset in datasets[1:]:
            try:
                level = self._stored(dataset)
                check_memory(level)
                check_level(level, finer, axes)
                place = geometry_of_level(geometry, axes, (stored, datasets[0]), (level, dataset), self.shown)
            except ReadError as error:
                self.warnings.append(f"Coarser resolutions are left out, so large views may be slow: {error}")
                break
            found.append((level, place))
            finer = level
        return found

    def _multiscale(self) -> Mapping[str, Any]:
        found = self.group.ome.get("multiscales")
        if not isinstance(found, list) or not found or not isinstance(found[0], dict):
            raise ReadError(f"{self.shown}: the metadata is damaged: 'multiscales' must be a list of images.")
        if len(found) > 1:
            self.warnings.append(f"The store describes {len(found)} multiscale images; the first was read.")
        version = self.group.ome.get("version", found[0].get("version"))
        said = re.match(r"\d+\.\d+", version) if isinstance(version, str) else None
        if version is not None and (said is None or said[0] not in _VERSIONS):
            raise ReadError(
                f"{self.shown}: the metadata is of OME-Zarr version {short(version)}; supported: "
                f"{' and '.join(_VERSIONS)}; convert it."
            )
        return found[0]

    def _datasets(self, multiscale: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the resolutions, of which the format puts the full one first; addresses anywhere are refused."""
        found = multiscale.get("datasets")
        if not isinstance(found, list) or not found or not all(isinstance(d, dict) for d in found):
            raise ReadError(f"{self.shown}: the metadata is damaged: 'datasets' must be a list of resolutions.")
        return found

    def _geometry(
        self, axes: list[Axis], stored: StoredArray, owners: tuple[Mapping[str, Any], Mapping[str, Any]], block: Block
    ) -> tuple[Geometry, bool]:
        levels = [owner.get("coordinateTransformations") for owner in owners]
        scale, translation, has_scale = scale_and_translation(levels, len(axes), self.shown)
        told: list[str] = []
        if not has_scale:
            told.append("The spacing is unknown: the metadata has no scale. Measurements in mm are not possible.")
        affine = world_affine(axes, scale, translation, told)
        sizes = {axis.name: n for axis, n in zip(axes, stored.shape, strict=True)}
        shape = (sizes.get("z", 1), sizes["y"], sizes["x"])
        if block.affine is not None and block.agrees(shape, affine, self.warnings):
            affine, told, has_scale = block.affine, [], True
        self.warnings += told
        try:
            return Geometry(shape, affine), has_scale
        except GeometryError as error:
            raise ReadError(f"{self.shown}: the coordinate transformations do not form a grid: {error}") from error


def _has_colors(axes: list[Axis], stored: StoredArray) -> bool:
    sizes = {axis.name: n for axis, n in zip(axes, stored.shape, strict=True)}
    return sizes.get("c") == 3 and sizes.get("t", 1) == 1 and stored.dtype == np.uint8


def _split(array: npt.NDArray[Any], axes: list[Axis], *, is_color: bool) -> list[npt.NDArray[Any]]:
    """Return the ``(k, j, i)`` images of an array, views of it; colors become the last axis."""
    places = {axis.name: n for n, axis in enumerate(axes)}
    lists = [places[name] for name in LIST_AXES if name in places]
    space = [places[name] for name in SPACE_AXES if name in places]
    moved = array.transpose(*lists, *space)
    if "z" not in places:
        moved = np.expand_dims(moved, len(lists))
    images = [moved[index] for index in np.ndindex(moved.shape[: len(lists)])]
    return [np.stack(images, axis=-1)] if is_color else images


def _window(ome: Mapping[str, Any], channel: int) -> tuple[float | None, float | None]:
    """Return the display window of a channel; a broken one is no reason not to open an image."""
    omero = ome.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    one = channels[channel] if isinstance(channels, list) and channel < len(channels) else None
    window = one.get("window") if isinstance(one, dict) else None
    start, end = (window.get("start"), window.get("end")) if isinstance(window, dict) else (None, None)
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        return None, None
    if not (math.isfinite(start) and math.isfinite(end) and end > start):
        return None, None
    return (start + end) / 2, float(end - start)
