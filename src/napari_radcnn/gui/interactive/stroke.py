"""A brush stroke while it is drawn: voxel by voxel what it will change, before it is one step of the session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_radcnn.geometry import Box
from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.interactive.marks import Color
from napari_radcnn.gui.layers.layers import METADATA_KEY
from napari_radcnn.gui.parts.widgets import IS_PREVIEW
from napari_radcnn.interactive.tools import Paint, ToolState
from napari_radcnn.interactive.update import joined
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession, SegmentedObject
from napari_radcnn.volume import Volume

#: What the layer's values mean.
_PAINTED, _ERASED = 1, 2
_ERASED_COLOR = (0.0, 0.0, 0.0, 0.75)


class StrokePreview:
    """The layer that shows a stroke until the session has taken it.

    Parameters
    ----------
    session : PromptSession
        Only looked at.
    volume : Volume
        Its scan.
    name : str
        Of the layer.
    """

    def __init__(self, session: PromptSession, volume: Volume, name: str) -> None:
        from napari.layers import Labels

        self._volume = volume
        self._session = session
        self._strokes = np.zeros(session.geometry.shape, np.uint8)
        self._shown = ShownLabels(self._strokes, session.geometry)
        self._box: Box | None = None
        self._n_drawn = 0
        self._color: Color | None = None
        self.layer = Labels(
            self._shown.data,
            name=name,
            visible=False,
            metadata={METADATA_KEY: {"is_session": True}, IS_PREVIEW: True},
            **self._shown.place.layer_arguments,
        )
        self.layer.editable = False

    def draw(self, paint: Paint, value: int, color: Color) -> None:
        """Show a stroke that is growing at its end.

        Raises
        ------
        RadcnnError
            If the session has no such object, or the scan cannot be painted so.
        """
        first = max(0, self._n_drawn - 1)
        self._n_drawn = len(paint.points)
        session = self._session
        objects = session.objects or (SegmentedObject(value, "", color),)  # the first stroke begins the first object
        state = ToolState(self._volume, session.labels, value, objects)
        update = replace(paint, points=paint.points[first:]).apply(state, Monitor(1))
        if update is not None:
            before = session.labels[update.box]
            locked = [each.value for each in session.objects if each.is_locked]
            changed = (before == value) & ~update.mask if paint.erase else update.mask & (before != value)
            changed &= ~np.isin(before, locked)
            self._strokes[update.box][changed] = _ERASED if paint.erase else _PAINTED
            self._shown.redraw(update.box)
            self._box = joined(self._box, update.box)
        self._show(color)

    def end_stroke(self) -> None:
        """Let the next `draw` begin another stroke; what was drawn stays."""
        self._n_drawn = 0

    def clear(self) -> None:
        """Forget all strokes."""
        self._n_drawn = 0
        if self._box is not None:
            self._strokes[self._box] = 0
            self._shown.redraw(self._box)
            self._box = None
        self.layer.visible = False

    def _show(self, color: Color) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        if color != self._color:
            self._color = color
            colors: dict[Any, Any] = {None: _ERASED_COLOR, 0: (0.0, 0.0, 0.0, 0.0)}
            colors |= {_PAINTED: (*color, 1.0), _ERASED: _ERASED_COLOR}
            self.layer.colormap = DirectLabelColormap(color_dict=colors)
        if self.layer.visible:
            self.layer.refresh(extent=False, thumbnail=False)
        else:
            self.layer.visible = True
