"""Small parts that the docks share."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from threading import Event
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QModelIndex, QObject, Qt, QTimer, Signal
from qtpy.QtGui import QHelpEvent, QPainter, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
    QStylePainter,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.layers.belonging import whose
from napari_radcnn.gui.parts.job import SHORT_MS, Job
from napari_radcnn.gui.parts.on_screen import is_on_screen
from napari_radcnn.gui.parts.tips import as_it_is
from napari_radcnn.progress import Progress

_log = logging.getLogger(__name__)
#: Beside the text of a combo box, pixels.
_COMBO_MARGIN = 4
#: A screen of more pixels has room for more lines.
_LOW_SCREEN = 1000


class NarrowCombo(QComboBox):
    """A combo box that does not make its dock as wide as its longest entry, and ends a longer one with an ellipsis."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(14)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Draw the chosen entry as far as there is room for it."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        option.currentText = self.fontMetrics().elidedText(
            self.painted_text(painter), Qt.TextElideMode.ElideRight, field.width() - _COMBO_MARGIN
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def painted_text(self, _painter: QPainter) -> str:
        """Return what is drawn of the chosen entry."""
        return self.currentText()

    def event(self, event: QEvent) -> bool:
        """Show the whole entry as a tool tip, where there is no other."""
        if event.type() == QEvent.Type.ToolTip and not self.toolTip() and isinstance(event, QHelpEvent):
            told = self.currentData(Qt.ItemDataRole.ToolTipRole) or as_it_is(self.currentText())
            QToolTip.showText(event.globalPos(), told, self)
            return True
        return bool(super().event(event))


#: In the metadata of a layer that only shows what is about to be done: it is chosen for nothing.
IS_PREVIEW = "radcnn_is_preview"
#: Of an entry: what the series of its layer is called.
_SERIES = Qt.ItemDataRole.UserRole + 1


def narrow_combo() -> QComboBox:
    """Return a combo box that does not make its dock as wide as its longest entry."""
    return NarrowCombo()


def number_spin(value: float, low: float, high: float, suffix: str, tip: str) -> QDoubleSpinBox:
    """Return a spin box that is no wider than a dock has room for."""
    spin = QDoubleSpinBox()
    spin.setRange(low, high)
    spin.setDecimals(1)
    spin.setSingleStep(0.5)
    spin.setValue(value)
    spin.setSuffix(suffix)
    spin.setMinimumWidth(60)
    spin.setToolTip(tip)
    return spin


def wrapped_label(color: str = "") -> QLabel:
    """Return a label whose text wraps and can be copied."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    if color:
        label.setStyleSheet(f"color: {color}")
    return label


def fill_scrolled(dock: QWidget, inside: QWidget, foot: QWidget | None = None) -> None:
    """Put `inside` into `dock` so that it scrolls up and down where the screen is small, and never sideways.

    What is in `foot` stays below it and is always seen.
    """
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFrameShape(QScrollArea.Shape.NoFrame)
    scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes from control to control, and the page follows
    scroll.setWidget(inside)
    whole = QVBoxLayout(dock)
    whole.setContentsMargins(0, 0, 0, 0)
    whole.addWidget(scroll, 1)
    if foot is not None:
        whole.addWidget(foot)
    dock.setMinimumWidth(300)


def reveal(widget: QWidget) -> None:
    """Scroll the page that a widget stands in to it."""
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QScrollArea):
        above = above.parentWidget()
    if above is not None:
        above.ensureWidgetVisible(widget)


def shortened(text: str, length: int) -> str:
    """Return a text with an ellipsis in its middle where it is longer.

    Examples
    --------
    >>> shortened("T1 MPRAGE sagittal after contrast", 20)
    'T1 MPRAGE…r contrast'
    """
    if len(text) <= length:
        return text
    end = (length - 1) // 2 + 1
    return f"{text[: length - 1 - end]}…{text[-end:]}"


def is_seen(widget: QWidget) -> bool:
    """Whether any of a widget is on the screen: its page is shown, its dock is not behind another."""
    return bool(widget.isVisible() and not widget.visibleRegion().isEmpty())


def keep_place(widget: QWidget) -> None:
    """Let a widget keep its place while it is hidden, so that nothing below it moves."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)


def hold_painting(window: QWidget, ms: int) -> None:
    """Paint nothing of a window until what is done now is done, and `ms` have passed with other events."""

    def go_on() -> None:
        if isalive(window):
            window.setUpdatesEnabled(True)

    window.setUpdatesEnabled(False)
    QTimer.singleShot(ms, go_on)


class LinesBox(QScrollArea):
    """A box of a fixed height for lines that come and go; what is longer scrolls.

    Parameters
    ----------
    labels : QLabel
        Below each other; their text wraps.
    n_lines : int
        Its height; on a high screen it is twice that.
    """

    def __init__(self, *labels: QLabel, n_lines: int) -> None:
        super().__init__()
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for label in labels:
            layout.addWidget(label)
        layout.addStretch()
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setWidget(inside)
        if self.screen().availableGeometry().height() > _LOW_SCREEN:
            n_lines *= 2
        self.setFixedHeight(n_lines * labels[0].fontMetrics().lineSpacing() + 6)
        inside.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Follow the texts."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return bool(super().eventFilter(watched, event))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """Follow the width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        inside = self.widget()
        if inside is not None:
            width = self.viewport().width()
            inside.resize(width, inside.layout().heightForWidth(width))


class LayerCombo(NarrowCombo):
    """Offers the layers of a viewer, follows them, and keeps the choice.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    accepts : callable
        Whether a layer is offered.
    """

    #: The list or the choice is another one.
    changed = Signal()

    def __init__(self, viewer: Any, accepts: Callable[[Any], bool]) -> None:
        super().__init__()
        self._viewer = viewer
        self._accepts = accepts
        self._empty_entry = ""
        self.setItemDelegate(_Described(self))
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.layers.events.reordered):
            event.connect(self._follow)
        self.currentIndexChanged.connect(self._on_index)
        self._follow()

    @property
    def layer(self) -> Any | None:
        """The chosen layer, if it is still in the viewer."""
        reference = self.currentData()
        layer = None if reference is None else reference()
        return layer if layer is not None and layer in self._viewer.layers else None

    @property
    def layers(self) -> list[Any]:
        """The layers on offer, in the viewer's order."""
        return [layer for row in range(self.count()) if (layer := self._layer_at(row)) is not None]

    def choose(self, layer: Any) -> None:
        """Choose a layer, if it is on offer."""
        # Equal, not the same object: plugins get napari's layers wrapped.
        row = next((row for row in range(self.count()) if layer is not None and self._layer_at(row) == layer), None)
        if row is not None:
            self.setCurrentIndex(row)

    def set_empty_entry(self, text: str) -> None:
        """Have a first entry that is no layer, so that nothing is chosen before the user does; none where empty."""
        if text != self._empty_entry:
            self._empty_entry = text
            self._follow()

    def refresh(self) -> None:
        """List the layers anew, since others may be accepted now."""
        self._follow()

    def _layer_at(self, row: int) -> Any | None:
        reference = self.itemData(row)
        return None if reference is None else reference()

    def _follow(self, _event: Any = None) -> None:
        if not isalive(self):  # Qt has deleted it, and Python has not yet
            return
        chosen = self.layer
        self.blockSignals(True)
        self.clear()
        if self._empty_entry:
            self.addItem(self._empty_entry, None)
        for layer in self._viewer.layers:
            if self._accepts(layer) and not layer.metadata.get(IS_PREVIEW):
                self.addItem(layer.name, weakref.ref(layer))
                self._describe(layer)
                layer.events.name.disconnect(self._follow)
                layer.events.name.connect(self._follow)
                if layer is chosen:
                    self.setCurrentIndex(self.count() - 1)
        self.blockSignals(False)
        self.changed.emit()

    def _describe(self, layer: Any) -> None:
        """Have the last entry say which series it is, and whose: names such as ``MR 1 [1]`` do not."""
        series, patient = whose(layer)
        row, name = self.count() - 1, _with(layer.name, series)
        self.setItemData(row, series, _SERIES)
        self.setItemData(row, as_it_is(f"{name}\n{patient}" if patient else name), Qt.ItemDataRole.ToolTipRole)

    def painted_text(self, painter: QPainter) -> str:
        """Return the layer's name, and on the screen what its series is called, too."""
        return _with(self.currentText(), self.currentData(_SERIES) if is_on_screen(painter) else "")

    def _on_index(self, _index: int) -> None:
        self.changed.emit()


class _Described(QStyledItemDelegate):
    """Shows in the list of a `LayerCombo` what the series of each layer is called."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex) -> None:  # noqa: N802  Qt's name
        """Add it to the name."""
        super().initStyleOption(option, index)
        option.text = _with(option.text, index.data(_SERIES))


def _with(name: str, series: str | None) -> str:
    return f"{name} · {series}" if series and series != name else name


class WorkPanel(QWidget):
    """A button that starts work, Cancel, the work's progress, and a line on how it ended.

    Parameters
    ----------
    verb : str
        On the button.
    n_lines : int, optional
        Room for the line on how it ended; by default it takes what it needs.
    """

    #: The work ended, whichever way.
    ended = Signal()

    def __init__(self, verb: str, n_lines: int = 0) -> None:
        super().__init__()
        self.job: Job | None = None
        self._is_ready = False
        #: Whether the button may be pressed while work is under way, to let more work wait.
        self.takes_more = False
        self._done = 0
        self._tell_success: Callable[[Any], str] = str
        self._tell_cancelled: Callable[[], str] = str
        self._whose: Callable[[], str] = str
        self._line = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        self.start_button = QPushButton(verb)
        self.cancel_button = QPushButton("Cancel")
        buttons.addWidget(self.start_button)
        buttons.addWidget(self.cancel_button)
        layout.addLayout(buttons)
        self.progress_bar = QProgressBar()
        self.progress_bar.hide()
        keep_place(self.progress_bar)
        layout.addWidget(self.progress_bar)
        self._bar_timer = QTimer(self)
        self._bar_timer.setSingleShot(True)
        self._bar_timer.setInterval(SHORT_MS)
        self._bar_timer.timeout.connect(self.progress_bar.show)
        self.message_label = wrapped_label()
        layout.addWidget(LinesBox(self.message_label, n_lines=n_lines) if n_lines else self.message_label)
        self.cancel_button.clicked.connect(self.cancel)
        self._update()

    def set_ready(self, is_ready: bool) -> None:
        """Say whether all that the work needs is chosen."""
        self._is_ready = is_ready
        self._update()

    def start(
        self,
        title: str,
        work: Callable[[Progress, Event], Any],
        tell_success: Callable[[Any], str],
        tell_cancelled: Callable[[], str],
        whose: Callable[[], str] = str,
    ) -> None:
        """Do `work` beside the viewer; nothing happens while other work runs.

        Parameters
        ----------
        title : str
            For the activity dock.
        work : callable
            See `Job`.
        tell_success, tell_cancelled : callable
            What is done then; they return the line that is shown.
        whose : callable, optional
            Returns what is to stand before lines of the work, such as the name of a scan that is not the chosen one.
        """
        if self.job is not None:
            return
        self._whose, self._done = whose, 0
        self._tell_success, self._tell_cancelled = tell_success, tell_cancelled
        self.job = Job(self, title, work)
        self.job.progressed.connect(self._on_progress)
        self.job.succeeded.connect(self._on_succeeded)
        self.job.failed.connect(self._on_failed)
        self.job.cancelled.connect(self._on_cancelled)
        self.job.ended.connect(self._on_ended)
        self._say(f"{title} …")
        self.progress_bar.setRange(0, 0)
        self._bar_timer.start()
        self._update()
        self.job.start()

    def cancel(self) -> None:
        """Ask the work to stop."""
        if self.job is not None:
            self.cancel_button.setEnabled(False)
            self._say("Cancelling …")
            self.job.cancel()

    def fail(self, line: str) -> None:
        """Show why it went wrong: here, and where that is not seen as napari's notification; once in the log."""
        from napari.utils.notifications import show_error

        self._say(line)
        reveal(self)
        if is_seen(self.message_label):
            _log.error("%s", self.message_label.text())
        else:
            show_error(self.message_label.text())  # napari prints it, too

    def say_again(self) -> None:
        """Show the last line of the work that is under way, whose it is by now."""
        if self.job is not None:
            self._say(self._line)

    def _say(self, line: str) -> None:
        self._line = line
        self.message_label.setText(self._whose() + line)

    def _on_progress(self, done: int, total: int, message: str) -> None:
        if self.job is not None and self.cancel_button.isEnabled():
            # What is not a step, such as compiling a network, takes its time unseen: the bar moves back and forth then.
            self.progress_bar.setRange(0, total if done not in (0, self._done) else 0)
            self.progress_bar.setValue(done)
            self._done = done
            self._say(message)

    def _on_failed(self, line: str) -> None:
        if self.job is not None and self.job.is_told:
            self._say(line)
        else:
            self.fail(line)

    def _on_succeeded(self, result: Any) -> None:
        self.message_label.setText(self._tell_success(result))

    def _on_cancelled(self) -> None:
        self._say(self._tell_cancelled())

    def _on_ended(self) -> None:
        self.job, self._whose = None, str
        self._bar_timer.stop()
        self.progress_bar.hide()
        self._update()
        self.ended.emit()

    def _update(self) -> None:
        self.start_button.setEnabled(self._is_ready and (self.takes_more or self.job is None))
        self.cancel_button.setEnabled(self.job is not None)
