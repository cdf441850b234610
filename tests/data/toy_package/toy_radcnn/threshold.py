"""`toy-threshold`: what is brighter than a value. This module describes it and imports nothing heavy."""

from dataclasses import dataclass

from napari_radcnn.results import Label
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option


@dataclass(frozen=True)
class Options(CheckedOptions):
    """Settings of `toy-threshold`."""

    value: float = option(780.0, title="Value", help="What the labels are brighter than", low=-2000.0, high=5000.0)


SPEC = ModelSpec(
    name="toy-threshold",
    title="Threshold",
    task="segmentation",
    version="1",
    summary="Labels what is brighter than a value.",
    modalities=("MR",),
    body_part="any",
    pipeline="toy_radcnn.run",
    options=Options,
    licence="BSD-3-Clause",
    citation="none",
    card="threshold.md",
    labels={1: Label("bright", (1.0, 0.8, 0.0))},
)
