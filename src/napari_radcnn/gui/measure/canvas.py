"""Rulers as a layer of shapes: seen in each view on the slices that they lie in, with their values beside them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.belonging import identity
from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.gui.measure.carried import COLOR, carry, shape_arguments, shapes_of
from napari_radcnn.measure.rulers import Ruler

NAME = "Rulers"
_CHOSEN, _DRAWN = "#ff9d3c", "#7dff8a"
#: How much wider the chosen one is: not everybody tells its color from that of the others.
_WIDER = 1.75


def _highest(parts: Sequence[npt.NDArray[np.float64]]) -> int:
    """Return which of some lines in one plane reaches highest on the screen: what stands above it crosses no other."""
    across = int(np.argmin(np.ptp(np.concatenate(parts), axis=0)))  # x, y or z
    # in axial slices the patient's front is up, in the others the head
    tops = [-points[:, 1].min() if across == 2 else points[:, 2].max() for points in parts]
    return int(np.argmax(tops))


class RulerLayer:
    """Shows rulers in a viewer; the layer is made when there is the first to show.

    Parameters
    ----------
    viewer : napari.Viewer
        Where.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: weakref.ref[Any] | None = None
        viewer.dims.events.order.connect(self._on_turned)

    def is_own(self, layer: Any) -> bool:
        """Whether a layer is this one, be it in the viewer or not."""
        own = None if self._layer is None else self._layer()
        return own is not None and identity(own) == identity(layer)

    @property
    def layer(self) -> Any | None:
        """The layer, while it is in the viewer."""
        layer = None if self._layer is None else self._layer()
        return layer if layer is not None and layer in self._viewer.layers else None

    def show(
        self,
        rulers: Sequence[Ruler],
        texts: Sequence[str],
        scan: Any | None,
        chosen: int | None = None,
        drawn: tuple[str, npt.NDArray[np.float64]] | None = None,
    ) -> None:
        """Show rulers with their texts, and what is being drawn.

        Parameters
        ----------
        rulers, texts : sequence
            Of one length.
        scan : napari layer or None
            On whose slices they are shown.
        chosen : int, optional
            The ruler that is marked.
        drawn : (kind, points), optional
            A ruler that is not finished.
        """
        shapes: list[npt.NDArray[np.float64]] = []
        kinds, labels, colors = [], [], []
        for n, (ruler, text) in enumerate(zip(rulers, texts, strict=True)):
            parts = shapes_of(ruler.kind, ruler.positions, ruler.outline)
            highest = _highest([points for _, points in parts]) if ruler.kind == "bidirectional" else 0
            for part, (kind, points) in enumerate(parts):
                shapes.append(points)
                kinds.append(kind)
                labels.append(text if part == highest or ruler.kind == "sphere" else "")
                colors.append(_CHOSEN if n == chosen else COLOR)
        if drawn is not None and len(drawn[1]) >= 2:
            kind, points = drawn
            outline = points
            if len(points) == 4 and kind == "ellipse":
                outline = Ruler("ellipse", tuple(map(tuple, points.tolist()))).outline
            for shape, corners in shapes_of(kind, points, outline):
                shapes.append(corners)
                kinds.append(shape)
                labels.append("")
                colors.append(_DRAWN)
        layer = self.layer
        if not shapes and layer is None:
            return
        layer = self._made(scan) if layer is None else layer
        self._fill(layer, shapes, kinds, labels, colors, scan)

    def _on_turned(self, _event: Any = None) -> None:
        """Have the values above the rulers also where the head is up, and napari counts upwards."""
        layer = self.layer
        if layer is not None:
            vertical = str(self._viewer.scene.camera.orientation[1])
            layer.text.anchor = "upper_left" if vertical == "down" else "lower_left"

    def keep(self, rulers: Sequence[Ruler], is_lost: bool, scan: Any | None) -> None:
        """Let the layer carry all rulers, also those that another scan shows, and say whether they would be lost."""
        layer = self.layer
        if layer is None and rulers:
            layer = self._made(scan)
        if layer is not None:
            carry(layer, rulers, is_lost)

    def _fill(
        self,
        layer: Any,
        shapes: list[Any],
        kinds: list[str],
        labels: list[str],
        colors: list[str],
        scan: Any | None,
    ) -> None:
        # shown once, when all of it is there: each of these events has every further view make its layer anew
        with layer.events.set_data.blocker(), layer.events.data.blocker():
            layer.data = []
            if scan is not None:  # its slices, which the shapes would otherwise add some between
                layer.scale, layer.translate = np.array(scan.scale)[-3:], np.array(scan.translate)[-3:]
            scale, translate = np.array(layer.scale)[-3:], np.array(layer.translate)[-3:]
            data = [(to_display(points) - translate) / scale for points in shapes]
            if data:
                widths = [self._width() * (_WIDER if color == _CHOSEN else 1.0) for color in colors]
                layer.add(data, shape_type=kinds, edge_color=colors, face_color="transparent", edge_width=widths)
            layer.features = {"label": labels}
        self._on_turned()
        layer.selected_data = set()
        layer.editable = False
        layer.refresh()

    def _width(self) -> float:
        """Return a width of about two pixels, in the layer's units."""
        layer = self.layer
        step = 1.0 if layer is None else float(np.min(np.array(layer.scale)[-3:]))
        return 2.0 / max(float(self._viewer.scene.camera.zoom), 1e-6) / step

    def _made(self, scan: Any | None) -> Any:
        from napari.layers import Shapes

        scale = (1.0, 1.0, 1.0) if scan is None else tuple(np.array(scan.scale)[-3:].tolist())
        layer = Shapes(name=NAME, features={"label": []}, **shape_arguments(scale))
        active = self._viewer.layers.selection.active
        self._layer = weakref.ref(layer)  # known before it is in the viewer
        self._viewer.add_layer(layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        return layer
