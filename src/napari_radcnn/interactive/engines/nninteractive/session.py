"""A session of nnInteractive: its network in this process, from a folder of weights, or on a server.

Nothing is downloaded: the folder is the user's, and so is the server.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.torch_cpu import memory_errors
from napari_radcnn.inference.devices import default_threads, torch_device
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.networks.checkpoints import read_checkpoint

#: Names the folder of weights, or the address of a server.
VARIABLE = "RADCNN_NNINTERACTIVE"
WHERE = (
    "nnInteractive's weights do not come with this program and are never downloaded by it. Get a model of "
    "MIC-DKFZ/nnInteractive from its authors (on Hugging Face; CC BY-NC-SA 4.0, so not for commercial use), and set "
    f"{VARIABLE} to its folder, the one with plans.json and fold_0; or to the address of an nninteractive-server."
)
#: What builds a network of nnU-Net's plans; a class from anywhere else could run any code.
_TRUSTED = ("dynamic_network_architectures.", "torch.nn.")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

#: First and last-but-one voxel along each axis, in the array's order: ``[[k1, k2], [j1, j2], [i1, i2]]``.
Ends = list[list[int]]
Volume8 = npt.NDArray[np.uint8]


class InteractiveSession(Protocol):
    """What this project uses of ``nnInteractiveInferenceSession`` 2.6 and of its remote twin."""

    license: str | None
    supported_interactions: Mapping[str, bool]
    supports_initial_label: bool
    preferred_scribble_thickness: Any

    def set_image(self, image: npt.NDArray[np.float32]) -> None:
        """Take a scan ``(1, x, y, z)``; its axes are those of the array."""
        ...

    def set_target_buffer(self, target_buffer: Volume8) -> None:
        """Take the array that answers are written to."""
        ...

    def reset_interactions(self) -> None:
        """Forget all prompts, and clear the target buffer."""
        ...

    def add_point_interaction(
        self, coordinates: tuple[int, ...], include_interaction: bool, run_prediction: bool = True
    ) -> Ends | None:
        """Add a click; returns the box of what changed."""
        ...

    def add_bbox_interaction(
        self, bbox_coords: Ends, include_interaction: bool, run_prediction: bool = True
    ) -> Ends | None:
        """Add a box."""
        ...

    def add_scribble_interaction(
        self,
        scribble_image: Volume8,
        include_interaction: bool,
        run_prediction: bool = True,
        *,
        interaction_bbox: Ends | None = None,
    ) -> Ends | None:
        """Add a scribble, as a crop."""
        ...

    def add_lasso_interaction(
        self,
        lasso_image: Volume8,
        include_interaction: bool,
        run_prediction: bool = True,
        *,
        interaction_bbox: Ends | None = None,
    ) -> Ends | None:
        """Add the area of a lasso, as a crop."""
        ...

    def add_initial_seg_interaction(self, initial_seg: Volume8, run_prediction: bool = False) -> Ends | None:
        """Forget all prompts, and begin with a mask."""
        ...


def find_location(location: str | None) -> str:
    """Return the folder or the address to use.

    Raises
    ------
    ModelError
        If none is named; the text says where weights come from.
    """
    found = location or os.environ.get(VARIABLE, "")
    if not found.strip():
        raise ModelError(f"{VARIABLE} is not set. {WHERE}")
    return found.strip()


def is_server(location: str) -> bool:
    """Return whether a location is the address of a server rather than a folder."""
    return location.startswith(("http://", "https://"))


def open_session(location: str, settings: RunSettings) -> InteractiveSession:
    """Return a session that is ready for an image.

    Parameters
    ----------
    location : str
        A folder of weights, or the address of a server.
    settings : RunSettings
        Device, for a folder.

    Raises
    ------
    ModelError
        If weights or packages are missing, the weights hold code, or the server does not answer.
    ResourceError
        If there is no such device, or memory does not suffice.
    """
    return _connect(location) if is_server(location) else _load(_checked_folder(Path(location).expanduser()), settings)


def session_errors() -> tuple[type[Exception], ...]:
    """Return what nnInteractive raises of itself, and its client when the server or the way there fails."""
    own = (RuntimeError, ValueError, LookupError, AssertionError)
    try:
        import httpx
    except ImportError:  # without the client there is no server
        return own
    return (*own, httpx.HTTPError, httpx.InvalidURL)


@contextmanager
def quiet() -> Iterator[None]:
    """Send what nnInteractive prints to the error output: the command line's own output may be read by a program."""
    with redirect_stdout(sys.stderr):
        yield


def _connect(address: str) -> InteractiveSession:
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in _LOCAL_HOSTS:
        raise ModelError(
            f"{address}: the scan would go through the network unencrypted. Use https://, or a tunnel (ssh -L "
            "1527:localhost:1527 HOST) and http://localhost:1527."
        )
    try:
        from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession
    except ImportError as error:
        raise ModelError(
            f"A server needs the client of nnInteractive ({error}): pip install 'napari-radcnn[nninteractive-client]'"
        ) from error
    try:
        session: InteractiveSession = nnInteractiveRemoteInferenceSession(address)
    except session_errors() as error:
        raise ModelError(f"{address}: the server of nnInteractive does not answer: {_line(error)}") from error
    return session


def _load(folder: Path, settings: RunSettings) -> InteractiveSession:
    try:
        from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
    except ImportError as error:
        told = str(error).splitlines()[0]
        raise ModelError(
            f"Weights in a folder need nnInteractive itself ({told}): pip install 'napari-radcnn[nninteractive]'"
        ) from error
    import torch

    device, before = torch_device(settings), torch.get_num_threads()
    try:
        with quiet(), memory_errors():
            made = nnInteractiveInferenceSession(device=device, torch_n_threads=default_threads(), do_autozoom=True)
            made.initialize_from_trained_model_folder(str(folder))
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OSError) as error:
        raise ModelError(f"{folder.name}: nnInteractive cannot load this model: {_line(error)}") from error
    finally:
        torch.set_num_threads(before)
    session: InteractiveSession = made
    return session


def _checked_folder(folder: Path) -> Path:
    """Return a folder of weights that holds numbers and no code.

    nnInteractive reads its checkpoint with a reader that would run code in it, so it is read here before, with one that
    knows tensors and plain values alone.

    Raises
    ------
    ModelError
        If it is no such folder, or holds code.
    """
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}. {WHERE}")
    missing = [name for name in ("plans.json", "dataset.json") if not (folder / name).is_file()]
    checkpoints = sorted(folder.glob("fold_*/checkpoint_final.pth"))
    if len(checkpoints) != 1:
        missing.append("one fold_*/checkpoint_final.pth")
    if missing:
        raise ModelError(f"{folder} is no model of nnInteractive: {', '.join(missing)} not found. {WHERE}")
    try:
        plans = json.loads((folder / "plans.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder.name}: plans.json cannot be read: {_line(error)}") from error
    foreign = [name for name in _class_names(plans) if not name.startswith(_TRUSTED)]
    if foreign:
        raise ModelError(
            f"{folder.name}: refused, because plans.json asks for '{foreign[0][:80]}', which is none of the classes "
            "that nnU-Net builds networks of, and could run code."
        )
    read_checkpoint(checkpoints[0])
    return folder


def _class_names(plans: Any) -> Iterator[str]:
    """Yield every name of a class that nnU-Net would import for these plans."""
    if isinstance(plans, Mapping):
        made = plans.get("architecture")
        if isinstance(made, Mapping):
            yield str(made.get("network_class_name", ""))
            arguments, imported = made.get("arch_kwargs"), made.get("_kw_requires_import")
            if isinstance(arguments, Mapping) and isinstance(imported, list | tuple):
                yield from (str(arguments[key]) for key in imported if arguments.get(key) is not None)
        for value in plans.values():
            yield from _class_names(value)
    elif isinstance(plans, list):
        for value in plans:
            yield from _class_names(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
