"""One run of a model on layers, for a thread: its plan, the run itself, and what is shown of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box
from napari_radcnn.gui.findings.layer import detections_layer
from napari_radcnn.gui.layers.layers import LayerData, label_map_from_layer, layer_data, volume_from_layer
from napari_radcnn.gui.models.restored import beside_restored
from napari_radcnn.gui.models.result_table import ResultTable
from napari_radcnn.gui.models.streamed import stored_layer
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import ModelSpec
from napari_radcnn.progress import Progress
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.volume import Volume

EachBlock = Callable[[Box, npt.NDArray[Any]], None]


def can_be_input(spec: ModelSpec | None, layer: Any) -> bool:
    """Return whether a layer is offered to a model: images, and labels to one that takes masks."""
    from napari.layers import Image, Labels

    takes_masks = spec is not None and "SEG" in spec.modalities
    return isinstance(layer, Image | Labels if takes_masks else Image)


def _volume(layer: Any) -> Volume:
    from napari.layers import Labels

    if not isinstance(layer, Labels):
        return volume_from_layer(layer)
    labels = label_map_from_layer(layer)
    metadata = replace(labels.metadata, name=labels.name, modality="SEG", is_label=True, units="")
    return Volume(labels.array, labels.geometry, metadata, labels.warnings)


def _map_layer(image: Volume, progress: Progress, cancel: Event) -> LayerData:
    """Return the layer of an image of 0..1 that lies over a scan, hidden until it is asked for."""
    array, options, kind = layer_data(image, progress=progress, cancel=cancel)
    return (
        array,
        {**options, "contrast_limits": (0.0, 1.0), "colormap": "magma", "opacity": 0.6, "visible": False},
        kind,
    )


def _evidence_layer(image: Volume, progress: Progress, cancel: Event) -> LayerData:
    """Return the layer of a map of evidence, see-through over the scan; only Grad-CAM is shown at once."""
    array, options, kind = layer_data(image, progress=progress, cancel=cancel)
    most = float(np.abs(np.asarray(image.array)).max()) or 1.0
    has_sign = bool(np.min(image.array) < 0)
    return (
        array,
        {
            **options,
            "contrast_limits": (-most, most) if has_sign else (0.0, most),
            "colormap": "PiYG" if has_sign else "inferno",
            "opacity": 0.45,
            "blending": "translucent",  # added to a bright radiograph it would be white all over
            "visible": image.name.endswith("Grad-CAM"),
        },
        kind,
    )


@dataclass(frozen=True, eq=False)
class Shown:
    """A result, and what is shown of it.

    Attributes
    ----------
    result : object
        As the operation returned it.
    data : LayerData or None
        Its layer, where it has one.
    rows : list of (str, str)
        Its numbers.
    maps : tuple of LayerData
        Layers of the images that came with it, such as how sure it is.
    notes : tuple of str
        What is told of it besides.
    """

    result: Any
    data: LayerData | None
    rows: list[tuple[str, str]]
    maps: tuple[LayerData, ...] = ()
    notes: tuple[str, ...] = ()


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
    """

    spec: ModelSpec
    layers: tuple[Any, ...]
    options: Any
    settings: RunSettings

    def volumes(self) -> list[Volume]:
        """Return the layers' scans or masks; of a layer from elsewhere the voxels are computed."""
        return [_volume(layer) for layer in self.layers]

    def plan(self) -> Plan:
        """Return what it would cost."""
        from napari_radcnn.operations import plan

        settings = self.settings
        return plan(self.volumes(), self.spec, self.options, device=settings.device, precision=settings.precision)

    def run(self, progress: Progress, cancel: Event) -> Shown:
        """Run the model in memory."""
        from napari_radcnn.operations import run

        volumes = self.volumes()
        result = run(
            volumes,
            self.spec,
            self.options,
            device=self.settings.device,
            precision=self.settings.precision,
            progress=progress,
            cancel=cancel,
        )
        data = None
        if isinstance(result, LabelMap | Volume):
            data = layer_data(result, progress=progress, cancel=cancel)
        if isinstance(result, Detections):
            data = detections_layer(result, volumes[0].geometry)
        first = self.layers[0]
        if isinstance(result, Volume) and data is not None and not getattr(first, "rgb", False):
            data[1]["contrast_limits"] = tuple(first.contrast_limits)  # a restored image is compared with its scan
        further: tuple[LayerData, ...]
        notes: tuple[str, ...] = ()
        if isinstance(result, Volume):
            further, notes = beside_restored(result, volumes[0], progress, cancel)
        elif isinstance(result, Classification | Detections):
            further = tuple(_evidence_layer(image, progress, cancel) for image in result.evidence)
        else:
            maps = result.maps if isinstance(result, LabelMap) else ()
            further = tuple(_map_layer(image, progress, cancel) for image in maps)
        return Shown(result, data, ResultTable.rows_of(result), further, notes)

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
        )
        return Shown(written, stored_layer(written, self.spec.labels, progress, cancel), ResultTable.rows_of(written))
