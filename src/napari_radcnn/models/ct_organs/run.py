"""Organs of a body CT: 3 mm, network, and back to the scan's grid, left and right told apart by the spine."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Box, Geometry, Shape
from napari_radcnn.inference.backends import late_warnings
from napari_radcnn.inference.cost.costs import blending_budget
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.patches.positions import patch_count
from napari_radcnn.inference.patches.stream import Reader, read_padded, run_patches
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models.ct_organs.channels import AIR, at_3mm, channels, middle_of
from napari_radcnn.models.ct_organs.network import CHANNELS, CLASSES, MULTIPLE, SPACING, build_network
from napari_radcnn.models.ct_organs.shares import Labels, Shares, spine_columns, without_crumbs
from napari_radcnn.models.ct_organs.spec import CtOrgansOptions
from napari_radcnn.models.ct_organs.structures import VALUES
from napari_radcnn.models.hounsfield import check_hounsfield
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import Sampling

if TYPE_CHECKING:
    import torch

    from napari_radcnn.inference.backends.base import Predictor

#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 2.0
#: The largest patch, and how much of it the next one sees again.
_PATCH, _OVERLAP = (48, 96, 128), 0.25
#: Slices of the scan that are given their classes at once.
_SLAB = 8
#: Peak memory: libraries; a voxel of the patch, of the scan at 3 mm, of the scan, of a slab under way.
_LIBRARIES, _PATCH_BYTES, _SMALL_BYTES, _SCAN_BYTES, _SLAB_BYTES = 600 << 20, 500, 400, 3, 30
#: HU that only metal and very dense contrast medium exceed, and voxels at 3 mm of it that are told; voxels of a spine.
_METAL, _FEW, _SPINE = 2500.0, 10, 500
#: mm that a scan must have along each axis, and mm of a voxel beyond which 3 mm is out of all proportion.
_LEAST_MM, _MOST_MM = 20.0, 12.0


def plan(request: Request) -> Plan:
    """Return the cost: a step a patch of 3 mm, and one a slab of slices.

    Raises
    ------
    GeometryError
        If the scan is too thin or its voxels are too large.
    """
    _refuse_shape(request)
    asked = plan_to_ask(request)
    geometry = request.volume.geometry
    shape = [geometry.shape[n] for n in geometry.axis_map("SPL").order]
    memory = asked.memory_bytes + _SCAN_BYTES * request.volume.size
    memory += _SLAB_BYTES * _SLAB * shape[1] * shape[2] * request.threads
    return replace(asked, patches=asked.patches + -(-shape[0] // _SLAB), memory_bytes=int(memory))


def plan_to_ask(request: Request) -> Plan:
    """Return the cost of `ask`: a step a patch of 3 mm."""
    geometry = request.volume.geometry
    order = geometry.axis_map("SPL").order
    small = _small_shape([geometry.shape[n] for n in order], [geometry.spacing[n] for n in order])
    sampling = _sampling(small)
    memory = _LIBRARIES + _PATCH_BYTES * math.prod(sampling.patch) + _SMALL_BYTES * math.prod(small)
    return Plan(request.spec.name, patch_count(small, sampling), sampling.patch, int(memory))


def can_ask(request: Request) -> bool:
    """Return whether a scan is thick enough and its voxels are small enough for the network."""
    return suits(request.volume.geometry)


def suits(geometry: Geometry) -> bool:
    """Return whether a grid is thick enough and its voxels are small enough for the network."""
    sides = zip(geometry.shape, geometry.spacing, strict=True)
    return all(count * spacing >= _LEAST_MM and spacing <= _MOST_MM for count, spacing in sides)


def _refuse_shape(request: Request) -> None:
    if can_ask(request):
        return
    geometry = request.volume.geometry
    for count, spacing in zip(geometry.shape, geometry.spacing, strict=True):
        if count * spacing < _LEAST_MM or spacing > _MOST_MM:
            raise GeometryError(
                f"'{request.volume.name}' has {count} slices {spacing:.3g} mm apart along one axis: "
                f"'{request.spec.name}' needs at least {_LEAST_MM:.0f} mm and slices at most {_MOST_MM:.0f} mm apart. "
                "Choose the 3-D series, or open all slices of it together."
            )


def _small_shape(shape: list[int], spacing: list[float]) -> Shape:
    k, j, i = (max(1, round(n * step / SPACING)) for n, step in zip(shape, spacing, strict=True))
    return k, j, i


def _sampling(shape: Shape) -> Sampling:
    k, j, i = (min(most, -(-n // MULTIPLE) * MULTIPLE) for n, most in zip(shape, _PATCH, strict=True))
    return Sampling((k, j, i), _OVERLAP, "monai", "monai", padding_value=AIR)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Name the organ of every voxel.

    Raises
    ------
    GeometryError
        If the scan is too thin or its voxels are too large.
    ModelError
        If the values are no Hounsfield units, or nothing is found.
    """
    _refuse_shape(request)
    check_hounsfield(request.volume)
    options: CtOrgansOptions = request.options
    answer = ask(request, monitor, keep_small=options.crumbs)
    shares = answer.shares
    classes = shares.classes()
    columns = spine_columns(classes, answer.middle[1])
    found = np.empty(shares.shape, np.uint8)
    tables = np.zeros((2, 256), np.uint8)
    for name, (right, left) in VALUES.items():
        tables[:, CLASSES.index(name)] = right, left

    def label(first: int) -> None:
        monitor.check()
        part = slice(first, min(first + _SLAB, shares.shape[0]))
        named = shares.on_scan(part)
        low, share = shares.places(0, part)
        spine = columns[low] * (1 - share) + columns[np.minimum(low + 1, columns.size - 1)] * share
        spine = (spine + 0.5) * SPACING / shares.spacing[2] - 0.5
        is_left = (np.arange(shares.shape[2]) > spine[:, None])[:, None]
        found[part] = np.where(is_left, tables[1][named], tables[0][named])

    with ThreadPoolExecutor(max_workers=request.threads) as pool:
        for _ in pool.map(label, range(0, shares.shape[0], _SLAB)):
            monitor.step("labeling")
    if not found.any():
        raise ModelError(
            f"No organ was detected in '{request.volume.name}': '{request.spec.name}' expects a CT of a trunk in "
            "Hounsfield units."
        )
    array: npt.NDArray[np.uint8] = request.volume.geometry.axis_map("SPL").invert(found)
    return Outcome(
        answer.device,
        answer.precision,
        array=np.ascontiguousarray(array),
        facts=answer.facts,
        warnings=(*_doubts(classes, answer.middle[0]), *answer.warnings),
        opening_seconds=answer.opening_seconds,
    )


def _doubts(classes: Labels, row: float) -> list[str]:
    """Return what speaks against the answer: a spine in front of the body's middle."""
    rows = np.nonzero(classes == CLASSES.index("vertebrae"))[1]
    if rows.size >= _SPINE and np.median(rows) < row:
        return ["The spine seems to lie in front: check the orientation of the scan before relying on the result."]
    return []


@dataclass(frozen=True, eq=False)
class Answer:
    """What the network said of a scan, and how.

    Attributes
    ----------
    shares : Shares
        Of each class.
    middle : tuple of float
        Row and column of the body's middle at 3 mm.
    device, precision : str
        Where and how it was computed.
    facts : dict
        For the manifest.
    warnings : tuple of str
        What the user must be told.
    opening_seconds : float
        What opening the network took.
    """

    shares: Shares
    middle: tuple[float, float]
    device: str
    precision: str
    facts: dict[str, Any]
    warnings: tuple[str, ...]
    opening_seconds: float


def ask(request: Request, monitor: Monitor, *, keep_small: bool = False) -> Answer:
    """Return what the network says of a scan; for another model's pipeline, too, whose monitor gets a step a patch.

    Parameters
    ----------
    request : Request
        Of this model, or of another whose first weights are those of `ct-organs`.
    monitor : Monitor
        Gets one step a patch; see `count_patches`.
    keep_small : bool
        Whether parts of an organ that lie apart are kept.
    """
    started = time.perf_counter()
    monitor.say("preparing the scan")
    upright = request.volume.reoriented("SPL")
    hu = at_3mm(upright.array, upright.geometry.spacing)
    row, column = middle_of(hu)
    small: Shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    sampling = _sampling(small)
    shown = shown_at_3mm(hu, row, column, sampling.patch)
    whole: Shape = (shown.shape[1], shown.shape[2], shown.shape[3])

    def read(box: Box) -> npt.NDArray[np.float32]:
        return shown[(slice(None), *box)]

    k, j, i = (slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(whole, sampling.patch, strict=True))
    predictor, told = open_shipped(
        request,
        build_network,
        sampling.patch,
        monitor,
        channels=len(CHANNELS),
        spatial_dims=3,
        sample=read_padded(read, (k, j, i), whole, 0.0),
    )
    opening = time.perf_counter() - started
    try:
        values = np.zeros((len(CLASSES), *small), np.float16)
        for part, logits in _answers(predictor, read, whole, sampling, monitor):
            kept = logits[:, : small[0] - part.start, : small[1], : small[2]]
            power = np.exp(kept - kept.max(0))
            values[:, part.start : part.start + kept.shape[1]] = power / power.sum(0)
        told = (*told, *late_warnings([predictor]))
        facts = {
            "patches": patch_count(whole, sampling),
            "network_shape": list(small),
            "backend": predictor.backend,
            "agreement_with_float32": predictor.agreement,
            "agreement_measured_on": predictor.measured_on,
        }
        device, precision = predictor.device, predictor.precision
    finally:
        predictor.close()
    if np.count_nonzero(hu > _METAL) >= _FEW:
        told = (*told, f"Some of the scan is as bright as metal (above {_METAL:.0f} HU): check what lies near it.")
    monitor.say("cleaning up")
    if not keep_small:
        without_crumbs(values)
    spacing, shape = upright.geometry.spacing, upright.geometry.shape
    shares = Shares(values, spacing, shape)
    return Answer(shares, (row, column), device, precision, facts, told, opening)


def shown_at_3mm(hu: npt.NDArray[np.float32], row: float, column: float, patch: Shape) -> npt.NDArray[np.float32]:
    """Return what the network is shown of a scan at 3 mm, with air added where it is smaller than a patch.

    Parameters
    ----------
    hu : (k, j, i) array of float32
        Axes towards S, P, L.
    row, column : float
        Of the body's middle; see `middle_of`.
    patch : tuple of int
        Voxels of a patch.

    Returns
    -------
    (channels, k, j, i) array of float32
    """
    shape = tuple(max(n, p) for n, p in zip(hu.shape, patch, strict=True))
    wide, inside = np.full(shape, AIR, np.float32), np.zeros(shape, np.float32)
    box = tuple(slice(0, n) for n in hu.shape)
    wide[box], inside[box] = hu, 1.0
    rows = np.broadcast_to((np.arange(shape[1], dtype=np.float32) - row)[:, None], shape)
    columns = np.broadcast_to(np.arange(shape[2], dtype=np.float32) - column, shape)
    return np.stack(channels(wide, inside, rows, columns)).astype(np.float32)


def _answers(
    predictor: Predictor, read: Reader, shape: Shape, sampling: Sampling, monitor: Monitor
) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
    """Yield slices at 3 mm, as they become final, and the logits of their voxels."""
    done = 0
    stream = run_patches(
        [predictor],
        read,
        shape,
        sampling,
        classes=len(CLASSES),
        budget_bytes=blending_budget(),
        monitor=monitor,
    )
    for final, blend in stream:
        for first in range(done, final, MULTIPLE):
            part = slice(first, min(first + MULTIPLE, final))
            yield part, np.array(blend.read((part, slice(0, shape[1]), slice(0, shape[2]))))
        done = final
        blend.release(final)


def find_classes(network: torch.nn.Module, hu: npt.NDArray[np.float32]) -> Labels:
    """Return the likeliest class of every voxel of a scan at 3 mm, from a network that is being trained.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    hu : (k, j, i) array of float32
        The scan at 3 mm, axes towards S, P, L.
    """
    import torch

    around = MULTIPLE
    found = np.zeros(hu.shape, np.uint8)
    row, column = middle_of(hu)
    for first in range(0, hu.shape[0], _PATCH[0]):
        start, stop = max(0, first - around), min(hu.shape[0], first + _PATCH[0] + around)
        sides = [-(-n // MULTIPLE) * MULTIPLE for n in (stop - start, *hu.shape[1:])]
        shown = shown_at_3mm(hu[start:stop], row, column, (sides[0], sides[1], sides[2]))
        with torch.inference_mode():
            classes = network(torch.from_numpy(shown)[None])[0].argmax(0).numpy()
        part = classes[first - start : stop - start, : hu.shape[1], : hu.shape[2]]
        found[first : min(first + _PATCH[0], hu.shape[0])] = part[: min(_PATCH[0], hu.shape[0] - first)]
    return found
