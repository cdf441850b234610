"""Networks of neuroneural/brainchop (MIT) to learn from: teachers that never ship.

MeshNets (Fedorov et al. 2017): a plain chain of dilated convolutions, in the files of TensorFlow.js, of which only
numbers are read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.io import read
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    import torch

#: Names of layers that end so are followed by a normalization of each channel by itself.
_NORMED, _EPSILON = "_gn", 1e-5
#: What follows the convolutions of one, by its name in TensorFlow and in torch.
_ACTIVATIONS = ("elu", "relu", "gelu")


class MeshNet:
    """A teacher, ready to answer.

    Parameters
    ----------
    folder : Path
        Of the teacher: ``model.json``, its binary, and ``colormap.json`` where names of classes are asked for.
    threads : int
        Of torch.

    Raises
    ------
    ModelError
        If the files are not those of such a network.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._folder, self._threads = folder, threads
        self._weights, self._layers, self._activation = _read(folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of its outputs."""
        names = json.loads((self._folder / "colormap.json").read_text(encoding="utf-8"))["labels"]
        return tuple(str(name) for name in names)

    def logits(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the outputs for every voxel.

        Parameters
        ----------
        image : (i, j, k) array of float32
            A head at 1 mm, 0..1, axes towards L, I, A: these networks answer nothing at all in another order.

        Returns
        -------
        logits : (classes, i, j, k) array of float32
        """
        import torch
        from torch.nn import functional

        torch.set_num_threads(self._threads)
        x = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
        last = self._layers[-1][0]
        with torch.inference_mode():
            for name, dilation in self._layers:
                kernel = torch.from_numpy(self._weights[f"{name}/kernel"].transpose(4, 3, 0, 1, 2).copy())
                bias = self._weights.get(f"{name}/bias")
                padding = dilation * (kernel.shape[-1] // 2)
                x = functional.conv3d(x, kernel, None, padding=padding, dilation=dilation)
                if bias is not None:
                    x += torch.from_numpy(bias).view(1, -1, 1, 1, 1)
                if name.endswith(_NORMED):
                    _normalize(x)
                if name != last:
                    x = getattr(functional, self._activation)(x)
            return np.asarray(x[0].numpy())


def upright_volume(path: Path) -> Volume:
    """Return a scan at 1 mm, (k, j, i) with axes to S, A, R."""
    volume = read(path)[0]
    grid = volume.geometry.axis_aligned().with_spacing((1.0, 1.0, 1.0))
    grid = grid.reoriented(grid.axis_map("SAR"))
    values = resample(np.asarray(volume.array, np.float32), volume.geometry, grid, interpolation="linear")
    return Volume(values, grid, volume.metadata)


def upright(path: Path) -> npt.NDArray[np.float32]:
    """Return the gray values of a scan at 1 mm, (i, j, k) with axes to R, A, S."""
    return np.ascontiguousarray(np.asarray(upright_volume(path).array).transpose(2, 1, 0))


def turned(array: npt.NDArray) -> npt.NDArray:
    """Return an array whose axes point to R, A, S with axes to L, I, A, in which the teachers were taught."""
    return np.ascontiguousarray(array[::-1, :, ::-1].transpose(0, 2, 1))


def turned_back(array: npt.NDArray) -> npt.NDArray:
    """Return the inverse of `turned`."""
    return np.ascontiguousarray(array.transpose(0, 2, 1)[::-1, :, ::-1])


def _normalize(x: torch.Tensor) -> None:
    import torch

    for channel in x[0]:
        variance, mean = torch.var_mean(channel, correction=0)
        channel.sub_(mean).div_(torch.sqrt(variance + _EPSILON))


def _read(folder: Path) -> tuple[dict[str, npt.NDArray[np.float32]], list[tuple[str, int]], str]:
    """Return the weights by name, the convolutions in order with their dilations, and what follows each."""
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
    if others or len(activations) != 1 or not activations <= set(_ACTIVATIONS):
        known = ", ".join(_ACTIVATIONS)
        raise ModelError(
            f"{path}: a chain of convolutions with one of {known} between them is expected, "
            f"got {others or activations}."
        )
    if flat.size != sum(int(np.prod(shape)) for shape in shapes.values()):
        raise ModelError(f"{path}: the binary holds {flat.size} numbers, which are not those that are listed.")
    weights, start = {}, 0
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        weights[name] = flat[start : start + count].reshape(shape).astype(np.float32)
        start += count
    return weights, layers, activations.pop()
