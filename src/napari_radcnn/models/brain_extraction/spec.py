"""`brain-extraction`: the brain in a head MR, with the weights of deepbet (Fisch et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec, WeightsFile
from napari_radcnn.spec.options import CheckedOptions, option


@dataclass(frozen=True)
class BrainExtractionOptions(CheckedOptions):
    """Settings of `brain-extraction`."""

    threshold: float = option(
        0.5,
        title="Threshold",
        help="Probability threshold for brain voxels; a lower value gives a larger mask",
        low=0.01,
        high=0.99,
        step=0.05,
    )
    grow_mm: float = option(
        0.0,
        title="Grow",
        help="Distance by which the final mask is grown; a negative value shrinks it",
        low=-20.0,
        high=20.0,
        step=0.5,
        unit="mm",
    )
    uncertainty: bool = option(
        False,
        title="Show uncertainty",
        help="Also segment the mirror image, average the two, and return probability and entropy as images",
    )


SPEC = ModelSpec(
    name="brain-extraction",
    title="Brain extraction",
    task="segmentation",
    version="1.0.2",
    summary="Segments the brain, including the fluid inside it, in a T1-weighted MR of a whole head.",
    modalities=("MR",),
    body_part="head",
    pipeline="napari_radcnn.models.brain_extraction.run",
    options=BrainExtractionOptions,
    patch=(256, 256, 256),
    labels={1: Label("brain", (0.93, 0.55, 0.35))},
    domain=Domain(
        regions=("head",),
        layout="volume",
        contrasts=("T1",),
        stripped=False,
        thickest_mm=5.0,
        least_mm=120.0,
        whole=True,
    ),
    licence="MIT",
    citation="Fisch et al. 2024, deepbet: Fast brain extraction of T1-weighted MRI using Convolutional Neural "
    "Networks, Computers in Biology and Medicine 179, 108845",
    card="models/brain_extraction/brain-extraction.md",
    extra="models",
    requires=("deepbet",),
    weights=(
        WeightsFile(
            "deepbet", "data/models/bbox_model.pt", "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa"
        ),
        WeightsFile(
            "deepbet", "data/models/model.pt", "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd"
        ),
    ),
)
