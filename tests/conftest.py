"""Shared by all tests: nothing is written into the user's folders, no network is reached, no display is shared."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import resource
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from displays import Display

_DISPLAYS: dict[str, Display] = {}
_HOMES = itertools.count()
_COST = "cpu_s"
#: How many files are listed by what their tests took.
_MOST_FILES = 30
_BEGUN = pytest.StashKey[float]()
#: How many modules there were when those that were imported were left out of searches for garbage.
_LEFT_OUT = [0]
_MANY_MODULES = 50
#: Folders of tests in which a backend that was chosen for a network is taken again, as on a user's computer. In the
#: others the choice itself is tested, or nothing runs; those of the viewer share one set of folders anyway.
_CHOSEN_ONCE = {
    *("benchmarks", "cli", "cohort", "contracts", "discovery", "docs", "evidence", "faults", "foreign", "interactive"),
    *("models", "operations", "training"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run list its costly tests."""
    parser.addoption(
        "--costs",
        type=float,
        metavar="SECONDS",
        help="list the tests that took more seconds of processor time than this, with the programs they started",
    )


def _processor_time() -> float:
    """Return the seconds of processor time of this process and of the programs that it started and that have ended."""
    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + started.ru_utime + started.ru_stime


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note when a test begins."""
    item.stash[_BEGUN] = _processor_time()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write into the report of each part of a test what it took; other processes send it along."""
    report = yield
    now = _processor_time()
    report.user_properties = [*report.user_properties, (_COST, now - item.stash[_BEGUN])]
    item.stash[_BEGUN] = now
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """List the costly tests and files, the dearest first."""
    least = config.getoption("--costs")
    if least is None:
        return
    costs: Counter[str] = Counter()
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        for name, value in getattr(report, "user_properties", ()):
            if name == _COST:
                costs[report.nodeid] += value
    terminalreporter.section(f"tests that took more than {least:g} s of processor time")
    files: Counter[str] = Counter()
    for test, seconds in costs.most_common():
        files[test.partition("::")[0]] += seconds
        if seconds > least:
            terminalreporter.write_line(f"{seconds:7.1f} s  {test}")
    terminalreporter.section("files of tests that took the most")
    for file, seconds in files.most_common(_MOST_FILES):
        terminalreporter.write_line(f"{seconds:7.1f} s  {file}")
    terminalreporter.write_line(f"{costs.total():7.1f} s  all {len(costs)} tests")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each of several processes compute with one thread: together they have the processors."""
    for name in ("OMP_NUM_THREADS", "LP_NUM_THREADS"):  # of torch and NumPy; of OpenGL in software
        os.environ.setdefault(name, "1")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give each of several processes a display of its own: windows take pointer and keyboard from each other."""
    if Display.can_be_made():
        display = _DISPLAYS[node.gateway.id] = Display()
        node.workerinput["display"] = display.name


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """End the display of a process that has ended."""
    if node.gateway.id in _DISPLAYS:
        _DISPLAYS.pop(node.gateway.id).close()


def pytest_configure(config: pytest.Config) -> None:
    """Use the display that this process was given; Qt asks for it when the first window opens."""
    display = getattr(config, "workerinput", {}).get("display")
    if display:
        os.environ["DISPLAY"] = display


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of every later search for garbage; each viewer begins and ends with one."""
    gc.set_threshold(10_000, 10, 10)  # viewers make much, and nearly all of it goes without a search
    _leave_out_of_searches()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Leave out what a test imported, too, once its fixtures have gone: napari's window, vispy, torch."""
    done = yield
    if len(sys.modules) >= _LEFT_OUT[-1] + _MANY_MODULES:
        _leave_out_of_searches()
    return done


def _leave_out_of_searches() -> None:
    gc.collect()
    gc.freeze()
    _LEFT_OUT.append(len(sys.modules))


def pytest_unconfigure() -> None:
    """End the displays that are left."""
    while _DISPLAYS:
        _DISPLAYS.popitem()[1].close()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches and settings of a test in a folder of its own."""
    home = tmp_path_factory.getbasetemp() / "homes" / str(next(_HOMES))  # `mktemp` would look at all before it
    home.mkdir(parents=True)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture(scope="session")
def _chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the choices of a process are kept from test to test, and converted networks."""
    return tmp_path_factory.mktemp("chosen")


@pytest.fixture(autouse=True)
def _backends_are_chosen_once(request: pytest.FixtureRequest, _own_folders: None, _chosen: Path) -> Iterator[None]:
    """Remember from test to test how a network computes here: comparing all ways takes most of a small run."""
    if request.path.relative_to(Path(__file__).parent).parts[0] not in _CHOSEN_ONCE:
        yield
        return
    cache, kept = Path(os.environ["XDG_CACHE_HOME"]) / "napari-radcnn", _chosen / "backends.json"
    cache.mkdir(parents=True)
    (_chosen / "openvino").mkdir(exist_ok=True)
    (cache / "openvino").symlink_to(_chosen / "openvino", target_is_directory=True)
    file = cache / kept.name
    if kept.exists():
        shutil.copyfile(kept, file)
    yield
    if file.is_file():
        shutil.copyfile(file, kept)


@pytest.fixture(autouse=True)
def _own_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package's logs reach a test, whatever libraries that were imported or run before did to logging."""
    logging.disable(logging.NOTSET)
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "napari_radcnn"]:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)  # which forgets what was enabled before
        for attribute, value in {"disabled": False, "propagate": True}.items():
            monkeypatch.setattr(logger, attribute, value)
    logging.getLogger("napari_radcnn").setLevel(logging.WARNING)  # whatever the level of all loggers was set to


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test fail that reaches for the network."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a test reached for the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
