"""`cxr-pneumonia`: how likely pneumonia is in a frontal radiograph of a child's chest, from 28 x 28 pixels."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.networks.classifier import ClassifierShape
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights

#: What each member of the ensemble is.
SHAPE = ClassifierShape(dims=2, channels=1, widths=(32, 64, 128), dropout=0.3)
#: In the order of the logits.
CLASSES = ("normal", "pneumonia")


@dataclass(frozen=True)
class CxrPneumoniaOptions(CheckedOptions):
    """Settings of `cxr-pneumonia`."""

    operating_point: str = option(
        "balanced",
        title="Operating point",
        help="Probability from which the finding counts as present, chosen on cases that were not used for training: "
        "for the best separation (balanced), or to detect 0.8 or 0.9 of those who have it; or simply 0.5",
        choices=("balanced", "sensitivity 0.8", "sensitivity 0.9", "0.5"),
    )
    explain: bool = option(
        False,
        title="Evidence",
        help=(
            "Also make evidence maps, which show what the answer is based on: Grad-CAM, saliency, occlusion, "
            "prediction difference"
        ),
    )


SPEC = ModelSpec(
    name="cxr-pneumonia",
    title="Pneumonia in a chest radiograph",
    task="classification",
    version="2",
    summary="Estimates how likely pneumonia is in a frontal chest radiograph of a child, reduced to 28 x 28 pixels.",
    modalities=("CR", "DX"),
    body_part="chest",
    pipeline="napari_radcnn.models.classifiers.run",
    options=CxrPneumoniaOptions,
    patch=(1, 28, 28),
    classes=CLASSES,
    domain=Domain(regions=("chest",), layout="projection", views=("frontal",)),
    licence="BSD-3-Clause (weights trained for this project); training data CC BY 4.0",
    citation="Data: Yang et al. 2023, MedMNIST v2, Scientific Data 10, 41; Kermany et al. 2018, Cell 172, 1122",
    card="models/classifiers/cxr-pneumonia.md",
    weights=shipped_weights("models/classifiers/cxr-pneumonia"),
)
