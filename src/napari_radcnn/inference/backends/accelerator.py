"""PyTorch on a graphics card (CUDA) or on the graphics processor of a Mac (MPS).

Everything that a card computes is computed by one thread, which lives as long as the program: cuDNN keeps what it has
found out about a convolution with the thread, so that a thread of its own for each run would find it out each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.base import BackendError, Patch
from napari_radcnn.inference.backends.shapes import batched
from napari_radcnn.inference.backends.torch_cpu import channels_last, layout, memory_errors
from napari_radcnn.networks.outputs import choose_output

if TYPE_CHECKING:
    import torch

#: Runs before a graph is captured: cuDNN tries its algorithms in the first, and takes its memory.
_WARM_UP = 3


@cache
def _worker(device: str) -> ThreadPoolExecutor:
    """Return the one thread that talks to a device."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"radcnn-{device}")


class AcceleratorPredictor:
    """A torch network on an accelerator, for patches of one shape.

    Parameters
    ----------
    module : torch.nn.Module
        In float32, in evaluation mode; it moves to the device.
    spatial_dims : int
        2 or 3.
    precision : str
        ``"float32"``, ``"bfloat16"``, ``"float16"``.
    device : str
        ``"cuda"`` or ``"mps"``.
    shape : tuple of int
        ``(channels, k, j, i)`` of every patch.

    Raises
    ------
    OutOfMemoryError
        If a patch does not fit.
    BackendError
        If the device cannot compute the network.
    """

    def __init__(
        self, module: torch.nn.Module, spatial_dims: int, precision: str, device: str, shape: tuple[int, ...]
    ) -> None:
        self.precision = precision
        self.device = self.backend = device
        self.agreement: float | None = None
        self.measured_on: str | None = None
        self._spatial_dims = spatial_dims
        self._shape = shape
        self._network: _Network | None = None
        empty = batched(np.zeros(shape, np.float32), spatial_dims)
        try:
            self._network = _worker(device).submit(_Network, module, empty, precision, device).result()
        except RuntimeError as error:  # MPS lacks operations in three dimensions; torch knows no kernels for old cards
            raise BackendError(
                f"the device does not support this network ({str(error).splitlines()[0][:120]})."
            ) from error

    def __call__(self, patch: Patch) -> Patch:
        """Return ``(classes, k, j, i)`` of a ``(channels, k, j, i)`` patch; see `Predictor`."""
        if self._network is None:
            raise ModelError("This network has been closed; open it again.")
        if patch.shape != self._shape:
            raise ModelError(f"This network was opened for patches of {self._shape}, got {patch.shape}.")
        found = _worker(self.device).submit(self._network, batched(patch, self._spatial_dims)).result()[0]
        return found if self._spatial_dims == 3 else found[:, None]

    def close(self) -> None:
        """Give its memory back."""
        network, self._network = self._network, None
        if network is not None:
            _worker(self.device).submit(network.release).result()


class _Network:
    """The part that lives on the device's thread."""

    def __init__(self, module: torch.nn.Module, batch: Patch, precision: str, device: str) -> None:
        import torch

        self._device, self._precision = device, precision
        dims = batch.ndim - 2
        with memory_errors(), self._computing():
            self._module: torch.nn.Module | None = module.to(device)
            self._input = torch.from_numpy(batch).to(device)
            if precision != "float32":
                self._module = channels_last(self._module, dims)
                self._input = self._input.to(memory_format=layout(dims))
            for _ in range(_WARM_UP):
                output = self._forward()
            self._run = self._forward
            # The answer goes to memory that the card writes to by itself, several times as fast as to any other.
            self._answer = torch.empty(output.shape, pin_memory=device == "cuda")
            if device == "cuda":
                self._run = captured(self._forward) or self._forward

    def __call__(self, batch: Patch) -> Patch:
        import torch

        with memory_errors(), self._computing():
            self._input.copy_(torch.from_numpy(batch))
            answer = self._run()
            if answer.shape != self._answer.shape:  # a detector finds more in one patch than in another
                self._answer = torch.empty(answer.shape, pin_memory=self._device == "cuda")
            self._answer.copy_(answer)
            found: Patch = self._answer.numpy()
            return found

    def _forward(self) -> torch.Tensor:
        if self._module is None:
            raise ModelError("This network has been closed; open it again.")
        return choose_output(self._module(self._input)).float()

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute without gradients in the precision asked for; float32 is not TensorFloat-32 with its 10 bits."""
        import torch

        # cuDNN tries its algorithms on the first patch and keeps the fastest; a graph takes no cached casts.
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False),
            torch.autocast(
                self._device,
                dtype=getattr(torch, self._precision) if self._precision != "float32" else None,
                enabled=self._precision != "float32",
                cache_enabled=False,
            ),
        ):
            yield

    def release(self) -> None:
        """Forget everything on the device, and let others have its memory."""
        import torch

        self._run = self._forward  # drops the graph and its memory
        self._module = None
        del self._input, self._answer
        if self._device == "cuda":
            torch.cuda.empty_cache()
        elif self._device == "mps":
            torch.mps.empty_cache()


def captured(forward: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor] | None:
    """Return a function that replays what `forward` does on a CUDA card, without the hundreds of calls it takes.

    Parameters
    ----------
    forward : callable
        Reads and writes the same memory each time; run before, so that nothing is set up in it any more.

    Returns
    -------
    callable or None
        None where it cannot be captured: its course depends on values, or a second set of buffers does not fit.
    """
    import torch

    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            output = forward()
    except RuntimeError:  # also torch.OutOfMemoryError
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return None

    def replay() -> torch.Tensor:
        graph.replay()
        return output

    return replay
