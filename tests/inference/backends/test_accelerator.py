"""The logic around a card, on the processor: no card is needed, and none is measured."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends import BackendError, OutOfMemoryError, accelerator, candidates
from napari_radcnn.inference.backends.accelerator import AcceleratorPredictor, captured
from napari_radcnn.inference.backends.candidates import Candidate
from napari_radcnn.inference.settings import RunSettings
from toy_networks import affine, smooth_noise, unet

SHAPE = (1, 8, 12, 10)


def halves(shape=SHAPE) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) % 16 / 2).astype(np.float32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_2x_plus_1_is_exact_in_every_precision(precision):
    predictor = AcceleratorPredictor(affine(), 3, precision, "cpu", SHAPE)
    for patch in (halves(), halves()[:, ::-1]):
        np.testing.assert_array_equal(predictor(patch), 2 * patch + 1)
    assert (predictor.backend, predictor.device, predictor.precision) == ("cpu", "cpu", precision)


def test_a_network_of_two_dimensions_and_of_several_channels():
    shape = (2, 1, 6, 10)
    predictor = AcceleratorPredictor(affine(channels=2, spatial_dims=2), 2, "bfloat16", "cpu", shape)
    np.testing.assert_array_equal(predictor(halves(shape)), 2 * halves(shape).sum(0, keepdims=True) + 1)


def test_a_u_net_in_bfloat16_is_close_to_float32():
    patch = smooth_noise(SHAPE)
    exact, rough = (AcceleratorPredictor(unet(), 3, p, "cpu", SHAPE)(patch).copy() for p in ("float32", "bfloat16"))
    assert 0 < np.abs(exact - rough).max() < 0.1 * np.abs(exact).max()


def test_all_work_of_a_device_is_done_by_one_thread_whoever_asks():
    seen = set()

    class Spy(nn.Module):
        def forward(self, x):
            seen.add(threading.current_thread().name)
            return x

    def work():
        AcceleratorPredictor(Spy(), 3, "float32", "cpu", SHAPE)(halves())

    work()
    other = threading.Thread(target=work)
    other.start()
    other.join()
    assert len(seen) == 1
    assert threading.current_thread().name not in seen


def test_tensorfloat32_is_off_and_no_gradient_kept():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append((torch.backends.cudnn.allow_tf32, torch.is_inference_mode_enabled(), x.dtype))
            return x

    before = torch.backends.cudnn.allow_tf32
    AcceleratorPredictor(Spy(), 3, "float32", "cpu", SHAPE)
    assert set(seen) == {(False, True, torch.float32)}
    assert torch.backends.cudnn.allow_tf32 == before


def test_another_shape_is_refused_and_a_closed_predictor_says_so():
    predictor = AcceleratorPredictor(affine(), 3, "float32", "cpu", SHAPE)
    with pytest.raises(ModelError, match=r"opened for patches of \(1, 8, 12, 10\)"):
        predictor(halves((1, 8, 12, 12)))
    predictor.close()
    predictor.close()
    with pytest.raises(ModelError, match="closed"):
        predictor(halves())


class Failing(nn.Module):
    """Raises at its nth run."""

    def __init__(self, error: Exception, at: int) -> None:
        super().__init__()
        self.error, self.left = error, at

    def forward(self, x):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return x


def test_too_little_memory_is_told_apart_from_what_a_device_cannot_do():
    with pytest.raises(OutOfMemoryError, match="graphics card"):
        AcceleratorPredictor(Failing(torch.OutOfMemoryError("CUDA out of memory"), 1), 3, "float32", "cpu", SHAPE)
    missing = NotImplementedError("conv_transpose3d is not implemented\nsee there")
    with pytest.raises(BackendError, match="conv_transpose3d"):
        AcceleratorPredictor(Failing(missing, 1), 3, "float32", "cpu", SHAPE)
    predictor = AcceleratorPredictor(
        Failing(torch.OutOfMemoryError("CUDA out of memory"), 5), 3, "float32", "cpu", SHAPE
    )
    predictor(halves())
    with pytest.raises(OutOfMemoryError):
        predictor(halves())
    np.testing.assert_array_equal(predictor(halves()), halves())  # the thread lives on


class FakeGraph:
    """Records what runs while it captures, and runs it again: what a CUDA graph does."""

    def __init__(self):
        self.replays = 0

    def replay(self):
        self.replays += 1


def test_a_graph_is_replayed_and_one_that_cannot_be_captured_is_not(monkeypatch):
    made = []

    class Capturing:
        def __init__(self, graph):
            made.append(graph)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", Capturing)
    calls = []
    output = torch.ones(3)

    def forward():
        calls.append(1)
        return output

    replay = captured(forward)
    assert replay() is output
    assert replay() is output
    assert (len(calls), made[0].replays) == (1, 2)

    cleaned = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: cleaned.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: cleaned.append("empty"))

    def cannot():
        raise RuntimeError("operation not permitted when stream is capturing")

    assert captured(cannot) is None
    assert cleaned == ["synchronize", "empty"]


def test_a_card_without_bfloat16_is_offered_float16(monkeypatch):
    monkeypatch.setattr(candidates, "device_name", lambda settings: settings.device.replace("auto", "cuda"))
    monkeypatch.setattr(candidates, "cpu_computes_bfloat16", lambda backend: False)
    monkeypatch.setattr(candidates, "has_openvino", lambda: False)
    for supported, precisions in [(True, ["bfloat16", "float16", "float32"]), (False, ["float16", "float32"])]:
        monkeypatch.setattr(candidates, "cuda_computes_bfloat16", lambda supported=supported: supported)
        ways = candidates.candidates(RunSettings(device="cuda"), is_onnx=False)
        assert ways == tuple(Candidate("cuda", precision) for precision in precisions)
    both = candidates.candidates(RunSettings(precision="float32"), is_onnx=False)
    assert both == (Candidate("cuda", "float32"), Candidate("torch", "float32"))
    assert candidates.candidates(RunSettings(device="mps"), is_onnx=False) == (
        Candidate("mps", "float16"),
        Candidate("mps", "float32"),
    )


def test_a_device_has_one_worker():
    assert accelerator._worker("cpu") is accelerator._worker("cpu")
