"""The cases of a list as Qt's tables want them: state, key numbers, reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractItemModel, QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QTableView

from napari_radcnn.cohort import Case
from napari_radcnn.cohort.cases import RESULT_COLUMNS

_FIRST = ("Case", "State")
_LAST = "Note"
#: Columns of the table of results that are no key numbers.
_NO_NUMBERS = frozenset((*RESULT_COLUMNS, "patient"))
_MOST_NUMBERS = 6
#: Of the width of the table, what the names of cases take at most; and the least for the note, pixels.
_CASE_SHARE, _NOTE_WIDTH = 0.4, 50
#: What numbers are called that are shown before others.
_KEY = (("_ml", "findings", "probability_", " dice"), ("best_score", "largest_mm", " mean"))
_States = Mapping[str, Mapping[str, str]]


class CaseTable(QTableView):
    """The list of cases, in which Return opens the chosen one.

    It has no bar to scroll sideways: of the key numbers as many are seen as there is room for, and all of them in the
    tool tip of the case.
    """

    entered_case = Signal()

    def setModel(self, model: QAbstractItemModel | None) -> None:  # noqa: N802  Qt's name
        """Show cases."""
        super().setModel(model)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        if model is not None:
            model.modelReset.connect(self.fit)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """Show as many numbers as there is room for."""
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Share the width: names of cases get a part of it, the note what is left, numbers what they need."""
        model = self.model()
        last = -1 if model is None else model.columnCount() - 1
        if last < len(_FIRST):
            return
        for column in range(last + 1):
            self.setColumnHidden(column, False)
        header, width = self.horizontalHeader(), self.viewport().width()
        self.resizeColumnsToContents()
        header.resizeSection(0, min(header.sectionSize(0), int(_CASE_SHARE * width)))
        numbers = range(len(_FIRST), last)
        left = width - sum(header.sectionSize(column) for column in (0, 1, *numbers))
        for column in reversed(numbers):
            is_seen = left >= _NOTE_WIDTH
            left += 0 if is_seen else header.sectionSize(column)
            self.setColumnHidden(column, not is_seen)
        header.resizeSection(last, max(left, _NOTE_WIDTH))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Take Return, alone: with Ctrl it starts the run."""
        is_return = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_return and not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            self.entered_case.emit()
        else:
            super().keyPressEvent(event)


class CaseRows(QAbstractTableModel):
    """Cases and what became of them.

    Parameters
    ----------
    parent : QObject
        Whose.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.cases: Sequence[Case] = ()
        self._results: _States = {}
        self._numbers: list[str] = []
        self._rows: dict[str, int] = {}
        self._working: set[str] = set()

    def set_cases(self, cases: Sequence[Case]) -> None:
        """Show other cases."""
        self.beginResetModel()
        self.cases, self._results, self._numbers, self._working = tuple(cases), {}, [], set()
        self._rows = {case.name: row for row, case in enumerate(self.cases)}
        self.endResetModel()

    def set_results(self, results: _States, carried: Sequence[str]) -> None:
        """Show what became of them.

        Parameters
        ----------
        results : mapping of str to mapping
            Rows of the table of results, by case.
        carried : sequence of str
            Columns of the list, which are not shown again.
        """
        first = next(iter(results.values()), {})
        known = [name for name in first if name not in _NO_NUMBERS and name not in carried]
        numbers = sorted(known, key=_rank)[:_MOST_NUMBERS]
        if numbers != self._numbers:
            self.beginResetModel()
            self._results, self._numbers = results, numbers
            self.endResetModel()
            return
        self._results = results
        if self.cases:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.cases) - 1, self.columnCount() - 1))

    def set_working(self, message: str) -> None:
        """Mark the case that a line of progress begins with (``"sub-01: patch 3"``) as being worked on."""
        pieces = message.split(": ")
        starts = (": ".join(pieces[:n]) for n in range(1, len(pieces)))
        name = next((start for start in starts if start in self._rows), None)
        if name is not None and name not in self._working:
            self._working.add(name)
            self._show_state(name)

    def end_work(self) -> None:
        """Mark no case as being worked on."""
        before, self._working = self._working, set()
        for name in before:
            self._show_state(name)

    def _show_state(self, name: str) -> None:
        place = self.index(self._rows[name], 1)
        self.dataChanged.emit(place, place)

    def count(self, state: str) -> int:
        """Return how many cases are in a state."""
        return sum(row.get("state") == state for name, row in self._results.items() if name in self._rows)

    def state_of(self, case: Case) -> str:
        """Return the state of a case: done, failed, working, in doubt, or waiting."""
        state = self._results.get(case.name, {}).get("state", "")
        if state:
            return state
        if case.name in self._working:
            return "working"
        return "in doubt" if case.doubt else "waiting"

    # -- as Qt asks ------------------------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  Qt's name
        """Return the number of cases."""
        return 0 if parent is not None and parent.isValid() else len(self.cases)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  Qt's name
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_FIRST) + len(self._numbers) + 1

    def headerData(  # noqa: N802  Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the name of a column."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        names = [*_FIRST, *self._numbers, _LAST]
        if role == Qt.ItemDataRole.ToolTipRole:
            return names[section]
        # of a chain's columns, which begin with the name of the step, what follows it
        return names[section].rpartition(": ")[2] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        case = self.cases[index.row()]
        row = self._results.get(case.name, {})
        column = index.column()
        if column == 0:
            return case.name if role == Qt.ItemDataRole.DisplayRole else self._about(case, row)
        if column == 1:
            return self.state_of(case)
        if column < len(_FIRST) + len(self._numbers):
            return _short(row.get(self._numbers[column - len(_FIRST)], ""))
        return row.get("reason") or row.get("warnings") or case.doubt

    def _about(self, case: Case, row: Mapping[str, str]) -> str:
        """Return the name of a case, why it was chosen, and its key numbers, each in a line."""
        numbers = [f"{name}: {_short(row[name])}" for name in self._numbers if row.get(name)]
        return "\n".join(line for line in (case.name, case.why, *numbers) if line)


def _rank(name: str) -> int:
    """Return how late a number comes: volumes, findings and agreement are looked for first."""
    column = name.rpartition(": ")[2]
    return next((rank for rank, words in enumerate(_KEY) if any(word in column for word in words)), len(_KEY))


def _short(text: str) -> str:
    """Return a number with four digits; anything else as it is."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text
