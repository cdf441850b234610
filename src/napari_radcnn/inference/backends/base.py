"""What the engine asks of a backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError, ResourceError

if TYPE_CHECKING:
    import torch

Patch = npt.NDArray[np.float32]


class OutOfMemoryError(ResourceError):
    """A patch did not fit into the memory of its device; a smaller one, or another device, may."""


class BackendError(ModelError):
    """A backend cannot run this network; another one may."""


class NetworkSource(Protocol):
    """A network that has not been put on a device yet; `napari_radcnn.networks.files.open_network` makes one."""

    @property
    def identity(self) -> str:
        """SHA-256 of its weights file: what measurements are remembered under."""
        ...

    @property
    def spatial_dims(self) -> int:
        """2 or 3."""
        ...

    @property
    def channels(self) -> int:
        """Number of input channels."""
        ...

    @property
    def onnx_path(self) -> Path | None:
        """The file, where the network came as ONNX; it then has no torch module."""
        ...

    @property
    def onnx_output(self) -> str | int | tuple[str | int, ...] | None:
        """Which output of that file is the answer, by name or number; None for the only one, a tuple for several."""
        ...

    @property
    def onnx_parts(self) -> tuple[int, ...]:
        """Channels of each image that file takes as an input of its own; empty for a file of one input."""
        ...

    def torch_module(self) -> torch.nn.Module:
        """Return the network in float32, on the CPU, in evaluation mode; a new one each time, for it may be moved.

        Raises
        ------
        ModelError
            If it has none, or its weights do not fit.
        """
        ...


class Predictor(Protocol):
    """A network on a device, for patches of one shape. It belongs to the thread that opened it."""

    @property
    def backend(self) -> str:
        """``"torch"``, ``"openvino"``, ``"cuda"``, ``"mps"``."""
        ...

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda"``, ``"mps"``."""
        ...

    @property
    def precision(self) -> str:
        """``"float32"``, ``"bfloat16"``, ``"float16"``."""
        ...

    @property
    def agreement(self) -> float | None:
        """Fraction of voxels of a real patch with the same arg-max as torch in float32; None where not compared."""
        ...

    @property
    def measured_on(self) -> str | None:
        """SHA-256 of the scan that `agreement` was measured on, which may be an earlier one; None where not known."""
        ...

    def __call__(self, patch: Patch) -> Patch:
        """Return what the network says, ``(classes, k, j, i)``, of a ``(channels, k, j, i)`` patch.

        The answer may be overwritten by the next call. A network of two dimensions gets and gives k = 1.
        """
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...
