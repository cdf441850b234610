"""`segments`: every label of a label map, measured on a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, OptionError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.measure.features import BY_NAME, FEATURES
from napari_radcnn.measure.peak import peaks
from napari_radcnn.measure.regions import Shape, intensities_of, shape_of
from napari_radcnn.measure.statistics import Values, first_order
from napari_radcnn.progress import CancelEvent, Monitor, Progress
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Label, Volume

#: Label maps of more labels are refused: connected components, as a rule, of which small ones are to be removed first.
MOST_LABELS = 20_000
#: Of the highest value of a region: what counts as metabolic volume unless a threshold is given (EANM 2.0: 41 %).
MTV_FRACTION = 0.41
#: Whole numbers up to this are told apart as floats of double precision.
_LARGEST_LABEL = 2**53
#: Warnings that are told one by one.
_MOST_WARNINGS = 20
#: How far corners may lie apart on one grid, mm.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class _Labels:
    """Labels with slices along the first axis that are as near to axial as the grid has any."""

    array: npt.NDArray[Any]
    geometry: Geometry
    labels: Mapping[int, Label]
    order: tuple[int, int, int]


def segments(
    labels: LabelMap | Volume,
    image: Volume | None = None,
    suv: bool = False,
    *,
    mtv_threshold: float | None = None,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> dict[str, Any]:
    """Measure every label: volume, diameters and shape, and the values of a scan within it.

    Parameters
    ----------
    labels : LabelMap or Volume
        A result, or labels that were read from a file; whole numbers from 0 on.
    image : Volume, optional
        The scan. On another grid than the labels, each of its voxels takes the label of the nearest voxel of the label
        map, and a warning says so; shapes are always measured on the labels' own grid. Without a scan there are no
        columns of values.
    suv : bool
        Measure a PET in SUV by body weight.
    mtv_threshold : float, optional
        The lowest value that counts as metabolic volume of a PET, in the unit of the table; 41 % of the highest of
        each label by default.
    progress, cancel : optional
        See `napari_radcnn.progress`.

    Returns
    -------
    dict
        JSON types: ``{"unit": "HU", "labels": [{"label": 1, "name": "liver", "voxels": ..., "volume_ml": ..., "mean":
        ..., "sd": ..., "min": ..., "median": ..., "max": ..., "longest_diameter_mm": ..., ...}], "warnings": [...],
        "definitions": {"volume_ml": ..., ...}}``. The columns and what they follow are `FEATURES`; None is what is not
        defined, such as the mean of a label without a voxel of the scan. Labels without voxels have no entry. The unit
        is empty where the scan's is not known, and ``"SUVbw"`` with `suv`.

    Raises
    ------
    GeometryError
        If scan and labels do not lie in one space, or not at the same place.
    OptionError
        If `labels` are none, `image` has colors, `suv` is asked for and the scan has no factor, or `mtv_threshold` is
        no finite number.
    CancelledError
        If `cancel` was set.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> scan = head()
    >>> table = segments(radcnn.segment(scan, "brain-extraction", device="cpu"), scan)
    >>> [(row["name"], 1400 < row["volume_ml"] < 1700) for row in table["labels"]]
    [('brain', True)]
    """
    factor, unit = unit_of(image, suv)
    if mtv_threshold is not None and not np.isfinite(mtv_threshold):
        raise OptionError(f"The threshold of the metabolic volume is a number, got {mtv_threshold}.")
    ours = _labels(labels)
    warnings: list[str] = []
    if isinstance(labels, Volume) and labels.modality and not labels.metadata.is_label:
        warnings.append(f"'{labels.name}' is a scan ({labels.modality}): each of its values is taken for a label.")
    theirs, values = (None, None) if image is None else _on_scan(labels, ours, image, warnings)
    boxes = _boxes(ours.array)
    scan_boxes = {} if theirs is None else boxes if theirs is ours else _boxes(theirs.array)
    monitor = Monitor(len(boxes), progress, cancel)
    is_pet = image is not None and (suv or image.modality == "PT")
    rows: list[dict[str, Any]] = []
    for value, box in boxes.items():
        name = ours.labels[value].name if value in ours.labels else f"label {value}"
        monitor.say(name)
        shape = shape_of(ours.array, value, box, ours.geometry.affine[:3, :3])
        row: dict[str, Any] = {"label": value, "name": name, **_place(shape, box, ours)}
        if theirs is not None and image is not None and values is not None:
            scan = _Scan(theirs, values, image.metadata.padding_value, factor, is_pet, mtv_threshold)
            with np.errstate(over="ignore", invalid="ignore"):  # what is beyond a float is not defined
                row |= scan.measure(value, scan_boxes.get(value), shape, ours, name, warnings)
        rows.append({key: _finite(row[key]) for key in ("label", "name", *BY_NAME) if key in row})
        monitor.step(name)
    used = set().union(*rows) if rows else set()
    return {
        "unit": unit,
        "labels": rows,
        "warnings": _few(warnings),
        "definitions": {feature.name: feature.cited for feature in FEATURES if feature.name in used},
    }


def _few(warnings: list[str]) -> list[str]:
    """Return the first warnings, and how many more there are: a thousand labels may lie outside of a scan."""
    more = len(warnings) - _MOST_WARNINGS
    return warnings if more <= 1 else [*warnings[:_MOST_WARNINGS], f"… and {more} further warnings like these."]


def _finite(value: Any) -> Any:
    """Return None for a number that is not finite, such as the energy of values beyond what a float holds."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def unit_of(image: Volume | None, suv: bool) -> tuple[float, str]:
    """Return by what the values of a scan are multiplied, and their unit then.

    Raises
    ------
    OptionError
        If SUV is asked for and the scan has none, or it has colors.
    """
    if image is None:
        if suv:
            raise OptionError("SUV needs a scan: name the PET that the labels are measured on.")
        return 1.0, ""
    if image.is_color:
        raise OptionError(f"'{image.name}' has colors, and no values to measure: choose a scan with one value a voxel.")
    if not suv:
        return 1.0, image.metadata.units
    if image.suvbw_factor is None:
        reason = next(
            (text for text in image.warnings if text.startswith("SUV")), "SUV is not available for this scan."
        )
        raise OptionError(f"'{image.name}': {reason} Measure it without SUV, in its own unit.")
    return image.suvbw_factor, "SUVbw"


def _labels(labels: LabelMap | Volume) -> _Labels:
    """Return the labels as whole numbers, turned so that slices lie along the first axis."""
    array = labels.array
    if array.ndim != 3:
        raise OptionError(f"'{labels.name}' has colors: it is no label map.")
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        are_whole = np.isfinite([low, high]).all() and not any((np.mod(part, 1) != 0).any() for part in array)
        if not are_whole or max(-low, high) > _LARGEST_LABEL:
            raise OptionError(f"'{labels.name}' is no label map: its values are not all whole numbers of labels.")
        # no larger than it must be: a file of floats may hold as many voxels as memory has room for
        array = array.astype(np.min_scalar_type(int(high)) if low >= 0 else np.int64)
    elif array.dtype.kind == "b":
        array = array.view(np.uint8)
    if array.dtype.kind == "i" and array.min() < 0:
        raise OptionError(f"'{labels.name}' is no label map: it has values below 0.")
    axis_map = labels.geometry.axis_map("SPL")
    axial = axis_map.order[0]
    first, second = (axis for axis in range(3) if axis != axial)
    order = (axial, first, second)
    turned = type(axis_map)(order, (False, False, False))
    return _Labels(turned.apply(array), labels.geometry.reoriented(turned), labels.labels, order)


def _boxes(array: npt.NDArray[Any]) -> dict[int, Box]:
    """Return the bounding box of each label."""
    from scipy.ndimage import find_objects

    highest = int(array.max(initial=0))
    if highest > MOST_LABELS:
        present = np.unique(array[array != 0])
        if len(present) > MOST_LABELS:
            raise OptionError(
                f"There are {len(present)} labels, and at most {MOST_LABELS} are measured at once: these look like "
                "connected components; remove the small ones first."
            )
        numbered = np.searchsorted(np.concatenate([[0], present]), array).astype(np.int32)
        found = find_objects(numbered)
        return {int(present[n]): box for n, box in enumerate(found) if box is not None}
    whole = array if array.dtype.kind in "iu" and array.dtype.isnative else array.astype(np.int64)
    return {n: box for n, box in enumerate(find_objects(whole), 1) if box is not None}


def _place(shape: Shape, box: Box, ours: _Labels) -> dict[str, Any]:
    x, y, z = ours.geometry.to_world(shape.centroid).tolist()
    first, last = [0, 0, 0], [0, 0, 0]
    for extent, axis in zip(box, ours.order, strict=True):
        first[axis], last[axis] = int(extent.start), int(extent.stop) - 1
    return {
        "voxels": shape.voxels,
        "volume_ml": shape.voxels * ours.geometry.voxel_volume / 1000,
        "centroid_x_mm": x,
        "centroid_y_mm": y,
        "centroid_z_mm": z,
        **{f"first_{letter}": first[n] for n, letter in enumerate("kji")},
        **{f"last_{letter}": last[n] for n, letter in enumerate("kji")},
        **shape.figures,
    }


# -- the scan ---------------------------------------------------------------------------------------------------------


def _on_scan(
    labels: LabelMap | Volume, ours: _Labels, image: Volume, warnings: list[str]
) -> tuple[_Labels, npt.NDArray[Any]]:
    """Return the labels on the scan's grid, and its voxels in the order of their axes."""
    theirs, own = image.metadata.frame_of_reference_uid, labels.metadata.frame_of_reference_uid
    if theirs and own and theirs != own:
        raise GeometryError(
            f"'{labels.name}' and '{image.name}' have different frames of reference (FrameOfReferenceUID): they do not "
            "lie in one space. Choose the scan that the labels were made on."
        )
    turn = ours.geometry.orientation
    axis_map = image.geometry.axis_map(turn)
    grid = image.geometry.reoriented(axis_map)
    if grid.is_close(ours.geometry, _TOLERANCE):
        return ours, axis_map.apply(image.array)
    low, high = ours.geometry.corners.min(0), ours.geometry.corners.max(0)
    if (image.geometry.corners.max(0) < low).any() or (image.geometry.corners.min(0) > high).any():
        raise GeometryError(
            f"'{labels.name}' and '{image.name}' do not overlap in the patient: they may belong to different studies, "
            "or one of them may lack its position. Choose the scan that the labels were made on."
        )
    warnings.append(
        f"'{labels.name}' is on another grid than '{image.name}': values are those of the voxels of the scan that lie "
        "nearest to a labeled voxel; volumes and diameters are of the labels as they are."
    )
    return _Labels(_nearest(ours, grid), grid, ours.labels, ours.order), axis_map.apply(image.array)


def _nearest(ours: _Labels, grid: Geometry) -> npt.NDArray[Any]:
    """Return the label of the nearest voxel for each voxel of another grid, 0 outside."""
    from scipy.ndimage import affine_transform

    to_index = np.linalg.inv(ours.geometry.affine) @ grid.affine
    found = np.zeros(grid.shape, ours.array.dtype)
    affine_transform(
        ours.array,
        to_index[:3, :3],
        to_index[:3, 3],
        output_shape=grid.shape,
        output=found,
        order=0,
        mode="grid-constant",
        prefilter=False,
    )
    return found


@dataclass(frozen=True)
class _Scan:
    """The scan, and labels on its grid."""

    labels: _Labels
    array: npt.NDArray[Any]
    padding: float | None
    factor: float
    is_pet: bool
    mtv_threshold: float | None

    def measure(
        self, value: int, box: Box | None, shape: Shape, ours: _Labels, name: str, warnings: list[str]
    ) -> dict[str, Any]:
        """Return the columns of a label's values."""
        empty = {
            feature.name: None
            for feature in FEATURES
            if feature.group == "intensity" or (feature.group == "PET" and self.is_pet)
        }
        if box is None:
            warnings.append(f"{name}: no voxel of the scan lies in it; it has no values.")
            return empty
        found = intensities_of(self.labels.array, self.array, value, box, self.padding)
        if found.left_out:
            warnings.append(
                f"{name}: {found.left_out} voxels of the scan are not finite or lie outside of the scanned field; "
                "they are left out of the values."
            )
        if found.values is None:
            return empty
        values = found.values.scaled(self.factor)
        row = empty | first_order(values)
        center = found.center
        if center is not None:
            apart = self.labels.geometry.to_world(center) - ours.geometry.to_world(shape.centroid)
            row["center_of_mass_shift_mm"] = float(np.linalg.norm(apart))
        mesh = shape.figures["mesh_volume_ml"]
        row["integrated_intensity"] = None if mesh is None else values.mean_of(values.values) * mesh
        return row | self._pet(value, box, values) if self.is_pet else row

    def _pet(self, value: int, box: Box, values: Values) -> dict[str, float]:
        """Return what is asked of a PET only; thresholds are in the unit of the table."""
        geometry = self.labels.geometry
        mask = self.labels.array[box] == value
        start = (int(box[0].start), int(box[1].start), int(box[2].start))
        found = peaks(self.array, mask, geometry.affine[:3, :3], start, self.padding)
        best, local = (peak * self.factor for peak in found)
        highest = float(values.values[-1])
        threshold = MTV_FRACTION * highest if self.mtv_threshold is None else self.mtv_threshold
        row = {
            "suv_max": highest,
            "suv_mean": values.mean_of(values.values),
            "suv_peak": best,
            "local_peak": local,
        }
        if self.mtv_threshold is None and highest <= 0:  # a part of nothing
            return row
        hot = values.above(threshold)
        milliliters = 0.0 if hot is None else hot.n * geometry.voxel_volume / 1000
        return row | {
            "mtv_threshold": threshold,
            "mtv_ml": milliliters,
            "tlg": 0.0 if hot is None else milliliters * hot.mean_of(hot.values),
        }
