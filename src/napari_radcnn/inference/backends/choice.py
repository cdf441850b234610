"""Which backend computes a network on this computer: the fastest of those that say the same as float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.accelerator import AcceleratorPredictor
from napari_radcnn.inference.backends.agreement import Agreement, Outputs, compare
from napari_radcnn.inference.backends.base import BackendError, NetworkSource, OutOfMemoryError, Patch, Predictor
from napari_radcnn.inference.backends.candidates import Candidate, candidates
from napari_radcnn.inference.backends.fallback import FallingBackPredictor
from napari_radcnn.inference.backends.hardware import cuda_name
from napari_radcnn.inference.backends.onnx_runtime import OnnxRuntimePredictor
from napari_radcnn.inference.backends.openvino.converted import converted_model
from napari_radcnn.inference.backends.openvino.cpu import OpenVINOPredictor
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.networks.onnx import read_onnx
from napari_radcnn.progress import Monitor
from napari_radcnn.user_folders import recall, remember
from napari_radcnn.version import package_version

_FILE = "backends"
_ACCELERATORS = ("cuda", "mps")
#: Seconds a patch: below, whatever is chosen is fast enough. And how many times faster another way must be, since one
#: patch on a busy computer does not tell small differences. And how many times slower a first patch may be to be given
#: a second one.
_WORTH_TIMING, _CLEARLY, _HOPELESS = 0.25, 1.25, 1.5
_Opened = TorchPredictor | OpenVINOPredictor | OnnxRuntimePredictor | AcceleratorPredictor


def open_predictor(
    source: NetworkSource,
    patch: Shape,
    settings: RunSettings,
    *,
    threads: int,
    sample: Patch | None = None,
    tolerance: float = 0.995,
    outputs: Outputs = "classes",
    monitor: Monitor | None = None,
    scan: Callable[[], str] | None = None,
) -> tuple[Predictor, tuple[str, ...]]:
    """Open a network where it computes fastest among the backends that agree with PyTorch in float32.

    The choice is remembered on this computer, so that the comparison is made once a network, patch and settings.

    Parameters
    ----------
    source : NetworkSource
        The network.
    patch : tuple of int
        Voxels of every patch; 1 along k for a network of two dimensions.
    settings : RunSettings
        Device and precision. A precision that is asked for is taken, with a warning where it does not agree.
    threads : int
        CPU threads to compute with.
    sample : (channels, k, j, i) array of float32, optional
        A patch of a real scan, normalized as the network expects. Without it, and without a remembered comparison,
        nothing less precise than float32 is taken unless asked for.
    tolerance : float
        Fraction of the sample's voxels that must get the same label.
    outputs : str
        How labels follow from the outputs; see `agreement.compare`.
    monitor : Monitor, optional
        Told what takes long.
    scan : callable, optional
        Returns the SHA-256 of the scan that `sample` is of; asked where backends are compared on it.

    Returns
    -------
    predictor : Predictor
        With the agreement found, now or earlier, and the scan it was measured on.
    warnings : tuple of str
        Which backends were dropped, and why.

    Raises
    ------
    ResourceError
        If the device or the precision asked for does not exist here; `OutOfMemoryError` if memory does not suffice.
    ModelError
        If no backend can run the network.
    """
    predictor, told = _open_chosen(source, patch, settings, threads, sample, tolerance, outputs, monitor, scan)
    if predictor.backend not in _ACCELERATORS:
        return predictor, told

    def on_processor() -> Predictor:
        processor = replace(settings, device="cpu", precision="auto")
        return _open_chosen(source, patch, processor, threads, sample, tolerance, outputs, monitor, scan)[0]

    return FallingBackPredictor(predictor, on_processor), told


def _open_chosen(
    source: NetworkSource,
    patch: Shape,
    settings: RunSettings,
    threads: int,
    sample: Patch | None,
    tolerance: float,
    outputs: Outputs,
    monitor: Monitor | None,
    scan: Callable[[], str] | None,
) -> tuple[Predictor, tuple[str, ...]]:
    """Open what was chosen earlier, or choose; parameters as of `open_predictor`."""
    path = source.onnx_path
    is_classical = path is not None and bool(read_onnx(path).classical)
    ways = candidates(settings, is_onnx=path is not None, is_classical=is_classical)
    reference = Candidate("torch" if path is None else ways[0].backend, "float32")
    if outputs == "answer":  # computed once: PyTorch needs no conversion
        ways = tuple(sorted(ways, key=lambda way: way.backend == "openvino"))
    opening = _Opening(source, patch, settings, threads, reference, monitor)
    key = _key(source, patch, settings, ways, tolerance, outputs)
    known = _known_choice(key, ways)
    if known is not None and (predictor := opening.attempt(known[0])) is not None:
        predictor.agreement, predictor.measured_on = known[1], known[3]
        return predictor, known[2]
    if sample is None:
        return opening.first(ways), tuple(opening.warnings)
    predictor = opening.best(ways, sample, tolerance, outputs)
    found = {"backend": predictor.backend, "precision": predictor.precision, "agreement": predictor.agreement}
    predictor.measured_on = None if scan is None or predictor.agreement is None else scan()
    remember(_FILE, key, found | {"warnings": opening.warnings, "measured_on": predictor.measured_on})
    return predictor, tuple(opening.warnings)


class _Opening:
    """Opens candidates one after the other until one will do."""

    def __init__(
        self,
        source: NetworkSource,
        patch: Shape,
        settings: RunSettings,
        threads: int,
        reference: Candidate,
        monitor: Monitor | None,
    ) -> None:
        self._source = source
        self._patch = patch
        self._settings = settings
        self._threads = threads
        self._monitor = monitor
        self._reference_candidate = reference
        self.warnings: list[str] = []

    @property
    def _is_asked(self) -> bool:
        return self._settings.precision != "auto"

    def _say(self, message: str) -> None:
        if self._monitor is not None:
            self._monitor.say(message)

    def attempt(self, candidate: Candidate, is_compared: bool = False) -> _Opened | None:
        """Open one, or keep why it cannot be.

        Raises
        ------
        OutOfMemoryError
            If memory does not suffice, but for a graphics card that was not asked for: then the processor is next.
        """
        self._say(f"preparing the model for {candidate}")
        try:
            return _open(candidate, self._source, self._patch, self._threads, is_compared)
        except (BackendError, OutOfMemoryError) as error:
            is_chosen_card = candidate.backend in _ACCELERATORS and self._settings.device == "auto"
            if isinstance(error, OutOfMemoryError) and not is_chosen_card:
                raise
            self.warnings.append(f"{candidate} was not used: {error}")
            return None

    def first(self, ways: tuple[Candidate, ...]) -> _Opened:
        """Open the first that can be opened, in float32 unless another precision was asked for."""
        for candidate in ways:
            if self._is_asked or candidate.precision == "float32":
                predictor = self.attempt(candidate)
                if predictor is not None:
                    return predictor
        raise ModelError(self.warnings[-1])

    def best(self, ways: tuple[Candidate, ...], sample: Patch, tolerance: float, outputs: Outputs) -> _Opened:
        """Open the fastest whose labels of the sample are the reference's.

        They are expected in the order of `ways`; where a patch takes long, the others are timed, too. If none reaches
        the tolerance, and the precision was asked for, the one that agrees best is taken.
        """
        reference: Patch | None = None
        rejected: list[tuple[float, Candidate]] = []
        for number, candidate in enumerate(ways):
            predictor = self.attempt(candidate, is_compared=True)
            if predictor is None:
                continue
            if candidate == self._reference_candidate:
                predictor.agreement = 1.0 if candidate.backend == "torch" else None
                return predictor
            if reference is None:
                reference = self._reference(sample)
            self._say(f"comparing {candidate} with float32")
            try:
                found = compare(predictor(sample), reference, outputs)
            except BackendError as error:
                self.warnings.append(f"{candidate} was not used: {error}")
                predictor.close()
                continue
            if found.reaches(tolerance):
                predictor.agreement = found.voxels
                rivals = [way for way in ways[number + 1 :] if self._is_rival(way, candidate)]
                return self._fastest(candidate, predictor, rivals, sample, reference, tolerance, outputs)
            predictor.close()
            rejected.append((found.voxels, candidate))
            self.warnings.append(_disagreement(candidate, found, self._is_asked))
        if not rejected or not self._is_asked:
            raise ModelError(f"This network cannot be run on this computer. {' '.join(self.warnings)}")
        voxels, candidate = max(rejected, key=lambda one: one[0])
        self.warnings.append(f"{candidate} is used anyway, because this precision was requested.")
        predictor = _open(candidate, self._source, self._patch, self._threads, is_compared=True)
        predictor.agreement = voxels
        return predictor

    def _fastest(
        self,
        candidate: Candidate,
        predictor: _Opened,
        rivals: list[Candidate],
        sample: Patch,
        reference: Patch,
        tolerance: float,
        outputs: Outputs,
    ) -> _Opened:
        """Return the first that agreed, or a rival that agrees, too, and is clearly faster; one is open at a time."""
        seconds = _timed(predictor, sample) if rivals else 0.0
        if seconds < _WORTH_TIMING:
            return predictor
        best, agreement = candidate, predictor.agreement
        predictor.close()
        for rival in rivals:
            self._say(f"timing {rival}")
            try:
                other = _open(rival, self._source, self._patch, self._threads, is_compared=True)
            except (BackendError, OutOfMemoryError):
                continue  # what was found before will do
            try:
                started = time.perf_counter()
                answer = other(sample)
                if time.perf_counter() - started > _HOPELESS * seconds:
                    continue
                found = compare(answer, reference, outputs)
                if found.reaches(tolerance) and (taken := _timed(other, sample)) * _CLEARLY < seconds:
                    best, seconds, agreement = rival, taken, found.voxels
            except (BackendError, OutOfMemoryError):
                continue
            finally:
                other.close()
        chosen = _open(best, self._source, self._patch, self._threads, is_compared=True)
        chosen.agreement = agreement
        return chosen

    def _is_rival(self, way: Candidate, chosen: Candidate) -> bool:
        """Return whether it may be faster: on the same device, and not what was computed to compare with."""
        is_same_device = (way.backend in _ACCELERATORS) == (chosen.backend in _ACCELERATORS)
        return is_same_device and way != self._reference_candidate

    def _reference(self, sample: Patch) -> Patch:
        """Return what float32 says of the sample: PyTorch's, or for an ONNX file that of what computes it."""
        self._say("computing one patch in float32 for comparison")
        predictor = _open(self._reference_candidate, self._source, self._patch, self._threads, is_compared=False)
        try:
            return predictor(sample).copy()
        finally:
            predictor.close()


def _open(candidate: Candidate, source: NetworkSource, patch: Shape, threads: int, is_compared: bool) -> _Opened:
    """Open a network in one way; separate, so that tests can put another backend in its place."""
    if candidate.backend == "openvino":
        model = converted_model(source, patch, is_compared=is_compared)
        is_packed = isinstance(source.onnx_output, tuple) and source.onnx_path is not None
        return OpenVINOPredictor(model, source.spatial_dims, candidate.precision, threads, is_packed)
    if candidate.backend == "onnxruntime":
        return OnnxRuntimePredictor(source, threads)
    module = source.torch_module()
    if candidate.backend == "torch":
        return TorchPredictor(module, source.spatial_dims, candidate.precision, threads)
    shape = (source.channels, *patch)
    return AcceleratorPredictor(module, source.spatial_dims, candidate.precision, candidate.backend, shape)


def _timed(predictor: _Opened, sample: Patch) -> float:
    """Return the seconds of a patch, not the first."""
    started = time.perf_counter()
    predictor(sample)
    return time.perf_counter() - started


def _disagreement(candidate: Candidate, agreement: Agreement, is_asked: bool) -> str:
    lost = (
        ""
        if agreement.structures is None
        else f" ({1 - agreement.structures:.1%} of those outside the background differ)"
    )
    end = "." if is_asked else ", so it was not used."
    return f"{candidate} gives {agreement.voxels:.2%} of the voxels of a patch the same label as float32{lost}{end}"


# -- what was found before --------------------------------------------------------------------------------------------


def _key(
    source: NetworkSource,
    patch: Shape,
    settings: RunSettings,
    ways: tuple[Candidate, ...],
    tolerance: float,
    outputs: Outputs,
) -> str:
    """Return what a choice depends on: the network, the patch, the settings, this computer and the versions."""
    size = "x".join(str(n) for n in patch)
    card = f" {cuda_name()}" if any(c.backend == "cuda" for c in ways) else ""
    there = ", ".join(str(c) for c in ways)
    versions = " ".join(
        f"{name}-{package_version(name)}" for name in ("napari-radcnn", "torch", "openvino", "onnxruntime")
    )
    asked = f"{source.channels}x{size} {outputs}>={tolerance:g} {settings.precision}"
    return f"{source.identity} {asked} {there}{card} {versions}"


def _known_choice(
    key: str, ways: tuple[Candidate, ...]
) -> tuple[Candidate, float | None, tuple[str, ...], str | None] | None:
    """Return the remembered way, its agreement, warnings, and the scan of the agreement; None if there is none."""
    known = recall(_FILE, key)
    if known is None:
        return None
    agreement, warnings = known.get("agreement"), known.get("warnings")
    candidate = Candidate(str(known.get("backend")), str(known.get("precision")))
    if candidate not in ways or not isinstance(agreement, float | None) or not isinstance(warnings, list):
        return None
    scan = known.get("measured_on")
    return candidate, agreement, tuple(str(text) for text in warnings), scan if isinstance(scan, str) else None
