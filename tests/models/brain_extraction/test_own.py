"""Our own method with a network made by hand, on an oblique ellipsoid of known place; and the network that ships."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from costly import few_of
from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models.brain_extraction import run as brain_extraction, spec as model
from napari_radcnn.models.brain_extraction.network import WIDTHS, build_network
from napari_radcnn.spec.model import WeightsFile
from napari_radcnn.spec.weights import find_weights
from napari_radcnn.training.run import write_weights
from napari_radcnn.volume import Volume

MIDDLE, RADII = np.array([12.0, -20.0, 31.0]), np.array([52.0, 64.0, 45.0])
OWN = {"method": "any-contrast"}


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """Weights that call brain what is brighter than the middle of the head's gray values."""
    folder = tmp_path_factory.mktemp("weights")
    network = build_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for n in range(8):
            network.answer.weight[n, WIDTHS[0] + n] = 16
        network.answer.bias[:] = -8
    (folder / "brainbyhand").mkdir()
    (folder / "brainbyhand" / "__init__.py").touch()
    return folder, write_weights(network, folder / "brainbyhand" / "net.safetensors", {})


@pytest.fixture
def spec(by_hand, monkeypatch):
    folder, path = by_hand
    monkeypatch.syspath_prepend(str(folder))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(
        model.SPEC, weights=(WeightsFile("brainbyhand", "brainbyhand/net.safetensors", digest),), domain=None
    )


def ellipsoid(spacing=(2.4, 1.1, 1.7), tilt=0.2):
    """A bright ellipsoid in an oblique, anisotropic scan, and how much of each voxel it fills, about."""
    shape = tuple(int(190 / s) for s in spacing)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing[::-1])[:, ::-1]
    affine[:3, 3] = MIDDLE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    geometry = Geometry(shape, affine)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    inside = (((places - MIDDLE) / RADII) ** 2).sum(-1) < 1
    rng = np.random.default_rng(4)
    values = np.where(inside, 800, 90) + rng.normal(0, 8, shape)
    return Volume(values.astype(np.float32), geometry), inside


def dice(first, second):
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def test_a_mask_at_2_mm_lies_in_its_place_on_the_scans_own_grid(spec):
    scan, inside = ellipsoid()
    found = radcnn.segment(scan, spec, OWN, anyway=True)
    assert found.geometry.is_close(scan.geometry)
    assert dice(found.array > 0, inside) > 0.98
    assert found.volume_ml(1) == pytest.approx(4 / 3 * np.pi * RADII.prod() / 1000, rel=0.02)
    assert found.provenance["facts"]["method"] == "any-contrast"


@pytest.mark.parametrize("orientation", few_of(["RIP", "AIL"], "RIP"))
def test_the_order_of_axes_changes_nothing(spec, orientation):
    scan, _ = ellipsoid(tilt=0.0)
    plain = radcnn.segment(scan, spec, OWN, anyway=True).array
    turned = radcnn.segment(scan.reoriented(orientation), spec, OWN, anyway=True).array
    assert dice(scan.geometry.axis_map(orientation).invert(turned) > 0, plain > 0) > 0.999


def test_maps_are_of_the_probability(spec):
    scan, inside = ellipsoid()
    found = radcnn.segment(scan, spec, OWN | {"uncertainty": True}, anyway=True)
    probability, entropy = (image.array for image in found.maps)
    assert probability[inside].mean() > 0.95
    assert probability[~inside].mean() < 0.05
    border = (probability > 0.2) & (probability < 0.8)
    assert entropy[border].min() > entropy[probability > 0.99].max()
    strict = radcnn.segment(scan, spec, OWN | {"threshold": 0.95}, anyway=True)
    assert 0.9 * np.count_nonzero(found.array) < np.count_nonzero(strict.array) < np.count_nonzero(found.array)


def test_a_constant_scan_shows_no_brain(spec):
    scan, _ = ellipsoid()
    with pytest.raises(ModelError, match="No brain was detected"):
        radcnn.segment(scan.with_array(np.full(scan.shape, 40, np.int16)), spec, OWN, anyway=True)


def test_deepbet_is_taken_for_t1_where_it_is_installed_and_says_so_where_it_is_not(spec, monkeypatch):
    monkeypatch.setattr("napari_radcnn.spec.model.find_spec", lambda name: None if name == "deepbet" else object())
    scan, inside = ellipsoid()
    with pytest.raises(ModelError, match=r"deepbet.*pip install 'napari-radcnn\[models\]'.*any-contrast"):
        radcnn.segment(scan, spec, {"method": "deepbet"}, anyway=True)
    assert dice(radcnn.segment(scan, spec, anyway=True).array > 0, inside) > 0.98
    assert model.SPEC.is_available


def test_what_is_not_t1_goes_to_our_own_network(spec, monkeypatch):
    asked = []
    for name in ("own", "deepbet"):
        method = getattr(brain_extraction, name)
        monkeypatch.setattr(method, "find", lambda request, monitor, name=name: asked.append(name) or _stop())
    monkeypatch.setattr("napari_radcnn.spec.model.find_spec", lambda name: object())
    scan, _ = ellipsoid()
    for contrast in ("T1", "FLAIR", None):
        told = type("Told", (), {"contrast": type("One", (), {"value": contrast})})
        monkeypatch.setattr(brain_extraction, "what_is", lambda volume, told=told: told)
        with pytest.raises(ModelError, match="stopped here"):
            radcnn.segment(scan, spec, anyway=True)
    assert asked == ["deepbet", "own", "own"]


def _stop():
    raise ModelError("stopped here")


def test_the_weights_that_ship_are_small():
    (file,) = model.SPEC.weights
    assert find_weights(model.SPEC, file).stat().st_size < 1.5e6
