"""`lung-nodules`: places in a CT of the chest that look like a nodule of the lung."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.models.lung_nodules.network import SPACING
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights

#: What a finding is called.
LABEL = "lung nodule"
#: The operating points, and what stands for none of them.
POINTS = ("balanced", "sensitivity 0.8", "sensitivity 0.9")
OWN = "minimum score"


@dataclass(frozen=True)
class LungNodulesOptions(CheckedOptions):
    """Settings of `lung-nodules`."""

    threshold: float = option(
        0.2,
        title="Minimum score",
        help="Findings below this score are left out: lower values miss fewer nodules but give more false positives",
        low=0.01,
        high=0.99,
        step=0.05,
    )
    operating_point: str = option(
        OWN,
        title="Operating point",
        help="Instead of the minimum score: the score that gives one false finding per chest (balanced), or "
        "that detects 0.8 or 0.9 of the nodules; chosen with synthetic nodules in lungs not used for training",
        choices=(OWN, *POINTS),
    )
    smallest: float = option(
        3.0,
        title="Minimum diameter",
        help="Findings with a smaller diameter are left out; the model was trained from 3.5 mm",
        low=0.0,
        high=30.0,
        step=1.0,
        unit="mm",
    )
    most: int = option(
        50,
        title="Maximum number",
        help="Maximum number of findings to return, highest score first",
        low=1,
        high=100,
        step=10,
    )
    explain: bool = option(
        False,
        title="Evidence",
        help="Also make evidence maps, which show what the top three findings are based on: Grad-CAM, saliency, "
        "occlusion, prediction difference; ten seconds or more for each",
    )


SPEC = ModelSpec(
    name="lung-nodules",
    title="Lung nodules",
    task="detection",
    version="2",
    summary="Detects possible nodules of 4 to 30 mm in a chest CT: solid, part-solid or ground-glass; trained on "
    "synthetic nodules only.",
    modalities=("CT",),
    body_part="chest",
    pipeline="napari_radcnn.models.lung_nodules.run",
    options=LungNodulesOptions,
    spacing=(SPACING, SPACING, SPACING),
    patch=(160, 160, 160),
    classes=(LABEL,),
    domain=Domain(regions=("chest",), layout="volume", is_hounsfield=True, thickest_mm=5.0, least_mm=40.0, whole=True),
    licence="BSD-3-Clause",
    citation="Made for napari-radcnn; method: Zhou et al. 2019, Objects as points, arXiv:1904.07850; Setio et al. "
    "2016, Pulmonary nodule detection in CT images: false positive reduction, IEEE TMI 35, 1160",
    card="models/lung_nodules/lung-nodules.md",
    weights=(
        *shipped_weights("models/lung_nodules/lung-nodules"),
        *shipped_weights("models/lung_nodules/lung-nodules-second"),
    ),
)
