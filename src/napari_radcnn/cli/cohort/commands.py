"""``radcnn cohort list | run | ...``."""

from __future__ import annotations

import argparse

from napari_radcnn.cli.cohort import clusters, lists, runs


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``cohort`` and what it can do."""
    cohort = commands.add_parser(
        "cohort",
        help="the same for many cases: list them, run a model on all of them",
        description="Lists of cases, and an operation over all of them, on this computer or several.",
    )
    inner = cohort.add_subparsers(title="commands", metavar="COMMAND", required=True)
    lists.add_commands(inner)
    runs.add_commands(inner)
    clusters.add_commands(inner)
