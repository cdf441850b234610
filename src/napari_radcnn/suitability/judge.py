"""Whether a model suits a scan: what it was made for, held against what the scan is; the one place that decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.suitability.traits import Traits
from napari_radcnn.suitability.what import what_is
from napari_radcnn.volume import Volume

State = Literal["fits", "doubtful", "refused"]
#: From best to worst.
STATES: tuple[State, ...] = ("fits", "doubtful", "refused")
#: The share of values that are no numbers from which that is a reason to doubt.
_MISSING = 0.05


@dataclass(frozen=True)
class Suitability:
    """How a model suits a scan.

    Attributes
    ----------
    state : {"fits", "doubtful", "refused"}
        ``"refused"``: it was not made for such a scan, and computes nothing unless that is asked for.
    reasons : tuple of str
        What speaks against it, the gravest first; empty where it fits.
    """

    state: State = "fits"
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types, as manifests and results hold it."""
        return {"state": self.state, "reasons": list(self.reasons)}

    def with_doubts(self, reasons: Sequence[str]) -> Suitability:
        """Return the same with further reasons to doubt."""
        if not reasons:
            return self
        return Suitability("doubtful" if self.state == "fits" else self.state, (*self.reasons, *reasons))


@dataclass(frozen=True)
class _Reason:
    state: State
    text: str


_Reasons = Iterator[_Reason]


def judge(spec: ModelSpec, volumes: Sequence[Volume], scans: Sequence[Traits] = ()) -> Suitability:
    """Return how a model suits scans.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    volumes : sequence of Volume
        One for each of its inputs, in their order.
    scans : sequence of Traits, optional
        What each is, where that is known already.

    Returns
    -------
    Suitability
        The gravest of all that is found.
    """
    found: list[_Reason] = []
    for number, volume in enumerate(volumes):
        wanted, which = spec.modalities, "The scan"
        if spec.inputs:
            slot = spec.inputs[number]
            wanted, which = slot.modalities, f"The input {slot.name}" if len(spec.inputs) > 1 else which
        found += _against(spec, wanted, scans[number] if scans else what_is(volume), volume, which)
    found.sort(key=lambda one: -STATES.index(one.state))
    texts = tuple(dict.fromkeys(one.text for one in found))
    return Suitability(found[0].state if found else "fits", texts)


def _against(spec: ModelSpec, modalities: tuple[str, ...], scan: Traits, volume: Volume, which: str) -> _Reasons:
    domain = spec.domain if spec.domain is not None else Domain()
    if domain.holds == "anything":
        if modalities and scan.modality.is_known:
            yield from _modality(spec, modalities, domain, scan, which)
        return
    if spec.domain is None and not modalities:
        yield _Reason("doubtful", f"'{spec.name}' does not state what it was made for.")
    yield from _kind(spec, domain, scan, which)
    if scan.kind.value != "image":
        if domain.holds == "image":
            if scan.modality.is_known:
                yield from _modality(spec, modalities, domain, scan, which)
            yield from _grid(spec, domain, scan, volume, which)
        return
    modality = list(_modality(spec, modalities, domain, scan, which))
    yield from modality
    if any(one.state == "refused" for one in modality):
        return
    for rule in _RULES:
        yield from rule(spec, domain, scan, volume, which)


def _kind(spec: ModelSpec, domain: Domain, scan: Traits, which: str) -> _Reasons:
    kind = scan.kind.value
    if domain.holds == "labels":
        if kind not in ("label map", "no numbers"):
            yield _Reason("refused", f"{which} {_KINDS.get(kind, 'is an image')}, but '{spec.name}' takes a label map.")
        ml = scan.milliliters
        if domain.milliliters is not None and ml.is_known:
            low, high = domain.milliliters
            if not low <= ml.value <= high:
                far = not low / 2 <= ml.value <= 2 * high
                text = f"The mask holds {ml.value:.1f} ml; '{spec.name}' was made for {low:g} to {high:g} ml."
                yield _Reason("refused" if far else "doubtful", text)
        return
    if kind != "image" and kind in _KINDS:
        # of somebody else's model nobody knows what it may be meant to be shown
        is_plain = scan.kind.is_sure and kind != "probability map" and spec.origin is None
        state: State = "refused" if is_plain else "doubtful"
        yield _Reason(state, f"{which} {_KINDS[kind]}: it is not an image of a patient.")


_KINDS = {
    "label map": "is a label map",
    "drawing": "is a drawing of few values",
    "probability map": "is a map of probabilities",
    "constant": "has the same value everywhere",
    "noise": "is nothing but noise",
    "gradient": "is a gradient",
    "no numbers": "has no finite values",
    "color": "is a color picture",
}


def _modality(spec: ModelSpec, wanted: tuple[str, ...], domain: Domain, scan: Traits, which: str) -> _Reasons:
    made_for = f"'{spec.name}' was made for {', '.join(wanted)}"
    found = scan.modality
    if wanted and found.is_known and found.value not in wanted:
        by_voxels = found.source == "voxels" and not found.is_sure
        yield _Reason("doubtful" if by_voxels else "refused", f"{which} is {found.value}, but {made_for}.")
        return
    needs_ct = domain.is_hounsfield or (wanted == ("CT",) and spec.domain is None)
    if needs_ct and scan.hounsfield.is_known and not scan.hounsfield.value:
        if scan.offset.is_known:
            text = (
                f"The values are not in Hounsfield units: {scan.offset.value:+d} would have to be added (the rescale "
                "intercept was not applied)."
            )
        else:
            text = f"{which} is not in Hounsfield units, but {made_for}."
        is_sure = scan.hounsfield.is_sure and domain.is_hounsfield
        yield _Reason("refused" if is_sure else "doubtful", text)
        return
    if (
        wanted
        and not found.is_known
        and wanted != ("CT",)
        and domain.regions
        and not domain.is_read
        and not scan.view.is_known
    ):
        yield _Reason(
            "doubtful",
            f"The modality is unknown: it is not certain that {which[0].lower()}{which[1:]} is {' or '.join(wanted)}.",
        )
    for text in scan.contradictions:
        if text.startswith("The header says") and "values" in text:
            yield _Reason("doubtful", text)


def _layout(spec: ModelSpec, domain: Domain, scan: Traits, _volume: Volume, which: str) -> _Reasons:
    layout = scan.layout
    if domain.layout == "volume" and layout.value != "volume":
        yield _Reason("refused", f"{which} is a single picture, but '{spec.name}' needs slices in three dimensions.")
    if domain.layout == "projection" and layout.value in ("volume", "slice"):
        what = "a volume" if layout.value == "volume" else "a slice"
        yield _Reason("refused", f"{which} is {what}, but '{spec.name}' was made for radiographs.")


def _region(spec: ModelSpec, domain: Domain, scan: Traits, volume: Volume, which: str) -> _Reasons:
    if not domain.regions or (domain.layout == "volume" and scan.layout.value != "volume"):
        return
    made_for = f"'{spec.name}' was made for {_either(domain.regions)}"
    found = scan.regions
    if not found.is_known:
        if not domain.is_read:
            yield _Reason("doubtful", f"No {_either(domain.regions)} is recognized in {which[0].lower()}{which[1:]}.")
    elif not set(found.value) & set(domain.regions):
        is_near = domain.regions == ("pelvis",) and "abdomen" in found.value  # the border between the two is not plain
        yield _Reason(
            "refused" if found.is_sure and not is_near else "doubtful",
            f"{which} shows {' and '.join(found.value)}, but {made_for}.",
        )
    elif not found.is_sure and found.source != "header" and not domain.is_read:
        yield _Reason(
            "doubtful", f"It is not certain that {which[0].lower()}{which[1:]} shows {_either(domain.regions)}."
        )
    if domain.views and scan.layout.value != "volume":
        if scan.view.is_known and scan.view.value not in domain.views:
            text = f"{which} does not look like a {_either(domain.views)} radiograph of a {domain.regions[0]}."
            yield _Reason("refused" if scan.view.is_sure else "doubtful", text)
        elif not scan.view.is_known:
            yield _Reason(
                "doubtful", f"It is not certain that {which[0].lower()}{which[1:]} is a {_either(domain.views)} view."
            )
    extent = [n * s for n, s in zip(volume.geometry.shape, volume.geometry.spacing, strict=True)]
    if domain.layout == "volume" and volume.metadata.is_calibrated and min(extent) < domain.least_mm:
        size = " x ".join(f"{e:.0f}" for e in extent)
        yield _Reason("doubtful", f"{which} covers {size} mm: at least {domain.least_mm:.0f} mm are expected.")


def _head(spec: ModelSpec, domain: Domain, scan: Traits, _volume: Volume, which: str) -> _Reasons:
    if domain.stripped is not None and scan.stripped.is_known and scan.stripped.value != domain.stripped:
        shown = "the brain alone" if scan.stripped.value else "a whole head"
        needed = "the brain alone" if domain.stripped else "a whole head"
        yield _Reason("doubtful", f"{which} shows {shown}, but '{spec.name}' was made for {needed}.")
    if domain.contrasts and scan.contrast.is_sure and scan.contrast.value not in domain.contrasts:
        yield _Reason(
            "doubtful",
            f"{which} is {scan.contrast.value}-weighted, but '{spec.name}' was made for {_either(domain.contrasts)}.",
        )
    if "head" in domain.regions and len(domain.regions) == 1:
        known = scan.stripped
        if known.value and not scan.contrast.is_known and not (scan.inverted.is_known and scan.inverted.value):
            yield _Reason("doubtful", f"{which} has the shape of a brain, but no contrast of a T1, T2 or FLAIR.")


def _film(spec: ModelSpec, domain: Domain, _scan: Traits, volume: Volume, which: str) -> _Reasons:
    sides = volume.metadata.sides
    if domain.layout != "projection" or "frontal" not in domain.views or sides is None or sides.is_hung:
        return
    how = "mirrored or turned" if sides.is_frontal else "no frontal view"
    yield _Reason(
        "doubtful",
        f"{which} is stored {how} (PatientOrientation: rows run towards {sides.row}, columns towards {sides.column}), "
        f"but '{spec.name}' expects the patient's left on the right and the head up; the pixels are passed to it as "
        "stored.",
    )


def _grid(spec: ModelSpec, domain: Domain, scan: Traits, volume: Volume, _which: str) -> _Reasons:
    if not volume.metadata.is_calibrated:
        return
    spacing = sorted(volume.geometry.spacing)
    if domain.thickest_mm is not None and scan.layout.value == "volume" and spacing[2] > 1.02 * domain.thickest_mm:
        yield _Reason(
            "doubtful",
            f"The slice spacing is {spacing[2]:.1f} mm: the model was trained with up to {domain.thickest_mm:g} mm.",
        )
    if domain.pixel_mm is not None:
        # slices are seldom finer than their pixels
        pixel = spacing[1] if scan.layout.value == "volume" else _pixel(volume)
        low, high = domain.pixel_mm
        if not low <= pixel <= high:
            yield _Reason(
                "doubtful", f"Pixels are {pixel:.2g} mm wide: '{spec.name}' was made for {low:g} to {high:g} mm."
            )
    for (low, high), mm in zip(domain.fingerprint.spacing, spacing, strict=False):
        if not low / 2 <= mm <= 2 * high:
            yield _Reason(
                "doubtful",
                f"Voxels of {mm:.2g} mm: '{spec.name}' was trained with {low:.2g} to {high:.2g} mm.",
            )
            break


def _pixel(volume: Volume) -> float:
    sides = [s for n, s in zip(volume.geometry.shape, volume.geometry.spacing, strict=True) if n > 1]
    return max(sides, default=1.0)


def _state_of_values(spec: ModelSpec, domain: Domain, scan: Traits, volume: Volume, which: str) -> _Reasons:
    if scan.inverted.value and scan.inverted.is_sure and "head" in domain.regions:
        yield _Reason("refused", f"{which} is inverted: its background is brighter than what lies on it.")
    if scan.normalized.value and not domain.any_scale:
        yield _Reason(
            "doubtful",
            "The values have mean 0 and deviation 1: the background is below 0, which makes results unreliable.",
        )
    if scan.missing.is_known and scan.missing.value > _MISSING and spec.gaps.most < 1:
        yield _Reason("doubtful", f"{scan.missing.value:.0%} of the voxels are NaN or infinite.")
    if domain.fingerprint.values is not None and scan.kind.value == "image":
        from napari_radcnn.suitability.sample import take_sample

        low, high = domain.fingerprint.values
        values = take_sample(volume).finite
        if values.size and ((values >= low) & (values <= high)).mean() < 0.002:
            yield _Reason(
                "doubtful", f"Almost no values lie between {low:g} and {high:g}, the range of the training data."
            )


def _place(_spec: ModelSpec, domain: Domain, scan: Traits, _volume: Volume, which: str) -> _Reasons:
    if not domain.regions:
        return
    if scan.turned.value and domain.layout == "volume" and (domain.whole or not scan.regions.value):
        yield _Reason("doubtful", f"{which} does not have the orientation that its header states: {scan.turned.value}.")
    if domain.whole and scan.cut_off.value and "head" in domain.regions:
        names = ", ".join(_ENDS[letter] for letter in scan.cut_off.value)
        yield _Reason("doubtful", f"The {domain.regions[0]} is cut off {names}.")


_ENDS = {"I": "below", "S": "above", "A": "in front", "P": "behind", "R": "on the right", "L": "on the left"}
_Rule = Callable[[ModelSpec, Domain, Traits, Volume, str], _Reasons]
_RULES: tuple[_Rule, ...] = (_layout, _region, _film, _head, _state_of_values, _place, _grid)


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
