"""`nlm-denoise`: non-local means in 3-D, the classical baseline every later denoiser is held against."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option


@dataclass(frozen=True)
class NlmDenoiseOptions(CheckedOptions):
    """Settings of `nlm-denoise`."""

    strength: float = option(
        0.8,
        title="Strength",
        help="Filter strength in multiples of the noise level; 0 leaves the image unchanged",
        low=0.0,
        high=3.0,
        step=0.1,
    )
    noise_level: float = option(
        0.0,
        title="Noise level",
        help="Standard deviation of the noise in the image's own units; 0 estimates it from the image",
        low=0.0,
        high=1e6,
        step=1.0,
    )
    patch_radius_voxels: int = option(
        1,
        title="Patch radius",
        help="Half width of the patches that are compared",
        low=1,
        high=3,
        step=1,
        unit="voxels",
    )
    search_radius_voxels: int = option(
        3,
        title="Search radius",
        help="How far away similar patches are searched for",
        low=1,
        high=10,
        step=1,
        unit="voxels",
    )


SPEC = ModelSpec(
    name="nlm-denoise",
    title="Non-local means",
    task="denoising",
    version="1",
    summary="Averages similar patches in 3-D (no network): removes noise from any scan, keeps edges.",
    modalities=(),
    body_part="any",
    pipeline="napari_radcnn.models.nlm_denoise.run",
    options=NlmDenoiseOptions,
    domain=Domain(holds="anything"),
    licence="BSD-3-Clause (scikit-image)",
    citation="Buades, Coll, Morel 2005, A non-local algorithm for image denoising, CVPR; "
    "fast variant: Darbon et al. 2008, ISBI",
    card="models/nlm_denoise/nlm-denoise.md",
)
