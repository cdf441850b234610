"""The part of a ``model.json`` that says what a network is shown: inputs, axes, spacing, intensity, patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from napari_radcnn.foreign.arguments import Arguments, is_orientation
from napari_radcnn.foreign.description import text_of
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.spec.patches import InputSlot, Sampling

#: Names of intensity steps in the file.
INTENSITY: dict[str, type] = {
    "range": steps.ScaleRange,
    "percentiles": steps.ScalePercentiles,
    "clip-percentiles": steps.ClipPercentiles,
    "bounds": steps.ScaleBounds,
    "normalize": steps.Normalize,
    "multiply": steps.Multiply,
    "threshold": steps.Threshold,
}


def read_inputs(a: Arguments) -> tuple[InputSlot, ...]:
    """Return what the network takes, one entry a channel."""
    given = a.take("inputs")
    if not isinstance(given, list) or not given or len(given) > 64:
        raise a.wrong("'inputs' must be a list with one entry per channel", "inputs")
    slots = []
    for number, item in enumerate(given):
        item = {"name": item} if isinstance(item, str) else item
        if (
            not isinstance(item, Mapping)
            or not set(item) <= {"name", "modalities", "view"}
            or not text_of(item.get("name"))
        ):
            raise a.wrong('an entry of \'inputs\' must be {"name": ..., "modalities": [...]}', "inputs", number)
        codes = item.get("modalities", [])
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            raise a.wrong(
                "'modalities' must be a list of DICOM codes, such as [\"CT\"]", "inputs", number, "modalities"
            )
        view = item.get("view", "")
        if view not in ("", "frontal", "lateral"):
            raise a.wrong('\'view\' must be "frontal" or "lateral"', "inputs", number, "view")
        slots.append(InputSlot(text_of(item["name"]), tuple(codes), view))
    return tuple(slots)


def read_orientation(a: Arguments) -> tuple[steps.Step, ...]:
    """Return the step that turns the axes; none where the scan is taken as it is stored."""
    orientation = a.take("orientation", None)
    if orientation is None:
        return ()
    if not is_orientation(orientation):
        raise a.wrong(
            f"orientation={str(orientation)[:20]!r} is not an orientation: use three letters such as 'SPL', or null",
            "orientation",
        )
    return (steps.Orient(orientation),)


def read_patch(a: Arguments, dims: int) -> tuple[int, int, int]:
    """Return the voxels that the network sees, with a leading 1 for a network of two dimensions."""
    patch = a.counts("patch", length=dims)
    if not all(1 <= n <= 4096 for n in patch):
        raise a.wrong(f"patch={list(patch)} must be positive numbers of voxels", "patch")
    whole = (1, *patch) if dims == 2 else patch
    return whole[0], whole[1], whole[2]


def read_sampling(a: Arguments, dims: int, blend: str = "gaussian") -> Sampling:
    """Return how patches are taken; `blend` is what is meant where the file says nothing."""
    patch = read_patch(a, dims)
    overlap = a.number("overlap", 0.5)
    if not 0 <= overlap < 1:
        raise a.wrong(f"overlap must be at least 0 and less than 1, got {overlap:g}", "overlap")
    blend = a.only("blend", ["gaussian", "constant"], blend)
    positions = a.only("positions", ["monai", "nnunet"], "monai")
    mirror = a.take("mirror_axes", [])
    if not isinstance(mirror, list) or not all(type(n) is int and 0 <= n < dims for n in mirror):
        raise a.wrong(f"mirror_axes must be numbers from 0 to {dims - 1}", "mirror_axes")
    axes = tuple(n + (3 - dims) for n in mirror)
    return Sampling(
        patch,
        overlap,
        positions,
        "constant" if blend == "constant" else positions,
        mirror_axes=axes,
    )


def read_spacing(a: Arguments) -> tuple[steps.Step, ...]:
    """Return the step that goes to another spacing; none where the scan's own is kept."""
    given = a.take("spacing", None)
    if given is None:
        return ()
    if (
        not isinstance(given, list)
        or len(given) != 3
        or not all(type(v) in (int, float) and 0 <= v < 1000 for v in given)
    ):
        raise a.wrong(
            "spacing must be three numbers in mm along the network's axes (0 keeps the scan's own), or null", "spacing"
        )
    mm: tuple[float, ...] = tuple(float(v) for v in given)
    return (steps.Space((mm[0], mm[1], mm[2])),)


def read_intensity(a: Arguments, fit: tuple[steps.Step, ...] | None = None) -> tuple[steps.Step, ...]:
    """Return what is done to the values, in order.

    Parameters
    ----------
    a : Arguments
        Of the file.
    fit : tuple of Step, optional
        What brings the scan to the size of the patch: it comes where the step ``"fit"`` stands, by default at the end.
        None where the network is shown patches.
    """
    given = a.take("intensity", [])
    if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
        raise a.wrong("'intensity' must be a list of steps", "intensity")
    marks = [] if fit is None else [number for number, item in enumerate(given) if item == {"step": "fit"}]
    if len(marks) > 1:
        raise a.wrong("the step 'fit' may appear only once", "intensity", marks[1])
    found: list[steps.Step] = []
    for number, item in enumerate(given):
        if number in marks:
            found += fit or ()
        else:
            found.append(_intensity_step(a, item, number))
    return tuple(found) if marks or fit is None else (*found, *fit)


def _intensity_step(a: Arguments, item: Mapping[str, Any], number: int) -> steps.Step:
    kind = item.get("step")
    if not isinstance(kind, str) or kind not in INTENSITY:
        told = f"the intensity step {str(kind)[:40]!r} is not supported; supported: {', '.join(INTENSITY)}"
        raise a.wrong(told, "intensity", number)
    given = {key: value for key, value in item.items() if key != "step"}
    inner = a.inside(given, "intensity", number, what=f"intensity step '{kind}'")
    values: dict[str, Any] = {}
    for field in fields(INTENSITY[kind]):
        take = _reader(inner, str(field.type))
        values[field.name] = take(field.name) if field.default is MISSING else take(field.name, field.default)
    inner.done()
    made: steps.Step = INTENSITY[kind](**values)
    if isinstance(made, steps.ScaleRange | steps.ScalePercentiles) and made.low >= made.high:
        raise inner.wrong("it needs low < high")
    if isinstance(made, steps.ScalePercentiles | steps.ClipPercentiles) and not all(
        value is None or 0 <= value <= 100 for value in (made.low, made.high)
    ):
        raise inner.wrong("percentiles must be between 0 and 100")
    if isinstance(made, steps.Normalize) and made.std is not None and 0.0 in made.std:
        raise inner.wrong("the standard deviation must not be 0", "std")
    return made


def _reader(a: Arguments, kind: str) -> Callable[..., Any]:
    """Return what reads a value of a dataclass field's type."""
    if kind.startswith("bool"):
        return a.flag
    if kind.startswith("tuple"):
        return lambda name, _=None: a.numbers(name)
    return a.number_or_none if "None" in kind else a.number
