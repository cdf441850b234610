"""Attention of a classifier in its loss: where it is, that it is Grad-CAM's, and that it moves to where it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_radcnn.evidence import grad_cam
from napari_radcnn.networks.classifier import ClassifierShape, build_classifier
from napari_radcnn.training.classifiers.attention import (
    Attention,
    attention_map,
    centered,
    loss_of_attention,
    lung_field,
    share_outside,
)
from napari_radcnn.training.classifiers.learn import Cases, Recipe, train_ensemble
from napari_radcnn.training.views import radiograph_views, radiograph_views_with

SHAPE = ClassifierShape(dims=2, channels=1, widths=(4, 8))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def network():
    torch.manual_seed(3)
    return build_classifier(SHAPE).eval()


def test_the_field_is_what_is_dark_within_the_body_in_most_pictures():
    y, x = np.mgrid[:28, :28]
    body = 60 + 90 * ((np.abs(x - 13.5) < 12) & (y > 2)).astype(float)
    lungs = ((np.abs(x - 7) < 3) | (np.abs(x - 20) < 3)) & (y > 6) & (y < 21)
    pictures = np.stack([np.where(lungs, 90, body) + shift for shift in (0, 5, 20)]).astype(np.uint8)
    pictures = np.concatenate([pictures, np.full((1, 28, 28), 120, np.uint8)])  # one that shows nothing
    field = lung_field(pictures)
    assert field.dtype == np.float32
    assert field[lungs].mean() > 0.9
    assert field[:2].sum() == 0  # dark, but beside the body
    assert field[10:18, 12:16].sum() == 0


def test_fields_move_with_the_picture():
    picture = torch.zeros(32, 1, 28, 28)
    picture[:, :, 8:14, 5:11] = 4.0
    fields = (picture > 0).float()
    views, moved = radiograph_views_with(picture, fields, generator(2))
    assert torch.equal(views, radiograph_views(picture, generator(2)))
    assert not torch.equal(moved, fields)
    inside = torch.stack([view[field > 0.9].mean() for view, field in zip(views, moved, strict=True)])
    outside = torch.stack([view[field < 0.1].mean() for view, field in zip(views, moved, strict=True)])
    assert (inside > outside + 1).all()


def test_centering_changes_no_probability_and_makes_the_map_grad_cams(network):
    x = torch.randn(1, 1, 28, 28, generator=generator(1))
    before = torch.softmax(network(x), 1)
    centered(network)
    assert torch.allclose(torch.softmax(network(x), 1), before, atol=1e-6)
    assert torch.allclose(network.head.weight.sum(0), torch.zeros(16), atol=1e-6)
    said = attention_map(network, network.features(x)).clamp(min=0)
    wide = torch.nn.functional.interpolate(said[None], (28, 28), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(grad_cam(network, x, 1), (wide / wide.max()).detach().numpy(), atol=1e-4)


def test_the_share_outside_counts_what_speaks_against_as_well(network):
    centered(network)
    maps = torch.zeros(2, 8, 14, 14)
    maps[:, :, 3, 3] = 1.0  # within the field
    maps[:, :, 10, 10] = 3.0
    fields = torch.zeros(2, 1, 28, 28)
    fields[:, :, :14, :14] = 1.0
    assert float(share_outside(network, maps, fields)) == pytest.approx(0.75, abs=0.01)
    assert float(share_outside(network, maps, torch.ones(2, 1, 28, 28))) == 0.0


def test_learning_moves_attention_into_the_field():
    """Two marks tell the classes apart alike; one of them lies where findings cannot be."""
    classes = torch.arange(16) % 2
    inputs = 0.3 * torch.randn(16, 1, 28, 28, generator=generator(4))
    inputs[classes == 1, :, 4:8, 4:8] += 3
    inputs[classes == 1, :, 20:24, 20:24] += 3
    fields = torch.zeros(16, 1, 28, 28)
    fields[:, :, :14, :14] = 1
    target = torch.nn.functional.one_hot(classes, 2).float()

    def outside(weight):
        torch.manual_seed(5)
        network = build_classifier(SHAPE)
        optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
        for _ in range(120):
            maps = network.features(inputs)
            loss = torch.nn.functional.cross_entropy(network.answer(maps), classes)
            optimizer.zero_grad()
            if weight:
                loss = loss + weight * loss_of_attention(network, maps, fields, target)[0]
            loss.backward()
            optimizer.step()
        network.eval()
        assert (network(inputs).argmax(1) == classes).all()
        centered(network)
        maps = [grad_cam(network, one[None], 1) for one in inputs[classes == 1]]
        return float(np.mean([1 - (one * fields[0, 0].numpy()).sum() / one.sum() for one in maps]))

    assert outside(3.0) < 0.65 * outside(0.0)


def test_an_ensemble_learns_with_attention_and_logs_it(tmp_path, monkeypatch):
    classes = np.arange(40) % 2
    inputs = np.random.default_rng(1).normal(0, 1, (40, 1, 28, 28)).astype(np.float32)
    attention = Attention(np.ones((28, 28), np.float32), 0.5, radiograph_views_with)
    recipe = Recipe(minutes=0.02, members=2, mixup=0.2)
    path = train_ensemble("toy", Cases(inputs, classes), SHAPE, radiograph_views, tmp_path, recipe, ["toy"], attention)
    assert path.exists()
    assert "outside" in (tmp_path / "member-0" / "log.csv").read_text().splitlines()[0]
