"""Where and how precisely a model runs: the same settings for command line and dock. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.spec.options import CheckedOptions, option


@dataclass(frozen=True)
class RunSettings(CheckedOptions):
    """Settings of every run, whatever the model."""

    device: str = option(
        "auto",
        title="Device",
        help="Device to run on; auto uses a CUDA graphics card if available. mps is the graphics processor of a Mac",
        choices=("auto", "cpu", "cuda", "mps"),
    )
    precision: str = option(
        "auto",
        title="Precision",
        help="Number format; auto uses the fastest one that gives the same result as float32",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
