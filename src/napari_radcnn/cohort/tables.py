"""Lists of cases as files: CSV, TSV, Excel and JSON, read and written."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.cases import OWN_COLUMNS, Case, CaseList, checked
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import atomic_path, write_text
from napari_radcnn.files.cells import as_cell, from_cell

#: How the names of lists end.
SUFFIXES = (".csv", ".tsv", ".xlsx", ".json")


def read_list(path: str | Path) -> CaseList:
    """Read a list of cases.

    Parameters
    ----------
    path : path
        ``.csv`` (commas or semicolons), ``.tsv``, ``.xlsx`` (its first sheet) or ``.json`` (a list of objects, or one
        under ``"cases"``). The column ``case`` names each; ``patient`` says whose it is; others hold the path of an
        input, relative to the list, or anything else.

    Raises
    ------
    ReadError
        If it cannot be read, has no column ``case``, or its cases cannot be told apart.
    """
    path = Path(path)
    try:
        header, rows = _raw(path)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ReadError(f"{path}: not text in UTF-8; save the list as CSV with UTF-8.") from error
    except (csv.Error, ValueError, RecursionError) as error:
        raise ReadError(f"{path}: the list cannot be read: {error}.") from error
    return checked(_list_of(path, header, rows))


def write_list(cases: CaseList, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a list of cases in the format that the suffix says, completely or not at all.

    Paths below the folder of the new list become relative to it.

    Raises
    ------
    WriteError
        If the suffix is none of those, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise WriteError(f"{path}: lists of cases are written as {', '.join(SUFFIXES)}.")
    columns = ("case", "patient", *cases.columns, "why", "doubt")
    rows = (_row(case, cases, path.parent) for case in cases)
    if suffix == ".xlsx":
        _write_excel(path, columns, rows, overwrite)
    elif suffix == ".json":
        plain = [{name: row[name] for name in columns if row.get(name)} for row in rows]
        write_text(path, json.dumps({"cases": plain}, indent=1, ensure_ascii=False) + "\n", overwrite)
    else:
        text = io.StringIO()
        writer = csv.writer(text, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([as_cell(row.get(name, "")) for name in columns] for row in rows)
        write_text(path, text.getvalue(), overwrite)
    return path


def _row(case: Case, cases: CaseList, folder: Path) -> dict[str, str]:
    return {
        "case": case.name,
        "patient": case.patient,
        "why": case.why,
        "doubt": case.doubt,
        **{name: _relative(text, cases.folder, folder) for name, text in case.values.items()},
    }


def _relative(text: str, base: Path, folder: Path) -> str:
    from napari_radcnn.cohort.reading import is_there, locate

    path, rest = locate(text, base)
    if not is_there(path):
        return text
    absolute, root = path.absolute(), folder.absolute()
    named = absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)
    return f"{named}#{rest}" if rest else named


def _list_of(path: Path, header: Sequence[str], rows: Iterable[tuple[int, Mapping[str, str]]]) -> CaseList:
    doubled = {name for name in header if name and header.count(name) > 1}
    if doubled:
        raise ReadError(f"{path}: the column '{sorted(doubled)[0]}' appears twice; rename one of them.")
    own = {name.casefold(): name for name in header if name.casefold() in OWN_COLUMNS}
    if "case" not in own:
        listed = ", ".join(name for name in header if name) or "none"
        raise ReadError(f"{path}: no column 'case', which names each case; the columns are: {listed}.")
    columns = tuple(name for name in header if name and name not in own.values())
    cases = []
    for number, row in rows:
        values = {name: text for name in columns if (text := row.get(name, "").strip())}
        told = {word: row.get(name, "").strip() for word, name in own.items()}
        if not values and not any(told.values()):
            continue  # an empty line
        cases.append(
            Case(told["case"], values, told.get("patient", ""), told.get("why", ""), told.get("doubt", ""), number)
        )
    return CaseList(tuple(cases), columns, path.parent, path)


def _raw(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Return the header and the rows with their numbers."""
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        return _raw_excel(path)
    if suffix == ".json":
        return _raw_json(path)
    if suffix not in (".csv", ".tsv"):
        raise ReadError(f"{path}: lists of cases are {', '.join(SUFFIXES)}, or a folder.")
    text = path.read_text(encoding="utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = "\t" if suffix == ".tsv" else (";" if first.count(";") > first.count(",") else ",")
    return _with_header(enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1), path)


def _with_header(
    lines: Iterator[tuple[int, Sequence[str]]], path: Path
) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    header = next(([cell.strip() for cell in line] for _, line in lines if any(map(str.strip, line))), None)
    if header is None:
        raise ReadError(f"{path}: the list is empty.")

    def rows() -> Iterator[tuple[int, dict[str, str]]]:
        for number, line in lines:
            if len(line) > len(header) and any(cell.strip() for cell in line[len(header) :]):
                raise ReadError(
                    f"{path}: row {number} has {len(line)} cells, but the header has {len(header)}; put values that "
                    "contain a comma in quotation marks."
                )
            yield number, dict(zip(header, map(from_cell, line), strict=False))

    return header, rows()


def _raw_json(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    plain = json.loads(path.read_text(encoding="utf-8-sig"))
    listed = plain.get("cases") if isinstance(plain, dict) else plain
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise ReadError(f'{path}: expected a list of objects, or {{"cases": [...]}}, one object for each case.')
    header = list(dict.fromkeys(str(name) for row in listed for name in row))
    return header, ((n, {str(k): _text(v) for k, v in row.items()}) for n, row in enumerate(listed, 1))


def _raw_excel(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    import zipfile

    openpyxl = _openpyxl(path, ReadError)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        lines = [[_text(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)]
        book.close()
    except (zipfile.BadZipFile, KeyError, IndexError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise ReadError(f"{path}: not an Excel file (.xlsx), or damaged; save it again.") from error
    return _with_header(enumerate(lines, 1), path)


def _write_excel(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]], overwrite: bool) -> None:
    openpyxl = _openpyxl(path, WriteError)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("cases")
    sheet.append(list(columns))
    for row in rows:
        sheet.append([as_cell(row.get(name, "")) for name in columns])
    with atomic_path(path, overwrite) as temporary:
        book.save(temporary)


def _openpyxl(path: Path, error: type[ReadError] | type[WriteError]) -> Any:
    try:
        import openpyxl
    except ImportError as missing:
        raise error(f"{path}: Excel files need openpyxl: pip install 'napari-radcnn[tables]'; or use CSV.") from missing
    return openpyxl


def _text(value: Any) -> str:
    """Return what a cell of Excel or a value of JSON holds, as CSV would."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.date():
            return value.isoformat()
    return str(value)
