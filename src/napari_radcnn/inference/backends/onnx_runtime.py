"""ONNX Runtime on the processor: ONNX files with operations that OpenVINO lacks, such as those of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.base import BackendError, NetworkSource, OutOfMemoryError, Patch
from napari_radcnn.inference.backends.shapes import batched
from napari_radcnn.networks.outputs import choose_name, pack

#: What ONNX Runtime calls the types of inputs.
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
}
#: Its errors, which have no common parent.
_ERRORS = (
    "EPFail",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoaded",
    "NoModel",
    "NoSuchFile",
    "NotImplemented",
    "RuntimeException",
)


class OnnxRuntimePredictor:
    """An ONNX file on the processor, in float32.

    Parameters
    ----------
    source : NetworkSource
        An ONNX file.
    threads : int
        Threads it computes with.

    Raises
    ------
    BackendError
        If ONNX Runtime cannot load it.
    """

    backend = "onnxruntime"
    device = "cpu"
    precision = "float32"

    def __init__(self, source: NetworkSource, threads: int) -> None:
        import onnxruntime

        self.agreement: float | None = None
        self.measured_on: str | None = None
        onnxruntime.disable_telemetry_events()  # on Windows; elsewhere it has none
        state = onnxruntime.capi.onnxruntime_pybind11_state
        self._errors: tuple[type[Exception], ...] = (
            RuntimeError,
            *(getattr(state, name) for name in _ERRORS if hasattr(state, name)),
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what it says is in the errors
        path = source.onnx_path
        if path is None:
            raise ModelError("Only ONNX files run in ONNX Runtime.")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except self._errors as error:
            raise self._told(error, "load") from error
        self._source, self._name = source, path.name
        outputs = self._session.get_outputs()
        names, shapes = [one.name for one in outputs], [_lengths(one.shape) for one in outputs]
        chosen = source.onnx_output
        self._is_packed = isinstance(chosen, tuple)
        if isinstance(chosen, tuple):
            self._outputs = [names[choose_name(names, shapes, one, path.name)] for one in chosen] or names
        else:
            self._outputs = [names[choose_name(names, shapes, chosen, path.name)]]

    def __call__(self, patch: Patch) -> Patch:
        """Return ``(classes, k, j, i)`` of a ``(channels, k, j, i)`` patch; see `Predictor`."""
        if self._session is None:
            raise ModelError("This network has been closed; open it again.")
        given = self._inputs(batched(patch, self._source.spatial_dims))
        try:
            found = [_as_array(one) for one in self._session.run(self._outputs, given)]
        except (ValueError, TypeError) as error:
            raise BackendError(
                f"{self._name}: the chosen output is not numeric; choose another one with 'output'."
            ) from error
        except self._errors as error:
            raise self._told(error, "run") from error
        if self._is_packed:
            return pack(found)
        answer = found[0][0] if found[0].ndim > 1 else found[0]
        return answer if self._source.spatial_dims == 3 else answer[:, None]

    def close(self) -> None:
        """Give its memory back."""
        self._session = None

    def _inputs(self, batch: Patch) -> dict[str, Any]:
        """Return what each input is given: the image, a row of its voxels, or parts of its channels."""
        inputs, parts = self._session.get_inputs(), list(self._source.onnx_parts)
        pieces: list[Any] = [batch]
        if parts:
            left = batch.shape[1] - sum(parts)
            pieces = np.split(batch, np.cumsum([*parts, *([left] if left else [])])[:-1], axis=1)
            if left:  # the first voxel of each channel is the number
                pieces[-1] = pieces[-1].reshape(1, left, -1)[:, :, 0]
        if len(inputs) != len(pieces):
            raise ModelError(f"{self._name}: the network has {len(inputs)} inputs, but {len(pieces)} are given.")
        return {one.name: _as_input(one, piece, self._name) for one, piece in zip(inputs, pieces, strict=True)}

    def _told(self, error: Exception, what: str) -> ModelError | OutOfMemoryError:
        line = " ".join(str(error).split())[:160]
        if "allocate" in line or "bad_alloc" in line:
            return OutOfMemoryError("Not enough free memory for one patch of this model; close other programs.")
        return BackendError(f"ONNX Runtime cannot {what} the network: {line}")


def _as_input(about: Any, piece: Any, shown: str) -> Any:
    kind = _TYPES.get(about.type)
    if kind is None:
        raise ModelError(f"{shown}: its input '{about.name[:40]}' takes {about.type[:40]}, not numbers of an image.")
    if len(about.shape) == 2 and piece.ndim > 3:
        piece = piece.reshape(1, -1)
    return piece.astype(kind, copy=False)


def _as_array(found: Any) -> Patch:
    """Return an output as numbers; of a mapping of classes, as scikit-learn has, in the order of the classes."""
    if isinstance(found, list) and found and all(isinstance(one, Mapping) for one in found):
        found = [[one[key] for key in sorted(one)] for one in found]
    return np.ascontiguousarray(found, dtype=np.float32)


def _lengths(shape: Any) -> list[int | None]:
    return [length if isinstance(length, int) else None for length in shape or []]
