from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from napari_radcnn.inference.backends.hardware import cpu_computes_bfloat16
from napari_radcnn.inference.backends.openvino import cpu as openvino_cpu
from napari_radcnn.inference.backends.openvino.cpu import OpenVINOPredictor, convert, openvino_core
from napari_radcnn.inference.backends.openvino.rounding import bfloat16, round_carefully, rounded_kernels
from napari_radcnn.models.lung_nodules.network import FOLD, build_finder
from napari_radcnn.models.registry import get_model
from napari_radcnn.networks.shipped import ShippedNetwork
from toy_networks import ToySource

pytest.importorskip("openvino", reason="the extra `cpu` is not installed")

PATCH = (24, 20, 28)


def in_torch(values):
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(torch.bfloat16).to(torch.float32).numpy()


finite = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=finite))
def test_rounding_is_torch_s(values):
    np.testing.assert_array_equal(bfloat16(values), in_torch(values))


@given(hnp.arrays(np.float32, (3, 2, 3, 2, 3), elements=st.floats(-2, 2, width=32)))
def test_a_rounded_kernel_keeps_its_sum(weights):
    rounded = rounded_kernels(weights)
    np.testing.assert_array_equal(rounded, in_torch(rounded))
    off = np.abs((rounded.astype(np.float64) - weights).sum((2, 3, 4)))
    # Half a step of the last tap, whatever the others lost, and what float32 loses on the way.
    step = np.abs(rounded[:, :, -1, -1, -1]) * 2.0**-8 + 1e-5
    assert np.all(off <= step)
    # A tap is off by its own rounding and at most what the one before it lost.
    assert np.all(np.abs(rounded - weights) <= 2 * 2.0**-8 * 2.1)


def test_kernels_of_a_network_keep_their_sums_far_better_than_each_tap_rounded_alone():
    weights = np.random.default_rng(0).standard_normal((32, 16, 3, 3, 3), dtype=np.float32)
    exact = weights.astype(np.float64).sum((2, 3, 4))
    alone, kept = (
        np.abs(w.astype(np.float64).sum((2, 3, 4)) - exact) for w in (bfloat16(weights), rounded_kernels(weights))
    )
    assert kept.mean() < 0.25 * alone.mean()


def test_weights_that_bfloat16_holds_stay():
    weights = bfloat16(np.random.default_rng(0).standard_normal((4, 3, 3, 1, 5)))
    np.testing.assert_array_equal(rounded_kernels(weights), weights)


def constants(model):
    return [
        n.get_data().copy() for n in model.get_ordered_ops() if n.get_type_name() == "Constant" and len(n.shape) > 3
    ]


def model_of(*layers, channels=2, spatial_dims=3):
    module = nn.Sequential(*layers).eval().requires_grad_(False)
    patch = PATCH if spatial_dims == 3 else (1, *PATCH[1:])
    return module, convert(ToySource(module, spatial_dims, channels), patch, is_compared=False)


def kinds(model):
    return [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_function_stays_the_same(spatial_dims):
    """In float32, what is altered is the rounding of weights only; the last layer not even that."""
    torch.manual_seed(0)
    conv = nn.Conv3d if spatial_dims == 3 else nn.Conv2d
    module, model = model_of(conv(2, 6, 3, padding=1, groups=2), nn.ReLU(), conv(6, 3, 1), spatial_dims=spatial_dims)
    round_carefully(model)
    assert "MatMul" in kinds(model)
    assert kinds(model).count("GroupConvolution") == 1
    if spatial_dims == 3:
        with torch.no_grad():
            module[0].weight.copy_(torch.from_numpy(rounded_kernels(module[0].weight.numpy())))
    values = np.random.default_rng(0).standard_normal((2, *PATCH[3 - spatial_dims :]), dtype=np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(values)[None]).numpy()
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(values[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_what_cannot_gain_is_left_alone():
    torch.manual_seed(0)
    broken = nn.Conv3d(2, 4, 3)
    with torch.no_grad():
        broken.weight[0, 0, 0, 0, 0] = float("nan")
    for layers in (
        (broken,),  # not a number stays so, and is told of the answer
        (nn.ConvTranspose3d(2, 4, 2, 2),),  # its taps do not add up
    ):
        model = model_of(*layers)[1]
        before, were = constants(model), kinds(model)
        round_carefully(model)
        assert kinds(model) == were
        for now, then in zip(constants(model), before, strict=True):
            np.testing.assert_array_equal(now, then)


def test_weights_that_openvino_will_scale_are_left_alone():
    from openvino import opset13 as op

    model = model_of(nn.Conv3d(2, 4, 3, bias=False))[1]
    conv = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution")
    readers = conv.output(0).get_target_inputs()
    scaled = op.multiply(conv, op.constant(np.linspace(0.5, 2, 4, dtype=np.float32).reshape(1, 4, 1, 1, 1)))
    for reader in readers:
        reader.replace_source_output(scaled.output(0))
    before = constants(model)
    round_carefully(model)
    np.testing.assert_array_equal(constants(model)[0], before[0])


@pytest.mark.parametrize("layers", [(nn.Conv3d(2, 4, 1, stride=2),), (nn.Conv3d(2, 4, 1), nn.ReLU())], ids=str)
def test_a_layer_of_one_voxel_that_is_not_the_last_stays_a_convolution(layers):
    model = model_of(*layers)[1]
    round_carefully(model)
    assert "MatMul" not in kinds(model)


@pytest.mark.skipif(not cpu_computes_bfloat16("openvino"), reason="this processor has no bfloat16")
def test_a_trained_network_in_bfloat16_is_closer_to_float32_than_openvino_s_own(monkeypatch):
    """The images are smooth, as scans are: on white noise the sums of kernels matter no more than their taps."""
    from scipy import ndimage

    source = ShippedNetwork.of(get_model("lung-nodules"), build_finder, 3, FOLD**3)
    patch = (32, 40, 48)
    errors = {"ours": [], "own": []}
    for seed in range(2):
        image = np.random.default_rng(seed).standard_normal((FOLD**3, *patch), dtype=np.float32)
        image = ndimage.gaussian_filter(image, (0, 2, 2, 2))
        image /= image.std()
        with torch.no_grad():
            expected = source.torch_module()(torch.from_numpy(image)[None])[0].numpy()
        for name in errors:
            with monkeypatch.context() as patched:
                if name == "own":
                    patched.setattr(openvino_cpu, "round_carefully", lambda model: None)
                found = OpenVINOPredictor(convert(source, patch, is_compared=False), 3, "bfloat16", 2)(image).copy()
            errors[name].append(np.sqrt(np.mean((found - expected) ** 2)))
    assert np.mean(errors["ours"]) < 0.7 * np.mean(errors["own"]), errors
