"""A map of the brain's structures by a network that others trained, to learn from: a teacher that never ships.

The networks are MeshNets of neuroneural/brainchop (MIT): a plain chain of dilated convolutions, in the files of
TensorFlow.js, of which only numbers are read.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume

#: The order of axes that the teacher was taught in: x to the left, y to the feet, z to the face. It answers nothing
#: at all in another one.
_ORIENTATION = "LIA"
#: Pieces of a structure with fewer voxels are left out.
_SMALLEST = 60


def map_brain(volume: Volume, folder: Path, threads: int = 1) -> npt.NDArray[np.uint16]:
    """Return a map of the brain's structures on a scan's grid, each connected piece with a number of its own.

    Parameters
    ----------
    volume : Volume
        A T1-weighted scan of a head.
    folder : Path
        Of the teacher: ``model.json`` and its binary.
    threads : int
        Of torch.

    Raises
    ------
    ModelError
        If the files are not those of such a network.
    """
    conformed = _conformed(volume.geometry)
    image = resample(np.asarray(volume.array, np.float32), volume.geometry, conformed, interpolation="linear")
    low, high = np.percentile(image, (2, 98))
    labels = _answer(np.clip((image - low) / max(float(high - low), 1e-6), 0, 1), folder, threads)
    labels = resample(labels, conformed, volume.geometry, interpolation="nearest")
    return _pieces(labels)


def _conformed(geometry: Geometry) -> Geometry:
    """Return a grid of 1 mm over the same field with the axes in the teacher's order."""
    upright = geometry.axis_aligned().with_spacing((1.0, 1.0, 1.0))
    return upright.reoriented(upright.axis_map(_ORIENTATION))


def _pieces(labels: npt.NDArray) -> npt.NDArray[np.uint16]:
    """Return every connected piece of every structure under a number of its own, from 1 on."""
    found = np.zeros(labels.shape, np.uint16)
    top = 0
    for value in np.unique(labels[labels > 0]):
        pieces, count = ndimage.label(labels == value)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        for piece in np.flatnonzero(sizes[1:] >= _SMALLEST) + 1:
            top += 1
            found[pieces == piece] = top
    return found


def _answer(image: npt.NDArray[np.float32], folder: Path, threads: int) -> npt.NDArray[np.uint8]:
    """Return the class of each voxel."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    weights, layers = _read(folder)
    x = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
    with torch.inference_mode():
        for name, dilation in layers:
            kernel = torch.from_numpy(weights[f"{name}/kernel"].transpose(4, 3, 0, 1, 2).copy())
            bias = torch.from_numpy(weights[f"{name}/bias"])
            padding = dilation * (kernel.shape[-1] // 2)
            x = functional.conv3d(x, kernel, bias, padding=padding, dilation=dilation)
            if name != layers[-1][0]:
                x = functional.elu_(x)
        return x[0].argmax(0).numpy().astype(np.uint8)


def _read(folder: Path) -> tuple[dict[str, npt.NDArray[np.float32]], list[tuple[str, int]]]:
    """Return the weights by name, and the convolutions in order with their dilations."""
    path = folder / "model.json"
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
        manifest = model["weightsManifest"][0]
        flat = np.fromfile(folder / manifest["paths"][0], "<f4")
        chain = model["modelTopology"]["model_config"]["config"]["layers"]
        layers = [
            (layer["config"]["name"], int(layer["config"]["dilation_rate"][0]))
            for layer in chain
            if layer["class_name"] == "Conv3D"
        ]
        others = {layer["class_name"] for layer in chain} - {"InputLayer", "Conv3D", "Activation"}
        activations = {layer["config"]["activation"] for layer in chain if layer["class_name"] == "Activation"}
        shapes = {entry["name"]: tuple(entry["shape"]) for entry in manifest["weights"]}
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as a network of TensorFlow.js: {error!r}.") from error
    if others or activations != {"elu"}:
        raise ModelError(
            f"{path}: a chain of convolutions with ELU between them is expected, got {others or activations}."
        )
    if flat.size != sum(int(np.prod(shape)) for shape in shapes.values()):
        raise ModelError(f"{path}: the binary holds {flat.size} numbers, which are not those that are listed.")
    weights, start = {}, 0
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        weights[name] = flat[start : start + count].reshape(shape).astype(np.float32)
        start += count
    return weights, layers
