"""``radcnn cohort run | convert | measure | evaluate``: a model, an operation or a chain over a list of cases."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.cli.cohort.clusters import add_certificates
from napari_radcnn.cli.common import Progress, add_options, warn
from napari_radcnn.cli.signals import cancelling
from napari_radcnn.errors import ExitStatus, OptionError

if TYPE_CHECKING:
    from napari_radcnn.cohort.runner import Summary
    from napari_radcnn.cohort.work.workers import Workers

_MOST_TOLD = 20
_STATUS = (
    f"Exit status: {ExitStatus.DONE:d} every case has its results; {ExitStatus.INCOMPLETE:d} the run ended, "
    f"and some cases have none: see OUT/results.csv; {ExitStatus.USAGE:d} to {ExitStatus.RESOURCES:d} it could not "
    f"start or continue, and says why; {ExitStatus.CANCELLED:d} stopped. The same command resumes the run after each "
    "of these."
)
#: Operations that have a command of their own.
_ALIASES = {
    "convert": "write every scan of a list in another format",
    "measure": "measure the labels of every case of a list on its scan",
    "evaluate": "compare the columns prediction and reference of every case of a list",
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this module."""
    runner = commands.add_parser(
        "run",
        help="run a model, an operation or a chain on every case of a list",
        description="Run a model, an operation (convert, measure, evaluate) or a chain (.yaml) on every case. What "
        "fails is listed in OUT/results.csv and does not stop the run. The same command resumes a stopped run; "
        "what has changed since is computed again.",
    )
    runner.add_argument(
        "model", metavar="MODEL", help="a model, `convert`, `measure`, `evaluate`, or a chain: a .yaml file"
    )
    _add_rest(runner)
    for name, what in _ALIASES.items():
        alias = commands.add_parser(name, help=what, description=f"The same as `radcnn cohort run {name}`: {what}.")
        alias.set_defaults(model=name)
        _add_rest(alias)


def _add_rest(runner: argparse.ArgumentParser) -> None:
    """Add everything but the model."""
    from napari_radcnn.inference.settings import RunSettings

    runner.epilog = _STATUS
    runner.add_argument("cases", metavar="CASES", type=Path, help="a list (.csv, .tsv, .xlsx, .json) or a folder")
    runner.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="folder for the results")
    runner.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the model, see `radcnn run MODEL --help`; may be repeated",
    )
    runner.add_argument("--suffix", metavar="SUFFIX", default="", help="how names of results end: .nrrd, .seg.dcm, ...")
    runner.add_argument(
        "--input",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="the column of the list that holds an input, where it is called differently",
    )
    runner.add_argument("--jobs", metavar="N", type=int, default=1, help="processes on this computer (default: 1)")
    runner.add_argument(
        "--layout",
        choices=("cases", "bids"),
        default="cases",
        help="OUT/CASE/..., or BIDS derivatives (default: cases)",
    )
    runner.add_argument("--anyway", action="store_true", help="run models on scans that they were not made for as well")
    runner.add_argument("--trust", metavar="SHA256", help="same as for `radcnn run`")
    runner.set_defaults(command=_run)
    where = runner.add_argument_group("on other computers")
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="let the workers of a scheduler do it: tls://HOST:PORT, see `scheduler`"
    )
    where.add_argument(
        "--slurm", metavar="PROFILE", type=Path, help="let jobs of Slurm do it, which this file (.yaml) describes"
    )
    add_certificates(runner)
    where.add_argument(
        "--send",
        action="store_true",
        help="send scans to the workers, and results back; else all computers see them under the same path",
    )
    add_options(runner.add_argument_group("device and precision"), RunSettings)


class _Progress(Progress):
    """Progress on stderr; off a terminal a line a case, not a line a step of each."""

    def __init__(self) -> None:
        super().__init__()
        self._told = -1

    def __call__(self, done: int, total: int, message: str) -> None:
        """As of `napari_radcnn.progress.Progress`."""
        if self._is_terminal or done != self._told:
            super().__call__(done, total, message)
        self._told = done


def _run(parsed: argparse.Namespace) -> ExitStatus:
    from napari_radcnn.cohort import run

    with cancelling() as cancel:
        progress = _Progress()
        try:
            summary = run(
                parsed.model,
                parsed.cases,
                parsed.output,
                options={name: _value(text) for name, text in _pairs(parsed.option, "--option").items()},
                suffix=parsed.suffix,
                inputs=_pairs(parsed.input, "--input"),
                jobs=parsed.jobs,
                device=parsed.device,
                precision=parsed.precision,
                layout=parsed.layout,
                anyway=parsed.anyway,
                trust=parsed.trust,
                workers=_workers(parsed),
                progress=progress,
                cancel=cancel,
                tell=lambda text: warn([text]),
            )
        finally:
            progress.close()
    _print(summary)
    return ExitStatus.INCOMPLETE if summary.n_failed else ExitStatus.DONE


def _workers(parsed: argparse.Namespace) -> Workers | None:
    """Return who works, where that is not this computer.

    Raises
    ------
    OptionError
        If words for other computers are given without any.
    """
    if parsed.scheduler is not None and parsed.slurm is not None:
        raise OptionError("--scheduler and --slurm exclude each other.")
    if parsed.slurm is not None:
        from napari_radcnn.cohort.cluster.slurm import Slurm, read_profile

        return Slurm(read_profile(parsed.slurm), parsed.certificates, send=parsed.send, tell=lambda text: warn([text]))
    if parsed.scheduler is not None:
        from napari_radcnn.cohort.cluster.workers import Cluster

        return Cluster(parsed.scheduler, parsed.certificates, send=parsed.send, tell=lambda text: warn([text]))
    if parsed.send:
        raise OptionError("--send needs other computers to send to: --scheduler ADDRESS or --slurm PROFILE.")
    return None


def _print(summary: Summary) -> None:
    for case, reason in list(summary.failed.items())[:_MOST_TOLD]:
        print(f"failed: {case}: {reason}")
    if summary.n_failed > _MOST_TOLD:
        print(f"failed: and {summary.n_failed - _MOST_TOLD} more, see the table")
    kept = f" ({summary.n_kept} of them before)" if summary.n_kept else ""
    print(f"{summary.n_done} cases done{kept}, {summary.n_failed} failed, in {summary.seconds:.0f} s")
    print(f"written: {summary.out / 'results.csv'}")


def _pairs(words: list[str], flag: str) -> dict[str, str]:
    """Return ``NAME=VALUE`` words as a mapping.

    Raises
    ------
    OptionError
        If one has no sign between, or a name stands there twice.
    """
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise OptionError(f"{flag} {word}: expected NAME=VALUE.")
        found[name] = value
    doubled = [name for name, n in Counter(word.partition("=")[0] for word in words).items() if n > 1]
    if doubled:
        raise OptionError(f"{flag}: '{doubled[0]}' appears twice.")
    return found


def _value(text: str) -> Any:
    """Return the value that a word stands for: a number, true, false, or the word."""
    known: Mapping[str, Any] = {"true": True, "false": False}
    if text.lower() in known:
        return known[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
