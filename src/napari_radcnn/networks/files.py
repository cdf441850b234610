"""Networks from files: opened here, put on a device by `napari_radcnn.inference.backends`."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.errors import ModelError
from napari_radcnn.networks import architectures
from napari_radcnn.networks.checkpoints import read_checkpoint, tensors_at
from napari_radcnn.networks.safetensors import load_safetensors, read_shapes
from napari_radcnn.spec.patches import BUNDLE_CODE, Architecture, NetworkFile
from napari_radcnn.spec.trust import tree_sha256
from napari_radcnn.spec.weights import file_sha256

if TYPE_CHECKING:
    import torch

_MOST_NAMES = 3


@dataclass(frozen=True)
class FileNetwork:
    """A network in a file, not loaded yet; a `napari_radcnn.inference.backends.NetworkSource`.

    Attributes
    ----------
    file : NetworkFile
        Where it is and how it is read.
    channels, spatial_dims : int
        Of its input.
    """

    file: NetworkFile
    channels: int
    spatial_dims: int

    @property
    def identity(self) -> str:
        """SHA-256 of the file, and what is built around it."""
        made = self.file.architecture
        built = "" if made is None else f" {made.name} {dict(made.arguments)!r}"
        chosen = "" if self.file.output is None else f" output {self.file.output!r}"
        parts = f" parts {self.file.parts!r}" if self.file.parts else ""
        return f"{self.file.sha256}{built}{chosen}{parts}"

    @property
    def is_program(self) -> bool:
        """Whether the file says what is computed; see `NetworkFile`."""
        return self.file.is_program

    @property
    def onnx_path(self) -> Path | None:
        """The file, where it is ONNX."""
        if self.file.kind != "onnx":
            return None
        verify(self.file)
        return self.file.path

    @property
    def onnx_output(self) -> str | int | tuple[str | int, ...] | None:
        """Which output of an ONNX file is the answer; None for the only one, a tuple for several together."""
        return self.file.output

    @property
    def onnx_parts(self) -> tuple[int, ...]:
        """Channels of each image that an ONNX file takes as an input of its own; see `NetworkFile.parts`."""
        return self.file.parts

    def torch_module(self) -> torch.nn.Module:
        """Return the network in float32, on the CPU, in evaluation mode.

        Raises
        ------
        ModelError
            If the file has changed since it was opened, it is ONNX, or its weights do not fit.
        """
        if self.file.kind == "onnx":
            raise ModelError(f"{self.file.path.name}: an ONNX file has no PyTorch network.")
        verify(self.file)
        if self.file.kind == "torchscript":
            return self._answering(_load_torchscript(self.file.path))
        module = _build(self.file, meta=False)
        weights = load_weights(self.file)
        check_fit(self.file, module, {name: tuple(value.shape) for name, value in weights.items()})
        module.load_state_dict(dict(weights), strict=True)
        return self._answering(module.float().eval())

    def _answering(self, module: torch.nn.Module) -> torch.nn.Module:
        """Return a network that gives nothing but the output that was chosen."""
        if self.file.parts:
            from napari_radcnn.networks.one_output import SplitInput

            module = SplitInput(module, self.file.parts).eval()
        if self.file.output is None:
            return module
        from napari_radcnn.networks.one_output import OneOutput, PackedOutputs

        if isinstance(self.file.output, tuple):
            return PackedOutputs(module, self.file.output).eval()
        return OneOutput(module, self.file.output).eval()


def open_network(file: NetworkFile, *, channels: int, spatial_dims: int) -> FileNetwork:
    """Return the network of a file; nothing is loaded before its module is asked for.

    Parameters
    ----------
    file : NetworkFile
        Weights, with the architecture where the file has none.
    channels, spatial_dims : int
        Of its input; 2 or 3 dimensions.
    """
    return FileNetwork(file, channels, spatial_dims)


def verify(file: NetworkFile) -> None:
    """Refuse a file that has changed since the model was opened.

    Raises
    ------
    ModelError
        If it has, or is gone.
    """
    try:
        found = file_sha256(file.path)
    except OSError as error:
        raise ModelError(f"{file.path}: the weights cannot be read: {error.strerror or error}.") from error
    if found != file.sha256:
        raise ModelError(
            f"{file.path.name}: the file has changed since the model was opened (SHA-256 {found[:12]}..., expected "
            f"{file.sha256[:12]}...); open the model again."
        )


def load_weights(file: NetworkFile) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a file of weights by name.

    Raises
    ------
    ModelError
        If the file is damaged or holds anything else.
    """
    if file.kind == "safetensors":
        return load_safetensors(file.path)
    return tensors_at(read_checkpoint(file.path), file.entry, file.path)


def check_weights(file: NetworkFile) -> None:
    """Refuse weights that do not fit the architecture, without keeping either in memory.

    Raises
    ------
    ModelError
        Naming a few of those that do not fit.
    """
    if file.kind == "safetensors":
        shapes = read_shapes(file.path)
    else:
        shapes = {name: tuple(value.shape) for name, value in load_weights(file).items()}
    if file.architecture is not None and file.architecture.name != BUNDLE_CODE:
        check_fit(file, _build(file, meta=True), shapes)


def check_fit(file: NetworkFile, module: torch.nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compare names and shapes of weights with those a network has.

    Raises
    ------
    ModelError
        If any is missing, left over, or of another shape.
    """
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    told = []
    for what, keys in (("missing", wanted.keys() - shapes.keys()), ("unexpected", shapes.keys() - wanted.keys())):
        if keys:
            told.append(f"{what}: {_some(sorted(keys))}")
    other = sorted(key for key in wanted.keys() & shapes.keys() if wanted[key] != shapes[key])
    if other:
        told.append("different shape: " + _some([f"{k} {list(shapes[k])} instead of {list(wanted[k])}" for k in other]))
    if told:
        name = file.architecture.name if file.architecture else "network"
        raise ModelError(f"{file.path.name}: the weights do not match the network '{name}': {'; '.join(told)}.")


def _some(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _build(file: NetworkFile, meta: bool) -> torch.nn.Module:
    if file.architecture is None:
        raise ModelError(
            f"{file.path.name}: this file contains only weights, and its model.json does not name their "
            f"network: add 'architecture'."
        )
    if file.architecture.name == BUNDLE_CODE:
        return _run_bundle_code(file.architecture)
    return architectures.build(file.architecture, file.path.name, meta=meta)


def _load_torchscript(path: Path) -> torch.nn.Module:
    """Return a program that the user trusts; see `napari_radcnn.spec.trust`."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates TorchScript; files of it will be around for long
        try:
            return torch.jit.load(str(path), map_location="cpu").float().eval()
        except (RuntimeError, ValueError, OSError) as error:
            first = " ".join(str(error).split())[:160]
            raise ModelError(f"{path.name}: not a TorchScript network that can be loaded: {first}") from error


def _run_bundle_code(architecture: Architecture) -> torch.nn.Module:
    """Let MONAI evaluate the configuration of a bundle that the user trusts, and return its network."""
    root = Path(architecture.arguments["root"])
    if tree_sha256(root) != architecture.arguments["sha256"]:
        raise ModelError(f"{root.name}: the bundle has changed since it was trusted; open it again.")
    from monai.bundle import ConfigParser

    with _importable(root):
        parser = ConfigParser()
        parser.read_config(str(root / architecture.arguments["config"]))
        parser["bundle_root"] = str(root)
        try:
            network = parser.get_parsed_content(architecture.arguments["key"])
        except (ImportError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
            brief = " ".join(str(error).split())[:160]
            raise ModelError(f"{root.name}: the bundle's own code failed to make its network: {brief}") from error
    return network.cpu()


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let Python import from a folder, and leave no compiled files in it, which would change its SHA-256."""
    writes, before = sys.dont_write_bytecode, set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(folder))
        # Another bundle, or this one after a change, has modules of the same names: each runs its own.
        for name in set(sys.modules) - before:
            places = [getattr(sys.modules[name], "__file__", None), *getattr(sys.modules[name], "__path__", ())]
            if any(place and Path(place).resolve().is_relative_to(folder.resolve()) for place in places):
                del sys.modules[name]
