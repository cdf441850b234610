"""`ct-organs`: lungs, heart, aorta, liver, spleen, spine, ribs and muscles of the back in a body CT."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.models.ct_organs.network import SPACING
from napari_radcnn.models.ct_organs.structures import LABELS
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights


@dataclass(frozen=True)
class CtOrgansOptions(CheckedOptions):
    """Settings of `ct-organs`."""

    crumbs: bool = option(
        False,
        title="Keep small parts",
        help="Keep parts of an organ that lie apart from its largest part and are much smaller; usually mistakes",
    )


SPEC = ModelSpec(
    name="ct-organs",
    title="Organs of a body CT",
    task="segmentation",
    version="2",
    summary="Segments lungs, heart, aorta, liver, spleen, vertebrae, ribs, spinal cord and muscles of the back in a CT "
    "with or without contrast medium; learned from few scans.",
    modalities=("CT",),
    body_part="trunk",
    pipeline="napari_radcnn.models.ct_organs.run",
    options=CtOrgansOptions,
    spacing=(SPACING, SPACING, SPACING),
    patch=(48, 96, 128),
    labels=LABELS,
    domain=Domain(
        regions=("chest", "abdomen", "pelvis"),
        layout="volume",
        is_hounsfield=True,
        thickest_mm=6.0,
        least_mm=40.0,
        any_scale=False,
    ),
    licence="BSD-3-Clause",
    citation="Made for napari-radcnn. What it learned are maps by TotalSegmentator: Wasserthal et al. 2023, "
    "Radiology: Artificial Intelligence 5, e230024",
    card="models/ct_organs/ct-organs.md",
    weights=shipped_weights("models/ct_organs/ct-organs"),
)
