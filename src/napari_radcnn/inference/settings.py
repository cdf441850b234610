"""Where and how precisely a model runs: the same settings for command line and dock. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.models.options import CheckedOptions, option


@dataclass(frozen=True)
class RunSettings(CheckedOptions):
    """Settings of every run, whatever the model."""

    device: str = option(
        "auto",
        title="Device",
        help="Where it computes; auto takes a CUDA graphics card if there is one",
        choices=("auto", "cpu", "cuda"),
    )
    precision: str = option(
        "auto",
        title="Precision",
        help="Number format; auto takes float32. bfloat16 and float16 are faster where the device has them",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
