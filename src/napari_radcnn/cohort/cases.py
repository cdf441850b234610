"""Cases: one row of a list each, with a file for every input and whatever else is known of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from napari_radcnn.errors import OptionError, ReadError

#: Columns that are never an input, and never carried into the table of results.
OWN_COLUMNS = ("case", "patient", "why", "doubt")
#: What a model of one input takes.
IMAGE = "image"
#: Columns of the table of results that a list cannot bring along.
RESULT_COLUMNS = ("case", "state", "reason", "seconds", "warnings")
_UNSAFE = re.compile(r"[^\w.+=@-]+", re.UNICODE)
_MOST_NAMED = 5
#: How alike a name must be to be meant; "age" and "image" are 0.75.
_CLOSE = 0.78


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a list.

    Attributes
    ----------
    name : str
        Unique in the list.
    values : mapping of str to str
        What its other columns hold, without those that are empty: paths of inputs, age, split, ...
    patient : str
        Whose it is; empty where the list does not say.
    why : str
        Why its files were chosen, where a search chose them.
    doubt : str
        What somebody should look at before relying on it; empty for nothing.
    row : int
        Its line in the list, the header being 1.
    """

    name: str
    values: Mapping[str, str]
    patient: str = ""
    why: str = ""
    doubt: str = ""
    row: int = 0

    @property
    def folder(self) -> str:
        """Its name as that of a folder; see `folder_name`."""
        return folder_name(self.name)


@dataclass(frozen=True)
class CaseList:
    """Cases with their columns.

    Attributes
    ----------
    cases : tuple of Case
        In the order of the list.
    columns : tuple of str
        The columns besides `OWN_COLUMNS`, in the order of the list.
    folder : Path
        What relative paths are relative to: the folder of the list.
    source : Path or None
        The list's file.
    """

    cases: tuple[Case, ...]
    columns: tuple[str, ...]
    folder: Path
    source: Path | None = None
    problems: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    @property
    def where(self) -> str:
        """What errors begin with."""
        return str(self.source or self.folder)

    @property
    def doubtful(self) -> list[Case]:
        """Those that somebody should look at."""
        return [case for case in self.cases if case.doubt]


def folder_name(case: str) -> str:
    """Return the name of a case as that of a folder: what not every file system takes becomes ``_``.

    Examples
    --------
    >>> folder_name("sub-01/ses-2")
    'sub-01_ses-2'
    """
    safe = _UNSAFE.sub("_", case).strip(". ") or "_"
    return safe[:120]


def checked(cases: CaseList) -> CaseList:
    """Return a list whose cases can be told apart.

    Raises
    ------
    ReadError
        If there is none, two have one name or one folder, or one case is of two patients; names the rows.
    """
    if not cases.cases:
        raise ReadError(f"{cases.where}: the list holds no cases.")
    unnamed = [case.row for case in cases if not case.name]
    if unnamed:
        raise ReadError(f"{cases.where}: {_rows(unnamed)} no name in the column 'case'; give every case one.")
    seen: dict[str, Case] = {}
    for case in cases:
        key = case.folder.casefold()
        other = seen.setdefault(key, case)
        if other is case:
            continue
        if other.name == case.name and other.patient != case.patient:
            raise ReadError(
                f"{cases.where}: the case '{case.name}' stands for two patients, '{other.patient}' (row {other.row}) "
                f"and '{case.patient}' (row {case.row}); give each its own name."
            )
        same = (
            f"the case '{case.name}' is listed twice"
            if other.name == case.name
            else (f"the cases '{other.name}' and '{case.name}' would share the folder '{case.folder}'")
        )
        raise ReadError(f"{cases.where}: {same} (rows {other.row} and {case.row}); each needs a name of its own.")
    return cases


def inputs_for(cases: CaseList, wanted: Sequence[str], mapped: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return which column of a list holds each input.

    Parameters
    ----------
    cases : CaseList
        The list.
    wanted : sequence of str
        The inputs of a model, such as ``("T1", "FLAIR")``, or ``("image",)``.
    mapped : mapping of str to str, optional
        What the user says: input to column.

    Raises
    ------
    ReadError
        If a column is missing; names a close one, or those there are.
    OptionError
        If the user names an input that there is not.
    """
    unknown = next((name for name in mapped or {} if name not in wanted), None)
    if unknown is not None:
        raise OptionError(f"There is no input '{unknown}' (--input {unknown}=...); there are: {', '.join(wanted)}.")
    by_word = {column.casefold(): column for column in cases.columns}
    found: dict[str, str] = {}
    for name in wanted:
        told = (mapped or {}).get(name, name)
        column = by_word.get(told.casefold())
        if column is None and name == IMAGE and told == name:
            column = _only_path_column(cases)
        if column is None:
            raise ReadError(_missing_column(cases, told, name))
        found[name] = column
    return found


def _missing_column(cases: CaseList, told: str, name: str) -> str:
    close = get_close_matches(told, cases.columns, n=1, cutoff=_CLOSE)
    hint = f"did you mean '{close[0]}'? " if close else ""
    listed = ", ".join(cases.columns) or "none besides case and patient"
    return (
        f"{cases.where}: no column '{told}' for the input '{name}'; {hint}there are: {listed}. Say which one holds it: "
        f"--input {name}=COLUMN, or below the model on the Cohort page."
    )


def _only_path_column(cases: CaseList) -> str | None:
    """Return the one column that names files; None where none or several do."""
    from napari_radcnn.cohort.reading import is_there, locate

    first = {
        column: next((case.values[column] for case in cases if column in case.values), "") for column in cases.columns
    }
    holding = [column for column, text in first.items() if text and is_there(locate(text, cases.folder)[0])]
    return holding[0] if len(holding) == 1 else None


def missing_files(cases: CaseList, columns: Iterable[str]) -> dict[str, str]:
    """Return which cases name no file or one that is not there, with the reason; nothing is opened."""
    from napari_radcnn.cohort.reading import is_there, locate

    found = {}
    listed = tuple(columns)
    for case in cases:
        for column in listed:
            text = case.values.get(column, "")
            if not text:
                found[case.name] = f"No file in the column '{column}'." + (f" {case.doubt}" if case.doubt else "")
            elif not is_there(path := locate(text, cases.folder)[0]):
                found[case.name] = f"{path}: no such file or folder; check the name."
            elif not (path.is_file() or path.is_dir()):
                found[case.name] = f"{path}: neither a file nor a folder; check the name."
            else:
                continue
            break
    return found


def shared_files(cases: CaseList, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of cases that name the very same files, each with the first that does."""
    first: dict[tuple[str, ...], str] = {}
    found = []
    for case in cases:
        named = tuple(case.values.get(column, "") for column in columns)
        if any(named) and first.setdefault(named, case.name) != case.name:
            found.append((first[named], case.name))
    return found


def check_carried(cases: CaseList, used: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that go along into the table of results: age, split, ...

    Raises
    ------
    ReadError
        If one has a name that the table uses itself.
    """
    carried = tuple(column for column in cases.columns if column not in set(used))
    for column in carried:
        if column.casefold() in RESULT_COLUMNS:
            raise ReadError(f"{cases.where}: the table of results has its own column '{column}'; rename it.")
    return carried


def _rows(rows: Sequence[int]) -> str:
    listed = ", ".join(map(str, rows[:_MOST_NAMED])) + (" ..." if len(rows) > _MOST_NAMED else "")
    return f"row {listed} has" if len(rows) == 1 else f"rows {listed} have"
