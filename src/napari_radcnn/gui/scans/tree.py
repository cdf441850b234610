"""The list of scans: by study, each with a small picture, two lines of text, and below it what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem

from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.scans.folder import ListedScan
from napari_radcnn.gui.scans.thumbnails import SIDE

_SCAN = Qt.ItemDataRole.UserRole


class ScanTree(QTreeWidget):
    """Shows what was found."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderHidden(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setMinimumHeight(110)
        self.setIndentation(8)
        self.setWordWrap(True)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Scans")

    def show_scans(self, scans: Sequence[ListedScan]) -> None:
        """List scans in place of those before."""
        self.clear()
        groups: dict[tuple[str, str], QTreeWidgetItem] = {}
        blank = QPixmap(SIDE, SIDE)
        blank.fill(QColor(0, 0, 0, 0))
        for scan in scans:
            key = (scan.group, scan.group_key)
            if key not in groups:
                groups[key] = _group(scan.group)
                self.addTopLevelItem(groups[key])
                groups[key].setExpanded(True)
            details = scan.details.replace(" x ", "\u00d7").replace(" mm", "\u00a0mm")  # room for it in one line
            title = scan.title.replace(" · ", "\u00a0·\u00a0", 1)  # no line ends with the number of a series
            item = QTreeWidgetItem([f"{title}\n{details}" if details else title])
            item.setData(0, _SCAN, scan)
            item.setIcon(0, QIcon(blank))
            item.setToolTip(0, f"{scan.title}\n{scan.details}")
            if not scan.can_open:
                is_shown = Qt.ItemFlag.ItemIsEnabled if scan.can_be_repaired else Qt.ItemFlag.NoItemFlags
                item.setFlags(is_shown)
            groups[key].addChild(item)
            if scan.problem:
                _add_problem(item, scan.problem)

    def items(self) -> Iterator[QTreeWidgetItem]:
        """Yield the entry of every scan, in order."""
        for n in range(self.topLevelItemCount()):
            group = self.topLevelItem(n)
            for m in range(0 if group is None else group.childCount()):
                child = None if group is None else group.child(m)
                if child is not None:
                    yield child

    def set_picture(self, place: int, picture: QImage) -> None:
        """Show the small picture of a scan, by its place in the list, in a square of its own."""
        for n, item in enumerate(self.items()):
            if n == place:
                item.setIcon(0, QIcon(QPixmap.fromImage(picture)))

    def mark(self, scan: ListedScan, is_open: bool) -> None:
        """Show in bold whether a scan is in the viewer."""
        for item in self.items():
            if scan_of_item(item) is scan:
                font = item.font(0)
                font.setBold(is_open)
                item.setFont(0, font)

    def chosen(self) -> list[ListedScan]:
        """Return the selected scans that can be opened."""
        scans = [scan_of_item(item) for item in self.selectedItems()]
        return [scan for scan in scans if scan is not None and scan.can_open]


def scan_of_item(item: QTreeWidgetItem | None) -> ListedScan | None:
    """Return the scan of an entry, or of the line below it that says what is wrong with it."""
    while item is not None:
        scan = item.data(0, _SCAN)
        if isinstance(scan, ListedScan):
            return scan
        item = item.parent()
    return None


def _group(title: str) -> QTreeWidgetItem:
    item = QTreeWidgetItem([title])
    item.setFlags(Qt.ItemFlag.ItemIsEnabled)
    item.setToolTip(0, title)
    font = item.font(0)
    font.setBold(True)
    item.setFont(0, font)
    return item


def _add_problem(item: QTreeWidgetItem, problem: str) -> None:
    """Say below a series why it or a part of it cannot be opened."""
    line = QTreeWidgetItem([f"⚠ {problem}"])
    line.setFlags(Qt.ItemFlag.ItemIsEnabled)
    line.setForeground(0, QColor(WARNING_COLOR))
    line.setToolTip(0, problem)
    item.addChild(line)
    item.setExpanded(True)
