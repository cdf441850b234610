"""The memory that a detector takes, and windows of it that fit into what is free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from napari_radcnn.foreign.detection.described import Detecting
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.apart.predictor import weigh_onnx
from napari_radcnn.inference.cost.costs import LIBRARY_BYTES, kept_bytes, layers_bytes, network_bytes
from napari_radcnn.inference.cost.memory import estimate_memory
from napari_radcnn.inference.request import Request
from napari_radcnn.memory import free_memory
from napari_radcnn.networks.files import open_network
from napari_radcnn.spec.patches import Sampling

#: Peak memory of a network at work of which nothing is known before its first run, bytes a voxel of its input.
_BYTES_A_VOXEL = 800
#: What the maps of all levels of the scan take, put together in float64 and decoded, bytes a voxel.
_MAPS = 16
#: The least side of a smaller window, voxels: below it a network sees too little around a finding.
_LEAST_SIDE = 64


def fitting_windows(
    request: Request, how: Detecting, sampling: Sampling, shape: Shape, padded: Shape
) -> tuple[Sampling, int, int, tuple[str, ...]]:
    """Return the windows that are taken: those of the description where they fit into memory, else smaller ones.

    Parameters
    ----------
    request : Request
        The run.
    how : Detecting
        How the detector is run.
    sampling : Sampling
        The windows of its description.
    shape, padded : tuple of int
        Of the scan as the network sees it, and with zeros so that its maps fit.

    Returns
    -------
    sampling : Sampling
        As given where nothing smaller can be taken, or nothing fits: then the run is refused.
    network, besides : int
        The memory that the network takes at one window, and that the scan and the maps take, bytes.
    told : tuple of str
        That other windows are taken.
    """
    besides = kept_bytes(how.channels, prod(shape))
    if how.boxes.form == "anchor-maps":
        besides += _MAPS * prod(padded if how.spatial_dims == 3 else padded[1:])
    for one in (sampling, *_smaller(request, how, sampling)):
        network = _network_bytes(request, how, one.patch)
        if network + besides <= free_memory():
            break
    else:
        return sampling, _network_bytes(request, how, sampling.patch), besides, ()
    if one.patch == sampling.patch:
        return one, network, besides, ()
    here, there = (_told(patch, how) for patch in (one.patch, sampling.patch))
    told = (
        f"'{request.spec.name}' uses windows of {here} voxels instead of {there}, for which there is not enough "
        "free memory: scores and boxes may differ a little."
    )
    return one, network, besides, (told,)


def _smaller(request: Request, how: Detecting, sampling: Sampling) -> Iterator[Sampling]:
    """Give windows with the longest side halved again and again, where the network takes any and its maps fit them."""
    file = request.spec.files[0]
    is_free = how.boxes.form == "anchor-maps" and file.architecture is not None and not file.is_program
    if how.sampling is None or not is_free:
        return
    overlap = how.sampling.overlap
    patch = list(sampling.patch)
    while True:
        # steps of windows must be multiples of the coarsest map's, which `divisible` is
        fits = [axis for axis in range(3 - how.spatial_dims, 3) if _halved(patch[axis], how.divisible[axis], overlap)]
        if not fits:
            return
        longest = max(fits, key=lambda axis: patch[axis])
        patch[longest] = _halved(patch[longest], how.divisible[longest], overlap)
        yield replace(how.sampling, patch=(patch[0], patch[1], patch[2]))


def _halved(side: int, divisible: int, overlap: float) -> int:
    """Return half a side, or a little more, whose steps are multiples of `divisible`; 0 where it becomes too small."""
    for half in range(-(-side // (2 * divisible)) * divisible, side, divisible):
        step = half * (1 - overlap)
        if half >= _LEAST_SIDE and abs(step / divisible - round(step / divisible)) < 1e-9:
            return half
    return 0


def _network_bytes(request: Request, how: Detecting, patch: Shape) -> int:
    return network_bytes(request, patch, lambda: _first_bytes(request, how, patch))


def _first_bytes(request: Request, how: Detecting, patch: Shape) -> int:
    """Return what the network takes in a first run: as its layers say, where nothing is known of them by a rule."""
    file = request.spec.files[0]
    network = open_network(file, channels=how.channels, spatial_dims=how.spatial_dims)
    found = None
    if file.kind == "onnx":
        found = layers_bytes(file.sha256, patch, lambda: weigh_onnx(network, patch))
    elif not file.is_program:
        found = layers_bytes(file.sha256, patch, lambda: estimate_memory(network, patch, "torch", "float32"))
    if found is not None:
        return LIBRARY_BYTES + found
    weights = file.path.stat().st_size if file.path.exists() else 0
    return LIBRARY_BYTES + 2 * weights + _BYTES_A_VOXEL * prod(patch)


def _told(patch: Shape, how: Detecting) -> str:
    return " x ".join(map(str, patch[3 - how.spatial_dims :]))
