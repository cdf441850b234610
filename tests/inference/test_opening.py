"""Networks that come with the package, opened for a run: what reaches the backends is what the pipeline said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends import choice
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.request import Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import get_model
from napari_radcnn.models.ct_denoise.network import CHANNELS, build_network
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.phantom import head
from napari_radcnn.progress import Monitor


def request(**changes):
    spec = dataclasses.replace(get_model("ct-denoise"), **changes)
    return Request(spec, head(), spec.options(), RunSettings(device="cpu", precision="float32"), threads=1)


def opened(asked, sample):
    given = {"channels": CHANNELS, "spatial_dims": 2, "sample": sample, "outputs": "values"}
    return open_shipped(asked, build_network, (1, 32, 64), Monitor(1, None, None), **given)


def test_the_network_computes_what_it_computes_alone():
    sample = np.random.default_rng(4).normal(size=(CHANNELS, 1, 32, 64)).astype(np.float32)
    predictor, warnings = opened(request(), sample)
    try:
        found = predictor(sample).copy()
    finally:
        predictor.close()
    assert warnings == ()
    assert found.shape == (1, 1, 32, 64)
    network = ShippedNetwork.of(get_model("ct-denoise"), build_network, 2, CHANNELS)
    with torch.inference_mode():
        alone = network.torch_module()(torch.from_numpy(sample[:, 0])[None])[0].numpy()
    assert np.abs(found[:, 0] - alone).max() < 1e-3 * np.abs(alone).max()


def test_settings_threads_and_dimensions_reach_the_backends(monkeypatch):
    seen = {}

    def open_predictor(source, patch, settings, **how):
        seen.update(how, source=source, patch=patch, settings=settings)
        return None, ("dropped",)

    monkeypatch.setattr(choice, "open_predictor", open_predictor)
    sample = np.zeros((CHANNELS, 1, 32, 64), np.float32)
    asked = request()
    assert opened(asked, sample) == (None, ("dropped",))
    assert (seen["patch"], seen["threads"], seen["outputs"]) == ((1, 32, 64), 1, "values")
    assert (seen["source"].spatial_dims, seen["source"].channels) == (2, CHANNELS)
    assert seen["settings"] is asked.settings
    assert seen["sample"] is sample


def test_missing_weights_are_refused():
    with pytest.raises(ModelError, match="install napari-radcnn again"):
        opened(request(weights=()), np.zeros((CHANNELS, 1, 32, 64), np.float32))
