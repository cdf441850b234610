"""PyTorch on the processor: the reference in float32, and the fallback in bfloat16."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.base import BackendError, OutOfMemoryError, Patch
from napari_radcnn.inference.backends.rewriting import instance_norm_as_group_norm
from napari_radcnn.inference.backends.shapes import batched
from napari_radcnn.networks.outputs import choose_output

if TYPE_CHECKING:
    import torch


#: How TorchScript says that its network is given too little.
_MISSING = re.compile(r"missing value for argument '([^']*)'")


class TorchPredictor:
    """A torch network on the processor.

    Parameters
    ----------
    module : torch.nn.Module
        In float32, in evaluation mode. It is not altered, except that a TorchScript module gets another memory layout.
    spatial_dims : int
        2 or 3.
    precision : str
        ``"float32"`` or ``"bfloat16"``.
    threads : int
        Threads it computes with.
    """

    backend = "torch"
    device = "cpu"

    def __init__(self, module: torch.nn.Module, spatial_dims: int, precision: str, threads: int) -> None:
        self.precision = precision
        self.agreement: float | None = None
        self.measured_on: str | None = None
        self._threads = threads
        self._spatial_dims = spatial_dims
        self._module: torch.nn.Module | None = module
        if precision != "float32":
            # All three are needed: bfloat16 gains little by itself, with channels last 2.2 times, and with the norm
            # that has a kernel for it 4.8 times the speed of float32 (U-Net, 128^3, 2 cores with AMX).
            self._module = channels_last(instance_norm_as_group_norm(module), spatial_dims)

    def __call__(self, patch: Patch) -> Patch:
        """Return ``(classes, k, j, i)`` of a ``(channels, k, j, i)`` patch; see `Predictor`."""
        import torch

        if self._module is None:
            raise ModelError("This network has been closed; open it again.")
        with _threads(self._threads), torch.inference_mode(), network_errors(), memory_errors():
            batch = torch.from_numpy(batched(patch, self._spatial_dims))
            if self.precision == "float32":
                return unbatched(self._module(batch), self._spatial_dims)
            batch = batch.to(memory_format=layout(self._spatial_dims))
            with torch.autocast("cpu", dtype=getattr(torch, self.precision)):
                return unbatched(self._module(batch), self._spatial_dims)

    def close(self) -> None:
        """Give its memory back."""
        self._module = None


def unbatched(output: Any, spatial_dims: int) -> Patch:
    """Return what a torch network gave for a batch of one as ``(classes, k, j, i)`` in float32."""
    found = choose_output(output)[0].float().contiguous().cpu().numpy()
    return found if spatial_dims == 3 else found[:, None]


def layout(spatial_dims: int) -> torch.memory_format:
    """Return the memory layout with channels last."""
    import torch

    return torch.channels_last_3d if spatial_dims == 3 else torch.channels_last


def channels_last(module: torch.nn.Module, spatial_dims: int) -> torch.nn.Module:
    """Return `module` with its weights laid out with channels last."""
    return module.to(memory_format=layout(spatial_dims))


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what torch raises when memory does not suffice into an error that says what to do.

    Raises
    ------
    OutOfMemoryError
        Of the computer or of the graphics card.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            "The graphics card does not have enough free memory for one patch of this model; use --device cpu."
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise OutOfMemoryError(
                "Not enough free memory for one patch of this model; close other programs."
            ) from error
        raise


@contextmanager
def network_errors() -> Iterator[None]:
    """Turn what torch raises where it cannot compute a network into an error of one line.

    Raises
    ------
    BackendError
        With what torch says; of a network that was saved for a graphics card, with what to do.
    """
    import torch

    try:
        yield
    except OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError, AssertionError, torch.jit.Error) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        brief = (lines[-1] if lines else type(error).__name__)[:160]
        if "cuda" in str(error).lower():
            raise BackendError(
                f"The network was saved for a CUDA card, which this computer does not use ({brief}): save it again "
                "with its constants on the processor (module.cpu() before torch.jit.trace or torch.jit.script)."
            ) from error
        missing = _MISSING.search(str(error))
        if missing is not None:
            raise BackendError(
                f"The network takes another input besides the image ('{missing[1][:60]}'), which is not supported: "
                "export one whose inputs are the channels of one image."
            ) from error
        if "Half" in str(error) or "BFloat16" in str(error):
            raise BackendError(
                f"The network turns its input to half precision itself, while its weights are computed in float32 "
                f"({brief}): save it again without .half() and .bfloat16()."
            ) from error
        raise BackendError(f"PyTorch cannot run the network: {brief}") from error


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
