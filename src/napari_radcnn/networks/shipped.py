"""A network whose weights come with the package, as the engine's backends ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.errors import ModelError
from napari_radcnn.networks.safetensors import load_safetensors
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.weights import read_verified

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ShippedNetwork:
    """A network of our own (a `napari_radcnn.inference.backends.base.NetworkSource`).

    Attributes
    ----------
    path : Path
        Its weights, as `napari_radcnn.training.run.write_weights` writes them.
    identity : str
        Their SHA-256.
    build : callable
        Returns the network with fresh weights.
    spatial_dims : int
        2 or 3.
    channels : int
        Of its input.
    """

    path: Path
    identity: str
    build: Callable[[], torch.nn.Module]
    spatial_dims: int
    channels: int
    onnx_path: Path | None = None
    onnx_output: str | int | None = None
    onnx_parts: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, spec: ModelSpec, build: Callable[[], torch.nn.Module], spatial_dims: int, channels: int, index: int = 0
    ) -> ShippedNetwork:
        """Return the network of a model that ships, its weights checked against their hash.

        Raises
        ------
        ModelError
            If the weights are missing or damaged.
        """
        if index >= len(spec.weights):
            raise ModelError(f"The weights of '{spec.name}' are missing: install napari-radcnn again.")
        weights = spec.weights[index]
        return cls(read_verified(spec, weights), weights.sha256, build, spatial_dims, channels)

    def torch_module(self) -> torch.nn.Module:
        """Return the network in float32, in evaluation mode.

        Raises
        ------
        ModelError
            If the weights do not fit.
        """
        network = self.build()
        expected = network.state_dict()
        found = load_safetensors(self.path)
        complete = {name: found[name].float() if name in found else value for name, value in expected.items()}
        missing = [name for name, value in expected.items() if value.is_floating_point() and name not in found]
        if missing or set(found) - set(expected):
            raise ModelError(f"The weights in {self.path} do not belong to this network: install napari-radcnn again.")
        try:
            network.load_state_dict(complete)
        except RuntimeError as error:
            raise ModelError(f"The weights in {self.path} do not match this network: {error}") from error
        return network.eval()
