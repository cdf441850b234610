"""Kinds of nnU-Net models that the trained ones lack, with random weights, against a plain account of nnU-Net's way.

Whole arrays, scikit-image, one patch after the other: slow and simple.
"""

from __future__ import annotations

import json
from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.transform import resize

import napari_radcnn as radcnn
from napari_radcnn.foreign.nnunet import run as nnunet
from napari_radcnn.foreign.nnunet.open import open_nnunet
from napari_radcnn.foreign.nnunet.plans import read_classes
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.patches.positions import axis_starts, patch_weights
from napari_radcnn.networks.files import open_network
from napari_radcnn.networks.nnunet_networks import build
from napari_radcnn.phantom import oblique_geometry
from nnunet_folder import folder

SHAPE = (7, 22, 26)
REGIONS = {"labels": {"background": 0, "whole": [1, 2], "core": 2}, "regions_class_order": [1, 2]}


@pytest.fixture(autouse=True)
def _on_torch(monkeypatch):
    def opened(source, patch, settings, *, threads, sample, outputs, monitor, scan):
        return TorchPredictor(source.torch_module(), source.spatial_dims, "float32", 1), ()

    monkeypatch.setattr(nnunet, "open_predictor", opened)


def _model(place, *, spacing, patch, network="PlainConvUNet", channels=("T1", "FLAIR"), mirror=(), dataset=REGIONS):
    """Write a configuration's folder with random weights."""
    dimensions = len(patch)
    plans = json.loads((folder() / "plans.json").read_text())
    name = f"{dimensions}d_test"
    depth = "n_conv_per_stage" if network == "PlainConvUNet" else "n_blocks_per_stage"
    described = plans["configurations"]["3d_fullres"]
    arguments = described["architecture"]["arch_kwargs"]
    kept = {key: value for key, value in arguments.items() if key != "n_conv_per_stage"}
    kept |= {
        "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
        "kernel_sizes": [[3] * dimensions] * 3,
        "strides": [[1] * dimensions, [1, 2, 2][-dimensions:], [1, 2, 2][-dimensions:]],
        depth: [1, 1, 1],
    }
    described |= {
        "patch_size": list(patch),
        "spacing": list(spacing),
        "normalization_schemes": ["ZScoreNormalization"] * len(channels),
        "use_mask_for_norm": [True] * len(channels),
    }
    described["architecture"] = {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{network}",
        "arch_kwargs": kept,
    }
    plans["configurations"] = {name: described}
    target = place / "Dataset900_Made" / f"nnUNetTrainer__nnUNetPlans__{name}"
    (target / "fold_0").mkdir(parents=True)
    (target / "plans.json").write_text(json.dumps(plans))
    content = {"channel_names": {str(n): title for n, title in enumerate(channels)}, **dataset}
    (target / "dataset.json").write_text(json.dumps(content))
    torch.manual_seed(3)
    heads = read_classes(content, "").heads
    made = build(network, {"input_channels": len(channels), "num_classes": heads, **kept})
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.4)
    with torch.inference_mode():  # so that no class wins everywhere
        head, batch = made.decoder.seg_layers[-1], torch.randn(1, len(channels), *patch)
        head.bias -= made.eval()(batch)[0].flatten(1).median(1).values
    stored = {"network_weights": made.state_dict(), "inference_allowed_mirroring_axes": mirror or None}
    torch.save(stored, target / "fold_0" / "checkpoint_final.pth")
    return open_nnunet(target)


def _scans(count: int) -> list[radcnn.Volume]:
    k, j, i = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in SHAPE)]
    head = (k * 0.8) ** 2 + (j - 0.1) ** 2 + (i * 1.3) ** 2 < 0.8
    found = []
    for seed in range(count):
        noise = np.random.default_rng(seed).normal(size=SHAPE)
        values = np.where(head, 300 + 200 * ndimage.gaussian_filter(noise, 1.2), 0).astype(np.float32)
        found.append(radcnn.Volume(values, oblique_geometry(SHAPE)))
    return found


def _resized(channel, new, order, apart):
    if channel.shape == tuple(new):
        return channel
    if not apart:
        return resize(channel, new, order, mode="edge", anti_aliasing=False)
    flat = np.stack([resize(plane, new[1:], order, mode="edge", anti_aliasing=False) for plane in channel])
    index = np.floor(len(flat) / new[0] * (np.arange(new[0]) + 0.5)).astype(int)
    return flat[index]


def _plainly(spec, scans) -> np.ndarray:
    """Return the labels as nnU-Net would make them."""
    model = spec.network
    data = np.stack([scan.array for scan in scans]).astype(float)
    mask = ndimage.binary_fill_holes((data != 0).any(0))
    box = ndimage.find_objects(mask.astype(int))[0]
    data, inside = data[(slice(None), *box)], mask[box]
    for channel in data:
        channel[inside] = (channel[inside] - channel[inside].mean()) / channel[inside].std()
    spacing = scans[0].geometry.spacing
    target = (spacing[0], *model.spacing) if model.dimensions == 2 else model.spacing
    new = [round(s / t * n) for s, t, n in zip(spacing, target, data.shape[1:], strict=True)]
    apart = max(spacing) / min(spacing) > 3
    seen = np.stack([_resized(channel, new, 3, apart) for channel in data]).astype(np.float32)
    missing = [max(p - n, 0) for p, n in zip(model.sampling.patch, new, strict=True)]
    padded = np.pad(seen, [(0, 0), *((n // 2, n - n // 2) for n in missing)])
    network = open_network(spec.files[0], channels=len(scans), spatial_dims=model.dimensions).torch_module()
    weights, total = patch_weights(model.sampling), np.zeros((model.classes, *padded.shape[1:]))
    norm = np.zeros(padded.shape[1:])
    axes = model.sampling.mirror_axes
    flips = [chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count)]
    for first in product(*axis_starts(tuple(new), model.sampling)):
        place = tuple(slice(f, f + p) for f, p in zip(first, model.sampling.patch, strict=True))
        answers = []
        for chosen in flips:
            turned = [n + 1 for n in chosen]
            patch = np.flip(padded[(slice(None), *place)], turned).copy()
            batch = torch.from_numpy(patch[:, 0] if model.dimensions == 2 else patch)[None]
            with torch.inference_mode():
                answer = network(batch)[0].numpy()
            answers.append(np.flip(answer[:, None] if model.dimensions == 2 else answer, turned))
        total[(slice(None), *place)] += np.mean(answers, 0) * weights
        norm[place] += weights
    logits = (total / norm)[
        (slice(None), *(slice(n // 2, n // 2 + size) for n, size in zip(missing, new, strict=True)))
    ]
    back = np.stack([_resized(channel, data.shape[1:], 1, apart) for channel in logits])
    labels = np.zeros(SHAPE, np.uint8)
    if model.regions:
        for channel, value in zip(back, model.regions, strict=True):
            labels[box][channel > 0] = value
    else:
        labels[box] = back.argmax(0)
    return labels


@pytest.mark.parametrize(
    "kind",
    [
        {"spacing": (2.0, 1.0, 0.9), "patch": (4, 12, 16), "mirror": (0, 2)},
        {"spacing": (2.5, 0.7, 0.9), "patch": (8, 8, 12), "network": "ResidualEncoderUNet"},
        {"spacing": (1.1, 0.6), "patch": (12, 16), "mirror": (0, 1)},
        {
            "spacing": (0.7, 0.9),
            "patch": (40, 8),
            "channels": ("MR",),
            "dataset": {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}},
            "mirror": (1,),
        },
    ],
    ids=["regions", "regions, residual, thick slices", "regions, 2-D", "labels, 2-D, larger than the scan"],
)
def test_labels_are_those_of_the_plain_account(tmp_path, kind):
    spec = _model(tmp_path, **kind)
    scans = _scans(spec.network.channels)
    expected = _plainly(spec, scans)
    assert len(np.unique(expected)) == 3
    found = radcnn.segment(scans if len(scans) > 1 else scans[0], spec).array
    assert np.count_nonzero(found != expected) <= 1  # of 4004: two logits may be equal but for rounding
