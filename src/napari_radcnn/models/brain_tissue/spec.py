"""`brain-tissue`: fluid, gray and white matter of the brain in an MR of any contrast."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.models.brain_structures.spec import BrainStructuresOptions
from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.gaps import Gaps
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.shipped import shipped_weights


@dataclass(frozen=True)
class BrainTissueOptions(BrainStructuresOptions):
    """Settings of `brain-tissue`: those of `brain-structures`."""


SPEC = ModelSpec(
    name="brain-tissue",
    title="Brain tissue",
    task="segmentation",
    version="1",
    summary="Segments fluid, gray and white matter of the brain in an MR of any contrast (T1, T2, FLAIR).",
    modalities=("MR",),
    body_part="brain",
    pipeline="napari_radcnn.models.brain_tissue.run",
    options=BrainTissueOptions,
    spacing=(1.0, 1.0, 1.0),
    patch=(64, 192, 160),
    labels={
        1: Label("cerebrospinal fluid", (0.35, 0.62, 0.95)),
        2: Label("gray matter", (0.72, 0.50, 0.42)),
        3: Label("white matter", (0.95, 0.92, 0.80)),
    },
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
    citation="Made for napari-radcnn; method: Billot et al. 2023, SynthSeg: Segmentation of brain MRI scans of any "
    "contrast and resolution without retraining, Medical Image Analysis 86, 102789",
    card="models/brain_tissue/brain-tissue.md",
    weights=shipped_weights("models/brain_structures/brain-structures"),
    gaps=Gaps(0.0, most=1.0),  # a brain that was cut out often has NaN around it
)
