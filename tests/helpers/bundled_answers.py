"""Bundles of MONAI whose network answers once for a whole scan, some with a closed form."""

from __future__ import annotations

import numpy as np
import torch

import napari_radcnn as radcnn
from model_factory import METADATA, write_bundle
from napari_radcnn.phantom import oblique_geometry

SHAPE = (6, 8, 10)  # of the network, along i, j, k
LOAD = [{"_target_": "LoadImaged", "keys": "image"}, {"_target_": "EnsureChannelFirstd", "keys": "image"}]
RESIZED = [
    *LOAD,
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Resized", "keys": "image", "spatial_size": [33, 36, 40]},
]
DENSE = {"in_channels": 1, "init_features": 4, "growth_rate": 2, "block_config": [1, 2]}


def regressor(rows, offsets, shape=SHAPE, out_shape=None, scale=2.0):
    """Return MONAI's Regressor, whose answers are offsets + rows @ (scale * voxels), and how a bundle describes it."""
    from monai.networks.nets import Regressor

    described = {
        "in_shape": [1, *shape],
        "out_shape": list(out_shape or [len(rows)]),
        "channels": [1],
        "strides": [1],
        "kernel_size": 1,
        "num_res_units": 0,
    }
    network = Regressor(**described).eval()
    with torch.no_grad():
        (convolution,) = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Conv3d)]
        convolution.weight.fill_(scale)
        convolution.bias.zero_()
        linear = network.final[1]
        linear.weight.copy_(torch.as_tensor(np.array(rows, np.float32)))
        linear.bias.copy_(torch.as_tensor(np.array(offsets, np.float32)))
    return network, {"_target_": "Regressor", **described}


def dense(outputs):
    """Return MONAI's DenseNet with random weights, and how a bundle describes it."""
    from monai.networks.nets import DenseNet

    torch.manual_seed(3)
    network = DenseNet(spatial_dims=3, out_channels=outputs, **DENSE).eval()
    return network, {"_target_": "DenseNet", "spatial_dims": 3, "out_channels": outputs, **DENSE}


def bundle(folder, made, stated=None, before=RESIZED, output=(), after=(), more=None):
    """Write a bundle of a network and how it is described; `stated` is what the metadata state of the answer."""
    network, described = made
    formats = {"inputs": {"image": {"modality": "CT", "num_channels": 1}}, "outputs": {"pred": dict(output)}}
    metadata = METADATA | {"network_data_format": formats} | (more or {})
    metadata |= {} if stated is None else {"radcnn": stated}
    return write_bundle(
        folder,
        network,
        metadata,
        network_def=described,
        preprocessing={"_target_": "Compose", "transforms": before},
        inferer={"_target_": "SimpleInferer"},
        postprocessing={"_target_": "Compose", "transforms": list(after)},
    )


def spot(index, shape=(10, 8, 6), value=1.0):
    """Return an oblique CT with one bright voxel, axes k, j, i."""
    array = np.zeros(shape, np.float32)
    array[index] = value
    return radcnn.Volume(array, oblique_geometry(shape), radcnn.VolumeMetadata("spot", modality="CT"))
