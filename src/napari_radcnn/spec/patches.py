"""What it takes to run a network on a scan: its files, its inputs, the way there and how patches are taken.

Descriptions only: nothing here reads a file or imports torch. `napari_radcnn.foreign` makes them from foreign
models, `napari_radcnn.inference` runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_radcnn.geometry import Shape

#: Name of the architecture of a trusted bundle whose own code makes the network.
BUNDLE_CODE = "the bundle's own code"


@dataclass(frozen=True)
class Architecture:
    """Which network is built before the weights are put in.

    Attributes
    ----------
    name : str
        A name on the list in `napari_radcnn.networks.architectures`; anything else is refused.
    arguments : mapping
        Numbers, strings, booleans, None and lists of them; nothing that could be code.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkFile:
    """A file of weights on the user's disk.

    Attributes
    ----------
    path : Path
        The file.
    sha256 : str
        Of the whole file when the model was opened; checked again before it is loaded.
    kind : str
        How it is read: ``"torchscript"`` and ``"onnx"`` hold the network as well, ``"torch"`` (read with
        ``weights_only=True``) and ``"safetensors"`` hold weights for `architecture`.
    architecture : Architecture or None
        For weights without a network.
    entry : tuple of str
        Where in a ``"torch"`` file the weights lie: ``("network_weights",)`` in nnU-Net's; empty for the file itself.
    output : str or int or tuple or None
        Which of several outputs is the answer, by name or number; None for a network of one. A tuple names those that
        are the answer together, an empty one all: they come as one row of numbers, see
        `napari_radcnn.networks.outputs.pack`.
    parts : tuple of int
        Channels of each image that the network takes as an input of its own; channels after those are one number each,
        which are its last input. Empty for a network of one input.
    """

    path: Path
    sha256: str
    kind: Literal["torchscript", "onnx", "torch", "safetensors"]
    architecture: Architecture | None = None
    entry: tuple[str, ...] = ()
    output: str | int | tuple[str | int, ...] | None = None
    parts: tuple[int, ...] = ()

    @property
    def one_output(self) -> str | int | None:
        """The output that is the answer, where it is one."""
        return None if isinstance(self.output, tuple) else self.output

    @property
    def is_program(self) -> bool:
        """Whether the file says what is computed, so that it may never end: not only weights for a network of ours."""
        made = self.architecture
        return self.kind in ("onnx", "torchscript") or (made is not None and made.name == BUNDLE_CODE)


@dataclass(frozen=True)
class InputSlot:
    """One input of a model, which a layer or a file fills.

    Attributes
    ----------
    name : str
        ``"T1"``, ``"FLAIR"``, ``"CT"``.
    modalities : tuple of str
        DICOM codes it was trained with; empty for any.
    view : str
        Of a radiograph: ``"frontal"`` or ``"lateral"``; empty for any.
    """

    name: str
    modalities: tuple[str, ...] = ()
    view: str = ""


@dataclass(frozen=True)
class Sampling:
    """How patches are taken and put together, as the model's own runtime does it.

    Attributes
    ----------
    patch : tuple of int
        Voxels of a patch, in the order of the network's axes; a leading 1 for a network of two dimensions.
    overlap : float
        Fraction that neighbors share, 0 <= overlap < 1.
    positions : str
        ``"nnunet"``: evenly spread, first and last flush (Isensee et al. 2021). ``"monai"``: fixed steps, the last
        one moved back (`monai.inferers.sliding_window_inference`).
    weights : str
        ``"constant"``; or a Gaussian with a standard deviation of `sigma` patches, its tails kept positive in the
        manner of ``"monai"`` (at least 0.001 of the peak) or ``"nnunet"`` (at least its smallest positive value).
    sigma : float
        Fraction of the patch.
    mirror_axes : tuple of int
        Axes of the patch (0..2) whose every combination of flips is averaged in.
    padding_value : float
        Around a volume that is smaller than a patch, half on either side.
    """

    patch: Shape
    overlap: float = 0.5
    positions: Literal["nnunet", "monai"] = "nnunet"
    weights: Literal["constant", "monai", "nnunet"] = "nnunet"
    sigma: float = 0.125
    mirror_axes: tuple[int, ...] = ()
    padding_value: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.overlap < 1.0:
            raise ValueError(f"overlap must be at least 0 and less than 1, got {self.overlap}")
        if min(self.patch) < 1:
            raise ValueError(f"a patch needs at least one voxel along each axis, got {self.patch}")
        if not set(self.mirror_axes) <= {0, 1, 2}:
            raise ValueError(f"mirror_axes must be numbers from 0 to 2, got {self.mirror_axes}")
