"""One interactive session in one viewer: its layers, its queue of steps, and what the dock shows of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, cast

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from napari_radcnn.geometry import Box
from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.interactive.layers import SessionLayers
from napari_radcnn.gui.interactive.marks import Mark
from napari_radcnn.gui.interactive.overview import Overview
from napari_radcnn.gui.interactive.preview import Previewed, Previews, ToolPreview
from napari_radcnn.gui.interactive.steps import Step, Steps
from napari_radcnn.gui.layers.belonging import identity, made_of
from napari_radcnn.gui.layers.layers import (
    AXIS_LABELS,
    LayerData,
    label_map_from_layer,
    layer_data,
    name_of,
    points_of,
    snapshot,
)
from napari_radcnn.gui.reading.show import add_result
from napari_radcnn.interactive.colors import object_color
from napari_radcnn.interactive.prompts import Position, Prompt
from napari_radcnn.interactive.tools import CopyLabel, Paint, Tool
from napari_radcnn.interactive.update import whole_box
from napari_radcnn.progress import Progress
from napari_radcnn.session import Change, PromptSession, SegmentedObject
from napari_radcnn.volume import Volume

#: How long a viewer that is being closed waits for its session, s.
_PATIENCE = 5.0
#: How long a view must stay before prompts are drawn anew for its zoom, ms.
_ZOOM_MS = 250
_RESULT, _FINISH = "Result as a layer", "Closing the session"

Opener = Callable[[Progress, Event], PromptSession]
Act = Callable[[PromptSession, Progress, Event], Change | None]


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What a step on the thread leaves: a state, the box that changed, and what is said of it."""

    state: Overview
    box: Box | None
    line: str


class Editing(QObject):
    """A session with its layers in a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        Which viewer.
    scan : napari.layers.Image
        The layer of the scan; never changed.
    opener : callable
        Makes or resumes the session; called on the session's thread, as ``opener(progress, cancel)``.
    """

    #: Objects, history or queue are others.
    changed = Signal()
    #: The session is there, with its layers.
    opened = Signal()
    #: One line for the user.
    told = Signal(str)
    #: One line: what went wrong.
    failed = Signal(str)
    #: It is over; one line says why.
    ended = Signal(str)
    _warned = Signal(str)

    def __init__(self, viewer: Any, scan: Any, opener: Opener) -> None:
        super().__init__()
        self._viewer = viewer
        self._scan = weakref.ref(scan)
        points = points_of(scan)
        #: Of a scan with time points the one that is worked on, whichever is shown by now.
        self.point = None if points is None else points.shown
        self.name = name_of(scan)
        self.state = Overview()
        self.session: PromptSession | None = None
        self.shown: ShownLabels | None = None
        self.steps = Steps()
        #: What a tool would change, shown before it is a step.
        self.previews = Previews(self.steps, lambda: self.session, self.preview_layer, self._ask)
        self._layers: SessionLayers | None = None
        self._new_session: PromptSession | None = None
        self._drawn: Mark | None = None
        self._is_over = False
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.timeout.connect(self._draw_marks)
        self._warned.connect(self.failed.emit, Qt.ConnectionType.QueuedConnection)
        self.previews.told.connect(self.told.emit)
        self.steps.done.connect(self._on_done)
        self.steps.failed.connect(self._on_failed)
        self.steps.dropped.connect(self._on_dropped)
        self.steps.changed.connect(self._on_queue)
        self._zoomed = QTimer(self)
        self._zoomed.setSingleShot(True)
        self._zoomed.setInterval(_ZOOM_MS)
        self._zoomed.timeout.connect(self._draw_marks)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)
        self.steps.add(Step("Opening the scan", lambda progress, cancel: self._open(opener, progress, cancel), True))

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def scan(self) -> Any | None:
        """The layer of the scan, while it is in the viewer."""
        layer = self._scan()
        return layer if layer is not None and layer in self._viewer.layers else None

    @property
    def layers(self) -> list[Any]:
        """The layers of the session that are in the viewer."""
        return [] if self._layers is None else self._layers.present

    @property
    def labels_layer(self) -> Any | None:
        """The layer of the result."""
        return None if self._layers is None else self._layers.labels

    def preview_layer(self) -> ToolPreview | None:
        """Return what shows the changes of a tool before it is applied; None while there is no session."""
        return None if self._layers is None else self._layers.preview

    @property
    def volume(self) -> Volume:
        """The scan, while the session is open."""
        return self._live().volume

    @property
    def is_open(self) -> bool:
        """Whether prompts can be given."""
        return self.session is not None and not self._is_over

    # -- what the user asks ----------------------------------------------------------------------------------------

    def prompt(self, prompt: Prompt) -> None:
        """Ask the engine, after what was asked before; the prompt is seen at once."""
        self._drawn = None
        self._ask(
            f"{'Positive' if prompt.positive else 'Negative'} {prompt.kind}",
            lambda session, progress, cancel: session.add(prompt, progress=progress, cancel=cancel),
            self._mark(prompt),
        )

    def apply(self, tool: Tool) -> None:
        """Change the active object by a tool."""
        self._ask(
            tool.title,
            lambda session, progress, cancel: session.apply(tool, progress=progress, cancel=cancel),
            tool if isinstance(tool, Paint) else None,
        )

    def seen_axis(self) -> str:
        """Return the scan's axis across the plane that is shown, ``"k"``, ``"j"`` or ``"i"``; empty for none."""
        across = self._viewer.dims.order[-3] - (self._viewer.dims.ndim - 3)
        if self.session is None or across not in range(3):
            return ""
        return "kji"[self.session.geometry.axis_map("".join(AXIS_LABELS)).order[across]]

    def seen_position(self) -> Position:
        """Return a position, LPS mm, on the slice that is shown."""
        x, y, z = cast(ShownLabels, self.shown).on_slice(self._viewer.dims.point, ()).tolist()
        return x, y, z

    def active_object(self) -> SegmentedObject:
        """Return the object that tools change; the one that would be begun where there is none."""
        found = self.state.object(self.state.active)
        return SegmentedObject(1, "", object_color(1)) if found is None else found

    def copy(self, layer: Any, label: int) -> None:
        """Make the active object a copy of a label in a Labels layer."""
        taken = snapshot(layer)

        def act(session: PromptSession, progress: Progress, cancel: Event) -> Change:
            return session.apply(CopyLabel(label_map_from_layer(taken), label), progress=progress, cancel=cancel)

        self._ask(f"Copy of '{layer.name}'", act)

    def undo(self) -> None:
        """Take back what was asked last: first what still waits, then what the session did."""
        if not self.steps.drop_last():
            self._do("Undo", lambda session, _progress, _cancel: session.undo() if session.can_undo else None)

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._do("Redo", lambda session, _progress, _cancel: session.redo() if session.can_redo else None)

    def edit(self, title: str, act: Callable[[PromptSession], Any]) -> None:
        """Change the list of objects: ``act(session)`` runs on the thread of the session."""

        def work(session: PromptSession, _progress: Progress, _cancel: Event) -> Change | None:
            made = act(session)
            return made if isinstance(made, Change) else None

        self._do(title, work)

    def remove_object(self, value: int) -> None:
        """Take an object away, and what still waits to be done to it."""
        self.steps.cancel(value)
        self.edit("Delete object", lambda session: session.remove_object(value))

    def set_engine(self, name: str, settings: Any) -> None:
        """Ask another engine from the next prompt on."""

        def work(session: PromptSession, progress: Progress, cancel: Event) -> None:
            session.set_engine(name, settings)
            session.prepare(progress=progress, cancel=cancel)

        self._do("Changing the engine", work)

    def result_as_layer(self) -> None:
        """Add an ordinary layer with the result."""
        if self.is_open:
            self.steps.add(Step(_RESULT, self._result_data, True))

    def finish(self) -> None:
        """Add an ordinary layer with the result, if there is any, and close the session."""
        if self.is_open:
            self.steps.add(Step(_FINISH, self._result_data, True))

    def save(self) -> None:
        """Write down what is not yet on the disk."""
        self._do("Save", lambda session, _progress, _cancel: session.save())

    def end(self, line: str) -> None:
        """Save and close the session and take its layers away.

        Parameters
        ----------
        line : str
            Why, for the user.
        """
        if not self._is_over:
            self._close(0.0)
            self.ended.emit(line)
            # Later: a layer may just be leaving the viewer, and others with it.
            QTimer.singleShot(0, self._remove_layers)

    def close_with_viewer(self) -> None:
        """Save and close the session while its viewer is being closed, which takes the layers away itself."""
        if not self._is_over:
            self._close(_PATIENCE)

    def _close(self, patience: float) -> None:
        """Close the session on its thread, and wait for it `patience` seconds at most."""
        self._is_over = True
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)
        self._redraw.stop()
        self._zoomed.stop()

        def last() -> None:
            if self._new_session is not None:
                self._new_session.close()  # as unfinished: only the user knows when what was made is where it is to be

        self.steps.close(last, patience)

    # -- what is being drawn ---------------------------------------------------------------------------------------

    def finish_prompt(self, prompt: Prompt | None) -> None:
        """Ask the engine, if enough of a prompt was drawn."""
        if prompt is None:
            self.draw_prompt(None)
            self.told.emit("Too short: hold the button down and drag.")
        else:
            self.prompt(prompt)

    def draw_prompt(self, prompt: Prompt | None) -> None:
        """Show a prompt that is still being drawn, or none."""
        self._drawn = None if prompt is None else self._mark(prompt)
        self._redraw.start()

    def begin_strokes(self) -> None:
        """Get ready to show strokes."""
        if self._layers is not None:
            self._layers.begin_strokes()

    def draw_stroke(self, paint: Paint) -> None:
        """Show a stroke that is still being drawn.

        Raises
        ------
        RadcnnError
            If the scan cannot be painted so.
        """
        if self._layers is not None:
            self._layers.draw_stroke(paint)

    def finish_stroke(self, paint: Paint) -> None:
        """Ask the session to take a stroke as one step."""
        if self._layers is not None:
            self._layers.draw_stroke(paint)
            self._layers.end_stroke()
        self.apply(paint)

    def drop_stroke(self) -> None:
        """Forget a stroke that is still being drawn."""
        if self._layers is not None:
            self._layers.clear_strokes()

    def _mark(self, prompt: Prompt) -> Mark | None:
        return None if self._layers is None else Mark(prompt, self._layers.color, True)

    # -- on the thread ---------------------------------------------------------------------------------------------

    def _open(self, opener: Opener, progress: Progress, cancel: Event) -> PromptSession:
        session = self._new_session = opener(progress, cancel)
        session.on_warning = self._warned.emit
        self.shown = ShownLabels(session.labels, session.geometry)
        self.shown.redraw(whole_box(session.geometry.shape))
        self.state = Overview.of(session)
        return session

    def _result_data(self, progress: Progress, cancel: Event) -> LayerData | None:
        """Return the layer of the result; None where no object has a voxel."""
        if not any(self.state.volumes_ml.values()):
            return None
        result = replace(self._live().result(), name=f"{self.name} · result")
        return layer_data(result, progress=progress, cancel=cancel)

    def _ask(self, title: str, act: Act, mark: Any = None) -> None:
        """Change the active object."""
        self._do(title, act, is_change=True, mark=mark)

    def _prepare(self, progress: Progress, cancel: Event) -> None:
        self._live().prepare(progress=progress, cancel=cancel)

    def _do(self, title: str, act: Act, *, is_change: bool = False, mark: Any = None) -> None:
        if not self.is_open:
            return

        def work(progress: Progress, cancel: Event) -> _Outcome:
            session = self._live()
            change = act(session, progress, cancel)
            box = None if change is None else change.box
            cast(ShownLabels, self.shown).redraw(box)
            return _Outcome(Overview.of(session), box, "" if change is None else change.title)

        self.steps.add(Step(title, work, is_change, is_change, mark, self.state.active))

    def _live(self) -> PromptSession:
        return cast(PromptSession, self.session)

    # -- in the viewer's thread ------------------------------------------------------------------------------------

    def _on_done(self, step: Step, result: Any) -> None:
        if isinstance(result, PromptSession):
            self._on_opened(result)
        elif isinstance(result, _Outcome):
            self._on_outcome(result)
        elif isinstance(result, Previewed):
            self.previews.show(result)
        elif step.title in (_RESULT, _FINISH):
            self._on_result(step, result)
        self._after(step)

    def _on_result(self, step: Step, data: LayerData | None) -> None:
        if data is not None:
            name = add_result(self._viewer, made_of(data, identity(self._scan()))).name
            self.told.emit(f"Layer '{name}' contains the result, which Export can write. The session continues.")
        elif step.title == _RESULT:
            self.told.emit("There is no result yet: all objects are empty.")
        if step.title == _FINISH:
            kept = "" if data is None else f" Layer '{name}' contains its result."
            self.end(f"The session of '{self.name}' is closed and can be resumed.{kept}")

    def _on_opened(self, session: PromptSession) -> None:
        if self.scan is None:  # gone while it was being opened
            return
        self.session = session
        self._layers = SessionLayers(self._viewer, session, self.volume, cast(ShownLabels, self.shown), self.name)
        self._layers.show(self.state, are_voxels_new=False)
        self.opened.emit()
        self.steps.add(Step("Preparing the engine", self._prepare, True))
        self._redraw.start()

    def _on_outcome(self, outcome: _Outcome) -> None:
        self.state = outcome.state
        if outcome.box is not None:
            self.previews.forget()
        if self._layers is not None:
            self._layers.show(self.state, are_voxels_new=outcome.box is not None)
        if outcome.line:
            self.told.emit(outcome.line)

    def _on_failed(self, step: Step, line: str) -> None:
        if self.session is None:
            self.end("No session was started.")
        self.failed.emit(line)
        self._after(step)

    def _on_dropped(self, step: Step) -> None:
        if self.session is None:
            self.end("Cancelled; no session was started.")
        else:
            self.told.emit(f"Cancelled: {step.title.lower()}")
            self._after(step)

    def _after(self, step: Step) -> None:
        """Take away what was shown while a step was waiting."""
        is_stroke_waiting = any(isinstance(other.mark, Paint) for other in self.steps.unfinished)
        if self._layers is not None and isinstance(step.mark, Paint) and not is_stroke_waiting:
            self._layers.clear_strokes()
        self._on_queue()

    def _on_queue(self) -> None:
        self.changed.emit()
        if not self._is_over:
            self._redraw.start()

    def _on_zoom(self, _event: Any) -> None:
        self._zoomed.start()

    def _draw_marks(self) -> None:
        if self._layers is not None:
            waiting = [step.mark for step in self.steps.unfinished if isinstance(step.mark, Mark)]
            self._layers.show_marks([*waiting, *([] if self._drawn is None else [self._drawn])])

    def _remove_layers(self) -> None:
        if self._layers is not None:
            self._layers.remove()

    def _on_removed(self, event: Any) -> None:
        if self._is_over:
            return
        layer = event.value
        if layer is self._scan():
            self.end(f"'{self.name}' was removed from the viewer: its session is saved; open the scan again to resume.")
        elif self._layers is not None and layer is self._layers.labels:
            self.end(f"'{layer.name}' was removed: the session is saved; Resume opens it again.")
