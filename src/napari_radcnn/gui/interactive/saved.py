"""Sessions that were not ended: offered when their scan is open, and named when it is another one."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours
from napari_radcnn.gui.parts.job import Job
from napari_radcnn.gui.parts.widgets import narrow_combo, wrapped_label
from napari_radcnn.interactive.journal.journal import SavedSession, discard
from napari_radcnn.progress import Progress
from napari_radcnn.session import PromptSession


class SavedChoice(QWidget):
    """Offers unfinished sessions; hidden while there are none."""

    #: The session that the user wants back.
    asked = Signal(object)
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[SavedSession] = []
        self._layer: Any = None
        self._is_ready = False
        self._job: Job | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        self.label = wrapped_label()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.label)
        self.combo = narrow_combo()
        layout.addWidget(self.combo)
        buttons = QHBoxLayout()
        self.resume_button = QPushButton("Resume")
        self.discard_button = QPushButton("Discard …")
        buttons.addWidget(self.resume_button)
        buttons.addWidget(self.discard_button)
        layout.addLayout(buttons)
        self.combo.currentIndexChanged.connect(self._update)
        self.resume_button.clicked.connect(self._on_resume)
        self.discard_button.clicked.connect(self._on_discard)
        self._update()

    @property
    def chosen(self) -> SavedSession | None:
        """The session that is chosen."""
        row = self.combo.currentIndex()
        return self.sessions[row] if 0 <= row < len(self.sessions) else None

    @property
    def is_looking(self) -> bool:
        """Whether the list is about to change."""
        return self._job is not None

    def look(self) -> None:
        """Look for sessions, beside the viewer."""
        if self._job is not None:
            return

        def work(_progress: Progress, _cancel: Event) -> list[SavedSession]:
            return PromptSession.unfinished()

        self._job = Job(self, "Searching for saved sessions", work, is_silent=True)
        self._job.succeeded.connect(self._on_sessions)
        self._job.failed.connect(self.failed.emit)
        self._job.ended.connect(self._on_ended)
        self._job.start()

    def set_ready(self, is_ready: bool, layer: Any | None) -> None:
        """Say which scan's layer is chosen, and whether a session can begin on it."""
        is_other = layer is not self._layer
        self._is_ready, self._layer = is_ready, layer
        if is_other:
            self._choose_fitting()
        self._update()

    def _on_sessions(self, sessions: list[SavedSession]) -> None:
        self.sessions = sessions
        self.combo.blockSignals(True)
        self.combo.clear()
        self.combo.addItems([_line(saved) for saved in sessions])
        self.combo.blockSignals(False)
        self._choose_fitting()
        self._update()

    def _on_ended(self) -> None:
        self._job = None

    def _choose_fitting(self) -> None:
        """Choose the newest session of the scan, if there is one."""
        fitting = (row for row, saved in enumerate(self.sessions) if is_of(saved, self._layer))
        self.combo.setCurrentIndex(next(fitting, 0))

    def _update(self, _index: int = 0) -> None:
        saved = self.chosen
        self.setVisible(saved is not None and self._is_ready)
        if saved is None:
            return
        fits = is_of(saved, self._layer)
        self.resume_button.setEnabled(self._layer is not None)
        if fits:
            self.label.setText("An unfinished session of this scan:")
        elif self._layer is None:
            self.label.setText(f"An unfinished session of {scan_of(saved)}: open that scan to resume it.")
        else:
            self.label.setText(
                f"This unfinished session belongs to another scan, {scan_of(saved)}: open that scan to resume."
            )
            self.resume_button.setEnabled(False)

    def _on_resume(self) -> None:
        if self.chosen is not None:
            self.asked.emit(self.chosen)

    def _on_discard(self) -> None:
        saved = self.chosen
        if saved is None:
            return
        box = QMessageBox(self)
        box.setObjectName("radcnn_discard")
        box.setWindowTitle("Discard?")
        box.setText(f"{_line(saved)}: permanently discard this session and its {saved.steps} steps?")
        box.setStandardButtons(QMessageBox.StandardButton.Discard | QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.finished.connect(lambda answer: self._discard(saved, answer))
        box.open()

    def _discard(self, saved: SavedSession, answer: int) -> None:
        if answer != QMessageBox.StandardButton.Discard or self._job is not None:
            return

        def work(_progress: Progress, _cancel: Event) -> list[SavedSession]:
            discard(saved)
            return PromptSession.unfinished()

        self._job = Job(self, "Discarding a session", work, is_silent=True)
        self._job.succeeded.connect(self._on_sessions)
        self._job.failed.connect(self.failed.emit)
        self._job.ended.connect(self._on_ended)
        self._job.start()


def is_of(saved: SavedSession, layer: Any | None) -> bool:
    """Whether a session seems to be of a layer's scan; its voxels are compared when it is resumed."""
    if layer is None:
        return False
    known = _input(saved)
    if not is_ours(layer):
        return sorted(known.get("shape") or ()) == sorted(layer.data.shape)
    native = layer.metadata[METADATA_KEY]["place"].native
    affine = np.array(known.get("affine") or np.zeros((4, 4)))
    return tuple(known.get("shape") or ()) == native.shape and np.allclose(affine, native.affine, atol=1e-3)


def scan_of(saved: SavedSession) -> str:
    """Return what is known of a session's scan, for the user to find it."""
    known = _input(saved)
    path = known.get("path")
    place = f" ({Path(path).name})" if path else ""
    return f"'{known.get('name', 'unknown')}'{place}, {' x '.join(str(n) for n in known.get('shape') or ())} voxels"


def _line(saved: SavedSession) -> str:
    when = saved.saved.astimezone()
    steps = "1 step" if saved.steps == 1 else f"{saved.steps} steps"
    return f"{_input(saved).get('name', 'unknown')} · {steps} · {when:%Y-%m-%d %H:%M}"


def _input(saved: SavedSession) -> dict[str, Any]:
    known = saved.header.get("input")
    return known if isinstance(known, dict) else {}
