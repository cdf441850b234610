"""Which backend computes a network on this computer: the fastest of those that say the same as float32."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.errors import ModelError, ResourceError
from napari_radcnn.inference.backends.agreement import Agreement, Outputs, compare
from napari_radcnn.inference.backends.base import BackendError, NetworkSource, Patch, Predictor
from napari_radcnn.inference.backends.hardware import cpu_computes_bfloat16, device_name, has_openvino, package_version
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.monitor import Monitor
from napari_radcnn.inference.remembered import recall, remember
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models.network import Shape

_FILE = "backends"
_Opened = TorchPredictor


@dataclass(frozen=True)
class Candidate:
    """A way to compute.

    Attributes
    ----------
    backend : str
        ``"torch"``, ``"openvino"``, ``"cuda"``, ``"mps"``.
    precision : str
        ``"float32"``, ``"bfloat16"``, ``"float16"``.
    """

    backend: str
    precision: str

    def __str__(self) -> str:
        names = {"torch": "PyTorch", "openvino": "OpenVINO", "cuda": "CUDA", "mps": "MPS"}
        return f"{names[self.backend]} in {self.precision}"


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

    Returns
    -------
    predictor : Predictor
        With the agreement found, now or earlier.
    warnings : tuple of str
        Which backends were dropped, and why.

    Raises
    ------
    ResourceError
        If the device or the precision asked for does not exist here; `OutOfMemoryError` if memory does not suffice.
    ModelError
        If no backend can run the network.
    """
    wanted = candidates(source, settings, compared=sample is not None)
    opening = _Opening(source, patch, threads, monitor)
    key = _key(source, patch, settings, tolerance, outputs)
    known = _known_choice(key)
    if known is not None and (predictor := opening.attempt(known[0])) is not None:
        predictor.agreement = known[1]
        return predictor, known[2]
    if sample is None:
        return opening.first(wanted), tuple(opening.warnings)
    predictor = opening.best(wanted, sample, tolerance, outputs, is_asked=settings.precision != "auto")
    found = {"backend": predictor.backend, "precision": predictor.precision, "agreement": predictor.agreement}
    remember(_FILE, key, found | {"warnings": opening.warnings})
    return predictor, tuple(opening.warnings)


def _known_choice(key: str) -> tuple[Candidate, float | None, tuple[str, ...]] | None:
    """Return the remembered way, its agreement and the warnings; None if there is none, or it is damaged."""
    known = recall(_FILE, key)
    if known is None:
        return None
    agreement, warnings = known.get("agreement"), known.get("warnings")
    candidate = Candidate(str(known.get("backend")), str(known.get("precision")))
    if str(candidate) not in key or not isinstance(agreement, float | None) or not isinstance(warnings, list):
        return None
    return candidate, agreement, tuple(str(text) for text in warnings)


def candidates(source: NetworkSource, settings: RunSettings, *, compared: bool) -> tuple[Candidate, ...]:
    """Return the ways to compute a network here that fit the settings, fastest first.

    Parameters
    ----------
    source : NetworkSource
        The network; one from an ONNX file runs in OpenVINO only.
    settings : RunSettings
        Device and precision.
    compared : bool
        Whether the output will be compared with float32; else ``auto`` means float32.

    Raises
    ------
    ResourceError
        If nothing fits; it says what would.
    """
    device = device_name(settings)
    ways = _on(device)
    if settings.device == "auto" and device != "cpu":
        ways += _on("cpu")
    there = [c for c in ways if source.onnx_path is None or c.backend == "openvino"]
    if not there:
        raise ResourceError(
            f"A network in an ONNX file runs on the processor with OpenVINO, which is "
            f"{'installed: use --device cpu.' if has_openvino() else 'not installed: pip install napari-radcnn[cpu].'}"
        )
    precision = settings.precision
    if precision == "auto":
        precision = "auto" if compared else "float32"
    fitting = tuple(c for c in there if precision in ("auto", c.precision))
    if not fitting:
        offered = ", ".join(dict.fromkeys(c.precision for c in reversed(there)))
        raise ResourceError(
            f"This computer's {_DEVICES[device]} does not compute this network in {precision}; it offers: {offered}."
        )
    return fitting


_DEVICES = {"cpu": "processor", "cuda": "graphics card", "mps": "graphics processor (MPS)"}


def _on(device: str) -> tuple[Candidate, ...]:
    """Return every way to compute on a device, fastest first.

    The order on the processor is that of a U-Net at 128^3 with 2 cores that have AMX, against PyTorch in float32:
    OpenVINO in bfloat16 8.6 times as fast, PyTorch in bfloat16 4.8, OpenVINO in float32 1.8.
    """
    precisions = ("bfloat16", "float32") if cpu_computes_bfloat16() else ("float32",)
    del device
    backends = ("torch",)
    return tuple(Candidate(b, p) for p in precisions for b in backends)


class _Opening:
    """Opens candidates one after the other until one will do."""

    def __init__(self, source: NetworkSource, patch: Shape, threads: int, monitor: Monitor | None) -> None:
        self._source = source
        self._patch = patch
        self._threads = threads
        self._monitor = monitor
        self.warnings: list[str] = []

    def open(self, candidate: Candidate) -> _Opened:
        """Open one, or raise `BackendError`."""
        if self._monitor is not None:
            self._monitor.say(f"preparing the model for {candidate}")
        return _open(candidate, self._source, self._patch, self._threads)

    def attempt(self, candidate: Candidate) -> _Opened | None:
        """Open one, or keep why it cannot be."""
        try:
            return self.open(candidate)
        except BackendError as error:
            self.warnings.append(f"{candidate} was not used: {error}")
            return None

    def first(self, wanted: tuple[Candidate, ...]) -> _Opened:
        """Open the first that can be opened."""
        for candidate in wanted:
            predictor = self.attempt(candidate)
            if predictor is not None:
                return predictor
        raise ModelError(self.warnings[-1])

    def best(
        self, wanted: tuple[Candidate, ...], sample: Patch, tolerance: float, outputs: Outputs, is_asked: bool
    ) -> _Opened:
        """Open the first whose labels of the sample are the reference's.

        If none reaches the tolerance, and the precision was asked for, the one that agrees best is taken.
        """
        reference: Patch | None = None
        rejected: list[tuple[float, Candidate]] = []
        for candidate in wanted:
            predictor = self.attempt(candidate)
            if predictor is None:
                continue
            if candidate == self._reference_candidate:
                predictor.agreement = None if self._source.onnx_path else 1.0
                return predictor
            if reference is None:
                reference = self._reference(sample)
            found = compare(predictor(sample), reference, outputs)
            if found.reaches(tolerance):
                predictor.agreement = found.voxels
                return predictor
            predictor.close()
            rejected.append((found.voxels, candidate))
            self.warnings.append(_disagreement(candidate, found, is_asked))
        if not rejected or not is_asked:
            raise ModelError(f"No way to compute this network here will do. {' '.join(self.warnings)}")
        voxels, candidate = max(rejected, key=lambda one: one[0])
        self.warnings.append(f"{candidate} is used all the same, because this precision was asked for.")
        predictor = self.open(candidate)
        predictor.agreement = voxels
        return predictor

    @property
    def _reference_candidate(self) -> Candidate:
        return Candidate("openvino" if self._source.onnx_path else "torch", "float32")

    def _reference(self, sample: Patch) -> Patch:
        """Return what float32 says of the sample."""
        if self._monitor is not None:
            self._monitor.say("computing one patch in float32 to compare with")
        predictor = self.open(self._reference_candidate)
        try:
            return predictor(sample).copy()
        finally:
            predictor.close()


def _open(candidate: Candidate, source: NetworkSource, patch: Shape, threads: int) -> _Opened:
    """Open a network in one way; separate, so that tests can put another backend in its place."""
    del patch
    return TorchPredictor(source.torch_module(), source.spatial_dims, candidate.precision, threads)


def _disagreement(candidate: Candidate, found: Agreement, is_asked: bool) -> str:
    lost = "" if found.structures is None else f", {1 - found.structures:.1%} of those outside the background differ"
    end = "." if is_asked else ", so it was not used."
    return f"{candidate} gives {found.voxels:.2%} of a patch's voxels the label of float32{lost}{end}"


def _key(source: NetworkSource, patch: Shape, settings: RunSettings, tolerance: float, outputs: Outputs) -> str:
    """Return what a choice depends on: the network, the patch, the settings, this computer and the versions."""
    ways = ",".join(str(c) for c in candidates(source, settings, compared=True))
    size = "x".join(str(n) for n in patch)
    versions = " ".join(f"{name}-{package_version(name)}" for name in ("napari-radcnn", "torch", "openvino"))
    return f"{source.identity} {source.channels}x{size} {outputs}>={tolerance:g} {settings.precision} {ways} {versions}"
