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
        help="Where it computes; auto takes a CUDA graphics card if there is one. mps is a Mac's",
        choices=("auto", "cpu", "cuda", "mps"),
    )
    precision: str = option(
        "auto",
        title="Precision",
        help="Number format; auto takes the fastest in which the network says the same as in float32",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
