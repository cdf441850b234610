"""The layers of a session in a viewer: its labels, its prompts, and a stroke while it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.interactive.marks import Color, Mark, MarkLayer
from napari_radcnn.gui.interactive.overview import Overview
from napari_radcnn.gui.interactive.preview import ToolPreview
from napari_radcnn.gui.interactive.stroke import StrokePreview
from napari_radcnn.gui.layers.colors import label_colormap
from napari_radcnn.gui.layers.layers import METADATA_KEY
from napari_radcnn.interactive.colors import object_color
from napari_radcnn.interactive.tools import Paint
from napari_radcnn.results import Label
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume


class SessionLayers:
    """Shows a session; none of its layers can be edited by napari's own tools.

    Parameters
    ----------
    viewer : napari.Viewer
        Where.
    session : PromptSession
        What; only looked at.
    volume : Volume
        Its scan.
    shown : ShownLabels
        Its label map.
    name : str
        Of the scan's layer.
    """

    def __init__(self, viewer: Any, session: PromptSession, volume: Volume, shown: ShownLabels, name: str) -> None:
        from napari.layers import Labels

        self._viewer, self._session, self._volume, self._name = viewer, session, volume, name
        self._overview = Overview()
        self._shown = shown
        self.labels = Labels(
            shown.data,
            name=f"{name} · interactive",
            metadata={METADATA_KEY: {"place": shown.place, "warnings": (), "provenance": {}, "is_session": True}},
            **shown.place.layer_arguments,
        )
        self._lock()
        self.labels.events.editable.connect(self._lock)
        self._marks = MarkLayer(shown, f"{name} · prompts")
        # Now, while the user waits anyway: to add a layer takes napari a third of a second.
        self._stroke = StrokePreview(session, volume, f"{name} · stroke")
        self._preview = ToolPreview(session, volume, shown, f"{name} · preview", self._put_back)
        for layer in (self.labels, self._marks.layer, self._stroke.layer, self._preview.layer):
            self._add(layer)

    @property
    def present(self) -> list[Any]:
        """Those that are in the viewer."""
        own = [self.labels, self._marks.layer, self._stroke.layer, self._preview.layer]
        return [layer for layer in own if layer in self._viewer.layers]

    @property
    def color(self) -> Color:
        """Of the object that the next prompt goes to."""
        active = self._overview.object(self._overview.active)
        return object_color(1) if active is None else active.color

    def remove(self) -> None:
        """Take them out of the viewer."""
        for layer in self.present:
            self._viewer.layers.remove(layer)

    def show(self, overview: Overview, *, are_voxels_new: bool) -> None:
        """Show names and colors of the objects, and their voxels again where they changed."""
        if overview.objects != self._overview.objects:
            self._show_objects(overview)
        before, self._overview = self._overview, overview
        if are_voxels_new:
            # A small picture is made of each slice that is shown; one of an object that is gone would stay until then.
            is_gone = any(volume > 0 and not overview.volumes_ml.get(n) for n, volume in before.volumes_ml.items())
            self.labels.refresh(extent=False, thumbnail=is_gone)

    def show_marks(self, waiting: Sequence[Mark]) -> None:
        """Show all prompts that were answered and those that wait."""
        if self._marks.layer not in self._viewer.layers:
            return
        colors = {each.value: each.color for each in self._overview.objects}
        said = self._overview.prompts.items()
        marks = [Mark(prompt, colors[value]) for value, prompts in said for prompt in prompts]
        self._marks.draw([*marks, *waiting], 1.0 / max(self._viewer.scene.camera.zoom, 1e-6))

    def _show_objects(self, overview: Overview) -> None:
        labels = {each.value: Label(each.name, each.color) for each in overview.objects}
        colormap = label_colormap(labels)
        if colormap is not None:
            self.labels.colormap = colormap
        names = {0: "background", **{value: label.name for value, label in labels.items()}}
        self.labels.features = {"index": list(names), "name": list(names.values())}

    def _add(self, layer: Any) -> None:
        """Add a layer and leave the active one active."""
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        if active is not None:
            self._viewer.layers.selection.active = active

    def _lock(self, _event: Any = None) -> None:
        """Keep napari's own brush and undo out of the result: strokes go through the session."""
        if self.labels.editable:
            self.labels.editable = False

    # -- strokes ---------------------------------------------------------------------------------------------------

    def begin_strokes(self) -> None:
        """Get ready to show strokes, where the user has removed their layer."""
        if self._stroke.layer not in self._viewer.layers:
            self._stroke = StrokePreview(self._session, self._volume, f"{self._name} · stroke")
            self._add(self._stroke.layer)

    def draw_stroke(self, paint: Paint) -> None:
        """Show a stroke that is still being drawn.

        Raises
        ------
        RadcnnError
            If the scan cannot be painted so.
        """
        self._stroke.draw(paint, self._overview.active or 1, self.color)

    def end_stroke(self) -> None:
        """Let the next `draw_stroke` begin another stroke; what was drawn stays."""
        self._stroke.end_stroke()

    def clear_strokes(self) -> None:
        """Forget all strokes."""
        self._stroke.clear()

    # -- what a tool would change ----------------------------------------------------------------------------------

    @property
    def preview(self) -> ToolPreview:
        """What shows it."""
        return self._preview

    def _put_back(self, layer: Any) -> None:
        """Add a layer again that the user has removed."""
        if layer not in self._viewer.layers:
            self._add(layer)
