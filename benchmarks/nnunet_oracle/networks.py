"""Write small random networks of nnU-Net's own classes, an input and their answer, for `tests/models`.

Runs in an environment with `nnunetv2`, see README.md. One ``.npz`` a network: ``description`` (JSON: name, arguments,
and ``names``: every name of its state_dict to the one that the same tensor is stored under), ``input``, ``output`` and
the weights under ``weights/...``. Weights are rounded to float16 first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from dynamic_network_architectures.architectures import unet
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

_IMPORTED = ["conv_op", "norm_op", "dropout_op", "nonlin"]


def _arguments(dimensions: int, **changes: object) -> dict[str, object]:
    plain = {
        "n_stages": 3,
        "features_per_stage": [4, 6, 8],
        "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
        "kernel_sizes": [[1, 3, 3][-dimensions:], [3] * dimensions, [3] * dimensions],
        "strides": [[1] * dimensions, [1, 2, 2][-dimensions:], [2] * dimensions],
        "n_conv_per_stage_decoder": [1, 2],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return plain | changes


_CASES = {
    "plain-3d": ("PlainConvUNet", _arguments(3, n_conv_per_stage=[1, 2, 2]), 2, (8, 12, 16)),
    "plain-2d": (
        "PlainConvUNet",
        _arguments(2, n_conv_per_stage=[2, 1, 2], nonlin_first=True, nonlin="torch.nn.ReLU"),
        1,
        (12, 20),
    ),
    "residual-3d": ("ResidualEncoderUNet", _arguments(3, n_blocks_per_stage=[1, 2, 1]), 1, (8, 12, 16)),
    "residual-2d": (
        "ResidualEncoderUNet",
        _arguments(
            2,
            n_blocks_per_stage=[2, 1, 1],
            stem_channels=5,
            norm_op="torch.nn.modules.batchnorm.BatchNorm2d",
            dropout_op="torch.nn.modules.dropout.Dropout2d",
            dropout_op_kwargs={"p": 0.2},
        ),
        3,
        (12, 20),
    ),
    "residual-back-3d": ("ResidualUNet", _arguments(3, n_blocks_per_stage=[1, 1, 1]), 1, (8, 12, 16)),
}


def main() -> None:
    """Write one file a case."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (case, (name, arguments, channels, shape)) in enumerate(_CASES.items()):
        torch.manual_seed(seed)
        network = get_network_from_plans(
            f"{unet.__name__}.{name}", dict(arguments), _IMPORTED, channels, 3, deep_supervision=False
        )
        for parameter in network.parameters():  # also what training would start at 0 or 1
            torch.nn.init.normal_(parameter, 0.2 if parameter.ndim == 1 else 0.0, 0.3)
        for module in network.modules():
            if hasattr(module, "running_mean") and module.running_mean is not None:
                torch.nn.init.normal_(module.running_mean, 0.1, 0.2)
                torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.copy_(tensor.half())
        image = torch.randn(1, channels, *shape).half().float()
        with torch.inference_mode():
            answer = network.eval()(image)
        names: dict[str, str] = {}
        first: dict[int, str] = {}
        weights = {}
        for key, value in network.state_dict().items():
            names[key] = first.setdefault(value.data_ptr(), key)
            if names[key] == key:
                weights[f"weights/{key}"] = (value.half() if value.is_floating_point() else value).numpy()
        all_arguments = {"input_channels": channels, "num_classes": 3, **arguments}
        np.savez_compressed(
            folder / f"{case}.npz",
            description=json.dumps({"name": name, "arguments": all_arguments, "names": names}),
            input=image.half().numpy(),
            output=answer.numpy(),
            **weights,
        )


if __name__ == "__main__":
    main()
