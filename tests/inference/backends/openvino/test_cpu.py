from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_radcnn.errors import ModelError, ResourceError
from napari_radcnn.inference.backends import BackendError, candidates, open_predictor
from napari_radcnn.inference.backends.openvino import converted
from napari_radcnn.inference.backends.openvino.converted import converted_model
from napari_radcnn.inference.backends.openvino.cpu import OpenVINOPredictor, convert
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.user_folders import cache_folder
from onnx_file import affine_onnx
from patience import PATIENCE
from toy_networks import ToySource, affine, smooth_noise, unet

pytest.importorskip("openvino", reason="the extra `cpu` is not installed")

PATCH = (4, 6, 10)
PRECISIONS = ["float32", "bfloat16"]


def open_openvino(source, patch, precision="float32", threads=1, is_compared=False):
    return OpenVINOPredictor(convert(source, patch, is_compared=is_compared), source.spatial_dims, precision, threads)


def halves(channels: int, shape=PATCH) -> np.ndarray:
    return (np.arange(channels * np.prod(shape)).reshape(channels, *shape) % 16 / 2).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_2x_plus_1_is_exact_in_every_precision(precision, channels):
    source = ToySource(affine(channels=channels), channels=channels)
    predictor = open_openvino(source, PATCH, precision)
    for patch in (halves(channels), halves(channels)[:, ::-1]):
        np.testing.assert_array_equal(predictor(patch), 2 * patch.sum(0, keepdims=True) + 1)
    assert (predictor.backend, predictor.device, predictor.precision) == ("openvino", "cpu", precision)


def test_a_network_of_two_dimensions_takes_a_slice_and_gives_a_slice():
    source = ToySource(affine(channels=2, spatial_dims=2), spatial_dims=2, channels=2)
    patch = halves(2, (1, 6, 10))
    np.testing.assert_array_equal(open_openvino(source, (1, 6, 10))(patch), 2 * patch.sum(0, keepdims=True) + 1)


@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_u_net_gives_what_torch_gives(spatial_dims, scripted):
    module = unet(channels=2, spatial_dims=spatial_dims)
    patch = (8, 12, 10) if spatial_dims == 3 else (1, 24, 20)
    source = ToySource(torch.jit.script(module) if scripted else module, spatial_dims, channels=2)
    sample = smooth_noise((2, *patch))
    expected = TorchPredictor(module, spatial_dims, "float32", 1)(sample)
    np.testing.assert_allclose(open_openvino(source, patch)(sample), expected, atol=2e-5)
    rough = open_openvino(source, patch, "bfloat16")(sample)
    assert np.abs(rough - expected).max() < 0.1 * np.abs(expected).max()


def test_one_output_of_probabilities():
    module = torch.nn.Sequential(affine(3.0, -1.0), torch.nn.Sigmoid()).eval()
    patch = halves(1)
    expected = 1 / (1 + np.exp(1 - 3 * patch.astype(float)))
    np.testing.assert_allclose(open_openvino(ToySource(module), PATCH)(patch), expected, atol=1e-5)


def test_threads_do_not_change_the_labels():
    source = ToySource(unet())
    sample = smooth_noise((1, 8, 12, 10))
    one, two = (open_openvino(source, (8, 12, 10), threads=n)(sample).copy() for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5)


class Upsampled(torch.nn.Module):
    """A network that fixes the size of its grid when it is traced."""

    def forward(self, x):
        small = torch.nn.functional.avg_pool3d(x, 2)
        return torch.nn.functional.interpolate(small, size=[int(n) for n in x.shape[2:]], mode="nearest")


def test_tracing_with_half_the_patch_gives_the_network_for_the_whole_patch():
    traced: list[tuple[int, ...]] = []

    class Spy(torch.nn.Module):
        def forward(self, x):
            traced.append(tuple(int(n) for n in x.shape))
            return 2 * x + 1

    patch = halves(1)
    np.testing.assert_array_equal(open_openvino(ToySource(Spy()), PATCH, is_compared=True)(patch), 2 * patch + 1)
    assert {shape[2:] for shape in traced} == {(2, 3, 5)}
    traced.clear()
    open_openvino(ToySource(Spy()), PATCH)
    assert {shape[2:] for shape in traced} == {PATCH}


def test_a_network_that_cannot_be_traced_with_half_a_patch_is_traced_with_a_whole_one():
    patch = smooth_noise((1, 8, 12, 20))
    expected = TorchPredictor(Upsampled(), 3, "float32", 1)(patch)
    found = open_openvino(ToySource(Upsampled()), (8, 12, 20), is_compared=True)(patch)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_openvino_cannot_express_is_an_error_that_names_it():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.special.zeta(x + 2, x + 1)

    with pytest.raises(BackendError, match="zeta"):
        open_openvino(ToySource(Odd()), PATCH)
    predictor, (warning,) = open_predictor(ToySource(Odd()), PATCH, RunSettings(), threads=1)
    assert predictor.backend == "torch"
    assert warning.startswith("OpenVINO in float32 was not used: OpenVINO cannot convert the network: ")


def test_a_closed_predictor_says_so():
    predictor = open_openvino(ToySource(affine()), PATCH)
    predictor.close()
    with pytest.raises(ModelError, match="closed"):
        predictor(halves(1))


# -- ONNX -------------------------------------------------------------------------------------------------------------


class OnnxSource:
    identity, spatial_dims, channels, onnx_output, onnx_parts = "abc", 3, 2, None, ()

    def __init__(self, path: Path) -> None:
        self.onnx_path = path

    def torch_module(self):
        raise ModelError("an ONNX file has no PyTorch network")


@pytest.fixture
def onnx(tmp_path):
    (tmp_path / "net.onnx").write_bytes(affine_onnx(2.0, 1.0, channels=2))
    return OnnxSource(tmp_path / "net.onnx")


def test_an_onnx_file_runs_and_is_compared_with_its_own_float32(onnx, monkeypatch):
    monkeypatch.setattr(candidates, "cpu_computes_bfloat16", lambda backend: True)
    patch = halves(2)
    predictor, warnings = open_predictor(onnx, PATCH, RunSettings(), threads=1, sample=patch)
    np.testing.assert_array_equal(predictor(patch), 2 * patch.sum(0, keepdims=True) + 1)
    assert (predictor.backend, predictor.precision, predictor.agreement, warnings) == ("openvino", "bfloat16", 1.0, ())
    exact, _ = open_predictor(onnx, PATCH, RunSettings(precision="float32"), threads=1, sample=patch)
    assert (exact.precision, exact.agreement) == ("float32", None)  # there is no torch to compare with


def test_an_onnx_file_without_openvino_says_what_to_install(onnx, monkeypatch):
    monkeypatch.setattr(candidates, "has_openvino", lambda: False)
    monkeypatch.setattr(candidates, "has_onnxruntime", lambda: False)
    with pytest.raises(ResourceError, match=r"not installed: pip install napari-radcnn\[cpu\]"):
        open_predictor(onnx, PATCH, RunSettings(), threads=1)


def test_a_damaged_onnx_file_is_an_error(onnx):
    onnx.onnx_path.write_bytes(onnx.onnx_path.read_bytes()[:60])
    with pytest.raises(BackendError, match="OpenVINO cannot convert the network"):
        convert(onnx, PATCH, is_compared=False)


# -- kept models ------------------------------------------------------------------------------------------------------


def test_a_kept_model_needs_no_torch_module_and_says_the_same():
    source = ToySource(unet())
    sample = smooth_noise((1, 8, 12, 10))
    first = OpenVINOPredictor(converted_model(source, (8, 12, 10), is_compared=False), 3, "float32", 1)(sample).copy()
    assert source.opened == 1
    again = OpenVINOPredictor(converted_model(source, (8, 12, 10), is_compared=False), 3, "float32", 1)(sample)
    assert source.opened == 1
    np.testing.assert_array_equal(again, first)
    converted_model(source, (8, 12, 12), is_compared=False)
    converted_model(ToySource(unet(1)), (8, 12, 10), is_compared=False)
    names = sorted(file.suffix for file in (cache_folder() / "openvino").iterdir())
    assert names == [".bin"] * 3 + [".sha256"] * 3 + [".xml"] * 3


def _flip(path: Path) -> None:
    """Change one bit in the middle: what OpenVINO reads without a word."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".xml", lambda path: path.write_text("<net>")),
        (".bin", _flip),
        (".bin", lambda path: path.write_bytes(path.read_bytes()[:-1])),
        (".bin", lambda path: path.unlink()),
        (".sha256", lambda path: path.unlink()),
        (".sha256", _flip),
    ],
)
def test_a_damaged_kept_model_is_made_anew(suffix, damage):
    source = ToySource(affine())
    converted_model(source, PATCH, is_compared=False)
    (file,) = (cache_folder() / "openvino").glob(f"*{suffix}")
    damage(file)
    predictor = OpenVINOPredictor(converted_model(source, PATCH, is_compared=False), 3, "float32", 1)
    np.testing.assert_array_equal(predictor(halves(1)), 2 * halves(1) + 1)
    assert source.opened == 2


def test_the_models_not_used_for_longest_are_forgotten(monkeypatch):
    import os

    for n in range(3):
        converted_model(ToySource(affine(float(n))), PATCH, is_compared=False)
    folder = cache_folder() / "openvino"
    files = sorted(folder.glob("*.xml"))
    for age, file in enumerate(files):
        os.utime(file, (1e9 - age, 1e9 - age))
    size = sum(part.stat().st_size for part in (files[0], files[0].with_suffix(".bin")))
    monkeypatch.setattr(converted, "_MOST", int(2.5 * size))
    converted_model(ToySource(affine(7.0)), PATCH, is_compared=False)
    left = set(folder.glob("*.xml"))
    assert len(left) == 2
    assert files[0] in left
    assert len(list(folder.glob("*.bin"))) == 2


def test_a_cache_that_cannot_be_written_does_no_harm(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert converted_model(ToySource(affine()), PATCH, is_compared=False) is not None


# -- nothing leaves the computer --------------------------------------------------------------------------------------

_WATCHED = """
    import pathlib, socket, sys, threading, urllib.request, multiprocessing

    tried = []
    def forbidden(name):
        def raise_it(*arguments, **more):
            tried.append(name)
            raise OSError("no network here")
        return raise_it
    for owner, name in [(socket.socket, "connect"), (socket.socket, "connect_ex"), (socket.socket, "sendto"),
                        (socket, "getaddrinfo"), (socket, "create_connection"), (urllib.request, "urlopen"),
                        (multiprocessing.Process, "start")]:
        setattr(owner, name, forbidden(name))
    sys.path.insert(0, {tests!r})
    {before}
    import numpy as np
    from napari_radcnn.inference.backends.openvino.cpu import OpenVINOPredictor, convert, import_openvino
    from toy_networks import ToySource, unet
    {early}
    threads = {{thread.name for thread in threading.enumerate()}}
    predictor = OpenVINOPredictor(convert(ToySource(unet()), (8, 8, 8), is_compared=True), 3, "float32", 1)
    assert predictor(np.ones((1, 8, 8, 8), np.float32)).shape == (3, 8, 8, 8)
    {after}
    started = {{thread.name for thread in threading.enumerate()}} - threads
    print(sorted(set(tried)), sorted(started), sorted(str(p) for p in pathlib.Path.home().rglob("*")))
"""

_UNTIL_IT_TRIED = f"[time.sleep(0.05) for _ in range({PATIENCE * 20}) if not tried]"


def watch(tmp_path, before="", early="", after=""):
    """Return what a fresh process tried to send, the threads it started and the files it left in its home."""
    tests = str(Path(__file__).parents[3] / "helpers")
    code = textwrap.dedent(_WATCHED).format(tests=tests, before=before, early=early, after=after)
    environment = {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_nothing_is_sent_and_no_thread_started_when_a_network_is_converted_and_run(tmp_path):
    assert watch(tmp_path) == "[] [] []"


def test_nothing_is_sent_where_another_program_part_imported_openvino_first(tmp_path):
    pytest.importorskip("openvino_telemetry")
    told = watch(
        tmp_path,
        before="import openvino, time",
        # openvino's own import starts the process that would reach for the network: these tests can fail
        early=f"{_UNTIL_IT_TRIED}; assert 'start' in tried; time.sleep(1); import_openvino(); tried.clear()",
        after="time.sleep(1)",
    )
    assert told.startswith("[] []")


_SECOND_RUN = """
import sys, numpy as np
from napari_radcnn.inference.backends import open_predictor
from napari_radcnn.inference.settings import RunSettings

class Remembered:
    identity, spatial_dims, channels, onnx_path, onnx_output = {identity!r}, 3, 1, None, None
    def torch_module(self):
        raise AssertionError("the network was loaded")

predictor, warnings = open_predictor(Remembered(), {patch}, RunSettings(device="cpu"), threads=1)
assert predictor(np.ones((1, *{patch}), np.float32)).shape == (3, *{patch})
print(predictor.backend, predictor.agreement, warnings, "torch" in sys.modules)
"""


def test_a_second_run_loads_no_torch_and_no_weights():
    source, patch = ToySource(unet()), (8, 12, 10)
    settings = RunSettings(device="cpu")
    first, _ = open_predictor(source, patch, settings, threads=1, sample=smooth_noise((1, *patch)), tolerance=0.995)
    assert first.backend == "openvino"  # random weights may differ in bfloat16, never in float32
    code = _SECOND_RUN.format(identity=source.identity, patch=patch)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()
    assert told[:2] == ["openvino", str(first.agreement)]
    assert told[-1] == "False"


def test_ctrl_c_after_another_thread_dropped_a_network_is_only_ctrl_c():
    script = """
        import gc, os, signal, threading
        from napari_radcnn.inference.backends.openvino.cpu import OpenVINOPredictor, convert
        from toy_networks import ToySource, affine

        source = ToySource(affine(channels=1), channels=1)
        kept = [OpenVINOPredictor(convert(source, (4, 6, 10), is_compared=False), 3, "float32", 1)]
        dropping = threading.Thread(target=lambda: (kept.clear(), gc.collect()))
        dropping.start()
        dropping.join()
        heard = []
        signal.signal(signal.SIGINT, lambda *_: heard.append("ctrl-c"))
        os.kill(os.getpid(), signal.SIGINT)
        print(*heard)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3] / "helpers",
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["ctrl-c"])
