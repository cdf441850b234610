"""The button that lets napari open our formats with this plugin, after asking, and takes it back."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QMessageBox, QPushButton

from napari_radcnn.gui.scans import defaults


class DefaultButton(QPushButton):
    """Changes napari's preferences, and says how.

    Parameters
    ----------
    tell : callable
        Shows one line on what was done.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__()
        self._tell = tell
        self.clicked.connect(self._on_click)
        self.refresh()

    def refresh(self) -> None:
        """Say what a click would do now."""
        self.setText(
            "Stop opening with RadCNN by default" if defaults.is_default() else "Open with RadCNN by default …"
        )

    def _on_click(self) -> None:
        """Change napari's preferences after asking; a second click takes it back."""
        if defaults.is_default():
            defaults.undo_default()
            self._tell("napari will ask again which plugin opens these files.")
            self.refresh()
            return
        others = defaults.taken()
        kept = "".join(f"\n{pattern} stays with {plugin}." for pattern, plugin in others.items())
        box = QMessageBox(self)
        box.setObjectName("radcnn_default_consent")
        box.setWindowTitle("Open with RadCNN by default?")
        box.setText(
            "This changes napari's preferences so that folders, and files with these names, are opened with RadCNN "
            f"when you open or drop them: {', '.join(defaults.patterns()[:-1])}.\n\nThe same button undoes "
            f"this.{kept}"
        )
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No)
        box.finished.connect(self._on_consent)
        box.open()

    def _on_consent(self, answer: int) -> None:
        if answer == int(QMessageBox.StandardButton.Yes):
            defaults.make_default()
            self._tell("napari now opens these files with RadCNN.")
        self.refresh()
