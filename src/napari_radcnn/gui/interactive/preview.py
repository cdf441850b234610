"""What a tool would change, over the scan, before it is a step: on the slices that are seen, or a whole answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal

from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.interactive.steps import Step, Steps
from napari_radcnn.gui.layers.layers import METADATA_KEY, Place
from napari_radcnn.gui.parts.widgets import IS_PREVIEW
from napari_radcnn.interactive.pending import Pending
from napari_radcnn.interactive.tools import Threshold, Tool
from napari_radcnn.interactive.tools.ranges import AXES, EVERY_SLICE, slice_box
from napari_radcnn.interactive.update import LabelsUpdate, MaskUpdate
from napari_radcnn.progress import Progress
from napari_radcnn.session import PromptSession, SegmentedObject
from napari_radcnn.volume import Volume

#: What stands where an object loses a voxel; other values are those of the objects that would gain it.
LOST = 65535
_LOST_COLOR = (0.0, 0.0, 0.0, 0.8)
#: How much of white is in the color of what would be gained, so that it is told from what an object has.
_WHITE = 0.45

Look = Callable[[tuple[Any, ...]], npt.NDArray[np.uint16]]


class SeenVoxels:
    """Voxels that are made when they are looked at: napari asks for the slices that it shows, and for no others.

    Parameters
    ----------
    shape : tuple of int
        Of the layer.

    Attributes
    ----------
    look : callable or None
        Returns the voxels of an index of slices and numbers; None for empty ones.
    """

    dtype = np.dtype(np.uint16)
    ndim = 3

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.size = int(np.prod(shape))
        self.look: Look | None = None

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint16]:
        """Return the voxels of an index."""
        index = (*(key if isinstance(key, tuple) else (key,)), slice(None), slice(None), slice(None))[:3]
        if self.look is None:
            return np.asarray(np.broadcast_to(np.uint16(0), self.shape)[index])
        return self.look(index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all voxels, as a 3-D view asks for them."""
        return np.array(self[:], dtype, copy=copy)


class ToolPreview:
    """The layer that shows what a tool would change.

    Parameters
    ----------
    session : PromptSession
        Only looked at.
    volume : Volume
        Its scan.
    shown : ShownLabels
        Its label map.
    name : str
        Of the layer.
    put_back : callable
        Called with the layer before it is shown: it may have been removed.
    """

    def __init__(
        self,
        session: PromptSession,
        volume: Volume,
        shown: ShownLabels,
        name: str,
        put_back: Callable[[Any], None],
    ) -> None:
        from napari.layers import Labels

        self._put_back = put_back
        self._session, self._volume, self._shown = session, volume, shown
        place: Place = shown.place
        self._values = None if place.axis_map is None else place.axis_map.apply(volume.array)
        self._voxels = SeenVoxels(place.shown.shape)
        self._colors: dict[int, tuple[float, float, float]] = {}
        self.layer = Labels(
            self._voxels,
            name=name,
            visible=False,
            metadata={METADATA_KEY: {"is_session": True}, IS_PREVIEW: True},
            **place.layer_arguments,
        )
        self.layer.editable = False

    @property
    def is_shown(self) -> bool:
        """Whether there is anything to be seen."""
        return self._voxels.look is not None

    def show_threshold(self, tool: Threshold, item: SegmentedObject) -> None:
        """Show what a threshold would change of an object, on whatever slice is looked at.

        Raises
        ------
        OptionError
            If its slice lies outside the scan.
        """
        slice_box(self._session.geometry, tool.axis, tool.position)
        locked = [each.value for each in self._session.objects if each.is_locked]

        def look(index: tuple[Any, ...]) -> npt.NDArray[np.uint16]:
            values, labels = self._read(index)
            own, after = labels == item.value, tool.seen(values, labels, item.value)
            codes = np.where(after & ~own, item.value, np.where(own & ~after, LOST, 0)).astype(np.uint16)
            if locked:
                codes[np.isin(labels, locked)] = 0
            if tool.axis != EVERY_SLICE:
                codes[~self._on_slice(index, tool)] = 0
            return codes

        self._show(look, [item])

    def show_update(self, update: MaskUpdate | LabelsUpdate, item: SegmentedObject) -> None:
        """Show what an answer would change, of one object or of all."""
        labels = np.zeros(self._session.geometry.shape, np.uint16)
        before, codes = self._session.labels[update.box], labels[update.box]
        if isinstance(update, LabelsUpdate):
            np.copyto(codes, np.where(update.labels > 0, update.labels, LOST), where=update.labels != before)
        else:
            own = before == item.value
            codes[update.mask & ~own], codes[own & ~update.mask] = item.value, LOST
        locked = [each.value for each in self._session.objects if each.is_locked]
        if locked:
            codes[np.isin(before, locked)] = 0
        shown = ShownLabels(labels, self._session.geometry)
        shown.redraw(update.box)
        self._show(lambda index: np.asarray(shown.data[index]), [*self._session.objects, item])

    def clear(self) -> None:
        """Show nothing."""
        self._voxels.look = None
        self.layer.visible = False

    def _read(self, index: tuple[Any, ...]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return values and labels at an index of the layer; those outside an oblique scan are 0."""
        if self._values is not None:
            return self._values[index], self._shown.data[index]
        native, is_inside = self._native(index)
        values = np.zeros(is_inside.shape, np.float64)
        values[is_inside] = self._volume.array[tuple(native[is_inside].T)]
        values[~is_inside] = np.nan
        return values, self._shown.data[index]

    def _native(self, index: tuple[Any, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the voxels of the scan, (..., 3), at an index of the layer, and whether they lie inside."""
        place = self._shown.place
        lines = [np.arange(n)[part] for n, part in zip(place.shown.shape, index, strict=True)]
        grid = np.stack(np.broadcast_arrays(*np.ix_(*(np.atleast_1d(line) for line in lines))), axis=-1)
        grid = grid.reshape(*(line.size for line in lines if line.ndim), 3)
        native = np.rint(place.native.to_index(place.shown.to_world(grid))).astype(np.int64)
        inside = ((native >= 0) & (native < place.native.shape)).all(axis=-1)
        return native, np.asarray(inside)

    def _on_slice(self, index: tuple[Any, ...], tool: Threshold) -> npt.NDArray[np.bool_]:
        """Return which voxels of an index lie on the slice that a threshold is about."""
        number = AXES.index(tool.axis)
        wanted = slice_box(self._session.geometry, tool.axis, tool.position)[number].start
        native, _ = self._native(index)
        return np.asarray(native[..., number] == wanted)

    def _show(self, look: Look, items: Iterable[SegmentedObject]) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        self._put_back(self.layer)
        self._voxels.look = look
        colors = {each.value: each.color for each in items}
        if colors != self._colors:
            self._colors = colors
            table: dict[Any, Any] = {None: _LOST_COLOR, 0: (0.0, 0.0, 0.0, 0.0), LOST: _LOST_COLOR}
            for value, color in colors.items():
                table[value] = (*(part * (1 - _WHITE) + _WHITE for part in color), 1.0)
            self.layer.colormap = DirectLabelColormap(color_dict=table)
        if self.layer.visible:
            self.layer.refresh(extent=False, thumbnail=False)
        else:
            self.layer.visible = True


@dataclass(frozen=True, eq=False)
class Previewed:
    """The answer of a tool that is shown and not yet taken over.

    Attributes
    ----------
    number : int
        Which of the previews that were asked for.
    pending : Pending
        What was asked.
    update : MaskUpdate or LabelsUpdate or None
        What would change; None for nothing.
    """

    number: int
    pending: Pending
    update: MaskUpdate | LabelsUpdate | None


class Previews(QObject):
    """What a tool would change in a session: found on the session's thread, shown, and taken over or forgotten.

    Parameters
    ----------
    steps : Steps
        The session's queue.
    session : callable
        Returns the session; None while there is none.
    layer : callable
        Returns what shows it; None while there is none.
    take : callable
        Called as ``take(title, act)`` with what makes a preview a step of the session.
    """

    #: One line for the user.
    told = Signal(str)
    #: The title of the step that would be made; what it changes is shown.
    shown = Signal(str)

    def __init__(
        self,
        steps: Steps,
        session: Callable[[], PromptSession | None],
        layer: Callable[[], ToolPreview | None],
        take: Callable[[str, Callable[..., Any]], None],
    ) -> None:
        super().__init__()
        self._steps, self._session, self._layer, self._take = steps, session, layer, take
        self._number = 0
        self._found: Previewed | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is an answer that can be taken over."""
        return self._found is not None

    def show_threshold(self, tool: Threshold, item: SegmentedObject) -> None:
        """Show what a threshold would change of an object, on the slices that are seen.

        Raises
        ------
        OptionError
            If its slice lies outside the scan.
        """
        self._number += 1
        self._found = None
        layer = self._layer()
        if layer is not None:
            layer.show_threshold(tool, item)

    def show_seen(self, update: MaskUpdate, item: SegmentedObject) -> None:
        """Show what a click here would change; there is nothing to take over."""
        self._number += 1
        self._found = None
        layer = self._layer()
        if layer is not None:
            layer.show_update(update, item)

    def ask(self, tool: Tool) -> None:
        """Find out what a tool would change; the preview before stays until then."""
        self._number += 1
        self._found = None
        number = self._number

        def work(progress: Progress, cancel: Event) -> Previewed | None:
            session = self._session()
            if session is None or number != self._number:  # another one was asked for meanwhile
                return None
            pending = session.begin(tool)
            return Previewed(number, pending, session.predict(pending, progress, cancel))

        self._steps.add(Step(f"Preview: {tool.title}", work, True))

    def show(self, found: Previewed) -> None:
        """Show an answer, if it is to the last question."""
        layer = self._layer()
        if found.number != self._number or layer is None:
            return
        if found.update is None:
            layer.clear()
            self.told.emit("Nothing would change.")
            return
        layer.show_update(found.update, found.pending.item)
        self._found = found
        self.told.emit(f"{found.pending.title}: Return applies it, Esc discards it.")
        self.shown.emit(found.pending.title)

    def take(self) -> bool:
        """Make what is shown a step of the session; return whether there was anything."""
        found, self._found = self._found, None
        if found is not None:
            self._take(
                found.pending.title, lambda session, _progress, _cancel: session.commit(found.pending, found.update)
            )
        return found is not None

    def forget(self) -> None:
        """Show nothing, and take no answer that comes later."""
        self._number += 1
        self._found = None
        layer = self._layer()
        if layer is not None and layer.is_shown:
            layer.clear()
