"""Files that torch wrote: told apart and read without running anything that lies in them.

A ``.pt`` file holds a pickle, and a pickle can be a program. It is read with ``weights_only=True`` alone, which knows
tensors and plain containers; whatever else it asks for is refused by name, and there is no way around that.
"""

from __future__ import annotations

import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # the exception alone: torch raises it
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.files import binary_size

if TYPE_CHECKING:
    import torch

#: What a damaged file makes torch's reader raise.
DAMAGE = (
    UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    ImportError,
    MemoryError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
)
#: torch stores tensors as they are; only the small files of code beside them are compressed.
_MOST_RATIO = 20
_MOST_CODE = 256 << 20


def torch_kind(path: Path) -> str | None:
    """Return ``"torch"`` or ``"torchscript"`` for a file that torch wrote, None for any other.

    Raises
    ------
    ModelError
        If it is torch's ZIP archive, but a damaged one or one made to fill memory.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":  # the older format: a bare pickle
            return "torch"
        if start != b"PK\x03\x04":
            return None
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error, ValueError) as error:
        raise ModelError(
            f"{path.name}: the archive is truncated or damaged ({_brief(error)}); download or copy it again."
        ) from error
    except OSError as error:
        raise ModelError(f"{path.name}: the file cannot be read: {error.strerror or error}.") from error
    inner = {name.partition("/")[2] for name in (info.filename for info in members)}
    if "data.pkl" not in inner:
        return None
    _check_sizes(path, members)
    return "torchscript" if "constants.pkl" in inner and any(n.startswith("code/") for n in inner) else "torch"


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    total, size = sum(info.file_size for info in members), path.stat().st_size
    if total > max(_MOST_RATIO * size, 1 << 20) or total > size + _MOST_CODE:
        raise ModelError(
            f"{path.name}: the file of {binary_size(size)} would need {binary_size(total)} when unpacked; weights "
            "never compress that much, so it is refused."
        )


def read_checkpoint(path: Path) -> Any:
    """Return what lies in a file of weights: tensors on the CPU and plain containers.

    Raises
    ------
    ModelError
        If it asks for anything else, which would be code, or is damaged.
    """
    import torch

    if path.suffix == ".safetensors":  # `torch.load` goes by the name, and its errors would be another library's
        raise ModelError(
            f"{path.name}: refused: the suffix is .safetensors, but this is a PyTorch file; rename it to .pt."
        )
    try:
        with torch.serialization.safe_globals(_plain_numpy()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols; what cannot be read raises
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None)
    except DAMAGE as error:
        told = str(error)
        asked = re.search(r"GLOBAL ([\w.]+) (?:was not|whose)", told) or re.search(r"(?:global|class) ([\w.]+)", told)
        if asked and "nsupported" in str(error):
            raise ModelError(
                f"{path.name}: refused, because its pickle refers to '{asked[1]}', which is not a tensor and could "
                "run code; weights are read with weights_only=True. Ask its author for the weights only: "
                "safetensors, or torch.save(network.state_dict(), ...)."
            ) from error
        raise ModelError(
            f"{path.name}: refused: as weights (weights_only=True) it cannot be read ({_brief(error)}). It is "
            "truncated, damaged, or contains more than tensors; download or copy it again, or ask its author for "
            "safetensors."
        ) from error


def tensors_at(content: Any, entry: tuple[str, ...], path: Path) -> Mapping[str, torch.Tensor]:
    """Return the tensors by name that lie at `entry` of what `read_checkpoint` returned.

    Raises
    ------
    ModelError
        If there are none.
    """
    import torch

    for key in entry:
        if not isinstance(content, Mapping) or key not in content:
            raise ModelError(f"{path.name}: the file has no weights at '{'/'.join(entry)}'.")
        content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path.name}: the file contains no named weights (a state_dict).")
    wrong = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise ModelError(f"{path.name}: '{wrong[0][:60]}' in the file is not a tensor; a state_dict is expected.")
    return {str(key): value for key, value in content.items()}


def find_entry(content: Any) -> tuple[str, ...]:
    """Return where in a checkpoint the weights lie: at the top, or under one of the usual names."""
    for key in ("state_dict", "model", "network_weights", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return (key,)
    return ()


def _plain_numpy() -> list[Any]:
    """Return what makes a NumPy number out of bytes: training programs keep scores and epochs beside the weights."""
    from numpy.dtypes import Float32DType, Float64DType, Int64DType

    scalar = np.float64(0).__reduce__()[0]
    # Files keep the name of the NumPy they were written with.
    renamed = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]
    return [*renamed, np.dtype, Float32DType, Float64DType, Int64DType]


def _brief(error: BaseException) -> str:
    text = " ".join(re.sub(r"\x1b\[\d+m", "", str(error)).split())
    return text.partition(". ")[0][:120] or type(error).__name__
