"""Devices and number formats: what there is, what was asked for, what happens when memory does not suffice."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.settings import RunSettings

if TYPE_CHECKING:
    import torch


def cpu_count() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Return how many CPU threads a run takes: all, or all but one where another thread shows a viewer.

    Measured on 2 cores: with both taken, a viewer's events come every 94 ms instead of 76, and the run is not faster.
    """
    count = cpu_count()
    return count if threading.current_thread() is threading.main_thread() else max(1, count - 1)


def torch_device(settings: RunSettings) -> torch.device:
    """Return the torch device for the settings.

    Raises
    ------
    ResourceError
        If CUDA or MPS is asked for and there is none.
    """
    import torch

    if settings.device == "mps":
        if not torch.backends.mps.is_available():
            raise ResourceError(
                "PyTorch does not find a Mac graphics processor (MPS) on this computer; use --device cpu or auto."
            )
        return torch.device("mps")
    has_cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not has_cuda:
        raise ResourceError("PyTorch does not find a CUDA device on this computer; use --device cpu or auto.")
    return torch.device("cuda" if has_cuda and settings.device != "cpu" else "cpu")


@contextmanager
def computing(settings: RunSettings, device: torch.device, threads: int) -> Iterator[str]:
    """Run a block without gradients, in the precision asked for; yields the precision's name.

    Raises
    ------
    ResourceError
        If memory does not suffice, of the computer or of the device.
    """
    import torch

    precision = "float32" if settings.precision == "auto" else settings.precision
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=getattr(torch, precision), enabled=precision != "float32"),
        ):
            yield precision
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            "The graphics card does not have enough free memory for this model; use --device cpu."
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise ResourceError(
                "Not enough free memory for this model; close other programs, or crop the scan."
            ) from error
        raise
    finally:
        torch.set_num_threads(before)
