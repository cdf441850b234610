"""`ct-super-resolution` and `mr-super-resolution`: thick slices to thin ones."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.errors import OptionError
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.shipped import shipped_weights

#: Factors that the networks have learned.
LOWEST_FACTOR, HIGHEST_FACTOR = 1.5, 6.0


@dataclass(frozen=True)
class SuperResolutionOptions(CheckedOptions):
    """Settings of `ct-super-resolution` and `mr-super-resolution`."""

    factor: float = option(
        0.0,
        title="Factor",
        help="Number of thin slices for each thick one, 1.5 to 6; 0 makes voxels isotropic, up to a factor of 6",
        low=0.0,
        high=HIGHEST_FACTOR,
        step=0.5,
    )
    axis: str = option(
        "coarsest",
        title="Slice axis",
        help="The array axis across the slices; coarsest uses the axis with the largest spacing",
        choices=("coarsest", "k", "j", "i"),
    )
    thickness_mm: float = option(
        0.0,
        title="Slice thickness",
        help="Slice thickness, if slices overlap or leave gaps; 0 means equal to the spacing",
        low=0.0,
        high=50.0,
        step=0.5,
        unit="mm",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.factor < LOWEST_FACTOR:
            raise OptionError(
                f"'factor' must be 0 or between {LOWEST_FACTOR:g} and {HIGHEST_FACTOR:g}, got {self.factor:g}."
            )


_DOMAINS = {
    "CT": Domain(layout="volume", is_hounsfield=True, pixel_mm=(0.4, 3.5), thickest_mm=15.0),
    "MR": Domain(regions=("head",), layout="volume", pixel_mm=(0.4, 3.5), thickest_mm=15.0),
}


def _spec(modality: str, title: str) -> ModelSpec:
    name = f"{modality.lower()}-super-resolution"
    return ModelSpec(
        name=name,
        title=title,
        task="super-resolution",
        version="2",
        summary=f"Computes thin slices from thick {modality} slices: a cubic spline plus details added by a network.",
        modalities=(modality,),
        body_part="any" if modality == "CT" else "head",
        pipeline="napari_radcnn.models.super_resolution.run",
        options=SuperResolutionOptions,
        domain=_DOMAINS[modality],
        licence="BSD-3-Clause (weights trained for this project; the card lists the scans and their licenses)",
        citation="Network of this project; residual learning after Lim et al. 2017, EDSR, CVPR workshops; "
        "thick and thin slices of one scan after Zhao et al. 2021, SMORE, IEEE TMI",
        card=f"models/super_resolution/{name}.md",
        weights=shipped_weights(f"models/super_resolution/{name}"),
    )


CT, MR = _spec("CT", "Thin slices (CT)"), _spec("MR", "Thin slices (MR)")
#: Those that can be listed: their weights are there.
SPECS = tuple(spec for spec in (CT, MR) if spec.weights)
