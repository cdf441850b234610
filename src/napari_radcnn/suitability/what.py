"""What a scan is, told by its header and by its voxels; where they differ, voxels win that are sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from napari_radcnn.spec.domain import regions_in
from napari_radcnn.suitability.body import Body, find_body
from napari_radcnn.suitability.head import find_shape
from napari_radcnn.suitability.heads import head_traits
from napari_radcnn.suitability.picture import picture_traits
from napari_radcnn.suitability.sample import Sample, take_sample
from napari_radcnn.suitability.traits import SURE, UNKNOWN, Trait, Traits
from napari_radcnn.suitability.values import Hounsfield, hounsfield, kind_of
from napari_radcnn.volume import Volume

#: Modalities whose pictures are projections.
PROJECTIONS = ("CR", "DX", "RG", "RF", "XA", "MG", "IO", "PX")
#: What a header says of pictures that no scanner made.
_NO_SCANNER = ("OT", "SC", "")
#: Values up to which what looks like noise may be a piece of even tissue.
_FEW = 20_000
#: The answers of the last scans, by a hash of all that is looked at.
_KEPT: dict[str, Traits] = {}
_MOST_KEPT = 64


def what_is(volume: Volume) -> Traits:
    """Return what a scan is: modality, region, view, contrast and more, each with what told it and how sure that is.

    Takes below a second for a scan of 512 x 512 x 400 voxels; the answers of the last scans are kept.

    Parameters
    ----------
    volume : Volume
        Of any kind; one in a store is not loaded.

    Returns
    -------
    Traits
        What is not known has the value None.

    Raises
    ------
    ReadError
        If it lies in a store and is damaged.

    Examples
    --------
    >>> from napari_radcnn.phantom import disks
    >>> what_is(disks()[0]).modality
    Trait(value='CT', source='header and voxels', sure=0.95)
    """
    if volume.is_color:
        return Traits(kind=Trait("color", "voxels", 1.0), modality=_stated(volume))
    sample = take_sample(volume)
    metadata = volume.metadata
    said = repr(
        (
            metadata.modality,
            metadata.units,
            metadata.is_label,
            metadata.is_inverted,
            sorted(metadata.acquisition.items()),
            metadata.sides,
        )
    )
    key = sample.sha256() + said
    if key not in _KEPT:
        while len(_KEPT) >= _MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT)), None)
        _KEPT[key] = _look(volume, sample)
    return _KEPT[key]


def _look(volume: Volume, sample: Sample) -> Traits:
    kind = kind_of(sample)
    if volume.metadata.is_label and kind in ("constant", "label map", "image"):
        kind = "label map" if kind != "image" else kind
    shared = Traits(
        kind=Trait(kind, "voxels", 0.95 if sample.finite.size > _FEW or kind != "noise" else 0.6),
        modality=_stated(volume),
        layout=_layout(volume, sample),
        slice_mm=Trait(float(max(sample.geometry.spacing)), "header", 1.0),
        missing=Trait(round(sample.missing, 4), "voxels", 1.0),
    )
    if kind == "label map":
        return replace(shared, milliliters=_milliliters(sample))
    if kind != "image":
        return shared
    units = hounsfield(sample)
    found = replace(
        _with_hounsfield(shared, volume, sample, units),
        noise=_noise(sample),
        normalized=_normalized(sample),
    )
    if found.layout.value != "volume":
        return _with_header(picture_traits(found, volume, sample), volume)
    if units.sure or units.offset is not None:
        body = find_body(sample, units.offset or 0.0)
        return _with_header(found if body is None else _with_body(found, body, sample), volume)
    shape = find_shape(sample)
    return _with_header(found if shape is None else head_traits(found, shape), volume)


# -- what the header says ---------------------------------------------------------------------------------------------


def _stated(volume: Volume) -> Trait:
    modality = volume.metadata.modality
    return UNKNOWN if modality in _NO_SCANNER else Trait(modality, "header", 0.9)


def _layout(volume: Volume, sample: Sample) -> Trait:
    if not sample.is_picture:
        return Trait("volume", "header", 1.0)
    modality = volume.metadata.modality
    if modality in PROJECTIONS or "is_localizer" in volume.metadata.acquisition:
        return Trait("projection", "header", 0.9)
    return Trait("slice", "header", 0.9) if modality in ("CT", "MR", "PT", "US") else Trait("picture", "header", 1.0)


def _with_header(found: Traits, volume: Volume) -> Traits:
    """Return traits with what the header says where voxels told nothing, and where the two differ."""
    stated = volume.metadata.acquisition
    regions = regions_in(stated.get("body_part", ""))
    differing = list(found.contradictions)
    if regions and found.regions.is_known:
        if not set(regions) & set(found.regions.value):
            differing.append(
                f"The header says '{stated['body_part'].lower()}', but the voxels show {_listed(found.regions.value)}."
            )
        elif found.regions.source == "voxels":
            found = replace(found, regions=replace(found.regions, source="header and voxels"))
    elif regions:
        found = replace(found, regions=Trait(list(regions), "header", 0.6))
    contrast = _stated_contrast(stated) if found.modality.value == "MR" else None
    if contrast is not None:
        if found.contrast.is_sure and found.contrast.value != contrast:
            differing.append(f"By its times it is {contrast}, but it looks like {found.contrast.value}.")
        elif not found.contrast.is_sure:
            found = replace(found, contrast=Trait(contrast, "header", 0.85))
    if "contrast_agent" in stated:
        found = replace(found, contrast_agent=Trait(True, "header", 0.9))
    return replace(found, contradictions=tuple(differing))


def _listed(regions: list[str]) -> str:
    return " and ".join(regions)


def _stated_contrast(stated: Mapping[str, str]) -> str | None:
    """Return the contrast that the times of an MR make; None where they are not stated or make another."""
    try:
        repetition, echo = float(stated["repetition_time"]), float(stated["echo_time"])
        inversion = float(stated.get("inversion_time", "0"))
    except (KeyError, ValueError):
        return None
    if inversion > 1500 and echo > 60:
        return "FLAIR"
    if echo > 70 and repetition > 1800:
        return "T2"
    if echo < 30 and (repetition < 1200 or 500 < inversion < 1300):
        return "T1"
    return None


# -- what the voxels say ----------------------------------------------------------------------------------------------


def _with_hounsfield(found: Traits, volume: Volume, sample: Sample, units: Hounsfield) -> Traits:
    stated = found.modality.value
    is_other = volume.metadata.units not in ("", "HU")
    if is_other:
        return replace(found, hounsfield=Trait(False, "header", 0.9))
    if units.sure:
        modality = Trait("CT", "header and voxels" if stated == "CT" else "voxels", units.sure)
        differing: tuple[str, ...] = ()
        if stated not in (None, "CT"):
            if units.sure < SURE:
                return found
            differing = (f"The header says {stated}, but the values are those of a CT.",)
        return replace(found, modality=modality, hounsfield=Trait(True, "voxels", units.sure), contradictions=differing)
    never = Trait(False, "voxels", 0.95 if _cannot_be(sample) else 0.6)
    if units.offset is not None and (stated == "CT" or not sample.is_picture):
        modality = found.modality if found.modality.is_known else Trait("CT", "voxels", 0.8)
        return replace(
            found,
            modality=modality,
            hounsfield=replace(never, sure=0.95),
            offset=Trait(round(units.offset), "voxels", 0.8),
        )
    if stated == "CT" and _may_be_within(sample):
        return found
    if stated == "CT":
        return replace(
            found, hounsfield=never, contradictions=("The header says CT, but the values are not in Hounsfield units.",)
        )
    return replace(found, hounsfield=never)


def _may_be_within(sample: Sample) -> bool:
    """Return whether values may be Hounsfield units of a piece from within a body, where there is no air and no fat."""
    low, middle, high = (float(v) for v in np.quantile(sample.finite, (0.01, 0.5, 0.99)))
    return low > -300 and high < 3100 and -150 < middle < 300


def _cannot_be(sample: Sample) -> bool:
    """Return whether values cannot be Hounsfield units: nothing is as low as fat, or nothing as high as flesh."""
    values = sample.finite
    return bool(values.min() > -50 or values.max() < 20 or values.max() > 40000)


def _with_body(found: Traits, body: Body, sample: Sample) -> Traits:
    regions = list(body.regions)
    if body.lung_liters > 0.6 and "chest" in regions:
        sure = 0.95
    else:
        sure = 0.85 if regions and min(sample.extent) > 30 else 0.5
    ends = [letter for letter, is_cut in zip("IS", body.lung_cut, strict=True) if is_cut and "chest" in regions]
    along, depth, across = body.faces
    turned: Trait = Trait(False, "voxels", 0.5)
    if max(depth, across) > 0.35 and along < 0.1:
        turned = Trait("the body is cut through at another end than its orientation says", "voxels", 0.85)
    elif "chest" in regions and body.spine_behind < 0.4:
        turned = Trait("the spine lies in front", "voxels", 0.8)
    return replace(
        found,
        regions=Trait(regions, "voxels", sure) if regions else UNKNOWN,
        cut_off=Trait(ends, "voxels", 0.8) if "chest" in regions else UNKNOWN,
        turned=turned,
        contrast_agent=Trait(True, "voxels", 0.4) if body.enhanced else UNKNOWN,
    )


def _milliliters(sample: Sample) -> Trait:
    values = sample.finite
    labels = np.unique(values[values > 0])
    if labels.size != 1:
        return UNKNOWN
    voxels = float(np.mean(values > 0)) * float(np.prod(sample.geometry.shape))
    return Trait(round(voxels * sample.geometry.voxel_volume / 1000, 2), "voxels", 0.9)


def _noise(sample: Sample) -> Trait:
    """Return the standard deviation of the noise: of what differs from the mean of four neighbors, in the middle."""
    found = []
    for one in sample.slices:
        if min(one.shape) < 8:
            continue
        around = (one[:-2, 1:-1] + one[2:, 1:-1] + one[1:-1, :-2] + one[1:-1, 2:]) / 4
        left = np.abs(one[1:-1, 1:-1] - around)
        left = left[np.isfinite(left) & (left > 0)]
        if left.size:
            found.append(float(np.median(left)) / 0.6745 / np.sqrt(1.25))
    return Trait(float(f"{np.median(found):.3g}"), "voxels", 0.5) if found else UNKNOWN


def _normalized(sample: Sample) -> Trait:
    values = sample.finite
    is_so = abs(float(values.mean())) < 0.1 and abs(float(values.std()) - 1) < 0.1
    return Trait(is_so, "voxels", 0.9)
