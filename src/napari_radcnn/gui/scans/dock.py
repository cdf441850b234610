"""The Scans page: what is at some paths, by study and series, and the chosen ones into the viewer."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QImage, QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMainWindow,
    QPushButton,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.layers.layers import is_ours
from napari_radcnn.gui.layers.show import log_of, tell_of
from napari_radcnn.gui.measure.carried import rulers_in
from napari_radcnn.gui.parts.job import Job, Work
from napari_radcnn.gui.parts.widgets import WorkPanel, fill_scrolled, hold_painting, is_seen
from napari_radcnn.gui.reading.show import add_to_viewer, watch
from napari_radcnn.gui.scans import slices
from napari_radcnn.gui.scans.consent import DefaultButton
from napari_radcnn.gui.scans.drops import take_drops
from napari_radcnn.gui.scans.folder import ListedScan, Listing, first_scan, list_paths, load, repaired
from napari_radcnn.gui.scans.kind_button import KindButton
from napari_radcnn.gui.scans.notes import ScanNotes
from napari_radcnn.gui.scans.opening import hand_over, show_page
from napari_radcnn.gui.scans.others import OthersRow, layer_of
from napari_radcnn.gui.scans.pixel_size import PixelSizeRow
from napari_radcnn.gui.scans.preparing import Preparing
from napari_radcnn.gui.scans.showing import make_layers, open_places, show_alone, warm_up
from napari_radcnn.gui.scans.thumbnails import thumbnails
from napari_radcnn.gui.scans.tree import ScanTree, scan_of_item
from napari_radcnn.gui.scans.warming import Warming
from napari_radcnn.io import OnIrregular, SeriesInfo
from napari_radcnn.progress import Progress

#: Between two pieces of work, ms: events are processed, and the picture is painted.
_PAUSE_MS = 10


class ScansDock(QWidget):
    """Lists the scans in a folder and opens them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self._waiting: list[list[Path]] = []
        self._next: Callable[[], None] | None = None
        #: What is still to be done with what was loaded, one step after the other.
        self._steps: deque[Callable[[], object]] = deque()
        self._last: Job | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._go_on)
        #: What was loaded, and the `unique_id` of its layers: plugins get napari's layers in short-lived wrappers.
        self._open: list[tuple[ListedScan, list[Hashable]]] = []
        self._pictures: Job | None = None
        self._ready: SimpleQueue[tuple[int, QImage]] = SimpleQueue()
        self._repair: ListedScan | None = None
        self.warming: Warming | None = None
        self._preparing = Preparing(self, napari_viewer)
        self._build()
        self._connect()
        self.setAcceptDrops(True)
        watch(napari_viewer)
        self._update_buttons()
        self._on_active()
        _PAGES.append(weakref.ref(self))
        if not _WARM:  # what the first layer of a program takes is done before a scan waits for it
            _WARM.append(True)
            Job(self, "Layers", lambda _progress, _cancel: warm_up(), is_silent=True).start()

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setSpacing(4)  # all of it fits into the height that a small screen leaves
        layout.setContentsMargins(9, 6, 9, 4)
        top = QHBoxLayout()
        self.path_line = QLineEdit()
        self.path_line.setPlaceholderText("Folder: type its path, choose it, or drop it here")
        self.open_button = QPushButton("Open folder …")
        top.addWidget(self.path_line)
        top.addWidget(self.open_button)
        layout.addLayout(top)
        self.tree = ScanTree()
        layout.addWidget(self.tree, 1)
        self.repair_row = QWidget()
        row = QVBoxLayout(self.repair_row)  # beside each other they are wider than the panel
        row.setContentsMargins(0, 0, 0, 0)
        self.resample_button = QPushButton("Interpolate to an even grid")
        self.split_button = QPushButton("Open its even parts")
        row.addWidget(self.resample_button)
        row.addWidget(self.split_button)
        self.repair_row.hide()
        layout.addWidget(self.repair_row)
        self.notes = ScanNotes(self.viewer)
        layout.addWidget(self.notes)
        self.panel = WorkPanel("Load selected")
        layout.addWidget(self.panel)
        self.others_row = OthersRow()
        layout.addWidget(self.others_row)
        self.pixel_size = PixelSizeRow(self.viewer, self.panel.fail)
        layout.addWidget(self.pixel_size)
        self.kind_button = KindButton(self.viewer, self._on_replaced, self.panel.fail)
        layout.addWidget(self.kind_button)
        self.ask_box = QCheckBox("Ask if one slice means its series")
        self.ask_box.setChecked(slices.kept_answer() is None)
        layout.addWidget(self.ask_box)
        self.default_button = DefaultButton(self.panel.message_label.setText)
        layout.addWidget(self.default_button)
        fill_scrolled(self, inside)

    def _connect(self) -> None:
        self.open_button.clicked.connect(self._choose_folder)
        self.path_line.returnPressed.connect(self._on_path)
        self.tree.itemSelectionChanged.connect(self._update_buttons)
        self.tree.itemClicked.connect(self._on_click)
        self.tree.itemActivated.connect(self._on_activated)
        self.panel.start_button.clicked.connect(self.load_selected)
        self.panel.ended.connect(self._on_ended)
        self.resample_button.clicked.connect(lambda: self._on_repair("resample"))
        self.split_button.clicked.connect(lambda: self._on_repair("split"))
        self.others_row.wanted.connect(self._on_others)
        self.others_row.stopped.connect(self._on_stop)
        self.ask_box.clicked.connect(self._on_ask)
        self.viewer.layers.selection.events.active.connect(self._on_active)
        self.viewer.layers.events.removed.connect(self._on_removed)

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Return a size that shows the list without scrolling sideways."""
        return QSize(360, 600)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  Qt's name
        """Take the drops on the canvas, now that there is a window."""
        super().showEvent(event)
        current: Any = self
        while current is not None and not isinstance(current, QMainWindow):
            current = current.parentWidget()
        if current is not None:
            page = weakref.ref(self)
            take_drops(current, lambda paths: _open_in(page, paths))
            if self.warming is None and not self.viewer.layers:
                self.warming = Warming(self, self.viewer, lambda: bool(self.job or self._steps))

    @property
    def job(self) -> Job | None:
        """The listing or loading that is under way, until what follows it has begun."""
        return self.panel.job or (self._last if self._pause.isActive() else None)

    # -- paths -----------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802  Qt's name
        """Take files and folders."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802  Qt's name
        """Open what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_paths(paths)

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a folder of scans", self.path_line.text())
        if folder:
            self.open_paths([Path(folder)])

    def _on_path(self) -> None:
        if self.path_line.text().strip():
            self.open_paths([Path(self.path_line.text().strip()).expanduser()])

    def open_paths(self, paths: Sequence[Path]) -> None:
        """List files and folders beside the viewer, then load the first scan, or all files that are named.

        Parameters
        ----------
        paths : sequence of Path
            Slices of one series are one scan. Of one slice alone the user is asked whether its series is meant. What
            is asked for while other work is under way waits for it.
        """
        paths = list(paths)
        if self.job is not None:
            self._waiting.append(paths)
            return
        self._stop_pictures()
        self.path_line.setText(str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more")
        self.tree.clear()
        if len(paths) == 1 and paths[0].is_dir():
            folder = paths[0]
            self._next = lambda: self._list(paths)

            def work(progress: Progress, cancel: Event) -> tuple[ListedScan, list[Any]] | None:
                found = first_scan(folder, progress, cancel, self._preparing.glimpsed.emit)
                return None if found is None else (found[0], make_layers(found[1]))

            self._start("Opening", work, self._add_first)
        else:
            self._list(paths)

    def _add_first(self, found: tuple[ListedScan, list[Any]] | None) -> str:
        return "Listing scans …" if found is None else self._add([found[0]], [found[1]])

    def _list(self, paths: list[Path]) -> None:
        def work(progress: Progress, cancel: Event) -> Listing:
            return list_paths(paths, progress, cancel)

        self._start("Listing scans", work, self._show_list, is_reading=False)

    def _show_list(self, listing: Listing) -> str:
        self.tree.show_scans(listing.scans)
        for scan, _ in self._open:
            self._mark(scan)
        for scan in listing.scans:
            self.notes.tell_whose(scan, self._layers_of(scan))
        if listing.slice is not None and len(listing.scans) > 1 and listing.scans[0].can_open:
            self._next = lambda: self._on_slice(listing.scans[0], listing.scans[1])
        elif listing.first and not any(self._layers_of(scan) for scan in listing.scans):
            self._next = lambda: self._choose(list(listing.first))
        count = sum(scan.can_open for scan in listing.scans)
        return f"{count} found; click on one to see it." if listing.scans else "No scans in this folder."

    # -- one slice -------------------------------------------------------------------------------------------------

    def _on_slice(self, series: ListedScan, alone: ListedScan) -> None:
        """Ask whether a slice means its series, unless the user has said so for all."""

        def on_answer(answer: slices.Answer | None) -> None:
            self.ask_box.setChecked(slices.kept_answer() is None)
            if answer is not None:
                self._choose([series if answer == "series" else alone])

        kept = slices.kept_answer()
        if kept is not None:
            on_answer(kept)
            return
        source = alone.source
        name = source.files[0].name if isinstance(source, SeriesInfo) else alone.title
        slices.ask(self, name, series.n_files, series.title, on_answer)

    def _on_ask(self, is_on: bool) -> None:
        slices.keep_answer(None if is_on else "series")

    # -- into the viewer -------------------------------------------------------------------------------------------

    def selected(self) -> list[ListedScan]:
        """Return the selected scans."""
        return self.tree.chosen()

    def _on_click(self, item: QTreeWidgetItem, _column: int) -> None:
        """Show the scan; with Ctrl or Shift it is only selected, to be loaded with others."""
        if QApplication.keyboardModifiers() == Qt.KeyboardModifier.NoModifier:
            self._on_activated(item, 0)

    def _on_activated(self, item: QTreeWidgetItem, _column: int) -> None:
        """Show the scan, or in full why it cannot be, and what can be done."""
        scan = scan_of_item(item)
        self._repair = scan if scan is not None and scan.can_be_repaired else None
        self.repair_row.setVisible(self._repair is not None)
        if scan is None:
            return
        if scan.problem and (not scan.can_open or item.parent() is None or item.childCount() == 0):
            self.panel.message_label.setText(f"⚠ {scan.problem}")
        if scan.can_open:
            self._choose([scan])

    def _on_repair(self, how: OnIrregular) -> None:
        if self._repair is not None:
            self._choose([repaired(self._repair, how)])

    def load_selected(self) -> None:
        """Read the selected scans beside the viewer and add them as layers."""
        self._choose(self.selected())

    def _choose(self, scans: list[ListedScan]) -> None:
        """Show scans: those that are in the viewer at once, the others when they are loaded."""
        if not scans or self.job is not None:
            return
        missing = [scan for scan in scans if not self._layers_of(scan)]
        if not missing:
            show_alone(self.viewer, self._layers_of(scans[0]))
            return
        places = open_places(self.viewer)

        def work(progress: Progress, cancel: Event) -> list[list[Any]]:
            return [make_layers(load([scan], progress, cancel, places)) for scan in missing]

        self._start("Loading scans", work, lambda loaded: self._add(missing, loaded))

    def _add(self, scans: list[ListedScan], loaded: list[list[Any]]) -> str:
        """Add layers one after the other, so that the window never stands for long."""
        self._steps += self._preparing.rest([layer for layers in loaded for layer in layers])
        for scan, layers in zip(scans, loaded, strict=True):
            self._steps += [partial(self._add_layer, layer) for layer in layers]
            self._steps.append(partial(self._on_added, scan, [layer.unique_id for layer in layers]))
        self._steps.append(partial(self._show_first, scans[0]))
        return "1 scan loaded." if len(scans) == 1 else f"{len(scans)} scans loaded."

    def _show_first(self, scan: ListedScan) -> None:
        layers = self._layers_of(scan)
        if layers:  # rulers are on the page of measurements by now
            show_alone(self.viewer, layers)

    def _add_layer(self, layer: Any) -> None:
        hold_painting(self.window(), _PAUSE_MS)  # else it is painted in the midst of this
        add_to_viewer(self.viewer, layer, is_told=is_seen(self))
        if rulers_in(layer):
            show_page(self.viewer, "Measure")  # it takes them over
        elif not is_ours(layer):
            (log_of if is_seen(self) else tell_of)(layer.name, layer.metadata)

    def _on_added(self, scan: ListedScan, ids: list[Hashable]) -> None:
        self._open.append((scan, ids))
        self._mark(scan)
        self._offer_others()

    def _layers_of(self, scan: ListedScan) -> list[Any]:
        """Return the layers of a scan that are in the viewer."""
        found = {one for known, ids in self._open if known.key == scan.key for one in ids}
        return [layer for layer in self.viewer.layers if layer.unique_id in found]

    def _mark(self, scan: ListedScan) -> None:
        for item in self.tree.items():
            listed = scan_of_item(item)
            if listed is not None and listed.key == scan.key:
                self.tree.mark(listed, bool(self._layers_of(scan)))

    def _on_removed(self, _event: Any = None) -> None:
        gone = [scan for scan, _ in self._open if not self._layers_of(scan)]
        self._open = [(scan, ids) for scan, ids in self._open if scan not in gone]
        for scan in gone:
            self._mark(scan)
        self._offer_others()

    # -- further volumes -------------------------------------------------------------------------------------------

    def _offer_others(self) -> None:
        layer = self.viewer.layers.selection.active
        scan = self._scan_of(layer)
        self.others_row.offer(layer if scan else None, self._layers_of(scan) if scan else [])

    def _scan_of(self, layer: Any | None) -> ListedScan | None:
        return next((scan for scan, ids in self._open if layer is not None and layer.unique_id in ids), None)

    def _on_others(self, places: tuple[int, ...]) -> None:
        """Show a volume of the chosen scan by its place, or add several: those that are no layers yet are read."""
        scan = self._scan_of(self.viewer.layers.selection.active)
        if scan is None or self.job is not None:
            return
        seen = layer_of(places, self._layers_of(scan))
        if seen is not None:
            show_alone(self.viewer, [seen])
            return
        near = open_places(self.viewer)

        def work(progress: Progress, cancel: Event) -> list[Any]:
            return make_layers(load([scan], progress, cancel, near, places))

        def add(layers: list[Any]) -> str:
            self._steps += [partial(self._add_layer, layer) for layer in layers]
            self._steps.append(partial(self._on_added, scan, [layer.unique_id for layer in layers]))
            if len(layers) == 1:
                self._steps.append(lambda: show_alone(self.viewer, layers))
            self.others_row.set_busy(len(layers) > 1)
            return f"{layers[0].name}." if len(layers) == 1 else f"Adding {len(layers)} layers."

        self._start("Reading volumes", work, add)

    def _on_stop(self) -> None:
        """Add no more layers; those that are there stay."""
        self._steps = deque(step for step in self._steps if getattr(step, "func", None) != self._add_layer)

    def _on_active(self, _event: Any = None) -> None:
        self.kind_button.show_active()
        self._offer_others()

    def _on_replaced(self, before: Hashable, after: Hashable) -> None:
        for _, ids in self._open:
            ids[:] = [after if one == before else one for one in ids]

    # -- work ------------------------------------------------------------------------------------------------------

    def _start(self, title: str, work: Work, tell: Callable[[Any], str], *, is_reading: bool = True) -> None:
        self.panel.start(title, work, tell, lambda: "Cancelled.")
        self._last = self.panel.job
        if is_reading and self._last is not None:
            self._last.progressed.connect(self._preparing.begin)
        self._update_buttons()

    def cancel(self) -> None:
        """Stop listing or loading."""
        self._waiting.clear()
        self._next = None
        self.panel.cancel()

    def _on_ended(self) -> None:
        self._pause.start()
        self._update_buttons()

    def _go_on(self) -> None:
        """Do the next step; the window is painted in between."""
        step = self._steps.popleft() if self._steps else self._preparing.last_step()
        if step is not None:
            self._pause.start()
            step()
            return
        self._last = None
        self._preparing.end()
        self.others_row.set_busy(False)
        self._update_buttons()
        what, self._next = self._next, None
        if what is not None:
            what()
        if self.job is None and self._waiting:
            self.open_paths(self._waiting.pop(0))
        if self.job is None:
            self._start_pictures()

    def _update_buttons(self) -> None:
        is_free = self.job is None
        self.open_button.setEnabled(is_free)
        self.path_line.setEnabled(is_free)
        self.panel.set_ready(bool(self.selected()))

    # -- small pictures --------------------------------------------------------------------------------------------

    def _start_pictures(self) -> None:
        """Read a slice of every scan in the list that has no picture yet, when the first scan is seen."""
        scans = [scan for item in self.tree.items() if (scan := scan_of_item(item)) is not None]
        if self._pictures is not None or not scans or self.tree.property("pictured") == id(scans[0]):
            return
        self.tree.setProperty("pictured", id(scans[0]))
        ready: SimpleQueue[tuple[int, QImage]] = SimpleQueue()
        self._ready = ready

        def work(progress: Progress, cancel: Event) -> None:
            for place, picture in thumbnails(scans, cancel):
                ready.put((place, picture))
                progress(place, len(scans), "")

        self._pictures = Job(self, "Small pictures", work, is_silent=True)
        self._pictures.progressed.connect(self._show_pictures)
        self._pictures.ended.connect(self._on_pictured)
        self._pictures.start()

    def _show_pictures(self, *_progress: object) -> None:
        while isalive(self) and not self._ready.empty():
            self.tree.set_picture(*self._ready.get())

    def _on_pictured(self) -> None:
        self._show_pictures()
        self._pictures = None

    def _stop_pictures(self) -> None:
        if self._pictures is not None:
            self._pictures.cancel()
        self._ready = SimpleQueue()


def _open_in(page: weakref.ref[ScansDock], paths: Sequence[Path]) -> None:
    """Let the page of a drop open it, which is turned to; another one if it has been closed since."""
    known = page()
    if known is not None and isalive(known):
        hand_over(known.viewer, paths, are_all=True)


def pages() -> list[ScansDock]:
    """Return every Scans page there is."""
    live = [page for reference in _PAGES if (page := reference()) is not None and isalive(page)]
    _PAGES[:] = [weakref.ref(page) for page in live]
    return live


#: Whether napari's layers have been made once, or are being made.
_WARM: list[bool] = []
#: Of all viewers.
_PAGES: list[weakref.ref[ScansDock]] = []
