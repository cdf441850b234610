"""The list of findings: sorted by score, cut at a score, gone through by keys or clicks, each accepted or rejected."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.findings.layer import mark, review_of, show_review
from napari_radcnn.gui.findings.list import FindingsList
from napari_radcnn.gui.findings.review import Review
from napari_radcnn.gui.findings.view import finding_at, go_to
from napari_radcnn.gui.layers.belonging import identity, is_scan, says_scan, scan_of
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.parts.gone import when_gone
from napari_radcnn.gui.parts.keys import UNDO, Keys
from napari_radcnn.gui.parts.widgets import wrapped_label
from napari_radcnn.results import FindingState

#: Steps of the slider from 0 to 1.
_STEPS = 100
#: Of the score in figures, with napari's wide buttons, pixels.
_NUMBER_WIDTH = 92
#: Least of a button, pixels: three of them must not make the panel wider than its dock.
_BUTTON_WIDTH = 70
#: How far the mouse may move between press and release of a click, pixels.
_CLICK = 4.0


class FindingsPanel(QWidget):
    """Reviews the findings of a scan, or those whose layer is active; hidden where there are none.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Callable[[], Any] = lambda: None
        self._scan: Hashable | None = None
        self._is_filling = False
        self._build()
        own = weakref.ref(self)
        decide = {"A": _calling(own, "accept"), "R": _calling(own, "reject")}
        self._layer_keys = Keys(decide | {UNDO: _calling(own, "undo")})
        self._viewer_keys = Keys(decide)  # undo is that of whichever layer is active
        viewer.layers.selection.events.active.connect(self._follow)
        viewer.layers.events.removed.connect(self._follow)
        clicks = _Clicks(own)
        viewer.mouse_drag_callbacks.append(clicks)
        when_gone(self, partial(_let_go, viewer, (self._layer_keys, self._viewer_keys), clicks))
        self._follow()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.title = wrapped_label()
        self.title.setStyleSheet("font-weight: bold")
        self.warnings = wrapped_label(color=WARNING_COLOR)
        for label in (self.title, self.warnings):
            label.setTextFormat(Qt.TextFormat.PlainText)  # the scan's name is anybody's
            layout.addWidget(label)
        line = QHBoxLayout()
        self.threshold_slider = QSlider(Qt.Orientation.Horizontal)
        self.threshold_slider.setRange(0, _STEPS)
        self.threshold_box = QDoubleSpinBox()
        self.threshold_box.setRange(0.0, 1.0)
        self.threshold_box.setSingleStep(0.05)
        self.threshold_box.setDecimals(2)
        self.threshold_box.setFixedWidth(_NUMBER_WIDTH)
        line.addWidget(QLabel("Minimum score"))
        line.addWidget(self.threshold_slider, 1)
        line.addWidget(self.threshold_box)
        layout.addLayout(line)
        self.summary = wrapped_label()
        layout.addWidget(self.summary)
        self.list = FindingsList()
        layout.addWidget(self.list)
        buttons = QHBoxLayout()
        self.accept_button, self.reject_button = QPushButton("Accept (A)"), QPushButton("Reject (R)")
        self.undo_button = QPushButton("Undo")
        self.undo_button.setToolTip("Undo the last decision (Ctrl+Z)")
        for button in (self.accept_button, self.reject_button, self.undo_button):
            button.setMinimumWidth(_BUTTON_WIDTH)
            buttons.addWidget(button)
        layout.addLayout(buttons)
        self.threshold_slider.valueChanged.connect(lambda step: self.threshold_box.setValue(step / _STEPS))
        self.threshold_box.valueChanged.connect(self._on_threshold)
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemClicked.connect(lambda *_: self._go())
        self.list.decided.connect(self._decide)
        self.list.undone.connect(self.undo)
        self.accept_button.clicked.connect(self.accept)
        self.reject_button.clicked.connect(self.reject)
        self.undo_button.clicked.connect(self.undo)

    # -- what is reviewed ------------------------------------------------------------------------------------------

    @property
    def layer(self) -> Any | None:
        """The layer whose findings are listed, while it is in the viewer."""
        layer = self._layer()
        return layer if layer is not None and layer in self._viewer.layers else None

    @property
    def review(self) -> Review | None:
        """Its findings."""
        return review_of(self.layer)

    @property
    def current(self) -> int | None:
        """The chosen finding."""
        return self.list.current

    def set_scan(self, scan: Any | None) -> None:
        """List the findings of a scan, and of no other."""
        self._scan = identity(scan)
        self._follow()

    def _follow(self, _event: Any = None) -> None:
        """Take the layer of findings that is active now, else the one before, else the last one; all of the scan."""
        if not isalive(self):  # Qt has deleted it, and Python has not yet
            return
        # Equal, not the same object: plugins get napari's layers wrapped.
        chosen, before = self._viewer.layers.selection.active, self.layer
        active = next((layer for layer in self._viewer.layers if chosen is not None and layer == chosen), None)
        listed = [layer for layer in self._viewer.layers if review_of(layer) is not None]
        of_scan = [layer for layer in listed if self._belongs(layer)]
        last = of_scan[-1] if of_scan else None
        layer = active if active in listed else before if before in of_scan else last
        if layer is not None and layer is before:
            return
        self._layer_keys.release()
        self._viewer_keys.release()
        self._layer = (lambda: None) if layer is None else weakref.ref(layer)
        if layer is not None:
            layer.editable = False
            layer.events.name.connect(self._on_name)
            self._layer_keys.bind(layer)
            self._viewer_keys.bind(self._viewer)
        self._fill()

    def _belongs(self, layer: Any) -> bool:
        """Whether findings are those of the scan; those that do not say are, while no other scan is open."""
        layers = self._viewer.layers
        scan = scan_of(layer, layers)
        if scan is None:
            n_open = sum(is_scan(other) for other in layers)
            return n_open == 0 or (n_open == 1 and not says_scan(layer))
        return self._scan is None or identity(scan) == self._scan

    def _on_name(self, _event: Any = None) -> None:
        layer = self.layer
        self.title.setText("" if layer is None else layer.name)

    def _fill(self) -> None:
        """List the findings of the layer."""
        review = self.review
        self.setVisible(review is not None)
        self._is_filling = True
        self.list.clear()
        if review is not None:
            self._on_name()
            self.warnings.setText("\n".join(f"⚠ {line}" for line in review.detections.warnings))
            self.warnings.setVisible(bool(review.detections.warnings))
            self.list.add_rows(review.boxes)
            for widget in (self.threshold_slider, self.threshold_box):
                widget.setEnabled(review.has_scores)
            self.threshold_slider.setValue(round(review.threshold * _STEPS))
            self.threshold_box.setValue(review.threshold)
        self._is_filling = False
        self._update()

    def _update(self) -> None:
        """Show in list and layer what the review says now."""
        review, layer = self.review, self.layer
        if review is None or layer is None:
            return
        shown = set(review.shown)
        for number, box in enumerate(review.boxes):
            self.list.show_row(number, box.state, number in shown)
        self.summary.setText(review.summary)
        show_review(layer)
        mark(layer, self.current)
        self._enable()

    def _enable(self) -> None:
        review = self.review
        for button in (self.accept_button, self.reject_button):
            button.setEnabled(self.current is not None)
        self.undo_button.setEnabled(review is not None and review.can_undo)

    def reveal(self) -> None:
        """Scroll to the list in the dock that it stands in."""
        above = self.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        if above is not None:
            above.ensureWidgetVisible(self)

    # -- what the user does ----------------------------------------------------------------------------------------

    def accept(self) -> None:
        """Accept the chosen finding, and choose the next."""
        self._decide("accepted")

    def reject(self) -> None:
        """Reject the chosen finding, and choose the next."""
        self._decide("rejected")

    def _decide(self, state: FindingState) -> None:
        review, number = self.review, self.current
        if review is None or number is None:
            return
        review.decide(number, state)
        self._update()
        self.list.setCurrentItem(self.list.topLevelItem(review.next_after(number)))

    def undo(self) -> None:
        """Take the last decision back, and choose its finding again."""
        review = self.review
        number = None if review is None else review.undo()
        if number is not None:
            self._update()
            self.choose(number)
            self._go()

    def choose(self, number: int) -> None:
        """Choose the row of a finding, without moving the view."""
        item = self.list.topLevelItem(number)
        if item is None or item.isHidden():
            return
        self._is_filling = True
        self.list.setCurrentItem(item)
        self._is_filling = False
        mark(self.layer, number)
        self._enable()

    def _on_threshold(self, value: float) -> None:
        review = self.review
        self.threshold_slider.blockSignals(True)
        self.threshold_slider.setValue(round(value * _STEPS))
        self.threshold_slider.blockSignals(False)
        if review is not None and not self._is_filling:
            review.threshold = value
            self._update()

    def _on_current(self, *_: Any) -> None:
        if not self._is_filling:
            self._go()

    def _go(self) -> None:
        """Show the chosen finding."""
        review, layer, number = self.review, self.layer, self.current
        if review is None or number is None:
            return
        go_to(self._viewer, review.boxes[number].center)
        mark(layer, number)
        self._enable()


class _Clicks:
    """Chooses the row of a finding that is clicked in the canvas; a drag stays napari's."""

    def __init__(self, panel: weakref.ref[FindingsPanel]) -> None:
        self._panel = panel

    def __call__(self, viewer: Any, event: Any) -> Iterator[None]:
        panel = self._panel()
        if panel is None or panel.layer is None or event.button != 1 or tuple(event.modifiers):
            return
        pressed = np.asarray(event.pos, float)
        yield
        while event.type == "mouse_move":
            yield
        if float(np.linalg.norm(np.asarray(event.pos, float) - pressed)) <= _CLICK:
            number = finding_at(viewer, panel.layer, event)
            if number is not None:
                panel.choose(number)


def _let_go(viewer: Any, keys: tuple[Keys, ...], clicks: _Clicks) -> None:
    """Give keys and mouse back to the viewer when the dock is gone."""
    for each in keys:
        each.release()
    if clicks in viewer.mouse_drag_callbacks:
        viewer.mouse_drag_callbacks.remove(clicks)


def _calling(panel: weakref.ref[FindingsPanel], name: str) -> Callable[[], object]:
    """Return a function that calls a method of the panel and does not keep it alive."""

    def call() -> object:
        there = panel()
        return None if there is None else getattr(there, name)()

    return call
