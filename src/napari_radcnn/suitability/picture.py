"""What a single picture is: a slice or a projection, and whether it is a frontal radiograph of a chest."""

from __future__ import annotations

from dataclasses import replace

from napari_radcnn.suitability.radiograph import SIDE, frontal_chest, small_picture
from napari_radcnn.suitability.sample import Sample
from napari_radcnn.suitability.traits import UNKNOWN, Trait, Traits
from napari_radcnn.volume import Volume

_VIEWS = {"AP": "frontal", "PA": "frontal", "LL": "lateral", "RL": "lateral", "LATERAL": "lateral", "LAT": "lateral"}
_SLICED = ("CT", "MR", "PT", "NM", "US")


def picture_traits(found: Traits, volume: Volume, sample: Sample) -> Traits:
    """Return traits with what a picture shows."""
    if found.hounsfield.is_sure and found.hounsfield.value:
        return replace(found, layout=Trait("slice", "voxels", 0.9))
    found = replace(found, view=_stated_view(volume))
    sides = sorted(sample.geometry.shape)
    if found.modality.value in _SLICED or sides[1] < SIDE:
        return found
    chest = frontal_chest()
    score = chest.score(small_picture(volume))
    if score < chest.low:
        return replace(found, view=Trait("other", "voxels", 0.9))
    if score < chest.high:
        return found
    modality = found.modality if found.modality.is_known else Trait("CR", "voxels", 0.6)
    layout = found.layout if found.layout.value == "projection" else Trait("projection", "voxels", 0.6)
    return replace(
        found,
        modality=modality,
        layout=layout,
        view=Trait("frontal", "voxels", 0.9),
        regions=Trait(["chest"], "voxels", 0.9),
    )


def _stated_view(volume: Volume) -> Trait:
    """Return the view that the header states, by its code or by where the patient's sides lie in the picture."""
    stated = _VIEWS.get(volume.metadata.acquisition.get("view", ""))
    thin = next(n for n, size in enumerate(volume.geometry.shape) if size == 1)
    if stated is None and volume.modality in ("CR", "DX") and volume.geometry.orientation[thin] in "RL":
        stated = "lateral"
    if stated is None and volume.metadata.sides is not None and volume.metadata.sides.is_lateral:
        stated = "lateral"
    return UNKNOWN if stated is None else Trait(stated, "header", 0.8)
