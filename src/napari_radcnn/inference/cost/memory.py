"""Memory of a run: estimated from the layers of a network before it, measured while it runs."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psutil

from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.apart.process import running
from napari_radcnn.inference.backends.base import NetworkSource

if TYPE_CHECKING:
    import torch

#: Seconds between two looks at the memory of the process.
_INTERVAL = 0.01
#: A convolution fills its channels up to blocks of this many; not the few of an image.
_BLOCK, _FEW = 16, 4
#: PyTorch in bfloat16 against float32: half, and what stays in float32.
_MIXED = 0.6


class PeakMemory:
    """How much more memory the process takes within a block than when it began, with those that compute for it.

    The memory of a graphics card is not counted. Memory that was given back but that the process still holds is
    counted as its own before the block, so that a second block may look cheaper than the first.

    Examples
    --------
    >>> with PeakMemory() as memory:
    ...     block = bytearray(100_000_000)
    >>> memory.bytes > 90_000_000
    True
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="radcnn-memory", daemon=True)
        self._before = self._most = 0

    def __enter__(self) -> PeakMemory:
        self._before = self._most = self._now()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    @property
    def bytes(self) -> int:
        """The most so far."""
        return self._most - self._before

    def _now(self) -> int:
        taken = int(self._process.memory_info().rss)
        for number in running():
            with suppress(psutil.Error):  # it has just ended
                taken += int(psutil.Process(number).memory_info().rss)
        return taken

    def _look(self) -> None:
        self._most = max(self._most, self._now())

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._look()


def estimate_memory(source: NetworkSource, patch: Shape, backend: str, precision: str) -> int | None:
    """Return about how much memory a network and its patches take, from the sizes of its layers; imports torch.

    The network runs on tensors without contents, and those that are there at a time are counted. PyTorch's
    convolutions hold copies of their input and output besides; OpenVINO's do not.

    Parameters
    ----------
    source : NetworkSource
        The network.
    patch : tuple of int
        Voxels of a patch.
    backend, precision : str
        See `Predictor`. For a graphics card it is the card's memory, without what cuDNN takes to be faster.

    Returns
    -------
    int or None
        Bytes; None where it cannot be told: an ONNX file, TorchScript, or a network whose course depends on values.

    Notes
    -----
    Estimate over measured peak at 96^3, one channel, 2 threads, for four U-Nets (two levels; MONAI's DynUNet,
    SegResNet and UNet): PyTorch float32 1.01, 1.03, 1.07, 0.95; OpenVINO float32 1.19, 1.24, 1.00, 1.04; OpenVINO
    bfloat16 1.17, 1.22, 1.20, 1.37; PyTorch bfloat16 1.22, 1.22, 0.97, 1.40; those of OpenVINO before the answer was
    counted besides. The last of the four has 5 channels at full size, and how far they are filled up differs. Where
    tensors are smaller than 32 MiB, about 70 MiB come on top, which the allocator leaves unused. A first run on a
    computer takes what PyTorch in float32 takes, because the choice of a backend compares with it.
    """
    import torch

    if source.onnx_path is not None:
        return None
    module = source.torch_module()
    if isinstance(module, torch.jit.ScriptModule):
        return None
    weights = sum(4 * p.numel() for p in module.parameters())
    count = _Count(is_filled=(backend, precision) == ("openvino", "bfloat16"))
    count.watch(module.to("meta"))
    spatial = patch if source.spatial_dims == 3 else patch[1:]
    try:
        with torch.no_grad():
            answer = module(torch.zeros((1, source.channels, *spatial), device="meta"))
    except (RuntimeError, ValueError):
        return None
    if backend == "openvino":
        # The answer is handed out in float32, whatever the layers are computed in.
        at_work = (1.0 if precision == "float32" else 0.5) * (count.most + weights)
        return round(at_work) + sum(_bytes(tensor) for tensor in _tensors(answer))
    return round((1.0 if precision == "float32" else _MIXED) * (count.most_convolving + weights))


class _Count:
    """The bytes of all tensors that are there at a time, as float32, while a network runs."""

    def __init__(self, is_filled: bool) -> None:
        self.most = self.most_convolving = 0
        self._now = 0
        self._known: set[int] = set()
        self._size = _filled_bytes if is_filled else _bytes

    def watch(self, module: torch.nn.Module) -> None:
        """Look at what goes into and comes out of every layer."""
        for layer in module.modules():
            if next(layer.children(), None) is None:
                layer.register_forward_pre_hook(lambda _, taken: self._add(taken))
                layer.register_forward_hook(self._after)

    def _add(self, value: Any) -> None:
        for tensor in _tensors(value):
            key, size = id(tensor), self._size(tensor)
            if key not in self._known:
                self._known.add(key)
                self._now += size
                weakref.finalize(tensor, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size

    def _after(self, layer: torch.nn.Module, taken: Any, output: Any) -> None:
        self._add(output)
        self.most = max(self.most, self._now)
        if "Conv" in type(layer).__name__:
            copies = sum(_filled_bytes(tensor) for part in (taken, output) for tensor in _tensors(part))
            self.most_convolving = max(self.most_convolving, self._now + copies)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
    elif hasattr(value, "numel"):
        yield value


def _bytes(tensor: torch.Tensor) -> int:
    return 4 * tensor.numel()


def _filled_bytes(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor (batch, channels, ...) whose channels are filled up to whole blocks."""
    channels = tensor.shape[1] if tensor.ndim >= 4 else 0
    if channels <= _FEW:
        return _bytes(tensor)
    return _bytes(tensor) // channels * (-(-channels // _BLOCK) * _BLOCK)
