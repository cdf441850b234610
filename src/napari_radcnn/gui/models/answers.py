"""The part of the Models dock that shows a result: its title, its numbers, and the page of its task."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_radcnn.gui.layers.belonging import identity
from napari_radcnn.gui.models.kept import Kept, KeptResults, title_of
from napari_radcnn.gui.models.pages import Page, Shown, page_class
from napari_radcnn.gui.models.result_table import ResultTable
from napari_radcnn.gui.parts.widgets import reveal, wrapped_label
from napari_radcnn.models import ModelSpec
from napari_radcnn.tasks import TASKS


class Answers(QWidget):
    """Shows the last result of the chosen model on the chosen scan, and no other's.

    Results are kept until their scan is closed, so that they are shown again when it is chosen again.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are the scans.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._kept = KeptResults()
        self._present: Kept | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.title = wrapped_label()
        self.title.setTextFormat(Qt.TextFormat.PlainText)  # the scan's name is anybody's
        self.title.setStyleSheet("font-weight: bold")
        self.title.hide()
        layout.addWidget(self.title)
        self.table = ResultTable()
        layout.addWidget(self.table)
        classes = dict.fromkeys(page_class(name) for name, task in TASKS.items() if task.build)
        self._pages = {page: page(viewer) for page in classes}
        for page in self._pages.values():
            if page.widget is not None:
                layout.addWidget(page.widget)
        viewer.layers.events.removed.connect(self._on_removed)

    def page(self, task: str) -> Page:
        """Return the page that shows results of a task."""
        return self._pages[page_class(task)]

    def choose(self, scan: Any | None, spec: ModelSpec | None) -> Kept | None:
        """Show what a model answered of a scan, and return it; nothing where it was not asked."""
        kept = self._kept.get(identity(scan), spec)
        for page in self._pages.values():
            page.set_scan(scan)
        if kept is None or kept is not self._present:
            self.clear()
            if kept is not None and scan is not None:
                self._show(kept)
                if kept.result is not None:
                    self.page(kept.task).show_again(kept.result)
        self.retitle(scan)
        return kept

    def retitle(self, scan: Any | None) -> None:
        """Show the scan's present name."""
        if self._present is not None and scan is not None:
            self.title.setText(title_of(scan, self._present.spec.title, self._present.ended))

    def keep(self, scan: Hashable, kept: Kept) -> None:
        """Keep a result, to be shown when its scan is chosen."""
        if any(identity(layer) == scan for layer in self._viewer.layers):
            self._kept.keep(scan, kept)

    def show_new(self, scan: Any, kept: Kept, shown: Shown) -> None:
        """Show a result that was kept a moment ago."""
        self._show(kept)
        self.retitle(scan)
        self.page(shown.task).show(shown.result)
        if not self.title.isHidden():
            QTimer.singleShot(0, self._reveal)  # once it has its size

    def _reveal(self) -> None:
        if isalive(self):
            reveal(self)

    def show_other(self, title: str, shown: Shown) -> None:
        """Show a result of no scan that is open, until anything else is chosen."""
        self.clear()
        self.title.setText(title)
        self.title.show()
        self.table.show_rows(shown.rows)
        self.page(shown.task).show(shown.result)

    def drop(self, scan: Any | None, spec: ModelSpec) -> None:
        """Forget what a model answered of a scan, since it is asked again."""
        self._kept.drop(identity(scan), spec)
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self._present = None
        self.title.hide()
        self.table.show_rows([])
        for page in self._pages.values():
            page.clear()

    def _show(self, kept: Kept) -> None:
        self._present = kept
        has_content = bool(kept.rows) or kept.result is not None
        self.title.setVisible(has_content)
        self.table.show_rows(kept.rows)

    def _on_removed(self, event: Any) -> None:
        """Forget what was answered of a scan that is closed."""
        self._kept.drop(identity(event.value))
