"""What is changed in a Labels layer from its table: names, colors, what is seen, voxels; each change can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours
from napari_radcnn.results import Label

#: What a layer of labels is called by in its table of features.
_INDEX, _NAME = "index", "name"
#: Labels that get a color at least, so that one that is painted later has one.
_LEAST_COLORS = 255

Color = tuple[float, float, float]


@dataclass(frozen=True)
class _Step:
    """A change, and the way back."""

    name: str
    undo: Callable[[], None]
    are_voxels: bool


class LabelEdits:
    """Changes a Labels layer, and takes the changes back in turn.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of whatever origin.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._steps: list[_Step] = []
        self.hidden: set[int] = set()
        self.locked: set[int] = set()

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
        kept = self._layer.metadata.get(METADATA_KEY)
        if isinstance(kept, dict) and kept.get("is_session", False):
            return "These labels belong to a session of the Segment page: change its objects there."
        data = self._layer.data
        if self._layer.multiscale or not isinstance(data, np.ndarray):
            return "These labels stay in their store: they cannot be changed here."
        return ""

    @property
    def last(self) -> str:
        """What `undo` would take back; empty where there is nothing."""
        return self._steps[-1].name if self._steps else ""

    # -- changes ---------------------------------------------------------------------------------------------------

    def rename(self, value: int, name: str) -> None:
        """Give a label another name, in the layer and in what is written of it."""
        before = self.names
        self._name({**before, value: name})
        self._steps.append(_Step("Rename", lambda: self._name(before), False))

    def recolor(self, value: int, color: Color) -> None:
        """Give a label another color."""
        before = self.color(value)
        self._paint({value: color})
        self._steps.append(_Step("Recolor", lambda: self._paint({value: before}), False))

    def hide(self, values: Iterable[int], is_hidden: bool) -> None:
        """Hide labels, or show them again."""
        changed = [value for value in values if (value in self.hidden) != is_hidden]
        if not changed:
            return
        self._hide(changed, is_hidden)
        self._steps.append(_Step("Hide" if is_hidden else "Show", lambda: self._hide(changed, not is_hidden), False))

    def merge(self, values: Iterable[int]) -> bool:
        """Make labels the first of them; those that are locked are left alone. Return whether anything changed."""
        first, *others = values
        if first in self.locked:
            return False
        return self._replace([value for value in others if value not in self.locked], first, "Merge")

    def delete(self, values: Iterable[int]) -> bool:
        """Make labels background; those that are locked are left alone. Return whether anything changed."""
        return self._replace([value for value in values if value not in self.locked], 0, "Delete")

    def undo(self) -> bool:
        """Take the last change back; return whether voxels changed."""
        if not self._steps:
            return False
        step = self._steps.pop()
        step.undo()
        return step.are_voxels

    # -- how -------------------------------------------------------------------------------------------------------

    def _replace(self, values: list[int], new: int, name: str) -> bool:
        kept = [(value, *_packed(self._layer.data == value)) for value in values]
        kept = [one for one in kept if one[1] is not None]
        if not kept:
            return False
        native = self._native
        for _, box, bits in kept:
            _set(self._layer.data, box, bits, new)
        if native is not None:
            self._set_native(np.where(np.isin(native, values), native.dtype.type(new), native))
        self._layer.refresh()

        def undo() -> None:
            for value, box, bits in kept:
                _set(self._layer.data, box, bits, value)
            if native is not None:
                self._set_native(native)
            self._layer.refresh()

        self._steps.append(_Step(name, undo, True))
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
