"""The command line: ``radcnn info | convert | models | train | run | interact | replay | evaluate | ...``.

Results go to stdout, progress and errors to stderr, one clear line an error. Exit status as in
`napari_radcnn.errors.ExitStatus`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import napari_radcnn
from napari_radcnn.cli import (
    align,
    cohort,
    evaluate,
    info,
    interact,
    measure,
    models,
    runs,
    scans,
    sessions,
    tidy,
    train,
)
from napari_radcnn.cli.common import telling
from napari_radcnn.cli.streams import steady_streams
from napari_radcnn.errors import ExitStatus, RadcnnError

#: Of a name in a message of the operating system, in characters.
_LONGEST_NAME = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with steady_streams():
        return _main(words)


def _main(words: list[str]) -> int:
    try:
        with telling():  # a model's own options are looked up while the words are parsed
            parser = _parser(words)
            if not words:
                parser.print_help()
                return ExitStatus.USAGE
            parsed = parser.parse_args(words)
            status = parsed.command(parsed) or ExitStatus.DONE
        sys.stdout.flush()
    except RadcnnError as error:
        print(f"radcnn: {error}", file=sys.stderr)
        return error.exit_status
    except MemoryError:
        print("radcnn: not enough memory is available to this process; nothing was written.", file=sys.stderr)
        return ExitStatus.RESOURCES
    except BrokenPipeError:  # the reader of stdout, such as `head`, has seen enough
        return ExitStatus.DONE
    except OSError as error:  # a name that the system does not take; what is done with files has errors of ours
        named = "" if error.filename is None else f"{_shortened(str(error.filename))}: "
        print(f"radcnn: {named}{error.strerror or error}; check the name.", file=sys.stderr)
        return ExitStatus.INPUT_OUTPUT
    except KeyboardInterrupt:
        print("radcnn: stopped before it was done.", file=sys.stderr)
        return ExitStatus.CANCELLED
    return int(status)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="radcnn", description="Read scans, run models on them, write results.")
    parser.add_argument("--version", action="version", version=f"radcnn {napari_radcnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    info.add_commands(commands)
    scans.add_commands(commands)
    models.add_commands(commands, words)
    train.add_commands(commands)
    runs.add_commands(commands, words)
    interact.add_commands(commands)
    evaluate.add_commands(commands)
    cohort.add_commands(commands)
    measure.add_commands(commands)
    align.add_commands(commands)
    sessions.add_commands(commands)
    tidy.add_commands(commands)
    return parser
