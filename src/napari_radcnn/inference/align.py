"""Several scans of one patient on one grid: what an overlay, and a model of several inputs, start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.preprocessing import resample
from napari_radcnn.progress import CancelEvent, Monitor, Progress
from napari_radcnn.results import LabelMap
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.volume import Volume

#: What an operation takes: a scan; or one for each input of the model, in order or by name.
Inputs = Volume | Sequence[Volume] | Mapping[str, Volume]


def fill_slots(spec: ModelSpec, inputs: Inputs) -> tuple[Volume, ...]:
    """Return one scan for each input of a model, in the model's order, each on its own grid still.

    Parameters
    ----------
    spec : ModelSpec
        Its `inputs` name what it takes; empty for one scan of any name.
    inputs : Volume, sequence or mapping
        By name where a mapping, else in the order of ``spec.inputs``.

    Raises
    ------
    ModelError
        If one is missing, too many or of an unknown name; the text says which.
    """
    names = [slot.name for slot in spec.inputs] or ["scan"]
    takes = f"'{spec.name}' takes {len(names)} scan{'s' * (len(names) > 1)}" + (
        f" ({', '.join(names)})" if spec.inputs else ""
    )
    if isinstance(inputs, Mapping):
        unknown = [name for name in inputs if name not in names]
        if unknown:
            raise ModelError(f"{takes}; it has no input named {', '.join(repr(name) for name in unknown)}.")
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ModelError(f"{takes}; missing: {', '.join(missing)}.")
        return tuple(inputs[name] for name in names)
    given = (inputs,) if isinstance(inputs, Volume) else tuple(inputs)
    if len(given) != len(names):
        lacking = f"; missing: {', '.join(names[len(given) :])}" if len(given) < len(names) else ""
        raise ModelError(f"{takes}, got {len(given)}{lacking}.")
    return given


def slot_warnings(volumes: Sequence[Volume]) -> list[str]:
    """Return what speaks against scans as the inputs of one model: different patient spaces and grids."""
    found = []
    frames = {volume.metadata.frame_of_reference_uid for volume in volumes} - {""}
    if len(frames) > 1:
        found.append("The inputs have different frames of reference: their positions may not correspond.")
    moved = [volume.name for volume in volumes[1:] if not _same_grid(volume.geometry, volumes[0].geometry)]
    if moved:
        found.append(f"Resampled onto the grid of '{volumes[0].name}': {', '.join(moved)}.")
    return found


def on_one_grid(
    volumes: Sequence[Volume], *, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> tuple[Volume, ...]:
    """Return the scans on the grid of the first; those that lie on it already are not touched.

    Raises
    ------
    GeometryError
        If one does not overlap with the first.
    """
    first = volumes[0]
    others = []
    for volume in volumes[1:]:
        if _same_grid(volume.geometry, first.geometry):
            others.append(volume)
            continue
        moved = resample_to(volume, first.geometry, progress=progress, cancel=cancel)
        if isinstance(moved, Volume):
            others.append(moved)
    return (first, *others)


def _same_grid(first: Geometry, second: Geometry) -> bool:
    """Return whether every voxel of two grids lies at the same place, to a thousandth of the finest spacing."""
    if first.shape != second.shape:
        return False
    return float(np.abs(first.corners - second.corners).max()) < 1e-3 * min(first.spacing)


def resample_to(
    image: Volume | LabelMap,
    reference: Volume | LabelMap | Geometry,
    *,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> Volume | LabelMap:
    """Put one scan on another's grid, so that their voxels correspond.

    Parameters
    ----------
    image : Volume or LabelMap
        What is moved: images linearly, smoothed first where the new grid is coarser; labels to the nearest voxel.
    reference : Volume, LabelMap or Geometry
        Whose grid it gets. Both must lie in one patient space: nothing is registered.
    progress, cancel : optional
        See `napari_radcnn.progress`.

    Returns
    -------
    Volume or LabelMap
        Of the kind of `image`. Outside its field of view a volume holds its padding value, else its minimum, and a
        label map 0. Where both are DICOM and of different frames of reference, a warning says so.

    Raises
    ------
    GeometryError
        If the two do not overlap at all.
    CancelledError
        If `cancel` was set.
    """
    grid = reference if isinstance(reference, Geometry) else reference.geometry
    low, high = image.geometry.corners.min(0), image.geometry.corners.max(0)
    if (grid.corners.max(0) < low).any() or (grid.corners.min(0) > high).any():
        raise GeometryError(
            f"'{image.name}' and its target grid do not overlap in the patient: they may belong to different "
            "patients or studies, or one of them may lack its position."
        )
    monitor = Monitor(grid.shape[0], progress, cancel)

    def each_slab(done: int, total: int) -> None:
        monitor.done = done
        monitor.say(f"slice {done} of {total}")

    is_image = isinstance(image, Volume) and not image.metadata.is_label
    fill = 0.0
    if isinstance(image, Volume) and is_image and not image.is_color:
        fill = (
            image.metadata.padding_value if image.metadata.padding_value is not None else float(np.nanmin(image.array))
        )
    array = resample(
        image.array,
        image.geometry,
        grid,
        interpolation="linear" if is_image else "nearest",
        fill=fill,
        each_slab=each_slab,
    )
    if isinstance(image, LabelMap):
        return replace(image, array=array, geometry=grid)
    warnings = image.warnings
    if isinstance(reference, Volume):
        frames = {scan.metadata.frame_of_reference_uid for scan in (image, reference)} - {""}
        if len(frames) > 1:
            warnings += (
                f"'{image.name}' and '{reference.name}' have different frames of reference: their positions may not "
                "correspond.",
            )
    return replace(image.with_array(array, grid), warnings=warnings)
