"""What nnU-Net's ``plans.json`` and ``dataset.json`` say about running a model, as frozen dataclasses.

Source: nnU-Net v2's documentation ("explanation of plans files", "dataset format") and files of its releases 2.0 to
2.8. Nothing here reads weights or imports torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Shape
from napari_radcnn.spec.patches import Architecture, NetworkFile, Sampling

Scheme = Literal["ct", "z-score", "none", "0-1", "rgb"]


@dataclass(frozen=True)
class Normalization:
    """What is done to the values of one channel.

    Attributes
    ----------
    scheme : str
        ``"ct"``: clip to `low` and `high`, subtract `mean`, divide by `std`; ``"z-score"``: mean 0 and standard
        deviation 1; ``"0-1"``: minimum 0 and maximum 1; ``"rgb"``: divide by 255; ``"none"``.
    in_mask : bool
        For ``"z-score"``: only of and for voxels inside what is not zero, its holes filled.
    mean, std, low, high : float
        Of the training data, for ``"ct"``.
    """

    scheme: Scheme
    in_mask: bool = False
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Resampling:
    """How something is brought from one spacing to another.

    Attributes
    ----------
    order : int
        Of the spline, along all axes but one that goes apart.
    order_z : int
        Of the spline along that axis.
    separate_z : bool or None
        Whether one axis goes apart; None where the spacings decide.
    skip : bool
        Whether it is left as it is, whatever its spacing.
    """

    order: int = 3
    order_z: int = 0
    separate_z: bool | None = None
    skip: bool = False


@dataclass(frozen=True)
class NnunetModel:
    """One configuration of nnU-Net, ready to run.

    Attributes
    ----------
    configuration : str
        ``"3d_fullres"``.
    dimensions : int
        2 or 3.
    channels : int
        Scans that it takes; a cascade's network gets the labels of the stage before as well.
    classes : int
        Channels of the network's answer.
    labels : tuple of int
        The label of each class that is not background, in ascending order; what a cascade passes on.
    regions : tuple of int
        For regions that lie in one another: the label of each channel, later ones over earlier ones. Else empty.
    spacing : tuple of float
        mm, after `transpose`; two for a network of two dimensions.
    transpose : tuple of int
        Axis of the scan (after `orientation`) that each axis of the network is.
    orientation : str
        Letters of k, j, i that the scan is turned to before; empty where it is taken as stored.
    sampling : Sampling
        Of its patches.
    normalizations : tuple of Normalization
        One a channel.
    data, logits, previous_labels : Resampling
        Of the scan, of the answer, of the labels of the stage before.
    folds : tuple of str
        Names of the folds.
    files : tuple of NetworkFile
        One a fold.
    previous : NnunetModel or None
        The stage before in a cascade.
    """

    configuration: str
    dimensions: int
    channels: int
    classes: int
    labels: tuple[int, ...]
    regions: tuple[int, ...]
    spacing: tuple[float, ...]
    transpose: tuple[int, int, int]
    orientation: str
    sampling: Sampling
    normalizations: tuple[Normalization, ...]
    data: Resampling
    logits: Resampling
    previous_labels: Resampling
    folds: tuple[str, ...] = ()
    files: tuple[NetworkFile, ...] = ()
    previous: NnunetModel | None = None

    @property
    def input_channels(self) -> int:
        """Channels of the network's input."""
        return self.channels + (len(self.labels) if self.previous is not None else 0)


# -- dataset.json ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classes:
    """What ``dataset.json`` says about inputs and labels.

    Attributes
    ----------
    channels : tuple of str
        Names of the inputs.
    names : mapping of int to str
        Name of every label that a result can hold.
    regions : tuple of int
        See `NnunetModel`.
    heads : int
        Channels of the network's answer.
    labels : tuple of int
        All labels but background.
    """

    channels: tuple[str, ...]
    names: Mapping[int, str]
    regions: tuple[int, ...]
    heads: int
    labels: tuple[int, ...]


def read_classes(dataset: Mapping[str, Any], shown: str) -> Classes:
    """Return inputs and labels.

    Raises
    ------
    ModelError
        If something is missing or makes no sense; the text begins with `shown`.
    """
    channels = _get(dataset, "channel_names" if "channel_names" in dataset else "modality", dict, shown)
    order = sorted(channels, key=lambda key: (len(str(key)), str(key)))
    declared = _get(dataset, "labels", dict, shown)
    groups: dict[str, tuple[int, ...]] = {}
    for name, value in declared.items():
        values = value if isinstance(value, list | tuple) else [value]
        if not values or any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < 65536 for n in values):
            raise ModelError(
                f"{shown}: the label '{name}' has the value {str(value)[:60]!r}; a number or a list of "
                "them is expected."
            )
        if name != "ignore":
            groups[str(name)] = tuple(values)
    if groups.get("background") != (0,):
        raise ModelError(f"{shown}: the label 'background' must be 0, as nnU-Net v2 writes it.")
    foreground = {name: values for name, values in groups.items() if set(values) != {0}}
    labels = tuple(sorted({n for values in foreground.values() for n in values} - {0}))
    if not labels:
        raise ModelError(f"{shown}: it declares no label other than background.")
    titles = tuple(str(channels[key]) for key in order)
    if not any(len(values) > 1 for values in groups.values()):
        names = {values[0]: name for name, values in foreground.items()}
        if labels != tuple(range(1, len(labels) + 1)):
            raise ModelError(f"{shown}: labels must be 1, 2, 3, ... without a gap, got {', '.join(map(str, labels))}.")
        return Classes(titles, names, (), len(labels) + 1, labels)
    regions = tuple(_get(dataset, "regions_class_order", list, shown))
    if len(regions) != len(foreground) or any(not isinstance(n, int) for n in regions):
        raise ModelError(
            f"{shown}: 'regions_class_order' must contain one label for each of the {len(foreground)} regions."
        )
    return Classes(titles, dict(zip(regions, foreground, strict=True)), regions, len(regions), labels)


# -- plans.json -----------------------------------------------------------------------------------------------------

_SCHEMES: dict[str, Scheme] = {
    "CTNormalization": "ct",
    "ZScoreNormalization": "z-score",
    "NoNormalization": "none",
    "RescaleTo01Normalization": "0-1",
    "RGBTo01Normalization": "rgb",
}
#: How scans were read in training: letters of k, j, i, or as stored.
_READERS = {
    "SimpleITKIO": "",
    "NibabelIO": "",
    "NaturalImage2DIO": "",
    "Tiff3DIO": "",
    "NibabelIOWithReorient": "SAR",  # RAS+ in nibabel's words and axis order
    "SimpleITKIOWithReorient": "SAR",
}
#: Voxels along an axis of a patch, and mm of a voxel: beyond these a file is damaged, or made to fill memory.
_LARGEST_PATCH, _FINEST = 4096, 1e-3
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")


def resolve(plans: Mapping[str, Any], name: str, shown: str) -> dict[str, Any]:
    """Return a configuration, with what it inherits.

    Raises
    ------
    ModelError
        If there is none of that name, or one inherits from itself.
    """
    known = _get(plans, "configurations", dict, shown)
    found: dict[str, Any] = {}
    seen: list[str] = []
    while True:
        if name not in known or not isinstance(known[name], dict):
            raise ModelError(f"{shown}: there is no configuration '{name}'; there are: {', '.join(known) or 'none'}.")
        if name in seen:
            raise ModelError(f"{shown}: the configuration '{name}' inherits from itself.")
        seen.append(name)
        found = {**known[name], **found}
        if "inherits_from" not in known[name]:
            return found
        name = str(known[name]["inherits_from"])


def read_model(plans: Mapping[str, Any], name: str, classes: Classes, shown: str) -> NnunetModel:
    """Return a configuration of the plans, without weights and without the stage before.

    Raises
    ------
    ModelError
        If something is missing, or asks for what is not known here.
    """
    found = resolve(plans, name, shown)
    if found.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        raise ModelError(f"{shown}: the preprocessor '{found['preprocessor_name']}' is not supported.")
    reader = str(plans.get("image_reader_writer", "SimpleITKIO"))
    if reader not in _READERS:
        raise ModelError(
            f"{shown}: the reader '{reader}' is not supported, so the orientation of its scans is unknown."
        )
    patch = _numbers(_get(found, "patch_size", list, shown), int, shown, "patch_size")
    spacing = _numbers(_get(found, "spacing", list, shown), float, shown, "spacing")
    is_sane = all(1 <= n <= _LARGEST_PATCH for n in patch) and all(_FINEST <= mm <= 1 / _FINEST for mm in spacing)
    if len(patch) not in (2, 3) or len(spacing) != len(patch) or not is_sane:
        raise ModelError(f"{shown}: patch_size {patch} and spacing {spacing} of '{name}' do not match.")
    transpose = _numbers(plans.get("transpose_forward", [0, 1, 2]), int, shown, "transpose_forward")
    if sorted(transpose) != [0, 1, 2]:
        raise ModelError(f"{shown}: 'transpose_forward' must order the axes 0, 1 and 2, got {transpose}.")
    flat = (1,) * (3 - len(patch))
    return NnunetModel(
        name,
        len(patch),
        len(classes.channels),
        classes.heads,
        classes.labels,
        classes.regions,
        tuple(spacing),
        (transpose[0], transpose[1], transpose[2]),
        _READERS[reader],
        Sampling(_three((*flat, *patch))),
        _normalizations(plans, found, len(classes.channels), shown),
        _resampling(found, "data", shown),
        _resampling(found, "probabilities", shown),
        _resampling(found, "seg", shown),
    )


def read_architecture(
    plans: Mapping[str, Any], name: str, input_channels: int, classes: int, shown: str
) -> Architecture:
    """Return the network of a configuration, from plans of any release of nnU-Net v2.

    Raises
    ------
    ModelError
        If it is none of those known here.
    """
    found = resolve(plans, name, shown)
    if "architecture" in found:
        described = _get(found, "architecture", dict, shown)
        full = str(described.get("network_class_name"))
        arguments = dict(_get(described, "arch_kwargs", dict, shown))
    elif "UNet_class_name" in found:
        full, arguments = str(found["UNet_class_name"]), _old_arguments(found, shown)
    else:
        raise ModelError(f"{shown}: the configuration '{name}' does not name its network.")
    package, _, network = full.rpartition(".")
    if network not in _NETWORKS or not re.fullmatch(r"|dynamic_network_architectures(\.\w+)*", package):
        raise ModelError(f"{shown}: the network '{full[:80]}' is not supported; supported: {', '.join(_NETWORKS)}.")
    arguments.pop("deep_supervision", None)
    return Architecture(network, {"input_channels": input_channels, "num_classes": classes, **arguments})


def _old_arguments(configuration: Mapping[str, Any], shown: str) -> dict[str, Any]:
    """Return the network's arguments from plans of nnU-Net 2.0 to 2.2, which TotalSegmentator's are."""
    depths = _get(configuration, "n_conv_per_stage_encoder", list, shown)
    base, most = (
        _get(configuration, "UNet_base_num_features", int, shown),
        _get(configuration, "unet_max_num_features", int, shown),
    )
    dimensions = len(_get(configuration, "patch_size", list, shown))
    depth = "n_conv_per_stage" if configuration["UNet_class_name"] == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "n_stages": len(depths),
        "features_per_stage": [min(base * 2**n, most) for n in range(len(depths))],
        "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
        "kernel_sizes": _get(configuration, "conv_kernel_sizes", list, shown),
        "strides": _get(configuration, "pool_op_kernel_sizes", list, shown),
        depth: depths,
        "n_conv_per_stage_decoder": _get(configuration, "n_conv_per_stage_decoder", list, shown),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def _normalizations(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], channels: int, shown: str
) -> tuple[Normalization, ...]:
    schemes = _get(configuration, "normalization_schemes", list, shown)
    masked = _get(configuration, "use_mask_for_norm", list, shown)
    key = "foreground_intensity_properties_per_channel"
    measured = plans.get(key, plans.get("foreground_intensity_properties_by_modality", {}))
    if len(schemes) != channels or len(masked) != channels:
        raise ModelError(f"{shown}: {len(schemes)} normalizations for {channels} inputs.")
    made = []
    for number, (name, in_mask) in enumerate(zip(schemes, masked, strict=True)):
        if not isinstance(name, str) or name not in _SCHEMES:
            raise ModelError(
                f"{shown}: the normalization '{str(name)[:60]}' is not supported; supported: {', '.join(_SCHEMES)}."
            )
        scheme = _SCHEMES[name]
        if scheme != "ct":
            made.append(Normalization(scheme, bool(in_mask) and scheme == "z-score"))
            continue
        values = _get(measured, str(number), dict, shown)
        mean, std, low, high = (
            float(_get(values, entry, (int, float), shown))
            for entry in ("mean", "std", "percentile_00_5", "percentile_99_5")
        )
        made.append(Normalization(scheme, False, mean, max(std, 1e-8), low, high))
    return tuple(made)


def _resampling(configuration: Mapping[str, Any], what: str, shown: str) -> Resampling:
    name = str(configuration.get(f"resampling_fn_{what}", "resample_data_or_seg_to_shape"))
    given = configuration.get(f"resampling_fn_{what}_kwargs") or {}
    if not isinstance(given, Mapping):
        raise ModelError(f"{shown}: 'resampling_fn_{what}_kwargs' is not a JSON object.")
    separate = given.get("force_separate_z")
    if name == "resample_data_or_seg_to_shape":
        order, order_z = given.get("order", 3 if what == "data" else 1), given.get("order_z", 0)
        if type(order) is not int or type(order_z) is not int:
            raise ModelError(f"{shown}: the orders of 'resampling_fn_{what}_kwargs' must be whole numbers.")
        made = Resampling(order, order_z, separate)
    elif name in ("resample_torch_fornnunet", "resample_torch_simple") and given.get("mode", "linear") == "linear":
        made = Resampling(1, 0, separate if name == "resample_torch_fornnunet" else False)
    elif name == "no_resampling_hack":
        return Resampling(skip=True)
    else:
        raise ModelError(f"{shown}: the resampling '{name}' is not supported.")
    highest = 3 if what == "data" else 1
    if not 0 <= made.order <= highest or not 0 <= made.order_z <= highest:
        named = "logits" if what == "probabilities" else what
        raise ModelError(f"{shown}: {named} resampled with order {made.order}, {made.order_z} are not supported.")
    return made


# -- values -----------------------------------------------------------------------------------------------------------


def _get(table: Mapping[str, Any], key: str, kind: Any, shown: str) -> Any:
    value = table.get(key) if isinstance(table, Mapping) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ModelError(f"{shown}: '{key}' is missing or not of the type that nnU-Net writes.")
    return value


def _numbers(values: Any, kind: type, shown: str, key: str) -> list[Any]:
    numbers = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers):
        raise ModelError(f"{shown}: '{key}' must be a list of finite numbers, got {str(values)[:60]}.")
    return [kind(n) for n in numbers]


def _three(values: tuple[int, ...]) -> Shape:
    return values[0], values[1], values[2]
