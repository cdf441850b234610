"""``radcnn cohort list``: the cases in a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_radcnn.cli.common import Progress, check_output, warn
from napari_radcnn.cli.signals import cancelling

_MOST_TOLD = 20


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    listing = commands.add_parser(
        "list",
        help="write the cases in a folder as a list",
        description="Write the cases in a folder as a list: images, a BIDS tree, or an export of DICOM files, which is "
        "grouped by study. Each row says what was chosen and why; rows in doubt say what to look at.",
    )
    listing.add_argument("folder", metavar="FOLDER", type=Path)
    listing.add_argument(
        "-o", "--output", metavar="CASES", type=Path, required=True, help="list to write: .csv, .tsv, .xlsx or .json"
    )
    listing.add_argument(
        "--want",
        metavar="RULE",
        action="append",
        default=[],
        help="which scan is wanted for which input, such as 'T1: MR, mprage, at least 100 slices, not post'; without a "
        "name it is for 'image'; may be repeated",
    )
    listing.add_argument("--overwrite", action="store_true", help="replace CASES if it exists")
    listing.set_defaults(command=_list)


def _list(parsed: argparse.Namespace) -> None:
    from napari_radcnn.cohort import find_cases, parse_rules, write_list

    check_output(parsed.output, parsed.overwrite)
    rules = parse_rules(parsed.want)
    with cancelling() as cancel:
        progress = Progress()
        try:
            cases = find_cases(parsed.folder, rules, progress=progress, cancel=cancel)
        finally:
            progress.close()
    write_list(cases, parsed.output, overwrite=parsed.overwrite)
    warn(cases.problems)
    doubtful = cases.doubtful
    for case in doubtful[:_MOST_TOLD]:
        print(f"in doubt: {case.name}: {case.doubt}")
    if len(doubtful) > _MOST_TOLD:
        print(f"in doubt: and {len(doubtful) - _MOST_TOLD} more, see the column 'doubt'")
    print(f"{len(cases)} cases, {len(doubtful)} in doubt")
    print(f"written: {parsed.output}")
