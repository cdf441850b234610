"""The tissues of a body CT: shapes are judged on small grids, edges drawn by the scan's own HU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models.ct_organs.run import ask, can_ask, plan_to_ask
from napari_radcnn.models.ct_tissues import spec as labels
from napari_radcnn.models.ct_tissues.classes import COARSE, FINE, classify, find_parts
from napari_radcnn.models.ct_tissues.named import Named
from napari_radcnn.models.ct_tissues.spec import CtTissuesOptions
from napari_radcnn.models.hounsfield import check_hounsfield
from napari_radcnn.progress import Monitor

#: Of a voxel of the scan on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 1.2e-6
#: Slices given their classes at once in a thread.
_SLAB = 8
#: Bytes a voxel of the scan, of the two small grids, and of a slab under way.
_SCAN_BYTES, _SMALL_BYTES, _SLAB_BYTES = 3, 60, 32
#: Number of slices below which shapes become unsure.
_FEWEST = 8


def plan(request: Request) -> Plan:
    """Return the cost: one step a slab of slices, and one for the shapes."""
    volume = request.volume
    shape, spacing = volume.geometry.shape, volume.geometry.spacing
    upright = [shape[n] for n in volume.geometry.axis_map("SPL").order]
    small = sum(volume.size / np.prod([max(1, round(side / step)) for step in spacing]) for side in (COARSE, FINE))
    slab = _SLAB * upright[1] * upright[2]
    memory = int(_SCAN_BYTES * volume.size + _SMALL_BYTES * small + _SLAB_BYTES * slab * request.threads)
    steps = 1 + -(-upright[0] // _SLAB)
    if _asks(request):
        asked = plan_to_ask(request)
        steps, memory = steps + asked.patches, memory + asked.memory_bytes
    return Plan(request.spec.name, steps, (_SLAB, upright[1], upright[2]), memory, warnings=tuple(_doubts(request)))


def _asks(request: Request) -> bool:
    """Return whether the network of `ct-organs` is asked: not for the body alone, and not of a few slices."""
    return request.options.organs and request.options.show == "tissues" and can_ask(request)


def _doubts(request: Request) -> list[str]:
    volume = request.volume
    slices = volume.geometry.shape[volume.geometry.axis_map("SPL").order[0]]
    found = []
    if request.settings.device == "cuda" and not _asks(request):
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
    answer = ask(request, monitor) if _asks(request) else None
    named = Named(answer.shares.values) if answer else None
    parts = find_parts(hu, spacing, dense=options.dense_lung, named=named, say=monitor.say)
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
    facts = {"body_ml": round(body_ml, 1)} | (answer.facts if answer else {})
    return Outcome(
        answer.device if answer else "cpu",
        answer.precision if answer else "float32",
        array=np.ascontiguousarray(array),
        facts=facts,
        warnings=(*_remarks(counts, options), *(answer.warnings if answer else ())),
        opening_seconds=answer.opening_seconds if answer else 0.0,
    )


def _remarks(counts: npt.NDArray[np.int_], options: CtTissuesOptions) -> list[str]:
    if options.show == "body" or counts[labels.LUNG] or not counts[labels.AIRWAY]:
        return []
    return ["An airway was detected, but no aerated lung: check whether the lungs are completely dense."]
