"""Networks whose evidence is known in closed form, in two and three dimensions."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from napari_radcnn.errors import ModelError
from napari_radcnn.evidence import grad_cam, input_gradient, occlusion, prediction_difference, saliency
from napari_radcnn.evidence.ensemble import KINDS, explain
from napari_radcnn.networks.classifier import ClassifierShape, build_classifier

SHAPES = {2: (11, 16), 3: (9, 12, 14)}
#: The only place the network looks at.
PLACE = {2: (slice(2, 4), slice(9, 12)), 3: (slice(4, 6), slice(5, 7), slice(8, 11))}


class Look(nn.Module):
    """Logit of class 1: the mean of one place, through features that are the input itself; class 0 stays at 0."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.features = nn.Identity()
        window = torch.zeros(SHAPES[dims])
        window[PLACE[dims]] = 1.0
        self.register_buffer("window", window)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = (self.features(x)[:, 0] * self.window).flatten(1).sum(1) / self.window.sum()
        return torch.stack([torch.zeros_like(seen), 2 * seen], 1)


def given(dims: int, seed: int = 0) -> torch.Tensor:
    """Noise, brighter where the network looks."""
    x = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.3, (1, 1, *SHAPES[dims])).astype(np.float32))
    x[(0, 0, *PLACE[dims])] += 3.0
    return x


@pytest.mark.parametrize("dims", [2, 3])
def test_the_gradient_of_a_linear_network_is_its_weights(dims):
    torch.manual_seed(3)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(2 * int(np.prod(SHAPES[dims])), 3))
    x = torch.randn(1, 2, *SHAPES[dims])
    expected = linear[1].weight[2].detach().numpy().reshape(2, *SHAPES[dims])
    assert np.allclose(input_gradient(linear, x, 2), expected, atol=1e-7)
    assert np.allclose(saliency(linear, x, 2), np.abs(expected).max(0), atol=1e-7)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("way", [saliency, grad_cam, occlusion, prediction_difference])
def test_a_network_that_looks_at_one_place_lights_up_there(dims, way):
    options = {"patch": 3, "stride": 1} if way in (occlusion, prediction_difference) else {}
    found = way(Look(dims), given(dims), 1, **options)
    assert found.shape == SHAPES[dims]
    assert found.dtype == np.float32
    inside = np.zeros(SHAPES[dims], bool)
    inside[PLACE[dims]] = True
    near = np.zeros_like(inside)  # what a patch of 3 that touches the place covers
    near[tuple(slice(max(0, s.start - 2), s.stop + 2) for s in PLACE[dims])] = True
    assert inside[np.unravel_index(found.argmax(), found.shape)]
    assert found[inside].mean() > 5 * np.abs(found[~near]).mean()
    if way is not grad_cam:
        assert np.abs(found[~near]).max() < 1e-4 * found.max()


def test_occlusion_is_the_fall_of_the_probability():
    look, x = Look(2), given(2)
    found = occlusion(look, x, 1, patch=1, stride=1)
    i, j = 3, 10
    covered = x.clone()
    covered[0, 0, i, j] = x.mean()
    with torch.no_grad():
        expected = look(x).softmax(1)[0, 1] - look(covered).softmax(1)[0, 1]
    assert found[i, j] == pytest.approx(float(expected), abs=1e-6)
    # The other class gains what this one loses.
    assert np.allclose(occlusion(look, x, 0, patch=1, stride=1), -found, atol=1e-6)


def test_prediction_difference_is_in_bits_of_odds():
    """Surroundings are 0 everywhere and the place is constant: replacing all of it takes its logit away."""
    x = torch.zeros(1, 1, *SHAPES[2])
    x[(0, 0, *PLACE[2])] = 1.5
    found = prediction_difference(Look(2), x, 1, patch=1, stride=1, reach=4, samples=400)
    # One of 6 pixels: its part of the logit falls away where the sample is 0; 5 of 80 samples lie in the place.
    alone, share = 2 * 1.5 / 6, 5 / 80
    logit = 2 * 1.5

    def probability(value):
        return 1 / (1 + np.exp(-value))

    without = share * probability(logit) + (1 - share) * probability(logit - alone)
    expected = np.log2(probability(logit) / (1 - probability(logit))) - np.log2(without / (1 - without))
    # Where the full window of 9 x 9 lies inside the picture it is as calculated; the top rows have fewer neighbors.
    assert found[3, 10] == pytest.approx(expected, rel=0.1)
    assert found[9, 1] == 0


def test_it_is_the_same_every_time_and_differs_with_the_seed():
    one, same, other = (prediction_difference(Look(2), given(2), 1, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def _blobs(dims: int, bright: list[int], count: int, draw: np.random.Generator) -> torch.Tensor:
    """Return noise with a blob of the given signs in each picture, at a place of its own for each sign."""
    x = draw.normal(0, 0.2, (count, 1, *SHAPES[dims])).astype(np.float32)
    for one in x[:, 0]:
        for sign in bright:
            corner = [int(draw.integers(0, size - 3)) for size in SHAPES[dims]]
            one[tuple(slice(n, n + 3) for n in corner)] += 2.0 * sign
    return torch.from_numpy(x)


def _trained(dims: int) -> nn.Module:
    """Return a network that tells a bright blob (class 1) from a dark one."""
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    network = build_classifier(ClassifierShape(dims=dims, channels=1, widths=(8, 16))).train()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(40):
        x = torch.cat([_blobs(dims, [sign], 8, draw) for sign in (-1, 1)])
        loss = nn.functional.cross_entropy(network(x), torch.tensor([0] * 8 + [1] * 8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.2
    return network.eval()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_maps_change_when_the_weights_are_drawn_anew(dims):
    """Adebayo et al. 2018: a map that stays as it is when the network forgets all explains the picture only."""
    network = _trained(dims)
    x = _blobs(dims, [-1, 1, -1, 1], 1, np.random.default_rng(3))
    before = explain([network], x, 1)
    assert tuple(before) == KINDS
    # Each map has few independent places, so that one draw may resemble the trained network by chance.
    likeness = {kind: [_likeness(before[kind], after[kind]) for after in _redrawn(network, x, 4)] for kind in KINDS}
    for kind, found in likeness.items():
        assert before[kind].std() > 0
        assert np.mean(found) < 0.75, kind


def _redrawn(network: nn.Module, x: torch.Tensor, count: int) -> list[dict[str, np.ndarray]]:
    """Return the maps of the same network with fresh weights, drawn several times."""
    found = []
    for seed in range(count):
        forgetful = copy.deepcopy(network)
        torch.manual_seed(seed)
        for part in forgetful.modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
        found.append(explain([forgetful], x, 1))
    return found


def _likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation; 0 where a map is empty, as Grad-CAM is where nothing speaks for the class."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1]) if first.std() and second.std() else 0.0


def test_members_are_averaged():
    networks = [build_classifier(ClassifierShape(dims=2, channels=1, widths=(8,))).eval() for _ in range(2)]
    both, *each = (explain(chosen, given(2), 0) for chosen in (networks, networks[:1], networks[1:]))
    for kind in KINDS:
        assert np.allclose(both[kind], (each[0][kind] + each[1][kind]) / 2, atol=1e-6)


def test_what_cannot_be_explained_is_said():
    with pytest.raises(ModelError, match="no module 'layer9'"):
        grad_cam(Look(2), given(2), 1, "layer9")
    with pytest.raises(ModelError, match="no class 2"):
        saliency(Look(2), given(2), 2)
    with pytest.raises(ModelError, match="one input"):
        occlusion(Look(2), torch.zeros(2, 1, *SHAPES[2]), 1)


def test_it_can_be_stopped():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        occlusion(Look(2), given(2), 1, check=stop)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")  # by MONAI 1.6
@pytest.mark.filterwarnings("ignore:Full backward hook:UserWarning")
def test_monai_gives_the_same_maps(dims):
    from monai.visualize import GradCAM, OcclusionSensitivity, VanillaGrad

    torch.manual_seed(5)
    network = build_classifier(ClassifierShape(dims=dims, channels=2, widths=(4, 8), classes=3)).eval()
    x = torch.randn(1, 2, *SHAPES[dims])

    cam = GradCAM(copy.deepcopy(network), "features", postprocessing=lambda found: found / found.max())
    assert np.allclose(grad_cam(network, x, 2), cam(x, class_idx=2)[0, 0].detach(), atol=1e-6)

    gradient = VanillaGrad(copy.deepcopy(network))(x.clone(), 2)[0]
    assert np.allclose(input_gradient(network, x, 2), gradient, atol=1e-7)

    x += 1.5 - x.mean(tuple(range(2, x.ndim)), keepdim=True)  # MONAI fills with one mean for all channels
    covering = OcclusionSensitivity(
        network, 4, verbose=False, mode="mean_img", overlap=0.5, activate=lambda logits: logits.softmax(1)
    )
    with torch.no_grad():
        fall = network(x).softmax(1)[0, 2] - covering(x)[0][0, 2]
    assert float(fall.std()) > 1e-4
    assert np.allclose(occlusion(network, x, 2, patch=4, stride=2), fall, atol=1e-6)
