"""How the results of each task are shown: their layers, made beside the viewer, and what they add to the dock.

The table in `napari_radcnn.tasks` names a `Page` for each task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, ClassVar

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.findings.layer import detections_layer
from napari_radcnn.gui.findings.panel import FindingsPanel
from napari_radcnn.gui.layers.landmarks import landmarks_layer
from napari_radcnn.gui.layers.layers import LayerData, layer_data
from napari_radcnn.gui.models.cards.classes import ClassificationCard
from napari_radcnn.gui.models.cards.landmarks import LandmarksList
from napari_radcnn.gui.models.cards.survival import SurvivalCard
from napari_radcnn.gui.models.cards.value import ValueCard
from napari_radcnn.gui.models.restored import beside_restored
from napari_radcnn.progress import Progress
from napari_radcnn.tasks import TASKS, load, numbers_of
from napari_radcnn.volume import Volume


@dataclass(frozen=True, eq=False)
class Shown:
    """A result, and what is shown of it.

    Attributes
    ----------
    task : str
        Which it is of.
    result : Result
        As the operation returned it.
    data : LayerData or None
        Its layer, where it has one.
    rows : sequence of (str, str)
        Its numbers.
    maps : tuple of LayerData
        Layers of the images that came with it, such as how sure it is.
    notes : tuple of str
        What is told of it besides.
    """

    task: str
    result: Any
    data: LayerData | None
    rows: Sequence[tuple[str, str]] = ()
    maps: tuple[LayerData, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PageLayers:
    """The layers of a result and what is told of it; as of `Shown`."""

    data: LayerData | None
    maps: tuple[LayerData, ...] = ()
    notes: tuple[str, ...] = ()


class Page(ABC):
    """How the results of a task are shown.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer it is docked in.
    """

    #: What it adds to the dock below the numbers; None for nothing.
    widget: QWidget | None
    #: Whether the numbers of a result are listed above it; not where the widget shows them.
    lists_numbers: ClassVar[bool] = True

    def __init__(self, viewer: Any) -> None:  # noqa: ARG002  for pages that need it
        self.widget = None

    @staticmethod
    @abstractmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:
        """Return the layers of a result; on a thread beside the viewer.

        Parameters
        ----------
        result : Result
            Of this page's task.
        scan : Volume
            What it was made from, the first of several.
        layer : napari layer or None
            That of the scan, where it has one.
        progress, cancel
            See `layer_data`.
        """

    def show(self, result: Any) -> None:  # noqa: B027  most pages add nothing to the dock
        """Show what is in the dock besides, once the layers have been added."""

    def show_again(self, result: Any) -> None:
        """Show a result that was shown before, since its scan is chosen again; not called for labels and images."""
        self.show(result)

    def set_scan(self, layer: Any | None) -> None:  # noqa: B027  most pages show what they are asked to
        """Follow the chosen scan, where something is shown that belongs to a scan."""

    def clear(self) -> None:  # noqa: B027  most pages add nothing to the dock
        """Hide what is shown, since another scan or model was chosen, or runs."""


class LabelsPage(Page):
    """A layer of labels, and the images of how sure they are."""

    @staticmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:  # noqa: ARG004
        """Return the labels, and hidden images of 0..1."""
        data = layer_data(result, progress=progress, cancel=cancel)
        return PageLayers(data, tuple(_map_layer(image, progress, cancel) for image in result.maps))


class RestoredPage(Page):
    """A layer of the restored scan, shown as the scan is, and what was changed."""

    @staticmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:
        """Return the restored scan, and the difference."""
        data = layer_data(result, progress=progress, cancel=cancel)
        if layer is not None and not getattr(layer, "rgb", False):
            data[1]["contrast_limits"] = tuple(layer.contrast_limits)  # a restored image is compared with its scan
        return PageLayers(data, *beside_restored(result, scan, progress, cancel))


class SynthesizedPage(Page):
    """A layer of the image that was made, shown as what it is and not as its scan."""

    @staticmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:  # noqa: ARG004
        """Return the image."""
        unit = result.metadata.units
        note = f"Made by a network, not measured{'' if unit in ('', '1') else f'; values in {unit}'}."
        return PageLayers(layer_data(result, progress=progress, cancel=cancel), notes=(note,))


class DetectionsPage(Page):
    """A layer of findings, the list of them, and the evidence."""

    widget: FindingsPanel

    def __init__(self, viewer: Any) -> None:
        self.widget = FindingsPanel(viewer)

    @staticmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:  # noqa: ARG004
        """Return the findings, and the evidence."""
        maps = tuple(_evidence_layer(image, progress, cancel) for image in result.maps)
        return PageLayers(detections_layer(result, scan.geometry), maps)

    def show(self, result: Any) -> None:  # noqa: ARG002  it shows the layer that was chosen last
        """Scroll to the list of findings."""
        QTimer.singleShot(0, self.widget.reveal)  # once it has its size

    def show_again(self, result: Any) -> None:
        """Leave it to the scan that is chosen: the dock does not scroll by itself then."""

    def set_scan(self, layer: Any | None) -> None:
        """List the findings of the chosen scan."""
        self.widget.set_scan(layer)


class CardPage(Page):
    """A card, and the evidence as layers."""

    widget: ClassificationCard | ValueCard | SurvivalCard
    lists_numbers = False

    @staticmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:  # noqa: ARG004
        """Return the evidence."""
        return PageLayers(None, tuple(_evidence_layer(image, progress, cancel) for image in result.maps))

    def show(self, result: Any) -> None:
        """Show the card."""
        self.widget.show_result(result)

    def clear(self) -> None:
        """Hide the card."""
        self.widget.show_result(None)


class ClassificationPage(CardPage):
    """A card with a bar for each class."""

    def __init__(self, viewer: Any) -> None:  # noqa: ARG002
        self.widget = ClassificationCard()


class ValuePage(CardPage):
    """A card with the value, its unit and its interval on a scale."""

    def __init__(self, viewer: Any) -> None:  # noqa: ARG002
        self.widget = ValueCard()


class SurvivalPage(CardPage):
    """A card with the risk, its group, and a table of times."""

    def __init__(self, viewer: Any) -> None:  # noqa: ARG002
        self.widget = SurvivalCard()


class LandmarksPage(Page):
    """A layer of named points, and the list of them."""

    widget: LandmarksList
    lists_numbers = False

    def __init__(self, viewer: Any) -> None:
        self.widget = LandmarksList(viewer)

    def show(self, result: Any) -> None:
        """List the landmarks."""
        self.widget.show_result(result)

    def clear(self) -> None:
        """Hide the list."""
        self.widget.show_result(None)

    @staticmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:  # noqa: ARG004
        """Return the points, and the evidence."""
        maps = tuple(_evidence_layer(image, progress, cancel) for image in result.maps)
        return PageLayers(landmarks_layer(result, scan.geometry), maps)


class NumbersPage(Page):
    """Nothing but the numbers that the dock lists."""

    @staticmethod
    def layers(result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> PageLayers:  # noqa: ARG004
        """Return no layer."""
        return PageLayers(None)


def page_class(task: str) -> type[Page]:
    """Return the page of a task; results of prompts, which have a dock of their own, are shown as a model's are."""
    kind = TASKS[task].kind
    for entry in (TASKS[task], *(other for other in TASKS.values() if other.kind is kind)):
        found = load(entry.page)
        if issubclass(found, Page):
            return found  # type: ignore[no-any-return]
    raise LookupError(f"No task shows {kind.name} on a page.")


def shown(task: str, result: Any, scan: Volume, layer: Any | None, progress: Progress, cancel: Event) -> Shown:
    """Return a result of a task with all that is shown of it; on a thread beside the viewer."""
    page = page_class(task)
    made = page.layers(result, scan, layer, progress, cancel)
    rows = numbers_of(result, task) if page.lists_numbers else ()
    return Shown(task, result, made.data, rows, made.maps, made.notes)


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
