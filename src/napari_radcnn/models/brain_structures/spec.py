"""`brain-structures`: seventeen structures of the brain, left and right, in an MR of any contrast."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.models.brain_structures.structures import LABELS
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.gaps import Gaps
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights


@dataclass(frozen=True)
class BrainStructuresOptions(CheckedOptions):
    """Settings of `brain-structures`."""

    brain: str = option(
        "auto",
        title="Brain",
        help="Whether the scan shows only the brain (skull-stripped) or the whole head, from which the brain is "
        "first extracted with brain-extraction; auto decides by the background",
        choices=("auto", "stripped", "whole-head"),
    )
    mirrored: bool = option(
        True,
        title="Average with mirror image",
        help="Also run the network on the mirror image and average: twice the time, more stable borders",
    )
    uncertainty: bool = option(
        False,
        title="Show uncertainty",
        help="Return the probability of the chosen class and the entropy over all classes as images",
    )


SPEC = ModelSpec(
    name="brain-structures",
    title="Brain structures",
    task="segmentation",
    version="1",
    summary="Segments cortex, white matter, ventricles, deep nuclei, hippocampus, amygdala, brain stem and cerebellum, "
    "left and right, in an MR of any contrast.",
    modalities=("MR",),
    body_part="brain",
    pipeline="napari_radcnn.models.brain_structures.run",
    options=BrainStructuresOptions,
    spacing=(1.0, 1.0, 1.0),
    patch=(64, 192, 160),
    labels=LABELS,
    domain=Domain(
        regions=("head",),
        layout="volume",
        contrasts=("T1", "T2", "FLAIR"),
        thickest_mm=5.0,
        least_mm=95.0,
        whole=True,
        any_scale=False,
    ),
    licence="BSD-3-Clause",
    citation="Made for napari-radcnn. What it learned are answers of MeshNets of brainchop (MIT): Fedorov et al. 2017, "
    "End-to-end learning of brain tissue segmentation from imperfect labeling; method: Billot et al. 2023, SynthSeg, "
    "Medical Image Analysis 86, 102789",
    card="models/brain_structures/brain-structures.md",
    weights=shipped_weights("models/brain_structures/brain-structures"),
    gaps=Gaps(0.0, most=1.0),  # a brain that was cut out often has NaN around it
)
