"""The table of a run, a row a case, written as it goes; and its log, a line an event."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_radcnn import provenance
from napari_radcnn.cohort.cases import Case
from napari_radcnn.cohort.chain import Resolved
from napari_radcnn.cohort.jobs import Done
from napari_radcnn.files import sync, sync_folder
from napari_radcnn.files.cells import as_cell, from_cell

#: Between several warnings in one cell.
BETWEEN = " | "
_FIRST, _LAST = ("case", "patient", "state", "reason"), ("warnings", "seconds")


class Table:
    """``results.csv``: rows are added as cases are done; a new column rewrites it, at the end it is put in order.

    Parameters
    ----------
    path : path
        The file; what was in it goes, since every row is made again from the records.
    columns : sequence of str
        Those that are known before the work.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = list(dict.fromkeys(columns))
        self._rewrite(iter(()))

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row.

        Raises
        ------
        OSError
            If the disk is full or cannot be written.
        """
        new = [name for name in row if name not in self.columns]
        if new:
            self.columns = [*(name for name in self.columns if name not in _LAST), *new, *_LAST]
            self._rewrite(read_table(self.path))
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._line(row))

    def put_in_order(self, cases: Iterable[Case], first: Sequence[str]) -> None:
        """Put rows in the order of the list and columns in one that does not depend on who was done first."""
        known = [name for name in first if name in self.columns and name not in _LAST]
        others = sorted(name for name in self.columns if name not in known and name not in _LAST)
        self.columns = [*known, *others, *_LAST]
        # Only the places of rows are kept, not the rows: there may be very many.
        places: dict[str, int] = {}
        with self.path.open("rb") as file:
            header = _cells(file.readline().decode())
            while line := file.readline():
                places[_cells(line.decode())[0]] = file.tell() - len(line)

            def rows() -> Iterator[dict[str, str]]:
                for case in cases:
                    if case.name in places:
                        file.seek(places[case.name])
                        yield dict(zip(header, _cells(file.readline().decode()), strict=True))

            self._rewrite(rows())

    def _rewrite(self, rows: Iterator[Mapping[str, Any]]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.new")
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(_csv([as_cell(name) for name in self.columns]))
            file.writelines(map(self._line, rows))
        sync(temporary)
        temporary.replace(self.path)
        sync_folder(self.path.parent)

    def _line(self, row: Mapping[str, Any]) -> str:
        return _csv([_cell(row.get(name)) for name in self.columns])


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table; what a killed process wrote half is left out."""
    with path.open(encoding="utf-8", newline="") as file:
        header: list[str] | None = None
        for line in file:
            if not line.endswith("\n"):
                return
            cells = _cells(line)
            if header is None:
                header = cells
            elif len(cells) == len(header):
                yield dict(zip(header, cells, strict=True))


def row_of(
    case: Case, state: str, reason: str, carried: Sequence[str], steps: Sequence[Done], n_steps: int
) -> dict[str, Any]:
    """Return the row of a case.

    Parameters
    ----------
    case : Case
        Which.
    state : {"done", "failed"}
        What became of it.
    reason : str
        Why it failed; empty else.
    carried : sequence of str
        Columns that go along.
    steps : sequence of Done
        What was done.
    n_steps : int
        How many steps the chain has: of several, columns begin with their names.
    """
    numbers = {
        _column(done.name, name, carried, n_steps): value for done in steps for name, value in done.numbers.items()
    }
    told = list(dict.fromkeys(text for done in steps for text in done.warnings))
    return {
        "case": case.name,
        "patient": case.patient,
        "state": state,
        "reason": reason,
        **{name: case.values.get(name, "") for name in carried},
        **numbers,
        "warnings": BETWEEN.join(told),
        "seconds": round(sum(done.seconds for done in steps), 3),
    }


def first_columns(carried: Sequence[str], steps: Sequence[Resolved]) -> list[str]:
    """Return the columns that are known before the work."""
    known = [_column(step.name, name, carried, len(steps)) for step in steps for name in step.columns]
    return [*_FIRST, *carried, *known, *_LAST]


def _column(step: str, name: str, carried: Sequence[str], n_steps: int) -> str:
    """Return what a number is called: with its step where there are several, or where the list has such a column."""
    return f"{step}: {name}" if n_steps > 1 or name in (*_FIRST, *carried, *_LAST) else name


class Log:
    """``log.jsonl``: a line an event, with its time; a line that a killed process wrote half goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            _cut_torn_line(path)

    def tell(self, event: str, **what: Any) -> None:
        """Add an event.

        Raises
        ------
        OSError
            If the disk is full or cannot be written.
        """
        line = json.dumps({"time": provenance.now(), "event": event, **what}, ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a log."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                plain = json.loads(line)
            except ValueError:
                continue
            if isinstance(plain, dict):
                yield plain


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, 2)
        back = min(size, 1 << 20)
        file.seek(size - back)
        tail = file.read(back)
        if tail and not tail.endswith(b"\n"):
            file.truncate(size - back + tail.rfind(b"\n") + 1)


def _cells(line: str) -> list[str]:
    return [from_cell(text) for text in next(csv.reader([line]), [])]


def _csv(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(as_cell(" ".join(value.split()))) if isinstance(value, str) else str(value)
