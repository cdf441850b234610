"""What is changed in a Labels layer from its table: names, colors, what is seen, voxels; each change has a way back."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QTimer

from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours
from napari_radcnn.gui.measure.undo import UndoList, UndoStep
from napari_radcnn.gui.parts.keys import REDO, UNDO
from napari_radcnn.gui.reading.strokes import voxels_of
from napari_radcnn.results import Label

#: What a layer of labels is called by in its table of features.
_INDEX, _NAME = "index", "name"
#: Labels that get a color at least, so that one that is painted later has one.
_LEAST_COLORS = 255

Color = tuple[float, float, float]


class LabelEdits:
    """Changes a Labels layer, takes the changes back in turn, and keeps napari's brush out of locked labels.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of whatever origin; not kept alive.
    changed : callable
        Called after a step that did not come from the table: a stroke of napari's tools, a key on the canvas. It gets
        whether voxels changed, and a line for the user, which may be empty. The layer keeps it alive.
    """

    def __init__(self, layer: Any, changed: Callable[[bool, str], object] = lambda _voxels, _line: None) -> None:
        layer = getattr(layer, "__wrapped__", layer)
        self._reference = weakref.ref(layer)
        self._changed = changed
        self._is_at_work = False
        self._has_keys = False
        self.steps = UndoList()
        self.hidden: set[int] = set()
        self.locked: set[int] = set()
        layer.events.paint.connect(self._on_paint)
        layer.events.data.connect(self._on_data)
        self._array = weakref.ref(layer.data) if isinstance(layer.data, np.ndarray) else None

    @property
    def _layer(self) -> Any:
        """The layer.

        Raises
        ------
        ReferenceError
            If it is gone.
        """
        layer = self._reference()
        if layer is None:
            raise ReferenceError("the labels layer is gone")
        return layer

    @property
    def is_gone(self) -> bool:
        """Whether the layer is."""
        return self._reference() is None

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def names(self) -> dict[int, str]:
        """Names by label, of those that have one."""
        table = self._layer.features
        if _INDEX not in table or _NAME not in table:
            return {}
        return {int(value): str(name) for value, name in zip(table[_INDEX], table[_NAME], strict=True)}

    def color(self, value: int) -> Color:
        """Return the color of a label, seen or not."""
        red, green, blue = np.asarray(self._layer.colormap.map(value), float).ravel()[:3].tolist()
        return red, green, blue

    @property
    def why_fixed(self) -> str:
        """Why voxels cannot be changed here; empty where they can."""
        if self.is_session:
            return "These labels belong to a session of the Segment page: change its objects there."
        data = self._layer.data
        if self._layer.multiscale or not isinstance(data, np.ndarray):
            return "These labels stay in their store: they cannot be changed here."
        return ""

    @property
    def is_session(self) -> bool:
        """Whether the layer belongs to a session, which has a history and locks of its own."""
        kept = self._layer.metadata.get(METADATA_KEY)
        return isinstance(kept, dict) and bool(kept.get("is_session", False))

    def locked_line(self, values: Iterable[int]) -> str:
        """Return a line on those of some labels that are locked; empty where none is."""
        names = self.names
        found = [f"'{names.get(value, f'label {value}')}'" for value in values if value in self.locked]
        if not found:
            return ""
        are, their = ("is", "its lock") if len(found) == 1 else ("are", "their locks")
        return f"{', '.join(found)} {are} locked: click on {their} first."

    # -- changes ---------------------------------------------------------------------------------------------------

    def rename(self, value: int, name: str) -> None:
        """Give a label another name, in the layer and in what is written of it."""
        before = self.names
        self._do("Rename", lambda: self._name({**before, value: name}), lambda: self._name(before))

    def recolor(self, value: int, color: Color) -> None:
        """Give a label another color."""
        before = self.color(value)
        self._do("Recolor", lambda: self._paint({value: color}), lambda: self._paint({value: before}))

    def hide(self, values: Iterable[int], is_hidden: bool) -> None:
        """Hide labels, or show them again."""
        changed = [value for value in values if (value in self.hidden) != is_hidden]
        if changed:
            name = "Hide" if is_hidden else "Show"
            self._do(name, lambda: self._hide(changed, is_hidden), lambda: self._hide(changed, not is_hidden))

    def merge(self, values: Iterable[int]) -> bool:
        """Make labels the first of them, unless one is locked. Return whether anything changed."""
        first, *others = values
        return not self.locked_line((first, *others)) and self._replace(others, first, "Merge")

    def delete(self, values: Iterable[int]) -> bool:
        """Make labels background, unless one is locked. Return whether anything changed."""
        values = list(values)
        return not self.locked_line(values) and self._replace(values, 0, "Delete")

    def undo(self) -> bool:
        """Take the last change back; return whether voxels changed."""
        with self._at_work():
            step = self.steps.undo()
        return step is not None and step.are_voxels

    def redo(self) -> bool:
        """Do the change again that was taken back last; return whether voxels changed."""
        with self._at_work():
            step = self.steps.redo()
        return step is not None and step.are_voxels

    # -- napari's tools and keys -----------------------------------------------------------------------------------

    def _on_paint(self, event: Any) -> None:
        """Take a stroke of napari's tools as a step; what it did to locked labels is set back."""
        if self._is_at_work or self.is_session or not isinstance(self._layer.data, np.ndarray):
            return
        if self.locked:
            stroke = list(event.value)
            QTimer.singleShot(0, lambda: self._keep_locked(stroke))  # napari is still at work on its own history
        else:
            self._add_stroke()
            self._changed(True, "")

    def _add_stroke(self) -> None:
        self._add(UndoStep("Paint", lambda: self._layer.undo(), lambda: self._layer.redo(), True))

    def _keep_locked(self, stroke: Sequence[Any]) -> None:
        """Leave of the stroke that was just drawn what touches no locked label."""
        if self.is_gone:
            return
        layer, locked = self._layer, list(self.locked)
        steps = [voxels_of(step, layer.data.shape) for step in stroke]
        # the first that a stroke did to a voxel has what was there before
        where, first = np.unique(np.concatenate([places for places, _ in steps]), return_index=True)
        before = np.concatenate([values for _, values in steps])[first]
        indices = np.unravel_index(where, layer.data.shape)
        after = layer.data[indices]
        is_kept = ~np.isin(before, locked) & ~np.isin(after, locked)
        line = ""
        with self._at_work():
            if not is_kept.all():
                line = self.locked_line(sorted({*before[~is_kept].tolist(), *after[~is_kept].tolist()}))
                layer.undo()
            if is_kept.any() and not is_kept.all():
                with layer.block_history():
                    layer.data_setitem(tuple(axis[is_kept] for axis in indices), after[is_kept])
        if is_kept.any():
            self._add_stroke()
        self._changed(True, line)

    def _on_data(self, _event: Any = None) -> None:
        """Forget the steps where the layer has another array: they say nothing of it."""
        data = self._layer.data
        if isinstance(data, np.ndarray) and (self._array is None or self._array() is not data):
            self._array = weakref.ref(data)
            self.steps = UndoList()

    def _on_undo_key(self) -> None:
        self._changed(self.undo(), "")

    def _on_redo_key(self) -> None:
        self._changed(self.redo(), "")

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Take nothing as a stroke meanwhile."""
        self._is_at_work = True
        try:
            yield
        finally:
            self._is_at_work = False

    # -- how -------------------------------------------------------------------------------------------------------

    def _do(self, name: str, do: Callable[[], object], undo: Callable[[], object]) -> None:
        do()
        self._add(UndoStep(name, undo, do))

    def _add(self, step: UndoStep) -> None:
        """Keep a step; from the first on, the layer's own keys go through them in their order."""
        self.steps.add(step)
        if not self._has_keys and not self.is_session:
            self._has_keys = True
            self._layer.bind_key(UNDO, lambda _layer: self._on_undo_key(), overwrite=True)
            self._layer.bind_key(REDO, lambda _layer: self._on_redo_key(), overwrite=True)

    def _replace(self, values: list[int], new: int, name: str) -> bool:
        kept = [(value, *_packed(self._layer.data == value)) for value in values]
        kept = [one for one in kept if one[1] is not None]
        if not kept:
            return False
        native = self._native
        changed = None if native is None else np.where(np.isin(native, values), native.dtype.type(new), native)

        def do(to: Callable[[int], int], array: npt.NDArray[Any] | None) -> None:
            for value, box, bits in kept:
                _set(self._layer.data, box, bits, to(value))
            if array is not None:
                self._set_native(array)
            self._layer.refresh()

        do(lambda _value: new, changed)
        self._add(
            UndoStep(name, lambda: do(lambda value: value, native), lambda: do(lambda _value: new, changed), True)
        )
        return True

    @property
    def _native(self) -> npt.NDArray[Any] | None:
        """The labels on their scan's own grid, where the layer shows them resampled; they must change as well."""
        kept = self._layer.metadata[METADATA_KEY] if is_ours(self._layer) else {}
        source = kept.get("labels")
        return None if source is None or kept["place"].axis_map is not None else source.array

    def _set_native(self, array: npt.NDArray[Any]) -> None:
        kept = self._layer.metadata[METADATA_KEY]
        changed = replace(kept["labels"], array=array)
        self._layer.metadata = {**self._layer.metadata, METADATA_KEY: {**kept, "labels": changed}}

    def _name(self, names: Mapping[int, str]) -> None:
        listed = {0: "background", **{value: name for value, name in names.items() if value}}
        self._layer.features = {_INDEX: list(listed), _NAME: list(listed.values())}
        self._keep({value: (name, None) for value, name in names.items() if value})

    def _paint(self, colors: Mapping[int, Color]) -> None:
        self._show_colors(colors)
        names = self.names
        self._keep({value: (names.get(value), color) for value, color in colors.items()})

    def _hide(self, values: Iterable[int], is_hidden: bool) -> None:
        self.hidden = self.hidden | set(values) if is_hidden else self.hidden - set(values)
        self._show_colors({})

    def _show_colors(self, changed: Mapping[int, Color]) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        known = getattr(self._layer.colormap, "color_dict", {})
        values = {*range(1, _LEAST_COLORS + 1), *(value for value in known if value), *changed, *self.hidden}
        colors: dict[int | None, Any] = {None: (1.0, 0.0, 1.0, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
        for value in values:
            color = changed.get(value) or self.color(value)
            colors[value] = (*color, 0.0 if value in self.hidden else 1.0)
        self._layer.colormap = DirectLabelColormap(color_dict=colors)

    def _keep(self, changed: Mapping[int, tuple[str | None, Color | None]]) -> None:
        """Change names and colors in the label map that the layer is written as."""
        kept = self._layer.metadata[METADATA_KEY] if is_ours(self._layer) else {}
        source = kept.get("labels")
        if source is None:
            return
        labels = dict(source.labels)
        for value, (name, color) in changed.items():
            before = labels.get(value, Label(f"label {value}"))
            labels[value] = Label(before.name if name is None else name, before.color if color is None else color)
        self._layer.metadata = {
            **self._layer.metadata,
            METADATA_KEY: {**kept, "labels": replace(source, labels=labels)},
        }


def _packed(mask: npt.NDArray[np.bool_]) -> tuple[Any, Any]:
    """Return the box around a mask, and its bits; None where it is empty."""
    sides = [
        np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        for axis in range(mask.ndim)
    ]
    if not len(sides[0]):
        return None, None
    box = tuple(slice(int(side[0]), int(side[-1]) + 1) for side in sides)
    return box, np.packbits(mask[box])


def _set(data: npt.NDArray[Any], box: Any, bits: npt.NDArray[np.uint8], value: int) -> None:
    part = data[box]
    part[np.unpackbits(bits, count=part.size).reshape(part.shape).astype(bool)] = value
