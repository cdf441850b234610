"""A field for the size of a picture's pixels, where its file does not say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from napari_radcnn.errors import OptionError
from napari_radcnn.gui.layers.calibrating import film_of, set_pixel_size
from napari_radcnn.gui.layers.layers import METADATA_KEY
from napari_radcnn.io.pixel_size import LARGEST_MM, SMALLEST_MM


class PixelSizeRow(QWidget):
    """Shown while the active layer is a picture whose pixel size is not known, or was typed.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose active layer.
    fail : callable
        Called with one line on what is wrong with what was typed.
    """

    def __init__(self, viewer: Any, fail: Callable[[str], object]) -> None:
        super().__init__()
        self._viewer, self._fail = viewer, fail
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.line = QLineEdit()
        self.line.setPlaceholderText("not known")
        self.line.setValidator(QDoubleValidator(SMALLEST_MM, LARGEST_MM, 6, self.line))
        self.line.setToolTip("Width and height of a pixel: the file does not say it. Without it, lengths are in pixels")
        self.line.setAccessibleName("Pixel size in mm")
        self.button = QPushButton("Set")
        row.addWidget(QLabel("Pixel size"))
        row.addWidget(self.line, 1)
        row.addWidget(QLabel("mm"))
        row.addWidget(self.button)
        self.line.textChanged.connect(self._update)
        self.line.returnPressed.connect(self.button.click)
        self.button.clicked.connect(self._on_set)
        viewer.layers.selection.events.active.connect(self.follow)
        viewer.layers.events.reordered.connect(self.follow)
        self.follow()

    @property
    def film(self) -> Any | None:
        """The layer whose pixel size is typed."""
        return film_of(self._viewer.layers.selection.active, self._viewer.layers)

    def follow(self, _event: Any = None) -> None:
        """Show the size of the picture that is active now."""
        if not isalive(self):  # Qt has deleted it, and Python has not yet
            return
        film = self.film
        self.setVisible(film is not None)
        if film is not None:
            volume = film.metadata[METADATA_KEY]["volume"]
            known = f"{volume.geometry.spacing[1]:g}" if volume.metadata.is_calibrated else ""
            if self.line.text() != known:
                self.line.setText(known)
        self._update()

    def _update(self) -> None:
        self.button.setEnabled(self.line.hasAcceptableInput())

    def _on_set(self) -> None:
        film = self.film
        if film is None:
            return
        mm, is_number = self.line.locale().toDouble(self.line.text())
        if not is_number:
            mm = float(self.line.text())
        try:
            set_pixel_size(self._viewer, film, mm)
        except OptionError as error:
            self._fail(str(error))
