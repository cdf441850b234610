"""A foreign network, run with its processing steps: turn, resample, scale, crop; patches; back to the scan's grid.

The answer comes back block by block, so that all classes are never held on the scan's own grid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.foreign.processing.grid import WayBack
from napari_radcnn.foreign.processing.input import RecipeInput, grid_change, turned_axes, turned_scans
from napari_radcnn.foreign.processing.output import Answer
from napari_radcnn.foreign.processing.steps import Processing
from napari_radcnn.foreign.requested import check_scans, network_of
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.backends import Predictor, late_warnings
from napari_radcnn.inference.backends.apart.predictor import open_file_network, weigh_onnx
from napari_radcnn.inference.cost.costs import (
    LIBRARY_BYTES,
    blending_budget,
    keeping_budget,
    kept_bytes,
    labeling_bytes,
    layers_bytes,
    learn_from_layers,
    network_bytes,
)
from napari_radcnn.inference.patches.accumulate import Blend, blending_bytes
from napari_radcnn.inference.patches.blockwise import BLOCK_BYTES
from napari_radcnn.inference.patches.positions import patch_count
from napari_radcnn.inference.patches.stream import read_padded, run_patches
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.networks.files import open_network
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import Sampling

#: Labels can be given block by block, see `Request.sink`.
STREAMS = True
#: Peak memory of a network at work, a voxel of the patch, before its first run on this computer.
_BYTES_A_VOXEL = 800


def plan(request: Request) -> Plan:
    """Return the cost: patches of the whole scan; what is cropped away makes it less."""
    processing = _processing(request)
    scans = turned_scans(request.volumes, processing)
    shape, warnings = scans.shape, []
    for step in processing.steps:
        change = grid_change(step, shape, request.volume.name, turned_axes(scans))
        shape = shape if change is None else change.after
    sampling = _sampling(processing, shape)
    blended, _ = blending_bytes(shape, processing.classes, sampling.patch, blending_budget())
    kept = kept_bytes(processing.channels, prod(shape))
    network = network_bytes(request, sampling.patch, lambda: _first_bytes(request, processing, sampling.patch))
    memory = network + blended + kept + labeling_bytes(prod(request.volume.shape))
    memory += 0 if request.streams else 2 * prod(request.volume.shape)
    if request.volume.geometry.is_sheared:
        warnings.append("The scan's axes are not at right angles (gantry tilt): the network sees it sheared.")
    wanted = processing.spacing or (0.0, 0.0, 0.0)
    for ours, theirs in zip(np.linalg.norm(turned_axes(scans), axis=0), wanted, strict=True):
        if theirs and ours > 3 * theirs:
            warnings.append(f"The spacing is {ours:.1f} mm; the model works at {theirs:.1f} mm.")
    return Plan(
        request.spec.name,
        patch_count(shape, sampling),
        sampling.patch,
        memory,
        warnings=tuple(dict.fromkeys(warnings)),
        network_bytes=network,
    )


def run(request: Request, monitor: Monitor) -> Outcome:
    """Run the network; the result lies on the scan's own grid."""
    run_ = _Run(request, monitor)
    array = run_.run()
    warnings = list(run_.warnings)
    made = run_.processing.made
    if made is not None:
        run_.facts["made"] = {"unit": made.unit, "modality": made.modality, "limits": made.limits}
        share = run_.facts.get("share_outside_limits", 0.0)
        if made.limits is not None and share:
            low, high = made.limits
            where = f"{low:g} to {high:g} {made.unit}"
            warnings.append(f"{share:.1%} of the voxels lie outside the range of the model's output, {where}.")
    return Outcome(
        run_.device,
        run_.precision,
        array=array,
        facts=run_.facts,
        warnings=tuple(dict.fromkeys(warnings)),
        opening_seconds=run_.opening_seconds,
    )


def _processing(request: Request) -> Processing:
    processing = network_of(request, Processing)
    check_scans(request, processing.channels)
    return processing


def _first_bytes(request: Request, processing: Processing, patch: Shape) -> int:
    """Return what the network takes in a first run: of an ONNX file as its layers say, else by a rule."""
    file = request.spec.files[0]
    if file.kind == "onnx":
        network = open_network(file, channels=processing.channels, spatial_dims=processing.spatial_dims)
        found = layers_bytes(file.sha256, patch, lambda: weigh_onnx(network, patch))
        if found is not None:
            return LIBRARY_BYTES + found
    return LIBRARY_BYTES + _BYTES_A_VOXEL * prod(patch)


def _sampling(processing: Processing, shape: Shape) -> Sampling:
    """Return how patches are taken; without patches one that holds everything."""
    if processing.sampling is not None:
        return processing.sampling
    patch = (1, *shape[1:]) if processing.spatial_dims == 2 else shape
    return Sampling(patch, 0.0, "monai", "constant")


class _Run:
    """One run."""

    def __init__(self, request: Request, monitor: Monitor) -> None:
        self.request, self.monitor = request, monitor
        self.processing = _processing(request)
        self.warnings: list[str] = []
        self.device = self.precision = ""
        self.opening_seconds = 0.0
        self.facts: dict[str, Any] = {}
        monitor.say("preparing the scan")
        self.source = RecipeInput(request.volumes, self.processing, keeping_budget(), monitor)
        self.sampling = _sampling(self.processing, self.source.shape)
        self.answer = Answer(self.processing, self.source.intensities)
        self.way = WayBack(self.source.changes, *self.answer.way)
        self.native = self.source.scans.shape
        # What has to be seen whole before any of it is final cannot be begun in the middle.
        resumes = request.sink is not None and not self.answer.needs_whole
        self.begin = min(request.sink.mark_reached, self.native[0]) if resumes and request.sink else 0
        self.first_plane = self.way.planes(self.begin, self.native[0])[0] if self.begin < self.native[0] else 0

    def run(self) -> npt.NDArray[Any] | None:
        """Return the result on the scan's grid, or None where it went to the request's sink."""
        if self.begin >= self.native[0]:
            return None
        self.monitor.total = patch_count(self.source.shape, self.sampling, self.first_plane)
        streams = self.request.sink is not None and not self.answer.needs_whole
        whole = None if streams else np.zeros(self.request.volume.shape, self.answer.dtype)
        view = None if whole is None else self.source.scans.view_of(whole)
        predictor = self._open()
        try:
            done = self.begin
            for box, values in self._blocks(predictor):
                if view is not None:
                    view[box] = values
                elif self.request.sink is not None:
                    if box[0].start > done:
                        done = box[0].start
                        self.request.sink.mark(done)
                    self.request.sink.write(*self.source.scans.box_of(box, values))
            self.warnings += late_warnings([predictor])
        finally:
            predictor.close()
        if whole is None:
            if self.request.sink is not None:
                self.request.sink.mark(self.native[0])
            return None
        whole, told = self.answer.finish(whole)
        self.facts |= told
        if self.request.sink is None:
            return whole
        k, j, i = (slice(0, n) for n in whole.shape)
        self.request.sink.write((k, j, i), whole)
        self.request.sink.mark(self.native[0])
        return None

    def _open(self) -> Predictor:
        """Open the network; it is compared with float32 on the patch in the middle."""
        request, processing, shape = self.request, self.processing, self.source.shape
        patch = self.sampling.patch
        k, j, i = (slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(shape, patch, strict=True))
        sample = read_padded(self.source.read, (k, j, i), shape, self.sampling.padding_value)
        started = time.perf_counter()
        network = open_network(
            request.spec.files[0], channels=processing.channels, spatial_dims=processing.spatial_dims
        )
        predictor, told = open_file_network(
            network,
            patch,
            request.settings,
            threads=request.threads,
            sample=sample,
            outputs="channels" if self.answer.is_threshold else "classes",
            monitor=self.monitor,
            scan=request.scan_sha256,
        )
        learn_from_layers(request, patch, network, predictor, copies=1)
        self.warnings += told
        self.device, self.precision = predictor.device, predictor.precision
        self.facts |= {
            "patches": self.monitor.total,
            "network_shape": list(shape),
            "backend": predictor.backend,
            "agreement_with_float32": predictor.agreement,
            "agreement_measured_on": predictor.measured_on,
        }
        self.opening_seconds = time.perf_counter() - started
        return predictor

    def _blocks(self, predictor: Predictor) -> Iterator[tuple[Box, npt.NDArray[Any]]]:
        """Yield the result on the turned grid of the scan, whole planes of the first axis."""
        stream = run_patches(
            [predictor],
            self.source.read,
            self.source.shape,
            self.sampling,
            classes=self.processing.classes,
            budget_bytes=blending_budget(),
            monitor=self.monitor,
            first_plane=self.first_plane,
        )
        if self.answer.decides_first:
            labels = np.zeros(self.source.shape, self.answer.dtype)
            done = self.first_plane
            for final, blend in stream:
                for start in range(done, final, self._depth(self.source.shape)):
                    stop = min(start + self._depth(self.source.shape), final)
                    labels[start:stop] = self.answer.decide(blend.read(_planes(start, stop, self.source.shape)))
                done = final
                blend.release(final)
            labels = self.answer.finish_early(labels)
            yield from self._read_back(lambda box: labels[None, *box], self.begin, self.native[0])
            return
        done = self.begin
        for final, blend in stream:
            ready = self._ready(final, done)
            yield from self._read_back(self._reader(blend), done, ready)
            done = ready
            if done < self.native[0]:
                low, high = self.way.planes(done, self.native[0])
                blend.release(min(low, final) if low < high else final)

    def _reader(self, blend: Blend) -> Callable[[Box], npt.NDArray]:
        return lambda box: self.answer.before(np.array(blend.read(box)))

    def _read_back(
        self, read: Callable[[Box], npt.NDArray], first: int, last: int
    ) -> Iterator[tuple[Box, npt.NDArray[Any]]]:
        depth = self._depth(self.native)
        for start in range(first, last, depth):
            box = _planes(start, min(start + depth, last), self.native)
            yield box, self.answer.after(self.way.read(read, box))

    def _ready(self, final: int, done: int) -> int:
        """Return how many planes of the scan need no plane of the network's from `final` on."""
        low, high = done, self.native[0]
        while low < high:
            middle = (low + high + 1) // 2
            if self.way.planes(done, middle)[1] <= final:
                low = middle
            else:
                high = middle - 1
        return low

    def _depth(self, shape: Shape) -> int:
        return max(1, BLOCK_BYTES // (4 * self.processing.classes * shape[1] * shape[2]))


def _planes(first: int, last: int, shape: Shape) -> Box:
    return slice(first, last), slice(0, shape[1]), slice(0, shape[2])
