"""The networks that nnU-Net v2 trains: U-Nets with plain or residual blocks, in 2 and 3 dimensions.

Written after the papers (Isensee et al. 2021, Nature Methods 18, 203-211; residual encoder: Isensee et al. 2024,
arXiv 2404.09556; its blocks: He et al. 2019, arXiv 1812.01187) and after nnU-Net's file format: names of modules and
order of operations are part of it, since weights are stored under them. Parts that nnU-Net stores twice have two names
here as well, so that a checkpoint fits exactly or not at all. The heads of deep supervision are kept for that reason
only. Imported where a network is built, because it needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from napari_radcnn.errors import ModelError

_Sizes = Sequence[int]

#: What plans may name, by the last part of the dotted name.
_CONVOLUTIONS = {"Conv2d": nn.Conv2d, "Conv3d": nn.Conv3d}
_NORMS = {name: getattr(nn, name) for name in ("InstanceNorm2d", "InstanceNorm3d", "BatchNorm2d", "BatchNorm3d")}
_ACTIVATIONS = {name: getattr(nn, name) for name in ("LeakyReLU", "ReLU", "GELU", "SiLU", "ELU", "PReLU", "Mish")}
_DROPOUTS = {name: getattr(nn, name) for name in ("Dropout", "Dropout2d", "Dropout3d")}
_TRANSPOSED = {nn.Conv2d: nn.ConvTranspose2d, nn.Conv3d: nn.ConvTranspose3d}
_POOLS = {nn.Conv2d: nn.AvgPool2d, nn.Conv3d: nn.AvgPool3d}


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a network with random weights.

    Parameters
    ----------
    name : str
        ``"PlainConvUNet"``, ``"ResidualEncoderUNet"`` or ``"ResidualUNet"``.
    arguments : mapping
        ``input_channels``, ``num_classes`` and the ``arch_kwargs`` of nnU-Net's plans, with operations as dotted names.

    Raises
    ------
    ModelError
        If network, operation or argument is unknown, or the numbers do not fit together.
    """
    if name not in _NETWORKS:
        raise ModelError(f"The nnU-Net network '{name}' is not supported; supported: {', '.join(sorted(_NETWORKS))}.")
    blocks, known = _NETWORKS[name], (*_COMMON, *_OWN[name])
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ModelError(f"The argument '{unknown[0]}' of the nnU-Net network '{name}' is not supported.")
    lacking = [key for key in (*_NEEDED, _OWN[name][0]) if key not in arguments]
    if lacking:
        raise ModelError(f"The description of the nnU-Net network '{name}' has no '{lacking[0]}'.")
    try:
        return blocks(arguments)
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
        raise ModelError(f"The nnU-Net network '{name}' cannot be built from its description: {error}.") from error


@dataclass(frozen=True)
class _Operations:
    """What a block is made of."""

    convolution: type[nn.Module]
    norm: type[nn.Module] | None
    norm_arguments: Mapping[str, Any]
    activation: type[nn.Module] | None
    activation_arguments: Mapping[str, Any]
    dropout: type[nn.Module] | None
    dropout_arguments: Mapping[str, Any]
    bias: bool
    activation_first: bool

    @property
    def dimensions(self) -> int:
        return 2 if self.convolution is nn.Conv2d else 3

    def sizes(self, value: int | _Sizes) -> list[int]:
        """Return one size for each axis."""
        found = [int(value)] * self.dimensions if isinstance(value, int) else [int(n) for n in value]
        if len(found) != self.dimensions or min(found) < 1:
            raise ValueError(f"{value} is not a size along {self.dimensions} axes")
        return found


def _operations(arguments: Mapping[str, Any]) -> _Operations:
    def named(key: str, table: Mapping[str, Any]) -> Any:
        value = arguments.get(key)
        if value is None:
            return None
        package, _, last = str(value).rpartition(".")
        if last not in table or not (package == "torch.nn" or package.startswith("torch.nn.modules.")):
            raise ModelError(f"The plans use '{value}' as {key}; supported in torch.nn: {', '.join(sorted(table))}.")
        return table[last]

    convolution = named("conv_op", _CONVOLUTIONS)
    if convolution is None:
        raise ValueError("conv_op is missing")
    return _Operations(
        convolution,
        named("norm_op", _NORMS),
        dict(arguments.get("norm_op_kwargs") or {}),
        named("nonlin", _ACTIVATIONS),
        dict(arguments.get("nonlin_kwargs") or {}),
        named("dropout_op", _DROPOUTS),
        dict(arguments.get("dropout_op_kwargs") or {}),
        bool(arguments.get("conv_bias", False)),
        bool(arguments.get("nonlin_first", False)),
    )


class _Convolution(nn.Module):
    """Convolution, dropout, norm, activation; `all_modules` holds them once more, in the order they are applied."""

    def __init__(
        self,
        parts: _Operations,
        channels: int,
        out_channels: int,
        kernel: _Sizes,
        stride: _Sizes,
        *,
        bias: bool | None = None,
        bare: bool = False,  # without dropout and activation
    ) -> None:
        super().__init__()
        self.conv = parts.convolution(
            channels,
            out_channels,
            kernel,
            stride,
            padding=[(n - 1) // 2 for n in kernel],
            bias=parts.bias if bias is None else bias,
        )
        order = [self.conv]
        if parts.dropout is not None and not bare:
            self.dropout = parts.dropout(**parts.dropout_arguments)
            order.append(self.dropout)
        if parts.norm is not None:
            self.norm = parts.norm(out_channels, **parts.norm_arguments)
            order.append(self.norm)
        if parts.activation is not None and not bare:
            self.nonlin = parts.activation(**parts.activation_arguments)
            order.append(self.nonlin)
            if parts.activation_first and parts.norm is not None:
                order[-1], order[-2] = order[-2], order[-1]
        self.all_modules = nn.Sequential(*order)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.all_modules(x)


class _Convolutions(nn.Module):
    """Several convolutions, the first with the stride."""

    def __init__(
        self, parts: _Operations, count: int, channels: int, out_channels: int, kernel: _Sizes, stride: _Sizes
    ) -> None:
        super().__init__()
        ones = parts.sizes(1)
        self.convs = nn.Sequential(
            *(
                _Convolution(parts, out_channels if n else channels, out_channels, kernel, ones if n else stride)
                for n in range(max(1, count))
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convs(x)


class _Residual(nn.Module):
    """Two convolutions beside a short cut that averages instead of striding (ResNet-D)."""

    def __init__(self, parts: _Operations, channels: int, out_channels: int, kernel: _Sizes, stride: _Sizes) -> None:
        super().__init__()
        ones = parts.sizes(1)
        self.conv1 = _Convolution(parts, channels, out_channels, kernel, stride)
        self.conv2 = _Convolution(parts, out_channels, out_channels, kernel, ones, bare=True)
        self.nonlin2 = nn.Identity() if parts.activation is None else parts.activation(**parts.activation_arguments)
        cut: list[nn.Module] = []
        if list(stride) != ones:
            cut.append(_POOLS[parts.convolution](stride, stride))
        if channels != out_channels:
            cut.append(_Convolution(parts, channels, out_channels, ones, ones, bias=False, bare=True))
        self.skip = nn.Sequential(*cut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.nonlin2(self.conv2(self.conv1(x)) + self.skip(x))


class _Residuals(nn.Module):
    """Several residual blocks, the first with the stride."""

    def __init__(
        self, parts: _Operations, count: int, channels: int, out_channels: int, kernel: _Sizes, stride: _Sizes
    ) -> None:
        super().__init__()
        ones = parts.sizes(1)
        self.blocks = nn.Sequential(
            *(
                _Residual(parts, out_channels if n else channels, out_channels, kernel, ones if n else stride)
                for n in range(count)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


_Stack = Callable[[_Operations, int, int, int, _Sizes, _Sizes], nn.Module]


@dataclass(frozen=True)
class _Shape:
    """The numbers of a U-Net, one entry a stage."""

    channels: int
    classes: int
    features: list[int]
    kernels: list[list[int]]
    strides: list[list[int]]
    depths: list[int]
    depths_back: list[int]


def _shape(arguments: Mapping[str, Any], parts: _Operations, depth: str) -> _Shape:
    stages = int(arguments["n_stages"])

    def each(key: str, count: int) -> list[Any]:
        value = arguments[key]
        found = [value] * count if isinstance(value, int) else list(value)
        if len(found) != count:
            raise ValueError(f"'{key}' has {len(found)} entries, expected {count}")
        return found

    return _Shape(
        int(arguments["input_channels"]),
        int(arguments["num_classes"]),
        [int(n) for n in each("features_per_stage", stages)],
        [parts.sizes(n) for n in each("kernel_sizes", stages)],
        [parts.sizes(n) for n in each("strides", stages)],
        [int(n) for n in each(depth, stages)],
        [int(n) for n in each("n_conv_per_stage_decoder", stages - 1)],
    )


class _Encoder(nn.Module):
    """From fine to coarse; gives what every stage made."""

    def __init__(self, parts: _Operations, shape: _Shape, stack: _Stack, stem: int | None) -> None:
        super().__init__()
        channels = shape.channels
        self.stem = None
        if stem is not None:
            self.stem = _Convolutions(parts, 1, channels, stem, shape.kernels[0], parts.sizes(1))
            channels = stem
        stages = []
        for n, made in enumerate(shape.features):
            stage = stack(parts, shape.depths[n], channels, made, shape.kernels[n], shape.strides[n])
            stages.append(nn.Sequential(stage) if stem is None else stage)  # as the names in the file have it
            channels = made
        self.stages = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        if self.stem is not None:
            x = self.stem(x)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _Decoder(nn.Module):
    """From coarse to fine, each stage joined with what the encoder made there; gives the finest logits."""

    def __init__(self, parts: _Operations, shape: _Shape, stack: _Stack, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder  # its weights are in the file under this name too
        stages, ups, heads = [], [], []
        for n, depth in enumerate(shape.depths_back, 1):
            below, beside = shape.features[-n], shape.features[-n - 1]
            stride = shape.strides[-n]
            ups.append(_TRANSPOSED[parts.convolution](below, beside, stride, stride, bias=parts.bias))
            stages.append(stack(parts, depth, 2 * beside, beside, shape.kernels[-n - 1], parts.sizes(1)))
            heads.append(parts.convolution(beside, shape.classes, 1, 1, 0, bias=True))
        self.stages, self.transpconvs, self.seg_layers = map(nn.ModuleList, (stages, ups, heads))

    def forward(self, skips: list[torch.Tensor]) -> torch.Tensor:
        x = skips[-1]
        for n, (up, stage) in enumerate(zip(self.transpconvs, self.stages, strict=True)):
            x = stage(torch.cat((up(x), skips[-n - 2]), 1))
        return self.seg_layers[-1](x)


class _UNet(nn.Module):
    """Encoder and decoder."""

    def __init__(self, parts: _Operations, shape: _Shape, down: _Stack, back: _Stack, stem: int | None = None) -> None:
        super().__init__()
        self.encoder = _Encoder(parts, shape, down, stem)
        self.decoder = _Decoder(parts, shape, back, self.encoder)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


def _plain(arguments: Mapping[str, Any]) -> nn.Module:
    parts = _operations(arguments)
    return _UNet(parts, _shape(arguments, parts, "n_conv_per_stage"), _Convolutions, _Convolutions)


def _residual(arguments: Mapping[str, Any], back: _Stack) -> nn.Module:
    parts = _operations(arguments)
    shape = _shape(arguments, parts, "n_blocks_per_stage")
    block = str(arguments.get("block") or "BasicBlockD").rpartition(".")[2]
    if block != "BasicBlockD" or arguments.get("bottleneck_channels") is not None:
        raise ModelError(f"The nnU-Net block '{block}' is not supported; only BasicBlockD is.")
    stem = arguments.get("stem_channels")
    return _UNet(parts, shape, _Residuals, back, shape.features[0] if stem is None else int(stem))


_NETWORKS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "PlainConvUNet": _plain,
    "ResidualEncoderUNet": lambda arguments: _residual(arguments, _Convolutions),
    "ResidualUNet": lambda arguments: _residual(arguments, _Residuals),
}
_NEEDED = (
    "input_channels",
    "num_classes",
    "n_stages",
    "features_per_stage",
    "conv_op",
    "kernel_sizes",
    "strides",
    "n_conv_per_stage_decoder",
)
_COMMON = (
    *_NEEDED,
    "conv_bias",
    "norm_op",
    "norm_op_kwargs",
    "dropout_op",
    "dropout_op_kwargs",
    "nonlin",
    "nonlin_kwargs",
    "deep_supervision",
)
_RESIDUAL_OWN = ("n_blocks_per_stage", "block", "bottleneck_channels", "stem_channels")
_OWN = {
    "PlainConvUNet": ("n_conv_per_stage", "nonlin_first"),
    "ResidualEncoderUNet": _RESIDUAL_OWN,
    "ResidualUNet": _RESIDUAL_OWN,
}
