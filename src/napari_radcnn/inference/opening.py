"""A network that comes with the package, opened for a run where it computes fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.agreement import Outputs
from napari_radcnn.inference.backends.base import Patch, Predictor
from napari_radcnn.inference.request import Request
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.progress import Monitor

if TYPE_CHECKING:
    import torch


def open_shipped(
    request: Request,
    build: Callable[[], torch.nn.Module],
    patch: Shape,
    monitor: Monitor,
    *,
    channels: int,
    spatial_dims: int,
    sample: Patch,
    outputs: Outputs = "classes",
) -> tuple[Predictor, tuple[str, ...]]:
    """Open the network of a request's model, its weights checked against their hash.

    Parameters
    ----------
    request : Request
        The run: its model's first weights, its device, precision and threads.
    build : callable
        Returns the network with fresh weights.
    patch : tuple of int
        Voxels of every patch; 1 along k for a network of two dimensions.
    monitor : Monitor
        Told what takes long.
    channels, spatial_dims : int
        Of the network's input; 2 or 3 dimensions.
    sample : (channels, k, j, i) array of float32
        A patch of the scan, as the network is given it; backends are compared on it.
    outputs : str
        How the answer follows from the outputs; see `napari_radcnn.inference.backends.agreement.compare`.

    Returns
    -------
    predictor : Predictor
        Must be closed.
    warnings : tuple of str
        Which backends were dropped, and why.

    Raises
    ------
    ModelError
        If the weights are missing or damaged, or no backend can run the network.
    ResourceError
        If the device or the precision asked for does not exist here, or memory does not suffice.
    """
    from napari_radcnn.inference.backends.choice import open_predictor

    network = ShippedNetwork.of(request.spec, build, spatial_dims, channels)
    return open_predictor(
        network,
        patch,
        request.settings,
        threads=request.threads,
        sample=sample,
        outputs=outputs,
        monitor=monitor,
        scan=request.scan_sha256,
    )
