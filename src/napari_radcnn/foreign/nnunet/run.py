"""nnU-Net v2's models as nnU-Net runs them, in bounded memory.

Crop, normalization and resampling are those of `nnunet_input`; patches lie where nnU-Net's do; logits of folds and of
mirrored patches are averaged; they come back to the scan's grid linearly, block by block, and the largest class wins.
A cascade runs both stages.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError, OptionError
from napari_radcnn.foreign.nnunet.input import NetworkInput, scanned_box, target_spacing
from napari_radcnn.foreign.nnunet.plans import NnunetModel
from napari_radcnn.foreign.nnunet.resampling import make_resampler, new_shape
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.backends import Predictor, late_warnings, open_predictor
from napari_radcnn.inference.cost.costs import (
    blending_budget,
    keeping_budget,
    kept_bytes,
    labeling_bytes,
    learn_from_layers,
    network_bytes,
)
from napari_radcnn.inference.cost.growth import check_growth
from napari_radcnn.inference.patches.accumulate import blending_bytes
from napari_radcnn.inference.patches.blockwise import Interpolation, LabelRule, first_network_plane, resampled_argmax
from napari_radcnn.inference.patches.fast_mode import AIR, AirSkipper, fast_sampling
from napari_radcnn.inference.patches.positions import patch_count
from napari_radcnn.inference.patches.stream import read_padded, run_patches
from napari_radcnn.inference.patches.turned import TurnedScans
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.networks.files import open_network
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import NetworkFile, Sampling

#: Labels can be given block by block, see `Request.sink`.
STREAMS = True

#: NIfTI's letters run along (i, j, k).
_LETTERS = {"RAS": "SAR", "LAS": "SAL", "LPS": "SPL", "stored": ""}


def plan(request: Request) -> Plan:
    """Return the cost: how many patches nnU-Net's own positions make of this scan."""
    model, scan_bytes, at_first, patches = _model(request), 0, 0, 0
    patch = model.sampling.patch
    for stage in _stages(model):
        scans = _scans(request, stage)
        wanted = target_spacing(stage, scans.spacing)
        shape = new_shape(scans.shape, scans.spacing, wanted)
        check_growth(request.volume.name, scans.shape, scans.spacing, shape, wanted)
        sampling = _sampling(stage, request)
        patch = sampling.patch  # of the last stage
        patches += patch_count(shape, sampling)
        scan_bytes = max(scan_bytes, _scan_memory(stage, sampling, shape))
        at_first = max(at_first, _network_memory(stage, sampling, len(_folds(stage, request))))
    maps = (not request.streams) + (model.previous is not None)
    scan_bytes += maps * prod(request.volume.shape) + labeling_bytes(prod(request.volume.shape))
    network = network_bytes(request, patch, at_first)
    return Plan(
        request.spec.name,
        patches,
        patch,
        scan_bytes + network,
        warnings=_domain_warnings(request, model),
        network_bytes=network,
    )


def run(request: Request, monitor: Monitor) -> Outcome:
    """Run the model; labels lie on the scan's own grid."""
    model = _model(request)
    monitor.say("checking the scan")
    runs = [_Stage(request, stage, monitor) for stage in _stages(model)]
    monitor.total = sum(stage.patches for stage in runs)
    previous: npt.NDArray[Any] | None = None
    for stage in runs[:-1]:
        previous = np.zeros(request.volume.shape, stage.rule.dtype)
        stage.run(previous, None)
    last = runs[-1]
    labels = None if request.sink is not None else np.zeros(request.volume.shape, last.rule.dtype)
    last.run(labels, previous)
    warnings = tuple(dict.fromkeys(text for stage in runs for text in stage.warnings))
    opening = sum(stage.opening_seconds for stage in runs)
    return Outcome(
        last.device, last.precision, array=labels, facts=last.facts, warnings=warnings, opening_seconds=opening
    )


# -- what is asked for --------------------------------------------------------------------------------------------


def _model(request: Request) -> NnunetModel:
    model = request.spec.network
    if not isinstance(model, NnunetModel):
        raise ModelError(f"'{request.spec.name}' is not an nnU-Net model.")
    if len(request.volumes) != model.channels:
        names = ", ".join(slot.name for slot in request.spec.inputs)
        raise ModelError(f"'{request.spec.name}' takes {model.channels} scans ({names}), got {len(request.volumes)}.")
    return model


def _stages(model: NnunetModel) -> list[NnunetModel]:
    return [model] if model.previous is None else [model.previous, model]


def _folds(model: NnunetModel, request: Request) -> list[int]:
    """Return which of a stage's files are run; a first stage that lacks a fold that is asked for runs those it has."""
    numbered = [n for n, name in enumerate(model.folds) if name != "all"]
    wanted = [name.strip() for name in request.options.folds.split(",") if name.strip()]
    if not wanted:
        return numbered or [0]
    unknown = [name for name in wanted if name not in model.folds]
    if unknown and model is request.spec.network:
        raise OptionError(
            f"'{request.spec.name}' has no fold '{unknown[0]}'; it has: {', '.join(model.folds)}. Enter numbers "
            "separated by commas, or leave it empty for nnU-Net's own choice."
        )
    return [model.folds.index(name) for name in wanted if name in model.folds] or numbered or [0]


def _scans(request: Request, model: NnunetModel) -> TurnedScans:
    chosen = request.options.orientation
    return TurnedScans(request.volumes, model.orientation if chosen == "auto" else _LETTERS[chosen], model.transpose)


def _sampling(model: NnunetModel, request: Request) -> Sampling:
    """Return how patches are taken; what is another function than nnU-Net's begins here."""
    sampling = model.sampling
    if request.options.mode == "fast":
        return fast_sampling(sampling)
    return sampling if request.options.mirroring else replace(sampling, mirror_axes=())


def _domain_warnings(request: Request, model: NnunetModel) -> tuple[str, ...]:
    found = []
    if request.options.mode == "fast":
        found.append("Fast mode: patches are not placed as in nnU-Net, so labels differ from those of nnU-Net.")
    if model.dimensions == 3 and min(request.volume.shape) == 1:
        found.append(f"'{request.volume.name}' is a single slice, but the model was trained on volumes.")
    if request.volume.geometry.is_sheared:
        found.append("The scan's axes are not at right angles (gantry tilt): the network sees it sheared.")
    scans = _scans(request, model)
    for ours, theirs in zip(scans.spacing, target_spacing(model, scans.spacing), strict=True):
        if ours > 3 * theirs:
            name = request.volume.name
            found.append(f"The spacing of '{name}' is {ours:.1f} mm; the model was trained at {theirs:.1f} mm.")
    return tuple(dict.fromkeys(found))


def _scan_memory(model: NnunetModel, sampling: Sampling, shape: Shape) -> int:
    """Return what a stage takes that grows with the scan: blended logits, and the scan as the network sees it."""
    blended, _ = blending_bytes(shape, model.classes, sampling.patch, blending_budget())
    return blended + kept_bytes(model.channels, prod(shape))


def _network_memory(model: NnunetModel, sampling: Sampling, folds: int) -> int:
    """Return what the networks of a stage are expected to take in the first run, which compares with float32."""
    features = [_features(file) for file in model.files[:1]]
    at_work = _FEATURE_BYTES * max(features, default=_FEATURES) * prod(sampling.patch)
    answers = _ANSWERS * 4 * model.classes * prod(sampling.patch)
    weights = sum(_size(model.files[n].path) for n in range(min(folds, len(model.files))))
    return _LIBRARY_BYTES + at_work + round(answers) + weights


#: What a feature of the finest stage takes in a voxel of a patch in float32: what comes across, both halves joined,
#: what is made of them, and PyTorch's copies of the last two for the convolution. A U-Net of 16 features in patches of
#: 96^3 and one of 32 in 128^3 took 680 and 2402 MB in their first run, of which the rule makes 772 and 2650.
_FEATURE_BYTES = 33
#: Answers that are there at once besides, in float32: a network of 118 classes in patches of 128^3 took 3932 MB in its
#: first run, of which the rule makes 4087.
_ANSWERS = 1.5
#: Of the libraries that compute; the rule above holds what the allocator leaves unused.
_LIBRARY_BYTES = 250 << 20
#: nnU-Net's features of the finest stage where a file does not say.
_FEATURES = 32


def _features(file: NetworkFile) -> int:
    stated = None if file.architecture is None else file.architecture.arguments.get("features_per_stage")
    first = stated[0] if isinstance(stated, list | tuple) and stated else stated
    return first if isinstance(first, int) else _FEATURES


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # told when the model is run
        return 0


# -- one network --------------------------------------------------------------------------------------------------


class _Stage:
    """One stage on one scan."""

    def __init__(self, request: Request, model: NnunetModel, monitor: Monitor) -> None:
        self._request, self._model, self._monitor = request, model, monitor
        self._scans = _scans(request, model)
        self._box = scanned_box(self._scans)
        self._cropped = (
            self._box[0].stop - self._box[0].start,
            self._box[1].stop - self._box[1].start,
            self._box[2].stop - self._box[2].start,
        )
        self._spacing = target_spacing(model, self._scans.spacing)
        self.shape = self._cropped if model.data.skip else new_shape(self._cropped, self._scans.spacing, self._spacing)
        self._sampling = _sampling(model, request)
        self.rule = LabelRule("regions", model.regions) if model.regions else LabelRule.argmax(model.classes)
        back = make_resampler(self.shape, self._cropped, self._spacing, self._scans.spacing, model.logits)
        kinds: list[Interpolation] = []
        for axis in range(3):
            order = model.logits.order_z if axis == back.apart else model.logits.order
            kinds.append("nearest" if order == 0 else "linear")
        self._interpolation = (kinds[0], kinds[1], kinds[2])
        # Only the last stage goes to a sink.
        self._sink = request.sink if model is request.spec.network else None
        self._begin = self._sink.mark_reached if self._sink is not None else 0
        self._first_plane = self._network_plane(self._begin)
        self.patches = patch_count(self.shape, self._sampling, self._first_plane)
        self.warnings: list[str] = []
        self.device = self.precision = ""
        self.opening_seconds = 0.0
        self.facts: dict[str, Any] = {}

    def _network_plane(self, native: int) -> int:
        if native >= self._cropped[0]:
            return self.shape[0]
        return first_network_plane(native, self.shape[0], self._cropped[0], self._interpolation[0])

    def run(self, labels: npt.NDArray[Any] | None, previous: npt.NDArray[Any] | None) -> None:
        """Fill `labels`, an array on the scan's grid, or the request's sink where it is None."""
        if self._begin >= self._cropped[0]:
            return
        monitor, model = self._monitor, self._model
        monitor.say(f"preparing the scan for {model.configuration}")
        seen = None if previous is None else self._scans.view_of(previous)
        source = NetworkInput(self._scans, model, self._box, seen, whole_bytes=keeping_budget(), monitor=monitor)
        view = None if labels is None else self._scans.view_of(labels)
        with ExitStack() as stack:
            predictors = self._open(source, stack)
            skipper = self._air_skipper(source)
            stream = run_patches(
                predictors,
                source.read if skipper is None else skipper.read,
                self.shape,
                self._sampling,
                classes=model.classes,
                budget_bytes=blending_budget(),
                monitor=monitor,
                skip=None if skipper is None else skipper.is_air,
                empty=self.rule.empty_logits,
                first_plane=self._first_plane,
            )
            blocks = resampled_argmax(
                stream,
                self.shape,
                self._cropped,
                self.rule,
                interpolation=self._interpolation,
                first_plane=self._begin,
            )
            done = self._begin
            for box, values in blocks:
                if self._sink is not None and box[0].start > done:
                    done = box[0].start
                    self._sink.mark(done)
                self._keep(box, values, view)
            self.warnings += late_warnings(predictors)
            if skipper is not None:
                self.facts["patches_of_air_skipped"] = skipper.skipped
            if self._sink is not None:
                self._sink.mark(self._cropped[0])

    def _air_skipper(self, source: NetworkInput) -> AirSkipper | None:
        """Return what leaves patches of air out: in fast mode, of CT."""
        air = source.normalized_hu(AIR) if self._request.options.mode == "fast" else None
        return None if air is None else AirSkipper(source.read, air)

    def _keep(self, box: Box, values: npt.NDArray[Any], view: npt.NDArray[Any] | None) -> None:
        k, j, i = (slice(o.start + s.start, o.start + s.stop) for o, s in zip(self._box, box, strict=True))
        if view is not None:
            view[k, j, i] = values
        elif self._sink is not None:
            self._sink.write(*self._scans.box_of((k, j, i), values))

    def _open(self, source: NetworkInput, stack: ExitStack) -> list[Predictor]:
        """Open the network of every fold; each is compared with float32 on the patch in the middle."""
        request, model = self._request, self._model
        patch = self._sampling.patch
        k, j, i = (slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(self.shape, patch, strict=True))
        sample = read_padded(source.read, (k, j, i), self.shape, self._sampling.padding_value)
        opened, chosen, started = [], _folds(model, request), time.perf_counter()
        for number in chosen:
            network = open_network(model.files[number], channels=model.input_channels, spatial_dims=model.dimensions)
            predictor, told = open_predictor(
                network,
                patch,
                request.settings,
                threads=request.threads,
                sample=sample,
                outputs="channels" if model.regions else "classes",
                monitor=self._monitor,
                scan=request.scan_sha256,
            )
            stack.callback(predictor.close)
            learn_from_layers(request, patch, network, predictor, copies=len(chosen))
            opened.append(predictor)
            self.warnings += told
        first = opened[0]
        self.device, self.precision = first.device, first.precision
        self.facts = {
            "configuration": model.configuration,
            "folds": [model.folds[n] for n in chosen],
            "patches": self.patches,
            "mirrored_axes": list(self._sampling.mirror_axes),
            "network_shape": list(self.shape),
            "backend": first.backend,
            "agreement_with_float32": first.agreement,
            "agreement_measured_on": first.measured_on,
        }
        self.opening_seconds = time.perf_counter() - started
        return opened
