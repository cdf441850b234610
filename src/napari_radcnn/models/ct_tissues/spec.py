"""`ct-tissues`: lung, airway, bone, fat, muscle, other soft tissue and air of a body CT, by rules and a network."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights

#: Values of the label map; 0 is whatever lies outside the body: air, table, clothes.
LUNG, AIRWAY, BONE, FAT, MUSCLE, SOFT, AIR, BODY = range(1, 9)


@dataclass(frozen=True)
class CtTissuesOptions(CheckedOptions):
    """Settings of `ct-tissues`."""

    show: str = option(
        "tissues",
        title="Show",
        help="tissues: a class for every voxel of the body; body: the whole body as one class",
        choices=("tissues", "body"),
    )
    dense_lung: bool = option(
        True,
        title="Dense lung",
        help=(
            "Count consolidated lung and pleural fluid as lung, where the rib cage and surrounding air show its extent"
        ),
    )
    organs: bool = option(
        True,
        title="Ask ct-organs",
        help=(
            "Use the network of ct-organs to identify bone, named muscles, vessels and organs; without it, rules "
            "decide, which is faster but may label vessels and organs with contrast medium as bone or muscle"
        ),
    )


SPEC = ModelSpec(
    name="ct-tissues",
    title="Tissues of a body CT",
    task="segmentation",
    version="2",
    summary="Lung, airway, bone, fat, muscle, other soft tissue and air in a body CT, with or without "
    "contrast medium, by rules and the network of ct-organs.",
    modalities=("CT",),
    body_part="trunk",
    pipeline="napari_radcnn.models.ct_tissues.run",
    options=CtTissuesOptions,
    labels={
        LUNG: Label("lung", (0.55, 0.75, 0.95)),
        AIRWAY: Label("airway", (0.20, 0.45, 0.90)),
        BONE: Label("bone", (0.95, 0.92, 0.78)),
        FAT: Label("fat", (0.95, 0.80, 0.25)),
        MUSCLE: Label("muscle", (0.75, 0.25, 0.22)),
        SOFT: Label("other soft tissue", (0.88, 0.55, 0.50)),
        AIR: Label("air", (0.45, 0.90, 0.85)),
        BODY: Label("body", (0.80, 0.65, 0.55)),
    },
    domain=Domain(regions=("neck", "chest", "abdomen", "pelvis", "limb"), is_hounsfield=True, thickest_mm=6.0),
    licence="BSD-3-Clause (this project's own rules and weights)",
    citation="Hounsfield ranges of fat and muscle: Aubrey et al. 2014, Acta Physiologica 210, 489; "
    "lung by threshold and morphology: Hu, Hoffman, Reinhardt 2001, IEEE TMI 20, 490",
    card="models/ct_tissues/ct-tissues.md",
    weights=shipped_weights("models/ct_organs/ct-organs"),
)
