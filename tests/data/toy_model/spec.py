"""`toy-doubling`: twice each value, and some more."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option


@dataclass(frozen=True)
class ToyDoublingOptions(CheckedOptions):
    """Settings of `toy-doubling`."""

    offset: float = option(1.0, title="Offset", help="What is added to the doubled value", low=-10.0, high=10.0)


SPEC = ModelSpec(
    name="toy-doubling",
    title="Doubling",
    task="denoising",
    version="1",
    summary="Doubles each value and adds a constant.",
    modalities=("MR",),
    body_part="any",
    pipeline="napari_radcnn.models.toy_model.run",
    options=ToyDoublingOptions,
    domain=Domain(holds="anything"),
    licence="BSD-3-Clause",
    citation="none",
    card="models/toy_model/toy-doubling.md",
)
