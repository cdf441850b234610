"""The tissues of a body CT by rules: shapes are judged on small grids, edges drawn by the scan's own HU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models.ct_tissues import spec as labels
from napari_radcnn.models.ct_tissues.classes import COARSE, FINE, classify, find_parts
from napari_radcnn.models.ct_tissues.spec import CtTissuesOptions
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Of a voxel of the scan on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 1.2e-6
#: Slices given their classes at once in a thread.
_SLAB = 8
#: Bytes a voxel of the scan, of the two small grids, and of a slab under way.
_SCAN_BYTES, _SMALL_BYTES, _SLAB_BYTES = 3, 60, 32
#: Number of slices below which shapes become unsure.
_FEWEST = 8
#: HU below which a CT of a body always has voxels: fat, if no air.
_LOWEST = -50.0
#: HU that most of a body has.
_FLESH = (-250.0, 250.0)
#: Fraction of all voxels.
_SOME_FLESH = 0.01


def plan(request: Request) -> Plan:
    """Return the cost: one step a slab of slices, and one for the shapes."""
    volume = request.volume
    shape, spacing = volume.geometry.shape, volume.geometry.spacing
    upright = [shape[n] for n in volume.geometry.axis_map("SPL").order]
    small = sum(volume.size / np.prod([max(1, round(side / step)) for step in spacing]) for side in (COARSE, FINE))
    slab = _SLAB * upright[1] * upright[2]
    memory = int(_SCAN_BYTES * volume.size + _SMALL_BYTES * small + _SLAB_BYTES * slab * request.threads)
    steps = 1 + -(-upright[0] // _SLAB)
    return Plan(request.spec.name, steps, (_SLAB, upright[1], upright[2]), memory, warnings=tuple(_doubts(request)))


def _doubts(request: Request) -> list[str]:
    volume = request.volume
    slices = volume.geometry.shape[volume.geometry.axis_map("SPL").order[0]]
    found = []
    if request.settings.device == "cuda":
        found.append("The rules run on the processor; the graphics card is not used.")
    if slices < _FEWEST:
        found.append(
            f"'{volume.name}' has {slices} slice{('s' if slices > 1 else '')} from feet to head: with fewer than "
            f"{_FEWEST}, no airway is detected, and lung and bone, which are recognized by their 3-D shape, must be "
            "checked."
        )
    return found


def run(request: Request, monitor: Monitor) -> Outcome:
    """Give every voxel a class.

    Raises
    ------
    ModelError
        If the values are no Hounsfield units, or show no body.
    """
    options: CtTissuesOptions = request.options
    check_hounsfield(request.volume)
    upright = request.volume.reoriented("SPL")
    hu, spacing = upright.array, upright.geometry.spacing
    parts = find_parts(hu, spacing, dense=options.dense_lung, say=monitor.say)
    if parts is None:
        raise ModelError(
            f"No body was detected in '{request.volume.name}': '{request.spec.name}' expects a CT of a trunk, a neck "
            "or a limb in Hounsfield units."
        )
    monitor.step("labeling")
    found = np.empty(hu.shape, np.uint8)
    counts = np.zeros(labels.BODY + 1, int)

    def label(first: int) -> npt.NDArray[np.int_]:
        monitor.check()
        slab = slice(first, min(first + _SLAB, hu.shape[0]))
        found[slab] = classify(hu, spacing, parts, slab, body_only=options.show == "body")
        return np.bincount(found[slab].ravel(), minlength=labels.BODY + 1)

    with ThreadPoolExecutor(max_workers=request.threads) as pool:
        for some in pool.map(label, range(0, hu.shape[0], _SLAB)):
            counts += some
            monitor.step("labeling")
    array: npt.NDArray[np.uint8] = request.volume.geometry.axis_map("SPL").invert(found)
    body_ml = float(counts[1:].sum()) * request.volume.geometry.voxel_volume / 1000
    return Outcome(
        "cpu",
        "float32",
        array=np.ascontiguousarray(array),
        facts={"body_ml": round(body_ml, 1)},
        warnings=tuple(_remarks(counts, options)),
    )


def _remarks(counts: npt.NDArray[np.int_], options: CtTissuesOptions) -> list[str]:
    if options.show == "body" or counts[labels.LUNG] or not counts[labels.AIRWAY]:
        return []
    return ["An airway was detected, but no aerated lung: check whether the lungs are completely dense."]


def check_hounsfield(volume: Volume) -> None:
    """Raise where the values cannot be Hounsfield units: neither air nor fat lies low enough, or nothing is flesh.

    Raises
    ------
    ModelError
        In plain words.
    """
    thin = volume.array[tuple(slice(None, None, max(1, n // 64)) for n in volume.array.shape)]
    values = thin[np.isfinite(thin)] if np.issubdtype(thin.dtype, np.floating) else thin.ravel()
    if values.size == 0 or values.min() == values.max():
        raise ModelError(
            f"'{volume.name}' has the same value everywhere, or no finite values: there is nothing to segment."
        )
    low, high = float(values.min()), float(values.max())
    if low > _LOWEST:
        raise ModelError(
            f"'{volume.name}' is not in Hounsfield units: its values run from {low:g} to {high:g}, but air and fat "
            f"lie below {_LOWEST:g}. If it is a CT, its rescale intercept (often -1024) was not applied: read the "
            "original DICOM, or add the intercept. This model is for CT only."
        )
    fleshy = np.mean((values > _FLESH[0]) & (values < _FLESH[1]))
    if fleshy < _SOME_FLESH:
        raise ModelError(
            f"'{volume.name}' is not in Hounsfield units, or shows no body: only {100 * fleshy:.1f} % of its values "
            f"lie between {_FLESH[0]:g} and {_FLESH[1]:g}."
        )
