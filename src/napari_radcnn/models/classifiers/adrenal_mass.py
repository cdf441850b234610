"""`adrenal-mass`: how likely an adrenal gland has a mass, from its outline alone."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.networks.classifier import ClassifierShape
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights

#: What each member of the ensemble is.
SHAPE = ClassifierShape(dims=3, channels=2, widths=(16, 32, 64), step=2, dropout=0.2)
#: In the order of the logits.
CLASSES = ("normal", "mass")


@dataclass(frozen=True)
class AdrenalMassOptions(CheckedOptions):
    """Settings of `adrenal-mass`."""

    label: int = option(
        0,
        title="Label",
        help="Label value of the gland in a map with several labels; 0 uses the only label",
        low=0,
        high=65535,
        step=1,
    )
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
    name="adrenal-mass",
    title="Adrenal gland mass",
    task="classification",
    version="2",
    summary="Estimates how likely a mass is from the mask of one adrenal gland; it does not use the scan itself.",
    modalities=("SEG",),
    body_part="one adrenal gland, outlined",
    pipeline="napari_radcnn.models.classifiers.run",
    options=AdrenalMassOptions,
    spacing=(1.0, 1.0, 1.0),
    patch=(64, 64, 64),
    classes=CLASSES,
    domain=Domain(holds="labels", layout="volume", milliliters=(1.5, 12.0)),
    licence="BSD-3-Clause (weights trained for this project); training data CC BY 4.0",
    citation="Data: Yang et al. 2023, MedMNIST v2, Scientific Data 10, 41",
    card="models/classifiers/adrenal-mass.md",
    weights=shipped_weights("models/classifiers/adrenal-mass"),
)
