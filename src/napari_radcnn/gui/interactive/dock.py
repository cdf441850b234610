"""The Interactive segmentation dock: click, box, scribble, lasso and paint objects on a scan, and mend them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.interactive.caption import engine_words, show_caption
from napari_radcnn.gui.interactive.corrections import Corrections
from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.interactive.editing import Editing
from napari_radcnn.gui.interactive.mouse import Drawn, ToolName
from napari_radcnn.gui.interactive.objects import ObjectList
from napari_radcnn.gui.interactive.palette import TOOLS, Palette, is_brush
from napari_radcnn.gui.interactive.saved import SavedChoice
from napari_radcnn.gui.interactive.sessions import Sessions
from napari_radcnn.gui.interactive.value_tools import ValueTools
from napari_radcnn.gui.layers.belonging import identity, scan_of
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import is_volume
from napari_radcnn.gui.parts.form import OptionsForm
from napari_radcnn.gui.parts.keys import CLICK, KEY_SHEET, OTHER_CLICK, REDO, UNDO, Action, Keys
from napari_radcnn.gui.parts.pin import Pin
from napari_radcnn.gui.parts.section import Section
from napari_radcnn.gui.parts.widgets import (
    LayerCombo,
    LinesBox,
    fill_scrolled,
    keep_place,
    narrow_combo,
    wrapped_label,
)
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.gui.reading.show import watch
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.registry import engine_spec, engine_specs
from napari_radcnn.interactive.tools import FillBetweenSlices, KeepIsland, RemoveIsland

#: Room for what is told: the tools below it do not move.
_LINES = 3
_HELP = "Choose a scan and press Start. The scan itself is never changed; every step is saved to disk."


class InteractiveDock(QWidget):
    """Segments objects of a scan by prompts, strokes and correction tools.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    #: Before the sessions are there, too: Qt sends events from the first moment.
    _was_shown = False

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._clicked: ToolName | None = None
        self._told_of: Hashable | None = None
        self._build()
        self.sessions = Sessions(napari_viewer, self, Keys(self._key_actions(), self._on_hold))
        self.values = ValueTools(napari_viewer, self.palette_box, lambda: self.editing, self._tell, self._fail)
        self._connect()
        watch(napari_viewer)
        self.pin = Pin(napari_viewer, self.layer_combo, self._scan_for, self._held)
        self.pin_place.addWidget(self.pin)
        self._on_engine()
        self._on_scan()
        self.saved.look()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setSpacing(5)
        layout.setContentsMargins(4, 4, 4, 4)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.layer_combo = LayerCombo(self._viewer, _is_scan)
        self.engine_combo = narrow_combo()
        for spec in engine_specs():
            self.engine_combo.addItem(spec.title, spec.name)
        form.addRow("Scan", self.layer_combo)
        self.pin_place = QVBoxLayout()
        form.addRow(self.pin_place)
        form.addRow("Engine", self.engine_combo)
        layout.addLayout(form)
        self.engine_label = wrapped_label()
        layout.addWidget(self.engine_label)
        self.settings_form = OptionsForm(RunSettings)
        self.settings_section = Section("Device and precision", self.settings_form)
        layout.addWidget(self.settings_section)
        buttons = QHBoxLayout()
        self.start_button = QPushButton("Start")
        self.end_button = QPushButton("End session")
        self.end_button.setToolTip("Add the result as a layer, then save and close the session")
        buttons.addWidget(self.start_button)
        buttons.addWidget(self.end_button)
        layout.addLayout(buttons)
        self.saved = SavedChoice()
        layout.addWidget(self.saved)
        self._work = QWidget()
        work = QVBoxLayout(self._work)
        work.setContentsMargins(0, 0, 0, 0)
        work.setSpacing(5)
        layout.addWidget(self._work)
        self._build_work(work)
        self.message_label = wrapped_label()
        self.warning_label = wrapped_label(color=WARNING_COLOR)
        for label in (self.engine_label, self.message_label, self.warning_label):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(False)
        self.progress_bar.setFixedHeight(8)
        self.progress_bar.hide()
        keep_place(self.progress_bar)
        told = LinesBox(self.warning_label, self.message_label, n_lines=_LINES)
        layout.insertWidget(layout.indexOf(self._work), self.progress_bar)
        layout.insertWidget(layout.indexOf(self._work), told)
        layout.addStretch()
        fill_scrolled(self, inside)

    def _build_work(self, layout: QVBoxLayout) -> None:
        """Lay out what is of use while a session is open."""
        self.palette_box = Palette()
        layout.addWidget(self.palette_box)
        history = QHBoxLayout()
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Cancel the running computation and those waiting")
        for button in (self.undo_button, self.redo_button, self.cancel_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            history.addWidget(button)
        layout.addLayout(history)
        self.objects = ObjectList()
        layout.addWidget(self.objects)
        self.corrections = Corrections(self._viewer)
        self.corrections_section = Section("Corrections", self.corrections)
        layout.addWidget(self.corrections_section)
        results = QHBoxLayout()
        self.result_button = QPushButton("Result as a layer")
        self.result_button.setToolTip("Add an ordinary Labels layer, which Export can write; the session continues")
        self.save_button = QPushButton("Save")
        self.save_button.setToolTip("Steps are saved as they are made; this saves again to be sure")
        results.addWidget(self.result_button)
        results.addWidget(self.save_button)
        layout.addLayout(results)
        sheet = QLabel("\n".join(f"{key}: {what}" for key, what in KEY_SHEET))
        sheet.setWordWrap(True)
        self.keys_section = Section("? Keys and mouse", sheet)
        layout.addWidget(self.keys_section)

    def _connect(self) -> None:
        self.layer_combo.changed.connect(self._on_scan)
        self.engine_combo.currentIndexChanged.connect(self._on_engine)
        self.settings_form.changed.connect(self._on_engine)
        self.start_button.clicked.connect(self.start)
        self.end_button.clicked.connect(self.end)
        self.saved.asked.connect(self.resume)
        self.saved.failed.connect(self._fail)
        self.destroyed.connect(self.sessions.close_without_dock)
        self.palette_box.chosen.connect(self._on_tool)
        self.undo_button.clicked.connect(self._call(Editing.undo))
        self.redo_button.clicked.connect(self._call(Editing.redo))
        self.cancel_button.clicked.connect(self.cancel)
        self.result_button.clicked.connect(self._call(Editing.result_as_layer))
        self.save_button.clicked.connect(self._call(Editing.save))
        objects = self.objects
        objects.activated.connect(lambda v: self._edit("Choose object", lambda s: s.activate(v)))
        objects.renamed.connect(lambda v, name: self._edit("Rename object", lambda s: s.rename(v, name)))
        objects.recolored.connect(lambda v, color: self._edit("Color of object", lambda s: s.recolor(v, color)))
        objects.locked.connect(lambda v, is_on: self._edit("Lock object", lambda s: s.lock(v, is_on)))
        objects.added.connect(self.add_object)
        objects.removed.connect(lambda value: self._call(lambda editing: editing.remove_object(value))())
        self.corrections.asked.connect(self._on_correction)
        self.corrections.armed.connect(self._on_armed)
        self.corrections.between_asked.connect(self._fill_between)
        self.corrections.take_asked.connect(self.values.take)
        self.corrections.copy_asked.connect(lambda layer, v: self._call(lambda editing: editing.copy(layer, v))())
        self.corrections.reset_asked.connect(lambda: self._edit("Clear object", lambda s: s.reset()))
        self.sessions.changed.connect(self._update)
        self.sessions.told.connect(self._tell)
        self.sessions.failed.connect(self._fail)
        self.sessions.progressed.connect(self._on_progress)
        self.sessions.opened.connect(self._on_opened)
        self.sessions.ended.connect(self._on_ended)
        self.sessions.closed.connect(self.saved.look)

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def editing(self) -> Editing | None:
        """The session of the chosen scan."""
        return self.sessions.of(self.layer_combo.layer)

    @property
    def engine(self) -> str:
        """The name of the chosen engine."""
        return str(self.engine_combo.currentData())

    def _on_scan(self) -> None:
        """Take up the session of the chosen scan, if it has one."""
        scan = identity(self.layer_combo.layer)
        if scan != self._told_of:  # what was told of another scan goes with it, but for the line that it was closed
            is_open = any(identity(layer) == self._told_of for layer in self._viewer.layers)
            self._told_of = scan
            if is_open:
                self._tell("" if self.editing is not None else _HELP)
        self.sessions.use(self.layer_combo.layer)
        self._show_engine()
        self._update()

    def _show_engine(self) -> None:
        """Show the engine that answers, which is the one before where another one cannot be had."""
        editing = self.editing
        if editing is not None and editing.session is not None and editing.session.engine != self.engine:
            self.engine_combo.blockSignals(True)
            self.engine_combo.setCurrentIndex(self.engine_combo.findData(editing.session.engine))
            self.engine_combo.blockSignals(False)
            self._tell_engine()

    def _scan_for(self, layer: Any) -> Any | None:
        """Return the scan of the layer that the user turns to, which may be one of a session's own."""
        editing = self.sessions.of(layer)
        scan = scan_of(layer, self._viewer.layers) if editing is None else editing.scan
        return scan if scan in self.layer_combo.layers else None

    def _held(self, scan: Any) -> str:
        """Return why the dock stays with its scan while another layer is active: its session is not left unasked."""
        is_session_over = self.editing is None or self.sessions.of(scan) is not None
        return "" if is_session_over else "This scan's session continues"

    def event(self, event: QEvent) -> bool:
        """Notice that the dock was closed: napari takes this widget out of it and keeps it."""
        if event.type() == QEvent.Type.ParentChange and self.parentWidget() is None and self._was_shown:
            self.sessions.close_without_dock()
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  Qt's name
        """Find the window whose closing ends the sessions."""
        super().showEvent(event)
        self._was_shown = True
        self.sessions.watch_window(self)

    def _on_engine(self, _index: int = 0) -> None:
        self._tell_engine()
        editing = self.editing
        if editing is not None:
            editing.set_engine(self.engine, self.settings_form.value())

    def _tell_engine(self) -> None:
        self.engine_label.setText(engine_words(engine_spec(self.engine)))

    # -- sessions --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a session on the chosen scan."""
        layer = self.layer_combo.layer
        if layer is not None and self.editing is None:
            self.sessions.start(layer, self.engine, self.settings_form.value())
            self._tell("Opening the scan …")

    def resume(self, saved: Any) -> None:
        """Go on with a session that was saved, on the chosen scan."""
        layer = self.layer_combo.layer
        if layer is not None and self.editing is None:
            self.sessions.resume(layer, saved)
            self._tell("Opening the saved session …")

    def end(self) -> None:
        """Add the result as a layer, save the session and close it."""
        editing = self.editing
        if editing is not None:
            editing.finish()

    def add_object(self) -> None:
        """Add an object, which prompts then go to."""
        self._edit("New object", lambda session: session.add_object())

    def cancel(self) -> None:
        """Forget what is being drawn; else take back what waits and is being computed."""
        if self.sessions.mouse.is_drawing:
            self.sessions.mouse.give_up()
            return
        if self.values.discard():
            return
        self.corrections.disarm()
        editing = self.editing
        if editing is not None:
            editing.steps.cancel()

    # -- what is drawn: see `interactive_mouse.Canvas` -------------------------------------------------------------

    def tool(self) -> ToolName:
        """Return the tool that the next button uses."""
        return self._clicked or self.palette_box.tool

    def shown(self) -> ShownLabels | None:
        """Return the grid that is drawn on."""
        editing = self.editing
        return editing.shown if editing is not None and editing.is_open else None

    def draw(self, drawn: Drawn) -> None:
        """Show what has been drawn so far."""
        self._with_drawn(drawn, Editing.draw_stroke, Editing.draw_prompt, ValueTools.draw)

    def finish(self, drawn: Drawn) -> None:
        """Ask for what was drawn."""
        editing = self.editing
        if self._clicked is not None and editing is not None:
            island = KeepIsland if self._clicked == "keep" else RemoveIsland
            self.corrections.disarm()
            editing.apply(island(drawn.points[0]))
            return
        self._with_drawn(drawn, Editing.finish_stroke, Editing.finish_prompt, ValueTools.finish)

    def drop(self) -> None:
        """Forget what was drawn."""
        editing = self.editing
        if editing is not None:
            editing.draw_prompt(None)
            editing.drop_stroke()

    def tell(self, line: str) -> None:
        """Show one line."""
        self._tell(line)

    def _with_drawn(
        self, drawn: Drawn, stroke: Callable[..., Any], prompt: Callable[..., Any], other: Callable[..., Any]
    ) -> None:
        editing = self.editing
        if editing is None or editing.session is None or self._clicked is not None:
            return
        try:
            if is_brush(drawn.tool):
                stroke(editing, self.values.paint(drawn))
            elif self.values.draws(drawn):
                other(self.values, drawn)
            else:
                uid = editing.volume.metadata.frame_of_reference_uid
                prompt(editing, self.palette_box.prompt(drawn, uid))
        except RadcnnError as error:
            self.drop()
            self._fail(str(error))

    # -- tools -----------------------------------------------------------------------------------------------------

    def _on_tool(self, name: str) -> None:
        self.corrections.disarm()
        self.sessions.take_mouse(name != "navigate")
        editing = self.editing
        if editing is not None and is_brush(name):
            editing.begin_strokes()

    def _on_armed(self, name: str) -> None:
        self._clicked = "keep" if name == "keep" else "remove" if name == "remove" else None
        self.sessions.take_mouse(self.tool() != "navigate")
        if self._clicked:
            self._tell("Click on a part of the object; Esc cancels.")

    def _on_correction(self, make: Callable[[], Any]) -> None:
        editing = self.editing
        if editing is None:
            return
        try:
            do = editing.previews.ask if self.corrections.preview_check.isChecked() else editing.apply
            do(make())
        except RadcnnError as error:
            self._fail(str(error))

    def _fill_between(self) -> None:
        editing = self.editing
        if editing is not None and (axis := editing.seen_axis()):
            self._on_correction(lambda: FillBetweenSlices(axis))

    def _edit(self, title: str, act: Callable[[Any], Any]) -> None:
        editing = self.editing
        if editing is not None:
            editing.edit(title, act)

    def _call(self, method: Callable[[Editing], Any]) -> Callable[..., None]:
        """Return a slot that calls a method of the present session, whatever it is by then."""

        def slot(*_: Any) -> None:
            editing = self.editing
            if editing is not None:
                method(editing)

        return slot

    # -- keys ------------------------------------------------------------------------------------------------------

    def _key_actions(self) -> dict[str, Action]:
        """Return what each key does, by methods that look up the present session when they are called."""
        actions: dict[str, Action] = {
            UNDO: self._call(Editing.undo),
            REDO: self._call(Editing.redo),
            CLICK: partial(self._on_enter, positive=True),
            OTHER_CLICK: partial(self._on_enter, positive=False),
            "N": self.add_object,
            "Escape": self.cancel,
            "[": lambda: self.palette_box.scale_radius(larger=False),
            "]": lambda: self.palette_box.scale_radius(larger=True),
        }
        for name, _, key, _ in TOOLS:
            actions[key] = partial(self.palette_box.choose, name)
        for digit in range(1, 10):
            actions[str(digit)] = partial(self.objects.activate_row, digit - 1)
        return actions

    def _on_enter(self, *, positive: bool) -> None:
        """Apply what is previewed; else give a prompt at the cross-hair, and where there is none, show it first."""
        if positive and self.values.apply():
            return
        room = open_room(self._viewer)
        if room is not None and not room.shows_cross:
            room.move_point(0, 0)
            self._tell("Shift and arrows move the cross-hair; Return marks there.")
        else:
            self.sessions.mouse.click_at_point(positive=positive)

    def _on_hold(self, is_held: bool) -> None:
        """Let the mouse move the view while the space bar is held."""
        self.sessions.mouse.is_held_off = is_held

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _on_opened(self, editing: Editing) -> None:
        if editing is self.editing and editing.session is not None:
            for part in (self.palette_box, self.corrections):
                part.set_range(*editing.volume.contrast_limits())
            self.palette_box.choose("point")
            self._on_scan()
            self._tell("Left-click on the object; right-click outside it. '?' below lists the keys.")

    def _on_ended(self, line: str) -> None:
        self.palette_box.choose("navigate")
        self._on_scan()
        self.pin.follow()
        self._tell(line)

    def _on_progress(self, done: int, total: int, message: str) -> None:
        self.progress_bar.setRange(0, total)
        self.progress_bar.setValue(done)
        if message:
            self._tell(message)

    def _tell(self, line: str) -> None:
        self.message_label.setText(line)
        self.warning_label.hide()

    def _fail(self, line: str) -> None:
        self.warning_label.setText(f"⚠ {line}")
        self.warning_label.show()
        self._show_engine()

    def _update(self) -> None:
        """Show the state of the present session."""
        editing = self.editing
        is_open = editing is not None and editing.is_open
        show_caption(self._viewer, editing)
        self.values.update()
        self.start_button.setEnabled(editing is None and self.layer_combo.layer is not None)
        self.end_button.setEnabled(is_open)
        self.saved.set_ready(editing is None, self.layer_combo.layer)
        self._work.setVisible(is_open)
        self.engine_label.setVisible(not is_open)  # the tools are to be seen on a small screen, too
        waiting = () if editing is None else editing.steps.unfinished
        self.cancel_button.setEnabled(bool(waiting))
        self.progress_bar.setVisible(bool(waiting))
        if editing is None:
            if not self.message_label.text():
                self._tell(_HELP)
            return
        if not waiting:
            self.progress_bar.setRange(0, 0)
        state = editing.state
        n_more = len(waiting) - 1
        self.cancel_button.setText(f"Cancel ({n_more} waiting)" if n_more > 0 else "Cancel")
        can_drop = any(step.can_be_dropped for step in waiting)
        self.undo_button.setEnabled(bool(state.undo_title) or can_drop)
        self.undo_button.setToolTip(f"Undo: {state.undo_title} (Ctrl+Z)")
        self.redo_button.setEnabled(bool(state.redo_title))
        self.redo_button.setToolTip(f"Redo: {state.redo_title} (Ctrl+Shift+Z)")
        self.objects.show_state(state)
        self.corrections.show_state(state)


def _is_scan(layer: Any) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image) and is_volume(layer) and not layer.rgb
