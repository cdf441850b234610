from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_radcnn.errors import ModelError, ResourceError
from napari_radcnn.inference.backends.base import BackendError
from napari_radcnn.inference.backends.rewriting import instance_norm_as_group_norm
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor, memory_errors
from toy_networks import affine, smooth_noise, unet

SHAPE = (4, 6, 10)


def halves(channels: int, shape=SHAPE) -> np.ndarray:
    """Return numbers that bfloat16 holds exactly, also doubled and plus one."""
    return (np.arange(channels * np.prod(shape)).reshape(channels, *shape) % 64 / 2).astype(np.float32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_2x_plus_1_is_exact_in_every_precision(precision, channels):
    patch = halves(channels) if channels == 1 else halves(channels) % 8
    predictor = TorchPredictor(affine(channels=channels), 3, precision, threads=1)
    np.testing.assert_array_equal(predictor(patch), 2 * patch.sum(0, keepdims=True) + 1)
    assert predictor(patch).dtype == np.float32
    assert (predictor.backend, predictor.device, predictor.precision) == ("torch", "cpu", precision)


def test_a_network_of_two_dimensions_takes_a_slice_and_gives_a_slice():
    patch = halves(2, (1, 6, 10)) % 8
    predictor = TorchPredictor(affine(channels=2, spatial_dims=2), 2, "float32", threads=1)
    np.testing.assert_array_equal(predictor(patch), 2 * patch.sum(0, keepdims=True) + 1)
    with pytest.raises(ModelError, match="one slice at a time, got 4"):
        predictor(halves(2))


def test_a_patch_may_be_of_any_layout_and_is_not_written_to():
    patch = np.asfortranarray(halves(1))
    patch.flags.writeable = False
    assert TorchPredictor(affine(), 3, "float32", 1)(patch[:, ::-1]).shape == (1, *SHAPE)
    np.testing.assert_array_equal(patch, halves(1))


def test_threads_are_the_predictor_s_own():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
            return x

    before = torch.get_num_threads()
    TorchPredictor(Spy().eval(), 3, "float32", threads=3)(halves(1))
    assert seen == [(3, True)]
    assert torch.get_num_threads() == before


def test_several_outputs_are_refused_with_their_names_and_one_in_a_dict_is_taken():
    class Two(nn.Module):
        def forward(self, x):
            return [x + 1, x[..., ::2]]

    class Named(nn.Module):
        def forward(self, x):
            return {"out": x + 1}

    class Nothing(nn.Module):
        def forward(self, x):
            return 3

    np.testing.assert_array_equal(TorchPredictor(Named(), 3, "float32", 1)(halves(1)), halves(1) + 1)
    with pytest.raises(ModelError, match=r'has 2 outputs: 0 \(1 x .*\), 1 \(.*Add "output"'):
        TorchPredictor(Two(), 3, "float32", 1)(halves(1))
    with pytest.raises(ModelError, match="returned a int without a tensor"):
        TorchPredictor(Nothing(), 3, "float32", 1)(halves(1))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Cannot initialize CUDA without ATen_cuda library", "saved for a CUDA card"),
        ("mat1 and mat2 must have the same dtype\nbut got Half and Float", r"save it again without \.half\(\)"),
        ("forward() is missing value for argument 'mask'. Declaration: f(x)", r"another input besides .* \('mask'\)"),
        ("Calculated padded input size\nKernel too large", "cannot run the network: Kernel too large"),
    ],
)
def test_what_torch_cannot_compute_is_one_line(text, told):
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError(text)

    with pytest.raises(BackendError, match=told) as caught:
        TorchPredictor(Broken(), 3, "float32", 1)(halves(1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_group_norm_of_single_channels_is_instance_norm(spatial_dims):
    module = unet(channels=2, spatial_dims=spatial_dims)
    rewritten = instance_norm_as_group_norm(module)
    kinds = [type(m) for m in rewritten.modules()]
    assert kinds.count(nn.GroupNorm) == 3
    assert not any(isinstance(m, nn.GroupNorm) for m in module.modules())  # the original stays
    x = torch.from_numpy(smooth_noise((2, 8, 12, 10) if spatial_dims == 3 else (2, 12, 10)))[None]
    torch.testing.assert_close(rewritten(x), module(x), rtol=1e-5, atol=1e-5)


def test_norms_with_running_statistics_and_without_weights_keep_their_meaning():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.running = nn.InstanceNorm3d(2, track_running_stats=True)
            self.plain = nn.InstanceNorm3d(2, eps=0.5)
            self.again = nn.Sequential(self.plain)  # registered twice, as in nnU-Net's blocks

        def forward(self, x):
            return self.again(self.plain(self.running(x)))

    module = Net().eval()
    module.running.running_mean.copy_(torch.tensor([1.0, -2.0]))
    rewritten = instance_norm_as_group_norm(module)
    assert type(rewritten.running) is nn.InstanceNorm3d
    assert type(rewritten.plain) is nn.GroupNorm
    assert rewritten.again[0] is rewritten.plain
    x = torch.from_numpy(smooth_noise((2, *SHAPE)))[None]
    torch.testing.assert_close(rewritten(x), module(x))


def test_torchscript_runs_as_it_is():
    scripted = torch.jit.script(unet())
    patch = smooth_noise((1, 8, 12, 10))
    expected = TorchPredictor(unet(), 3, "float32", 1)(patch)
    np.testing.assert_allclose(TorchPredictor(scripted, 3, "float32", 1)(patch), expected, atol=1e-5)
    found = TorchPredictor(scripted, 3, "bfloat16", 1)(patch)
    assert 0 < np.abs(found - expected).max() < 0.1  # less precise, and the same function


def test_bfloat16_computes_in_bfloat16():
    patch = np.full((1, *SHAPE), 257.0, np.float32)  # between two numbers of bfloat16
    assert TorchPredictor(affine(1.0, 0.0), 3, "float32", 1)(patch).max() == 257
    assert TorchPredictor(affine(1.0, 0.0), 3, "bfloat16", 1)(patch).max() in (256, 258)


def test_too_little_memory_is_an_error_the_engine_can_catch():
    with pytest.raises(ResourceError, match="Not enough free memory"), memory_errors():
        torch.empty(2**50)
    with pytest.raises(ResourceError, match="--device cpu"), memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="another"), memory_errors():
        raise RuntimeError("another")


def test_a_closed_predictor_says_so():
    predictor = TorchPredictor(affine(), 3, "float32", 1)
    predictor.close()
    with pytest.raises(ModelError, match="closed"):
        predictor(halves(1))
