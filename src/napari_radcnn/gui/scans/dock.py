"""The Scans dock: what is in a folder, by study and series, and the chosen ones into the viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import LayerData
from napari_radcnn.gui.parts.job import Job, Work
from napari_radcnn.gui.parts.widgets import WorkPanel
from napari_radcnn.gui.reading.show import add_to_viewer, watch
from napari_radcnn.gui.scans import defaults
from napari_radcnn.gui.scans.folder import ListedScan, list_folder, load
from napari_radcnn.progress import Progress

_COLUMNS = ("Series", "Modality", "Size", "Spacing (mm)", "Files")
_WIDTHS = (146, 62, 100, 124, 40)


class ScansDock(QWidget):
    """Lists the scans in a folder and opens them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._build()
        self.setAcceptDrops(True)
        watch(napari_viewer)
        self._update_buttons()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        top = QHBoxLayout()
        self.path_line = QLineEdit()
        self.path_line.setPlaceholderText("Folder: type its path, choose it, or drop it here")
        self.open_button = QPushButton("Open folder …")
        top.addWidget(self.path_line)
        top.addWidget(self.open_button)
        layout.addLayout(top)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(list(_COLUMNS))
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setMinimumHeight(140)
        self.tree.setIndentation(12)
        self.tree.setWordWrap(True)
        for column, width in enumerate(_WIDTHS):
            self.tree.setColumnWidth(column, width)
        layout.addWidget(self.tree)
        self.panel = WorkPanel("Load selected")
        layout.addWidget(self.panel)
        self.default_button = QPushButton()
        layout.addWidget(self.default_button)
        self.setMinimumWidth(300)
        self.open_button.clicked.connect(self._choose_folder)
        self.path_line.returnPressed.connect(self._on_path)
        self.tree.itemSelectionChanged.connect(self._update_buttons)
        self.tree.itemClicked.connect(self._on_click)
        self.tree.itemDoubleClicked.connect(self._on_double_click)
        self.panel.start_button.clicked.connect(self.load_selected)
        self.panel.ended.connect(self._update_buttons)
        self.default_button.clicked.connect(self._on_default)

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Return a size that shows the list without scrolling sideways."""
        return QSize(500, 600)

    @property
    def job(self) -> Job | None:
        """The listing or loading that is under way."""
        return self.panel.job

    # -- a folder --------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802  Qt's name
        """Take files and folders."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802  Qt's name
        """List what was dropped."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.list_path(Path(paths[0]))

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a folder of scans", self.path_line.text())
        if folder:
            self.list_path(Path(folder))

    def _on_path(self) -> None:
        if self.path_line.text().strip():
            self.list_path(Path(self.path_line.text().strip()).expanduser())

    def list_path(self, path: Path) -> None:
        """List the scans in a folder (or the scan in a file), reading headers beside the viewer."""
        if self.job is not None:
            return
        self.path_line.setText(str(path))
        self.tree.clear()

        def work(progress: Progress, cancel: Event) -> list[ListedScan]:
            return list_folder(path, progress, cancel)

        self._start("Listing scans", work, self._show_list)

    def _show_list(self, scans: list[ListedScan]) -> str:
        groups: dict[str, QTreeWidgetItem] = {}
        for scan in scans:
            if scan.group not in groups:
                groups[scan.group] = QTreeWidgetItem([scan.group])
                groups[scan.group].setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.tree.addTopLevelItem(groups[scan.group])
                groups[scan.group].setFirstColumnSpanned(True)
                groups[scan.group].setExpanded(True)
            item = QTreeWidgetItem([scan.title, scan.modality, scan.size, scan.spacing, str(scan.n_files)])
            item.setData(0, Qt.ItemDataRole.UserRole, scan)
            item.setToolTip(0, scan.title)
            if not scan.can_open:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            groups[scan.group].addChild(item)
            if scan.problem:
                _add_problem(item, scan.problem)
        count = sum(scan.can_open for scan in scans)
        return (
            f"{count} found; double-click one, or select several and load them."
            if scans
            else ("No scans in this folder.")
        )

    # -- into the viewer -------------------------------------------------------------------------------------------

    def selected(self) -> list[ListedScan]:
        """Return the selected scans."""
        items = self.tree.selectedItems()
        scans = [item.data(0, Qt.ItemDataRole.UserRole) for item in items]
        return [scan for scan in scans if isinstance(scan, ListedScan) and scan.can_open]

    def _on_click(self, item: QTreeWidgetItem, _column: int) -> None:
        """Show in full a problem that the list cuts off."""
        if item.data(0, Qt.ItemDataRole.UserRole) is None and item.parent() is not None:
            self.panel.message_label.setText(item.text(0))

    def _on_double_click(self, item: QTreeWidgetItem, _column: int) -> None:
        scan = item.data(0, Qt.ItemDataRole.UserRole)
        if isinstance(scan, ListedScan) and scan.can_open:
            self._load([scan])

    def load_selected(self) -> None:
        """Read the selected scans beside the viewer and add them as layers."""
        self._load(self.selected())

    def _load(self, scans: list[ListedScan]) -> None:
        if not scans or self.job is not None:
            return

        def work(progress: Progress, cancel: Event) -> list[LayerData]:
            return load(scans, progress, cancel)

        self._start("Loading scans", work, self._add)

    def _add(self, loaded: list[LayerData]) -> str:
        for data in loaded:
            add_to_viewer(self._viewer, data)
        return "1 scan loaded." if len(loaded) == 1 else f"{len(loaded)} scans loaded."

    # -- work ------------------------------------------------------------------------------------------------------

    def _start(self, title: str, work: Work, tell: Callable[[Any], str]) -> None:
        self.panel.start(title, work, tell, lambda: "Cancelled.")
        self._update_buttons()

    def cancel(self) -> None:
        """Stop listing or loading."""
        self.panel.cancel()

    def _update_buttons(self) -> None:
        is_free = self.job is None
        self.open_button.setEnabled(is_free)
        self.path_line.setEnabled(is_free)
        self.panel.set_ready(bool(self.selected()))
        self.default_button.setText(
            "Do not open these formats with RadCNN by default"
            if defaults.is_default()
            else "Open these formats with RadCNN by default …"
        )

    # -- napari's settings -----------------------------------------------------------------------------------------

    def _on_default(self) -> None:
        """Change napari's preferences after asking; a second click takes it back."""
        if defaults.is_default():
            defaults.undo_default()
            self.panel.message_label.setText("napari will ask again which plugin opens these files.")
            self._update_buttons()
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
            self.panel.message_label.setText("napari now opens these files with RadCNN.")
        self._update_buttons()


def _add_problem(item: QTreeWidgetItem, problem: str) -> None:
    """Tell below a series, over the whole width, why it or a part of it cannot be opened."""
    line = QTreeWidgetItem([f"⚠ {problem}"])
    line.setFlags(Qt.ItemFlag.ItemIsEnabled)
    line.setForeground(0, QColor(WARNING_COLOR))
    line.setToolTip(0, problem)
    item.addChild(line)
    line.setFirstColumnSpanned(True)
    item.setExpanded(True)
