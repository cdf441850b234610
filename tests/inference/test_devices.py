from __future__ import annotations

import threading

import pytest
import torch

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.devices import computing, cpu_count, default_threads, torch_device
from napari_radcnn.inference.settings import RunSettings


def test_auto_falls_back_to_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device(RunSettings()).type == "cpu"
    with pytest.raises(ResourceError, match="does not find a CUDA device"):
        torch_device(RunSettings(device="cuda"))


def test_auto_takes_the_graphics_card_and_cpu_does_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device(RunSettings()).type == "cuda"
    assert torch_device(RunSettings(device="cpu")).type == "cpu"


def test_the_graphics_processor_of_a_mac_is_taken_when_asked_for(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="MPS"):
        torch_device(RunSettings(device="mps"))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert torch_device(RunSettings(device="mps")).type == "mps"
    assert torch_device(RunSettings(device="cpu")).type == "cpu"


def test_a_run_beside_a_viewer_leaves_it_a_processor():
    found = []
    thread = threading.Thread(target=lambda: found.append(default_threads()))
    thread.start()
    thread.join()
    assert default_threads() == cpu_count()
    assert found == [max(1, cpu_count() - 1)]


@pytest.mark.parametrize(("precision", "dtype"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_precision_asked_for_is_the_one_computed_in(precision, dtype):
    layer = torch.nn.Linear(4, 3)
    threads = torch.get_num_threads()
    with computing(RunSettings(precision=precision), torch.device("cpu"), 1) as name:
        result = layer(torch.ones(2, 4))
        assert torch.get_num_threads() == 1
    assert result.dtype == dtype
    assert not result.requires_grad
    assert name == ("float32" if precision == "auto" else precision)
    assert torch.get_num_threads() == threads


def test_too_little_memory_is_a_clear_error():
    with (
        pytest.raises(ResourceError, match="nough free memory"),
        computing(RunSettings(), torch.device("cpu"), 1),
    ):
        torch.empty(2**50, dtype=torch.float32)


def test_an_error_of_the_network_itself_passes_through():
    with pytest.raises(RuntimeError, match="shape"), computing(RunSettings(), torch.device("cpu"), 1):
        torch.ones(3) + torch.ones(4).reshape(2, 2)[:, :1].expand(2, 2).reshape(4)[:4].reshape(shape=(5,))
