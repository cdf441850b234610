"""`ct-denoise`: takes the noise off CT, with a network of our own."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights


@dataclass(frozen=True)
class CtDenoiseOptions(CheckedOptions):
    """Settings of `ct-denoise`."""

    strength: float = option(
        0.85,
        title="Strength",
        help="Fraction of the noise to remove: 0 leaves the image unchanged, 1 removes all noise detected",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    limit: float = option(
        0.0,
        title="Limit",
        help="At most so many local standard deviations of what is removed are taken off any pixel, which spares "
        "single details that stand out; 0 sets no limit",
        low=0.0,
        high=10.0,
        step=0.5,
    )
    noise_level: float = option(
        0.0,
        title="Noise level",
        help="Standard deviation of the noise in soft tissue; 0 estimates it slice by slice",
        low=0.0,
        high=1000.0,
        step=1.0,
        unit="HU",
    )


SPEC = ModelSpec(
    name="ct-denoise",
    title="CT denoising",
    task="denoising",
    version="2",
    summary="Removes noise from low-dose CT, slice by slice, using neighboring slices; values remain in HU.",
    modalities=("CT",),
    body_part="any",
    pipeline="napari_radcnn.models.ct_denoise.run",
    options=CtDenoiseOptions,
    domain=Domain(is_hounsfield=True, pixel_mm=(0.25, 2.2)),
    licence="BSD-3-Clause; trained on scans under CC BY 3.0, CC BY 4.0 and Apache-2.0 (see the card)",
    citation="After Chen et al. 2017, Low-Dose CT With a Residual Encoder-Decoder Convolutional Neural Network, IEEE "
    "Transactions on Medical Imaging 36, 2524-2535",
    card="models/ct_denoise/ct-denoise.md",
    weights=shipped_weights("models/ct_denoise/ct-denoise"),
)
