"""MONAI's transforms, by name and literal arguments, as processing steps; an unknown transform is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.arguments import Arguments, is_orientation, one_value
from napari_radcnn.foreign.bundle.config import POSITIVE, painted_labels
from napari_radcnn.foreign.processing import steps as processing
from napari_radcnn.foreign.processing.steps import BackStep, Step
from napari_radcnn.geometry import Shape
from napari_radcnn.spec.patches import Sampling

#: Transforms that change nothing here: voxels are float32 with one axis of channels before they come.
_FREE = (
    "LoadImage EnsureChannelFirst AddChannel EnsureType ToTensor CastToType AsChannelFirst Identity ToDevice ToNumpy "
    "SelectItems DeleteItems"
)
_NOTHING = frozenset(_FREE.split())
#: On the way back these only write files or free memory.
_NOTHING_BACK = _NOTHING | {"SaveImage", "CopyItems"}


def bare_name(target: Any) -> str | None:
    """Return the name of a MONAI transform without package and without the final ``d``; None for another package."""
    package, _, last = str(target).rpartition(".")
    if package and not package.startswith("monai."):
        return None
    for suffix in ("Dict", "D", "d"):
        if last.endswith(suffix) and last.removesuffix(suffix) in _KNOWN:
            return last.removesuffix(suffix)
    return last


def is_known(target: str) -> bool:
    """Whether a `_target_` is a transform or an inferer that is understood here."""
    return bare_name(target) in _KNOWN


def transforms_in(value: Any, shown: str) -> list[Mapping[str, Any]]:
    """Return the transforms of a `Compose`, or of a bare list, that are not switched off."""
    if isinstance(value, Mapping) and bare_name(value.get("_target_")) == "Compose":
        value = value.get("transforms", [])
    elif isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) and "_target_" in item for item in value):
        raise ModelError(f"{shown}: a list of transforms is expected.")
    return [item for item in value if item.get("_disabled_") not in (True, "true")]


def steps_there(transforms: Sequence[Mapping[str, Any]], shown: str, key: str = "image") -> tuple[Step, ...]:
    """Return what preprocessing does to the image.

    Raises
    ------
    ModelError
        If a transform, or an argument of it, is not known.
    """
    steps: list[Step] = []
    for item in transforms:
        name, arguments = _begin(_for_key(item, key), shown)
        if not _applies(arguments, key) or name in _NOTHING:
            continue
        if name not in _THERE:
            raise _unknown(item, shown, "preprocessing")
        steps.append(_THERE[name](arguments))
        arguments.done()
    for kind in (processing.Orient, processing.Space, processing.CropForeground):
        if sum(isinstance(step, kind) for step in steps) > 1:
            raise ModelError(f"{shown}: '{kind.__name__}' occurs twice in the preprocessing, which is not supported.")
    first = next((n for n, step in enumerate(steps) if isinstance(step, processing.Orient)), 0)
    if any(isinstance(step, processing.Space | processing.CropForeground | processing.Pad) for step in steps[:first]):
        raise ModelError(f"{shown}: Orientationd after another change of the grid is not supported.")
    return tuple(steps)


def steps_back(transforms: Sequence[Mapping[str, Any]], shown: str, key: str = "pred") -> tuple[BackStep, ...]:
    """Return what postprocessing does to the network's answer.

    Raises
    ------
    ModelError
        As `steps_there` does.
    """
    steps: list[BackStep] = []
    for item in transforms:
        name, arguments = _begin(_for_key(item, key), shown)
        if not _applies(arguments, key) or name in _NOTHING_BACK:
            continue
        if name not in _BACK:
            raise _unknown(item, shown, "postprocessing")
        found = _BACK[name](arguments)
        arguments.done()
        if found is not None:
            steps.append(found)
    return tuple(steps)


def _for_key(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a transform of several keys with the values of one of them, where it lists a value for each."""
    keys = item.get("keys")
    if not isinstance(keys, list | tuple) or key not in keys:
        return item
    at = list(keys).index(key)
    own = {
        name: item[name][at]
        for name in ("mode", "padding_mode", "align_corners", "nearest_interp")
        if isinstance(item.get(name), list | tuple) and len(item[name]) == len(keys)
    }
    return {**item, **own}


def _begin(item: Mapping[str, Any], shown: str) -> tuple[str, Arguments]:
    name = bare_name(item["_target_"])
    if name is None:
        raise _unknown(item, shown, "configuration")
    arguments = Arguments(f"{shown}: {str(item['_target_'])[:60]}", item)
    arguments.ignore("allow_missing_keys", "lazy", "dtype")
    return name, arguments


def _unknown(item: Mapping[str, Any], shown: str, where: str) -> ModelError:
    return ModelError(f"{shown}: the transform '{str(item['_target_'])[:60]}' of the {where} is not supported.")


def _applies(arguments: Arguments, key: str) -> bool:
    keys = arguments.take("keys", [key])
    names = keys if isinstance(keys, list | tuple) else [keys]
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise arguments.wrong(f"keys={str(keys)[:60]!r} are not names")
    return key in names


# -- there --------------------------------------------------------------------------------------------------------


def _orientation(a: Arguments) -> Step:
    a.ignore("labels")
    a.only("as_closest_canonical", [False, None], False)
    axes = a.take("axcodes")
    if not is_orientation(axes):
        raise a.wrong(f"axcodes={str(axes)[:20]!r} is not an orientation")
    return processing.Orient(axes)


def _spacing(a: Arguments) -> Step:
    given = a.take("pixdim")
    values = list(given) if isinstance(given, list | tuple) else [given]
    values += values[-1:] * (3 - len(values))
    if len(values) != 3 or not all(type(v) in (int, float) and -1e4 < v < 1e4 for v in values):
        raise a.wrong(f"pixdim={str(given)[:60]} is not a spacing")
    for name in ("diagonal", "align_corners", "scale_extent", "recompute_affine"):
        a.only(name, [False, None], False)
    a.only("min_pixdim", [None], None)
    a.only("max_pixdim", [None], None)
    a.only("padding_mode", ["border"], "border")
    a.ignore("ensure_same_shape")
    mode = a.take("mode", "bilinear")
    mode = mode[0] if isinstance(mode, list | tuple) and mode else mode
    if mode not in ("bilinear", "nearest", 0, 1):
        raise a.wrong(f"mode={str(mode)[:40]!r} is not supported; supported: 'bilinear', 'nearest'")
    mm = tuple(max(0.0, float(v)) for v in values)
    return processing.Space((mm[0], mm[1], mm[2]), "nearest" if mode in ("nearest", 0) else "linear")


def _scale_range(a: Arguments) -> Step:
    step = processing.ScaleRange(
        a.number("a_min"),
        a.number("a_max"),
        a.number_or_none("b_min", None),
        a.number_or_none("b_max", None),
        a.flag("clip"),
    )
    if step.low == step.high:
        raise a.wrong("a_min and a_max are the same")
    return step


def _percentiles(a: Arguments) -> Step:
    return processing.ScalePercentiles(
        _percent(a, "lower"),
        _percent(a, "upper"),
        a.number_or_none("b_min"),
        a.number_or_none("b_max"),
        a.flag("clip"),
        a.flag("relative"),
        a.flag("channel_wise"),
    )


def _clip_percentiles(a: Arguments) -> Step:
    a.only("sharpness_factor", [None], None)
    low, high = a.number_or_none("lower"), a.number_or_none("upper")
    if any(value is not None and not 0 <= value <= 100 for value in (low, high)):
        raise a.wrong("percentiles must be between 0 and 100")
    return processing.ClipPercentiles(low, high, a.flag("channel_wise"))


def _percent(a: Arguments, name: str) -> float:
    value = a.number(name)
    if not 0 <= value <= 100:
        raise a.wrong(f"'{name}' must lie between 0 and 100, got {value:g}")
    return value


def _scale_bounds(a: Arguments) -> Step:
    low, high, factor = a.number_or_none("minv", 0.0), a.number_or_none("maxv", 1.0), a.number_or_none("factor", None)
    channel_wise = a.flag("channel_wise")
    if low is None and high is None:
        return processing.Multiply(1.0 + (factor or 0.0))
    return (
        processing.ScaleBounds(0.0, 1.0, channel_wise)
        if None in (low, high)
        else processing.ScaleBounds(low or 0.0, 0.0 if high is None else high, channel_wise)
    )


def _threshold(a: Arguments) -> Step:
    return processing.Threshold(a.number("threshold"), a.flag("above", True), a.number("cval", 0.0))


def _normalize(a: Arguments) -> Step:
    step = processing.Normalize(
        a.numbers("subtrahend"), a.numbers("divisor"), a.flag("nonzero"), a.flag("channel_wise")
    )
    if step.std is not None and 0.0 in step.std:
        step = replace(step, std=tuple(s or 1.0 for s in step.std))  # as MONAI does
    return step


def _crop_foreground(a: Arguments) -> Step:
    a.only("source_key", ["image"], "image")
    a.only("select_fn", [POSITIVE, "monai.transforms.utils.is_positive"], POSITIVE)
    a.only("mode", ["constant"], "constant")
    a.ignore("start_coord_key", "end_coord_key")
    channels = a.take("channel_indices", None)
    chosen = channels if isinstance(channels, list | tuple) or channels is None else [channels]
    if chosen is not None and not all(type(c) is int and c >= 0 for c in chosen):
        raise a.wrong(f"channel_indices={str(channels)[:40]} are not channels")
    return processing.CropForeground(
        _three(a.counts("margin", 0)),
        _three(a.counts("k_divisible", 1)),
        a.flag("allow_smaller"),
        None if chosen is None else tuple(chosen),
    )


def _spatial_pad(a: Arguments) -> Step:
    at_end = a.only("method", ["symmetric", "end"], "symmetric") == "end"
    a.only("mode", ["constant"], "constant")
    return processing.Pad(shape=_three(a.counts("spatial_size")), at_end=at_end)


def _divisible_pad(a: Arguments) -> Step:
    at_end = a.only("method", ["symmetric", "end"], "symmetric") == "end"
    a.only("mode", ["constant"], "constant")
    return processing.Pad(divisible=_three(a.counts("k")), at_end=at_end)


def _resize(a: Arguments) -> Step:
    a.only("size_mode", ["all"], "all")
    a.only("anti_aliasing", [False, None], False)
    a.only("align_corners", [False, None], None)
    a.ignore("anti_aliasing_sigma")
    mode = one_value(a.take("mode", "area"))
    kinds: dict[str, processing.ResizeKind] = {"area": "area", "bilinear": "linear", "trilinear": "linear"}
    if mode not in kinds:
        raise a.wrong(f"mode={str(mode)[:40]!r} is not supported; supported: {', '.join(kinds)}")
    return processing.Resize(_sides(a, "spatial_size"), kinds[mode])


def _fit_middle(name: str) -> Callable[[Arguments], Step]:
    def made(a: Arguments) -> Step:
        a.only("mode", ["constant"], "constant")
        a.only("method", ["symmetric"], "symmetric")
        return processing.Center(_sides(a, name))

    return made


def _sides(a: Arguments, name: str) -> Shape:
    """Return numbers of voxels; of two, the third, along which slices lie, is 0: it is kept."""
    given = a.take(name)
    values = list(given) if isinstance(given, list | tuple) else [given] * 3
    if len(values) not in (2, 3) or not all(type(n) is int and -1 <= n <= 4096 for n in values):
        raise a.wrong(f"'{name}' must be two or three numbers of voxels, got {str(given)[:60]}")
    return _three((*values, 0)[:3])


def _repeat(a: Arguments) -> Step:
    (times,) = a.counts("repeats", length=1)
    if not 1 <= times <= 64:
        raise a.wrong(f"repeats={times} must be a number from 1 to 64")
    return processing.Repeat(times)


def _three(values: tuple[int, ...]) -> Shape:
    return max(0, values[0]), max(0, values[1]), max(0, values[2])


_THERE: dict[str, Callable[[Arguments], Step]] = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "ScaleIntensityRange": _scale_range,
    "ScaleIntensityRangePercentiles": _percentiles,
    "ClipIntensityPercentiles": _clip_percentiles,
    "ScaleIntensity": _scale_bounds,
    "ThresholdIntensity": _threshold,
    "NormalizeIntensity": _normalize,
    "CropForeground": _crop_foreground,
    "SpatialPad": _spatial_pad,
    "DivisiblePad": _divisible_pad,
    "Resize": _resize,
    "ResizeWithPadOrCrop": _fit_middle("spatial_size"),
    "RepeatChannel": _repeat,
}

# -- back ---------------------------------------------------------------------------------------------------------


def _activations(a: Arguments) -> BackStep | None:
    softmax, sigmoid = a.flag("softmax"), a.flag("sigmoid")
    a.only("other", [None], None)
    if softmax and sigmoid:
        raise a.wrong("softmax and sigmoid cannot be combined")
    return processing.Activate("softmax" if softmax else "sigmoid") if softmax or sigmoid else None


def _invert(a: Arguments) -> BackStep:
    a.ignore("transform", "orig_keys", "meta_keys", "orig_meta_keys", "meta_key_postfix", "to_tensor", "device")
    a.only("post_func", [None], None)
    return processing.Invert("nearest" if a.flag("nearest_interp", True) else "as-there")


def _decide(a: Arguments) -> BackStep | None:
    argmax = a.flag("argmax")
    threshold = one_value(a.take("threshold", None))
    a.only("rounding", [None, "torchrounding"], None)
    a.ignore("to_onehot")
    if argmax:
        return processing.Decide("argmax")
    if threshold is None or threshold is False:
        return None
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise a.wrong(f"'threshold' must be a number, got {str(threshold)[:40]}")
    return processing.Decide("threshold", float(threshold))


def _keep_largest(a: Arguments) -> BackStep:
    labels = a.take("applied_labels", None)
    chosen = labels if isinstance(labels, list | tuple) or labels is None else [labels]
    if chosen is not None and not all(type(n) is int and 0 <= n < 1 << 16 for n in chosen):
        raise a.wrong(f"applied_labels={str(labels)[:40]} are not labels")
    a.ignore("is_onehot")
    connectivity, count = a.take("connectivity", None), a.take("num_components", 1)
    if connectivity not in (None, 1, 2, 3) or type(count) is not int or not 1 <= count <= 100:
        raise a.wrong("connectivity must be 1, 2 or 3, and num_components a small positive integer")
    return processing.KeepLargest(
        None if chosen is None else tuple(chosen), a.flag("independent", True), connectivity or 3, count
    )


def _paint(a: Arguments) -> BackStep:
    a.ignore("inv_func", "track_meta", "overwrite")
    text = a.take("func")
    found = painted_labels(text)
    if found is None:
        raise a.wrong(f"the function '{str(text)[:60]}' is not supported")
    return processing.Paint(tuple(found))


_BACK: dict[str, Callable[[Arguments], BackStep | None]] = {
    "Activations": _activations,
    "Invert": _invert,
    "AsDiscrete": _decide,
    "Lambda": _paint,
    "KeepLargestConnectedComponent": _keep_largest,
}


# -- patches ------------------------------------------------------------------------------------------------------


def padding_of(inferer: Any, sampling: Sampling | None) -> tuple[Step, ...]:
    """Return the step that fills a scan up to one patch by repeating its border, where an inferer asks for that."""
    if sampling is None or not isinstance(inferer, Mapping) or inferer.get("padding_mode") != "replicate":
        return ()
    return (processing.Pad(shape=sampling.patch, repeats_border=True),)


def sampling_of(inferer: Any, shown: str) -> tuple[Sampling | None, int, int | None]:
    """Return how patches are taken, the number of the patch's dimensions, and the axis of slices where there are two.

    Raises
    ------
    ModelError
        If the inferer, or an argument of it, is not known.
    """
    if not isinstance(inferer, Mapping) or "_target_" not in inferer:
        raise ModelError(f"{shown}: 'inferer' does not describe an inferer.")
    name = bare_name(inferer["_target_"])
    a = Arguments(f"{shown}: {str(inferer['_target_'])[:60]}", inferer)
    if name == "SimpleInferer":
        a.done()
        return None, 3, None
    if name not in ("SlidingWindowInferer", "SliceInferer"):
        raise ModelError(f"{shown}: the inferer '{str(inferer['_target_'])[:60]}' is not supported.")
    a.ignore("sw_batch_size", "sw_device", "device", "progress", "cache_roi_weight_map")
    a.ignore("cpu_thresh", "buffer_steps", "buffer_dim")
    axis = a.counts("spatial_dim", 0, 1)[0] if name == "SliceInferer" else None
    given = a.take("roi_size")
    roi = given if isinstance(given, list | tuple) else [given] * (3 if axis is None else 2)
    if not 2 <= len(roi) <= 3 or not all(type(n) is int and 1 <= n <= 4096 for n in roi):
        raise a.wrong(f"roi_size={str(given)[:40]} must be positive numbers of voxels")
    overlap = one_value(a.take("overlap", 0.25))
    if isinstance(overlap, bool) or not isinstance(overlap, int | float) or not 0 <= overlap < 1:
        raise a.wrong(f"overlap must be at least 0 and less than 1, got {str(overlap)[:40]}")
    weights = a.only("mode", ["constant", "gaussian"], "constant")
    a.only("padding_mode", ["constant", "replicate"], "constant")
    a.only("with_coord", [False], False)
    patch = (*([1] * (3 - len(roi))), *roi)
    sampling = Sampling(
        (patch[0], patch[1], patch[2]),
        float(overlap),
        "monai",
        "monai" if weights == "gaussian" else "constant",
        a.number("sigma_scale", 0.125),
        padding_value=a.number("cval", 0.0),
    )
    a.done()
    return sampling, len(roi), axis


_KNOWN = frozenset(
    {*_THERE, *_BACK, *_NOTHING, *_NOTHING_BACK, "Compose", "SlidingWindowInferer", "SliceInferer", "SimpleInferer"}
)
