"""What a model is: a description that costs nothing to list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_radcnn.discovery import Package
from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.gaps import Gaps
from napari_radcnn.spec.patches import InputSlot, NetworkFile
from napari_radcnn.tasks import TaskName as Task

__all__ = ["ModelSpec", "Task", "WeightsFile"]


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, inside an installed package.

    Attributes
    ----------
    package : str
        Import name of a package that lies beside it; it is located but never imported.
    path : str
        Path of the file, relative to the folder that holds the package's folder.
    sha256 : str
        Of the whole file; checked before anything of it is read.
    """

    package: str
    path: str
    sha256: str


@dataclass(frozen=True)
class ModelSpec:
    """The description of a model.

    Attributes
    ----------
    name : str
        What is typed: ``"brain-extraction"``.
    title : str
        What is shown.
    task : str
        What it does.
    version : str
        Of the weights, or of the method.
    summary : str
        One sentence.
    modalities : tuple of str
        DICOM codes it was made for; empty for any.
    pipeline : str
        Import name of the module that runs it, whose `plan` and `run` are those of
        `napari_radcnn.inference.request.Pipeline`; of an engine, which answers prompts, where its class lies:
        ``"module:Class"``.
    options : type
        Frozen dataclass of its settings; command line and dock are generated from it.
    spacing : tuple of float or None
        mm in (k, j, i) that it works at; None where it takes the scan's own.
    patch : tuple of int or None
        Voxels that it sees at once.
    labels : mapping of int to Label
        The classes of a segmentation, without background.
    classes : tuple of str
        What a detector or a classifier calls what it finds.
    licence, citation : str
        Of the weights or the method.
    card : str
        Path of the model card, from the folder of this package, or of the one that adds the model; of a pack's, where
        it lies.
    extra : str
        The installation extra that brings what it needs; empty for none.
    install : str
        The command that brings what it needs, where no extra can.
    requires : tuple of str
        Import names that must be installed.
    weights : tuple of WeightsFile
        In the order that the pipeline expects.
    body_part : str
        What must be in the picture; shown to the user.
    inputs : tuple of InputSlot
        What it takes, where that is more than one scan; empty for one scan.
    files : tuple of NetworkFile
        The weights of a foreign model, on the user's disk.
    network : object or None
        How a foreign model is run: a frozen dataclass that its pipeline understands.
    origin : Path or None
        The file or folder a foreign model was opened from.
    gaps : Gaps
        What it is shown where a scan holds no finite number.
    package : Package or None
        The installed package that adds it, which is filled in where it is found; None for our own.
    has_views : bool
        Whether its inputs are pictures of their own, which are not put on one grid.
    domain : Domain or None
        What it was made for, beside its modalities; None where nobody says.
    """

    name: str
    title: str
    task: Task
    version: str
    summary: str
    modalities: tuple[str, ...]
    pipeline: str
    options: type
    licence: str
    citation: str
    card: str
    spacing: tuple[float, float, float] | None = None
    patch: tuple[int, int, int] | None = None
    labels: Mapping[int, Label] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    extra: str = ""
    install: str = ""
    requires: tuple[str, ...] = ()
    weights: tuple[WeightsFile, ...] = ()
    body_part: str = ""
    inputs: tuple[InputSlot, ...] = ()
    files: tuple[NetworkFile, ...] = ()
    network: object = None
    origin: Path | None = None
    gaps: Gaps = field(default_factory=Gaps)
    package: Package | None = None
    domain: Domain | None = None
    has_views: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Import names of the packages it needs that are not installed."""
        return tuple(name for name in self.requires if find_spec(name) is None)

    @property
    def is_available(self) -> bool:
        """Whether everything it needs is installed."""
        return not self.missing

    @property
    def how_to_install(self) -> str:
        """What to do where it is not available; empty where it is."""
        if self.is_available:
            return ""
        return f"{self.name} needs {', '.join(self.missing)}: {self.install_command}"

    @property
    def install_command(self) -> str:
        """What to type to install what it needs."""
        brings = "napari-radcnn" if self.package is None else self.package.name
        distribution = f"{brings}[{self.extra}]" if self.extra else brings
        return self.install or f"pip install '{distribution}'"

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON types."""
        plain = {
            key: getattr(self, key)
            for key in ("name", "title", "task", "version", "summary", "spacing", "patch", "licence", "citation")
        }
        return plain | {
            "modalities": list(self.modalities),
            "body_part": self.body_part,
            "labels": {str(value): label.name for value, label in self.labels.items()},
            "classes": list(self.classes),
            "weights": [
                *(asdict(weights) for weights in self.weights),
                *({"path": str(file.path), "sha256": file.sha256} for file in self.files),
            ],
            "inputs": [{"name": slot.name, "modalities": list(slot.modalities)} for slot in self.inputs],
            "domain": None if self.domain is None else self.domain.to_dict(),
            "origin": None if self.origin is None else str(self.origin),
            "available": self.is_available,
            "how_to_install": self.how_to_install,
            **({} if self.package is None else {"package": str(self.package)}),
        }
