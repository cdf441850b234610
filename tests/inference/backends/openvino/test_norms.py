from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_radcnn.inference.backends.openvino.cpu import OpenVINOPredictor, convert, openvino_core
from napari_radcnn.inference.backends.openvino.norms import stage, with_exact_norms
from toy_networks import ToySource

pytest.importorskip("openvino", reason="the extra `cpu` is not installed")


class Normalized(nn.Module):
    """A norm between two convolutions that change nothing: there OpenVINO's layout is the one of real networks."""

    def __init__(self, norm: nn.Module, channels: int, spatial_dims: int) -> None:
        super().__init__()
        kind = nn.Conv3d if spatial_dims == 3 else nn.Conv2d
        self.first, self.norm, self.last = kind(channels, channels, 1), norm, kind(channels, channels, 1)
        with torch.no_grad():
            for layer in (self.first, self.last):
                layer.weight.copy_(torch.eye(channels).reshape(layer.weight.shape))
                layer.bias.zero_()

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


def source_of(norm: nn.Module, channels: int, spatial_dims: int = 3) -> ToySource:
    with torch.no_grad():
        for n, parameter in enumerate(norm.parameters()):
            parameter.copy_(torch.linspace(0.5, 1.5, channels) - n)
    return ToySource(Normalized(norm, channels, spatial_dims).eval().requires_grad_(False), spatial_dims, channels)


def noise(channels: int, patch: tuple[int, ...]) -> np.ndarray:
    values = np.random.default_rng(1).standard_normal((channels, *patch), dtype=np.float32)
    return values + np.linspace(1.0, 2.0, channels, dtype=np.float32)[:, None, None, None]


def in_float64(norm: nn.Module, values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return norm.double()(torch.from_numpy(values).double()[None])[0].numpy()


@pytest.mark.parametrize(
    "norm",
    [
        nn.InstanceNorm3d(16, affine=True),
        pytest.param(nn.InstanceNorm3d(16, eps=0.3), marks=pytest.mark.slow),
        nn.GroupNorm(4, 16),
        pytest.param(nn.GroupNorm(16, 16), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_norms_over_many_voxels_are_as_exact_as_torch_s(norm):
    patch = (72, 70, 78)  # 3.9e5 voxels
    source, values = source_of(norm, 16), noise(16, patch)
    model = convert(source, patch, is_compared=False)
    own = openvino_core().compile_model(model.clone(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    predictor = OpenVINOPredictor(model, 3, "float32", 2)
    found, expected = predictor(values), in_float64(norm, values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6)
    if isinstance(norm, nn.InstanceNorm3d):  # what is worked round is still there
        assert np.abs(own(values[None])[0][0] - expected).max() > 2e-5


def test_a_norm_of_two_dimensions_is_exact():
    norm = nn.InstanceNorm2d(16, affine=True)
    patch = (1, 600, 510)
    values = noise(16, patch)
    predictor = OpenVINOPredictor(convert(source_of(norm, 16, 2), patch, is_compared=False), 2, "float32", 2)
    expected = in_float64(norm, values[:, 0])[:, None]
    np.testing.assert_allclose(predictor(values), expected, rtol=0, atol=5e-6)


def count(patch, precision, norm=None):
    model = convert(source_of(norm or nn.InstanceNorm3d(4), 4), (4, 4, 65), is_compared=False)
    model.reshape([1, 4, *patch])
    return with_exact_norms(model, precision)


def test_only_norms_over_many_voxels_are_replaced():
    assert count((8, 8, 8), "float32") == 0
    assert count((64, 32, 32), "float32") == 0
    assert count((64, 32, 33), "float32") == 1
    assert count((128, 128, 128), "bfloat16") == 0
    assert count((176, 160, 160), "bfloat16") == 1
    assert count((64, 64, 65), "float32", nn.LayerNorm(65, elementwise_affine=False)) == 0
    assert count((64, 64, 65), "float32", nn.BatchNorm3d(4)) == 0


def test_group_norms_are_replaced_in_float32_however_small():
    assert count((8, 8, 8), "float32", nn.GroupNorm(2, 4)) == 1
    assert count((8, 8, 8), "bfloat16", nn.GroupNorm(2, 4)) == 0
    assert count((176, 160, 160), "bfloat16", nn.GroupNorm(2, 4)) == 1


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (16, 16), (128, 16), (96, 16), (20, 10), (74, 2), (127, 127)])
def test_an_axis_is_averaged_over_in_equal_parts(size, expected):
    assert stage(size) == expected
    assert size % stage(size) == 0
