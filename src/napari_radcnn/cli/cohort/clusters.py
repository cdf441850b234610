"""``radcnn cohort certificates | scheduler | worker``: many computers."""

from __future__ import annotations

import argparse
from pathlib import Path

_PORT = 8786


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this module."""
    maker = commands.add_parser(
        "certificates",
        help="make certificates for a scheduler, its workers and its clients",
        description="Make an authority, and certificates with their keys for scheduler, workers and clients. Who has "
        "one of them can run programs on the workers: keep the keys to yourself.",
    )
    maker.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="default: where they are looked for")
    maker.add_argument("--days", type=int, default=825, help="how long they are valid (default: 825)")
    maker.add_argument("--host", metavar="HOST", action="append", default=[], help="name or address of the scheduler")
    maker.set_defaults(command=_certificates)

    scheduler = commands.add_parser("scheduler", help="start a scheduler (dask.distributed)")
    scheduler.add_argument("--host", default="", help="address to listen at (default: all of this computer)")
    scheduler.add_argument("--port", type=int, default=_PORT, help=f"(default: {_PORT})")
    add_certificates(scheduler)
    scheduler.set_defaults(command=_scheduler)

    worker = commands.add_parser(
        "worker",
        help="start a worker (dask.distributed)",
        description="Start a worker, one for each computer or graphics card. It works on cases in processes of their "
        "own, which together take no more memory than there is.",
    )
    worker.add_argument("scheduler", metavar="ADDRESS", help="of the scheduler: tls://HOST:PORT")
    worker.add_argument("--jobs", metavar="N", type=int, default=1, help="cases at a time (default: 1)")
    worker.add_argument("--name", default="", help="what it is called in the log (default: its address)")
    worker.add_argument("--host", default="", help="address to listen at (default: chosen by the way to the scheduler)")
    add_certificates(worker)
    worker.set_defaults(command=_worker)


def add_certificates(parser: argparse.ArgumentParser) -> None:
    """Let the user name the folder of the certificates."""
    parser.add_argument(
        "--certificates", metavar="DIR", type=Path, help="folder made by `radcnn cohort certificates` (default: yours)"
    )


def _certificates(parsed: argparse.Namespace) -> None:
    from napari_radcnn.cohort.cluster.certificates import default_folder, make_certificates

    for path in make_certificates(parsed.folder or default_folder(), days=parsed.days, hosts=parsed.host):
        print(f"written: {path}")


def _scheduler(parsed: argparse.Namespace) -> None:
    from napari_radcnn.cohort.cluster.serving import scheduler_command, serve

    _ended(serve(scheduler_command(parsed.host, parsed.port, parsed.certificates)))


def _worker(parsed: argparse.Namespace) -> None:
    from napari_radcnn.cohort.cluster.serving import serve, worker_command

    extra = ["--host", parsed.host] if parsed.host else []
    command = worker_command(parsed.scheduler, parsed.certificates, jobs=parsed.jobs, name=parsed.name, extra=extra)
    _ended(serve(command))


def _ended(status: int) -> None:
    if status:
        raise SystemExit(status)
