"""The networks that are built for weights that come without one. Nothing off this list is ever imported by name.

Arguments are literals and must fit the constructor's signature, so that a typing error is told before an hour of work.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import ModelError
from napari_radcnn.spec.patches import Architecture

if TYPE_CHECKING:
    import torch

#: Of `monai.networks.nets`; those whose answer in evaluation is one tensor of the input's size.
_MONAI = frozenset(
    {
        "UNet",
        "BasicUNet",
        "DynUNet",
        "SegResNet",
        "SegResNetDS",
        "SegResNetDS2",
        "AttentionUnet",
        "UNETR",
        "SwinUNETR",
        "VNet",
        "HighResNet",
        "FlexibleUNet",
        "MedNeXt",
        "AutoEncoder",
    }
)
#: Of `monai.networks.nets`; those that answer with a row of numbers for the whole input.
_ONCE = frozenset(
    {
        "DenseNet",
        "DenseNet121",
        "DenseNet169",
        "DenseNet201",
        "DenseNet264",
        "ResNet",
        "resnet10",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet200",
        "SENet154",
        "SEResNet50",
        "SEResNet101",
        "SEResNet152",
        "SEResNext50",
        "SEResNext101",
        "EfficientNetBN",
        "ViT",
        "Regressor",
        "Classifier",
    }
)
#: Modules of `monai.networks.nets` that hold those.
_MODULES = frozenset({"densenet", "resnet", "senet", "efficientnet", "vit", "regressor", "classifier"})
#: Of `napari_radcnn.networks.torchvision_networks`, which answer once as well.
_TORCHVISION = frozenset(
    f"torchvision.{name}"
    for name in (
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("densenet121", "densenet161", "densenet169", "densenet201"),
    )
)
#: Of MONAI's detectors, whose answer is several tensors; built by `napari_radcnn.networks.retinanet`.
_DETECTORS = frozenset({"RetinaNet"})
#: Of `napari_radcnn.networks.nnunet_networks`.
_NNUNET = frozenset({"PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"})
#: What a network imports besides MONAI, some of it only when it runs.
_NEEDS = {"UNETR": "einops", "SwinUNETR": "einops", "ViT": "einops"}
#: Arguments that older versions of MONAI took and that changed nothing of the weights.
_GONE = {"SwinUNETR": frozenset({"img_size"})}
#: Arguments that reach for files or the network.
_REFUSED = frozenset({"pretrained", "progress", "download"})
#: Arguments whose default would load weights from the network.
_SET = {"EfficientNetBN": {"pretrained": False}}
_ALIASES = {
    "Unet": "UNet",
    "unet": "UNet",
    "BasicUnet": "BasicUNet",
    "DynUnet": "DynUNet",
    "Vnet": "VNet",
    **{name.lower(): name for name in ("DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264", "SENet154")},
    **{
        f"{kind}{depth}": f"{name}{depth}"
        for kind, name in (("seresnet", "SEResNet"), ("seresnext", "SEResNext"))
        for depth in (50, 101, 152)
        if (kind, depth) != ("seresnext", 152)
    },
}


#: What constructors raise for arguments that do not go together.
_REFUSALS = (
    TypeError,
    ValueError,
    RuntimeError,
    LookupError,
    AssertionError,
    ArithmeticError,
    AttributeError,
    ImportError,
    MemoryError,
)


def known_name(name: str) -> str | None:
    """Return the name on the list that `name`, bare or with MONAI's package before it, stands for; else None."""
    package, _, last = name.rpartition(".")
    if re.fullmatch(r"torchvision(\.models(\.(resnet|densenet))?)?", package):
        return f"torchvision.{last}" if f"torchvision.{last}" in _TORCHVISION else None
    home = last.lower()
    last = _ALIASES.get(last, last)
    if last in _DETECTORS:
        return last if package in ("", "monai.apps.detection.networks.retinanet_network") else None
    if package and package != "monai.networks.nets":
        within = package.removeprefix("monai.networks.nets.")
        if within == package or within not in ({home} | (_MODULES if last in _ONCE else set())):
            return None
    return last if last in _MONAI | _ONCE or (last in _NNUNET and not package) else None


def answers_once(name: str) -> bool:
    """Return whether a network on the list answers with a row of numbers for its whole input, not for every voxel."""
    return known_name(name) in _ONCE | _TORCHVISION


def input_shape(architecture: Architecture) -> tuple[int, ...] | None:
    """Return the shape of the only input a network takes, channels first, where its arguments state one; else None."""
    given = architecture.arguments.get("in_shape")
    if not isinstance(given, list | tuple) or not 3 <= len(given) <= 4:
        return None
    return tuple(given) if all(type(n) is int and 1 <= n <= 1 << 16 for n in given) else None


def finds_boxes(name: str) -> bool:
    """Return whether a network on the list answers with maps of anchors, from which boxes are made."""
    return known_name(name) in _DETECTORS


def names() -> list[str]:
    """Return the list."""
    return sorted(_MONAI | _ONCE | _NNUNET | _TORCHVISION | _DETECTORS)


def check_architecture(architecture: Architecture, shown: str) -> None:
    """Refuse a network that is not on the list, or arguments that are no literals.

    Raises
    ------
    ModelError
        Its text begins with `shown`, the name of the file that asks for it.
    """
    if known_name(architecture.name) is None:
        raise ModelError(
            f"{shown}: the network '{str(architecture.name)[:60]}' is not on the list of supported networks: "
            f"{', '.join(names())}."
        )
    for key, value in architecture.arguments.items():
        if key in _REFUSED and value not in (False, None):
            raise ModelError(f"{shown}: '{key}' of the network '{architecture.name}' would access files; leave it out.")
        _check_literal(value, f"{shown}: '{key}' of the network '{architecture.name}'", 0)
    dims = architecture.arguments.get("spatial_dims", 3)
    if isinstance(dims, bool) or not isinstance(dims, int) or dims not in (2, 3):
        raise ModelError(
            f"{shown}: 'spatial_dims' of the network '{architecture.name}' is {str(dims)[:60]}; it must be 2 or 3."
        )


def _check_literal(value: Any, shown: str, depth: int) -> None:
    if depth > 8:
        raise ModelError(f"{shown} is nested too deeply.")
    if isinstance(value, str):
        if value.lstrip().startswith(("$", "@", "%")) or len(value) > 200:
            raise ModelError(f"{shown} is an expression ('{value[:60]}'), not a literal.")
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_literal(inner, shown, depth + 1)
    elif isinstance(value, Mapping):
        if "_target_" in value:
            raise ModelError(
                f"{shown} refers to another object ('{str(value['_target_'])[:60]}'); a literal is expected."
            )
        for inner in value.values():
            _check_literal(inner, shown, depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not -1e6 < value < 1e6:
            raise ModelError(f"{shown} is {value}: out of range.")
    elif value is not None and not isinstance(value, bool):
        raise ModelError(f"{shown} is a {type(value).__name__}; a literal is expected.")


def build(architecture: Architecture, shown: str, *, meta: bool = False) -> torch.nn.Module:
    """Build a network, its weights still random.

    Parameters
    ----------
    architecture : Architecture
        Which one.
    shown : str
        Name of the file that asks for it, for messages.
    meta : bool
        Whether only to learn the names and shapes of its weights: on torch's meta device, which holds no numbers.

    Raises
    ------
    ModelError
        If it is not on the list, an argument is unknown or missing, or the constructor refuses them.
    """
    import torch

    check_architecture(architecture, shown)
    name = known_name(architecture.name) or architecture.name
    if name in _NEEDS and find_spec(_NEEDS[name]) is None:
        raise ModelError(f"{shown}: the network '{name}' needs the package {_NEEDS[name]}: pip install {_NEEDS[name]}")
    make = _constructor(name)
    arguments = {key: value for key, value in architecture.arguments.items() if key not in _GONE.get(name, ())}
    arguments |= _SET.get(name, {})
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as error:
        raise ModelError(f"{shown}: the arguments of the network '{name}' are not valid: {error}.") from error
    try:
        with torch.device("meta" if meta else "cpu"):
            return make(**arguments)
    except ModelError as error:
        raise ModelError(f"{shown}: {error}") from error
    except _REFUSALS as error:
        if meta:  # some constructors compute with numbers
            return build(architecture, shown)
        brief = " ".join(str(error).split())[:160]
        raise ModelError(f"{shown}: the network '{name}' cannot be built from these arguments: {brief}") from error


def _constructor(name: str) -> Callable[..., torch.nn.Module]:
    if name in _NNUNET:
        from napari_radcnn.networks import nnunet_networks as architectures_nnunet

        return lambda **arguments: architectures_nnunet.build(name, arguments)
    if name in _TORCHVISION:
        from napari_radcnn.networks import torchvision_networks

        return partial(torchvision_networks.build, name.partition(".")[2])
    if name in _DETECTORS:
        from napari_radcnn.networks.retinanet import RetinaNet

        return RetinaNet
    from monai.networks import nets

    constructor: Callable[..., torch.nn.Module] = getattr(nets, name)
    return constructor
