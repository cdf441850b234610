"""The classifier of radiographs with two small networks of fresh weights in place of those that ship."""

from __future__ import annotations

from dataclasses import replace

import torch

from napari_radcnn.models import ModelSpec, registry
from napari_radcnn.models.classifiers import cxr_pneumonia, run as classifier
from napari_radcnn.models.classifiers.calibrated import Calibration
from napari_radcnn.networks.classifier import build_classifier


def register(monkeypatch) -> ModelSpec:
    """Put it in the place of ``cxr-pneumonia`` for the length of a test."""
    torch.manual_seed(1)
    small = replace(cxr_pneumonia.SHAPE, widths=(4, 8))
    members = [build_classifier(small).eval() for _ in range(2)]
    monkeypatch.setattr(classifier, "modules", lambda _: members)
    monkeypatch.setattr(classifier, "_members", lambda _: 2)
    monkeypatch.setattr(classifier, "calibration_of", lambda _: Calibration(1.0, (0.0, 0.0)))
    monkeypatch.setattr(classifier, "guard_of", lambda _: None)
    spec = replace(cxr_pneumonia.SPEC, domain=None)  # what it is shown in tests are drawings
    monkeypatch.setitem(registry.own_models(), spec.name, spec)
    return spec
