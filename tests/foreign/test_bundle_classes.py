"""Bundles that classify: the probabilities of MONAI's own transforms and network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from answering import scan
from model_factory import METADATA, write_bundle
from napari_radcnn.errors import ModelError

DENSE = {"in_channels": 1, "out_channels": 3, "init_features": 4, "growth_rate": 2, "block_config": [1, 2]}
OUTPUT = {"format": "classes", "num_channels": 3, "channel_def": {"0": "normal", "1": "benign", "2": "malignant"}}
PREPROCESSING = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -2, "a_max": 2, "b_min": 0, "b_max": 1},
    {"_target_": "Resized", "keys": "image", "spatial_size": [33, 36, 40]},
    {"_target_": "NormalizeIntensityd", "keys": "image"},
]
AFTER = [{"_target_": "Activationsd", "keys": "pred", "softmax": True}]


def _network(dims=3, **changes):
    from monai.networks.nets import DenseNet

    torch.manual_seed(1)
    return DenseNet(spatial_dims=dims, **(DENSE | changes)).eval()


def _bundle(folder, network, dims=3, preprocessing=PREPROCESSING, output=OUTPUT, after=AFTER, **changes):
    described = METADATA["network_data_format"] | {"outputs": {"pred": output}}
    described["inputs"] = {"image": {"modality": "CT", "num_channels": changes.pop("channels", 1)}}
    keys = {
        "network_def": {"_target_": "DenseNet", "spatial_dims": dims, **DENSE, **changes.pop("more", {})},
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": after},
    }
    return write_bundle(folder, network, METADATA | {"network_data_format": described}, **(keys | changes))


def _monai(preprocessing, path, network):
    """Return what MONAI itself says of a file."""
    from monai import transforms

    made = [
        getattr(transforms, entry["_target_"])(**{k: v for k, v in entry.items() if k != "_target_"})
        for entry in preprocessing
    ]
    shown = transforms.Compose(made)({"image": str(path)})["image"]
    with torch.inference_mode():
        return network(torch.as_tensor(shown)[None].float())[0]


def test_a_volume_is_classified_as_by_monai(tmp_path):
    network = _network()
    path = radcnn.write(scan(shape=(30, 41, 37)), tmp_path / "scan.nii.gz")
    spec = radcnn.open_model(_bundle(tmp_path / "bundle", network))
    assert (spec.task, spec.classes) == ("classification", ("normal", "benign", "malignant"))
    found = radcnn.classify(radcnn.read(path)[0], spec, device="cpu")
    expected = torch.softmax(_monai(PREPROCESSING, path, network), 0)
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-4)
    assert found.kind == "exclusive"


def test_a_picture_is_shown_as_three_channels_in_monais_order(tmp_path):
    network = _network(2, in_channels=3)
    preprocessing = [
        {"_target_": "RepeatChanneld", "keys": "image", "repeats": 3},
        {"_target_": "Resized", "keys": "image", "spatial_size": [36, 48], "mode": "bilinear"},
        {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True},
    ]
    after = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.4},
    ]
    folder = _bundle(tmp_path / "bundle", network, 2, preprocessing, after=after, channels=3, more={"in_channels": 3})
    picture = scan(shape=(1, 50, 44))
    found = radcnn.classify(picture, radcnn.open_model(folder), device="cpu")
    from monai import transforms

    shown = transforms.Compose(
        [
            transforms.RepeatChannel(3),
            transforms.Resize([36, 48], mode="bilinear"),
            transforms.NormalizeIntensity(channel_wise=True),
        ]
    )(picture.array[0].T[None])  # MONAI's first axis runs along the rows
    with torch.inference_mode():
        expected = torch.sigmoid(network(torch.as_tensor(shown)[None].float())[0])
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-4)
    assert (found.kind, found.threshold("benign")) == ("multi-label", 0.4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"output": OUTPUT | {"num_channels": 4}}, "the network has 3 channels of outputs, but metadata.json says 4"),
        ({"preprocessing": PREPROCESSING[:4]}, "the size that scans are resized to is not stated"),
        (
            {"preprocessing": [{"_target_": "Resized", "keys": "image", "spatial_size": 40, "mode": "bicubic"}]},
            "mode='bicubic' is not supported",
        ),
        (
            {"inferer": {"_target_": "SlidingWindowInferer", "roi_size": [8, 8, 8]}},
            "cannot use patches",
        ),
        ({"preprocessing": [{"_target_": "Resized", "keys": "image", "spatial_size": [2, 2, 2]}]}, "does not take"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_bundle_is_opened(tmp_path, changes, told):
    folder = _bundle(tmp_path / "bundle", _network(), **changes)
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(folder)


def test_a_segmentation_that_resizes_is_still_refused(tmp_path):
    folder = write_bundle(
        tmp_path / "bundle",
        preprocessing={
            "_target_": "Compose",
            "transforms": [{"_target_": "Resized", "keys": "image", "spatial_size": [16, 16, 16]}],
        },
    )
    with pytest.raises(ModelError, match="'Resize' in the preprocessing is supported only for"):
        radcnn.open_model(folder)
