"""Programs from elsewhere in a process of their own: they can be cancelled, may crash, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
import pytest

from napari_radcnn.errors import CancelledError, ModelError
from napari_radcnn.inference.backends.apart.predictor import open_file_network, weigh_onnx
from napari_radcnn.inference.backends.apart.process import running
from napari_radcnn.inference.backends.base import OutOfMemoryError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.networks.files import FileNetwork, open_network
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import NetworkFile
from napari_radcnn.spec.weights import file_sha256
from onnx_file import affine_onnx, endless_onnx, wide_onnx

pytest.importorskip("openvino")
PATCH = (3, 4, 5)
SETTINGS = RunSettings(device="cpu", precision="float32")


def _network(path: Path, content: bytes, kind: Literal["onnx", "torchscript"] = "onnx") -> FileNetwork:
    path.write_bytes(content)
    return open_network(NetworkFile(path, file_sha256(path), kind), channels=1, spatial_dims=3)


def test_it_computes_what_the_file_says_and_is_gone_when_closed(tmp_path: Path) -> None:
    said: list[str] = []
    monitor = Monitor(1, lambda done, total, message: said.append(message))
    sample = np.random.default_rng(0).normal(0, 1, (1, *PATCH)).astype(np.float32)
    network = _network(tmp_path / "affine.onnx", affine_onnx(2.0, 1.0))
    predictor, told = open_file_network(network, PATCH, SETTINGS, threads=1, sample=sample, monitor=monitor)
    (number,) = running()
    assert np.allclose(predictor(sample), 2 * sample + 1, atol=1e-6)
    assert (predictor.backend, predictor.device, predictor.precision, told) == ("openvino", "cpu", "float32", ())
    assert any("OpenVINO" in line for line in said)
    predictor.close()
    assert running() == ()
    assert not psutil.pid_exists(number)
    with pytest.raises(ModelError, match="closed"):
        predictor(sample)


def _at_work(network: FileNetwork, cancel: threading.Event) -> None:
    """Open a network that never ends and ask it for an answer."""
    sample = np.ones((1, *PATCH), np.float32)
    predictor, _ = open_file_network(network, PATCH, SETTINGS, threads=1, monitor=Monitor(1, None, cancel))
    with closing(predictor):
        predictor(sample)


def test_a_network_that_never_ends_is_cancelled(tmp_path: Path) -> None:
    network, cancel = _network(tmp_path / "endless.onnx", endless_onnx()), threading.Event()
    assert network.file.path.stat().st_size < 400
    timer = threading.Timer(3.0, cancel.set)
    timer.start()
    before = set(psutil.Process().children())  # of other tests
    with pytest.raises(CancelledError):
        _at_work(network, cancel)
    assert running() == ()
    assert set(psutil.Process().children()) <= before
    timer.join()


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such signals")
@pytest.mark.parametrize(
    ("number", "kind", "told"),
    [(signal.SIGKILL, OutOfMemoryError, "memory"), (signal.SIGSEGV, ModelError, "signal 11")],
)
def test_a_network_that_crashes_costs_its_run_only(
    tmp_path: Path, number: signal.Signals, kind: type[Exception], told: str
) -> None:
    network = _network(tmp_path / "crashing.onnx", endless_onnx())
    timer = threading.Timer(3.0, lambda: [os.kill(pid, number) for pid in running()])
    timer.start()
    with pytest.raises(kind, match=told) as caught:
        _at_work(network, threading.Event())
    assert str(caught.value).startswith("crashing.onnx: ")
    assert "\n" not in str(caught.value)
    timer.join()
    assert running() == ()


def test_what_it_refuses_is_the_same_kind_of_error_with_the_name_of_the_file(tmp_path: Path) -> None:
    network = _network(tmp_path / "damaged.onnx", affine_onnx(1.0, 0.0)[:-20])
    with pytest.raises(ModelError, match=r"damaged\.onnx") as caught:
        open_file_network(network, PATCH, SETTINGS, threads=1, monitor=Monitor(1))
    assert "\n" not in str(caught.value)
    assert running() == ()


@pytest.mark.parametrize("channels", [4, 50])
def test_the_memory_of_layers_in_closed_form(tmp_path: Path, channels: int) -> None:
    network = _network(tmp_path / "wide.onnx", wide_onnx(channels))
    values = 4 * channels * 16**3
    found = weigh_onnx(network, (16, 16, 16))
    # what is repeated and its sine are there at a time; the input, the sizes and the axis are small
    assert found is not None
    assert 2 * values <= found <= 2.1 * values + 4 * 16**3 + 100


def test_what_cannot_be_weighed_is_unknown(tmp_path: Path) -> None:
    assert weigh_onnx(_network(tmp_path / "damaged.onnx", b"no model"), PATCH) is None
    assert running() == ()
