"""Weights in the safetensors format, by its own library: numbers only, nothing in a file can be code.

The library checks that the header describes exactly the bytes that follow before it hands out any of them:
https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import ModelError

if TYPE_CHECKING:
    import torch

#: Types of numbers that networks here are made of; the format has others, such as those of 4 and 8 bits.
_READ = frozenset({"BOOL", "U8", "I8", "I16", "F16", "BF16", "I32", "F32", "I64", "F64"})
#: What an error of the library repeats from the file is cut off here.
_LONGEST_CAUSE = 160


def looks_like_safetensors(path: Path) -> bool:
    """Whether the file begins as the format does."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and int.from_bytes(start[:8], "little") < path.stat().st_size and start[8:] == b"{"


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a file's tensors by name; no number is read.

    Raises
    ------
    ModelError
        If the file is cut short, its header does not describe exactly the bytes that follow, it holds no tensor, or one
        of a type that is not read.
    """
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  no mapping


def load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, on the CPU.

    Raises
    ------
    ModelError
        As `read_shapes` does.
    """
    with _opened(path) as file:
        # Copies, since the library maps the file: it may be changed later, and its numbers must not.
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def write_safetensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors, by name, to a new file; one that exists is replaced."""
    from safetensors.torch import save

    # Not its `save_file`, which lets nobody else read the file.
    path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            if not types:
                raise _damaged(path, "it contains no tensors")
            for name, kind in types.items():
                if kind not in _READ:
                    raise _damaged(path, f"'{name[:60]}' has an unsupported type ({kind})")
            yield file
    except OSError as error:
        cause = error.strerror or str(error).removesuffix(f": {path}")
        raise ModelError(f"{path.name}: the file cannot be read: {cause}.") from error
    except SafetensorError as error:
        cause = " ".join(str(error).removeprefix("Error while deserializing header: ").split())
        raise _damaged(path, cause[:_LONGEST_CAUSE]) from error


def _damaged(path: Path, cause: str) -> ModelError:
    return ModelError(f"{path.name}: not a valid safetensors file: {cause}; download or copy it again.")
