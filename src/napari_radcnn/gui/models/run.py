"""One run of a model on layers, for a thread: its plan, the run itself, and what is shown of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy.typing as npt

from napari_radcnn.geometry import Box
from napari_radcnn.gui.layers.layers import label_map_from_layer, name_of, points_of, volume_from_layer
from napari_radcnn.gui.models.pages import Shown, shown
from napari_radcnn.gui.models.streamed import stored_layer
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import ModelSpec
from napari_radcnn.progress import Progress
from napari_radcnn.results import Result
from napari_radcnn.spec.options import describe
from napari_radcnn.tasks import numbers_of
from napari_radcnn.volume import Volume

EachBlock = Callable[[Box, npt.NDArray[Any]], None]


def can_be_input(spec: ModelSpec | None, layer: Any) -> bool:
    """Return whether a layer is offered to a model: images, and labels to one that takes masks."""
    from napari.layers import Image, Labels

    takes_masks = spec is not None and "SEG" in spec.modalities
    return isinstance(layer, Image | Labels if takes_masks else Image)


def scan_volume(layer: Any, point: int | None = None) -> Volume:
    """Return the scan, or the mask, that a layer shows, or has at a time point; of others the voxels are computed."""
    from napari.layers import Labels

    if not isinstance(layer, Labels):
        return volume_from_layer(layer, point)
    labels = label_map_from_layer(layer)
    metadata = replace(labels.metadata, name=labels.name, modality="SEG", is_label=True, units="")
    return Volume(labels.array, labels.geometry, metadata, labels.warnings)


@dataclass(frozen=True, eq=False)
class ModelRun:
    """A model with everything it is run with.

    Attributes
    ----------
    spec : ModelSpec
        The model.
    layers : tuple of Layer
        In the order of its inputs.
    options : object
        An instance of ``spec.options``.
    settings : RunSettings
        Where and how.
    anyway : bool
        Whether it runs on scans that the model was not made for.
    where : (str, Path or None) or None
        The scheduler and the certificates of a cluster whose workers run it; None for this computer.
    points : tuple of int or None
        Of each layer the time point that is run on, by default the one that is shown now; None where it has none.
    """

    spec: ModelSpec
    layers: tuple[Any, ...]
    options: Any
    settings: RunSettings
    anyway: bool = False
    where: tuple[str, Path | None] | None = None
    points: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.points:
            found = [None if layer is None else points_of(layer) for layer in self.layers]
            object.__setattr__(self, "points", tuple(None if one is None else one.shown for one in found))

    @property
    def scan_name(self) -> str:
        """What the first scan is called, and which time point of it is run on."""
        return name_of(self.layers[0], self.points[0])

    def run_anyway(self) -> ModelRun:
        """Return the same run, on whatever scans."""
        return replace(self, anyway=True)

    def is_same(self, other: ModelRun) -> bool:
        """Whether another run would do the same."""
        pairs = ((self.spec, other.spec), *zip(self.layers, other.layers, strict=False))
        return all(mine is theirs for mine, theirs in pairs) and (
            (len(self.layers), self.points, self.options, self.settings, self.where)
            == (len(other.layers), other.points, other.options, other.settings, other.where)
        )

    def volumes(self) -> list[Volume]:
        """Return the layers' scans or masks; of a layer from elsewhere the voxels are computed."""
        return [scan_volume(layer, point) for layer, point in zip(self.layers, self.points, strict=True)]

    def plan(self) -> Plan:
        """Return what it would cost here; of a run elsewhere only what speaks against it."""
        from napari_radcnn.operations import plan

        return plan(
            self.volumes(),
            self.spec,
            self.options,
            device=self.settings.device,
            precision=self.settings.precision,
            elsewhere="" if self.where is None else self.where[0],
        )

    def run(self, progress: Progress, cancel: Event) -> Shown:
        """Run the model in memory, here or by a worker of a cluster."""
        from napari_radcnn.operations import run

        volumes = self.volumes()
        if self.where is not None:
            result = self._run_elsewhere(volumes, progress, cancel)
            return shown(self.spec.task, result, volumes[0], self.layers[0], progress, cancel)
        result = run(
            volumes,
            self.spec,
            self.options,
            device=self.settings.device,
            precision=self.settings.precision,
            progress=progress,
            cancel=cancel,
            anyway=self.anyway,
        )
        return shown(self.spec.task, result, volumes[0], self.layers[0], progress, cancel)

    def _run_elsewhere(self, volumes: Sequence[Volume], progress: Progress, cancel: Event) -> Result:
        from napari_radcnn.cohort.cluster.single import run_elsewhere

        assert self.where is not None
        options = {entry.name: getattr(self.options, entry.name) for entry in describe(self.spec.options)}
        return run_elsewhere(
            volumes,
            self.spec,
            {} if self.options is None else options,
            *self.where,
            device=self.settings.device,
            precision=self.settings.precision,
            anyway=self.anyway,
            progress=progress,
            cancel=cancel,
        )

    def stream(self, target: Path, each_block: EachBlock | None, progress: Progress, cancel: Event) -> Shown:
        """Run the model from store to store."""
        from napari_radcnn.operations import segment_to

        written = segment_to(
            self.volumes(),
            self.spec,
            target,
            self.options,
            each_block=each_block,
            device=self.settings.device,
            precision=self.settings.precision,
            progress=progress,
            cancel=cancel,
            anyway=self.anyway,
        )
        data = stored_layer(written, self.spec.labels, progress, cancel)
        return Shown(self.spec.task, written, data, numbers_of(written, self.spec.task))
