"""What installed packages add: entry points, known by name from their metadata, imported when they are first used.

Nothing of a package is imported to list the names that it declares. What cannot be used is left out with a warning that
names the package, and nothing that works without a package works differently with it: our own names stay ours.
"""

from __future__ import annotations

import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from threading import Lock, Thread, current_thread
from types import TracebackType
from typing import Generic, TypeVar

from napari_radcnn.discovery.folders import BROKEN, reason_of
from napari_radcnn.errors import CatalogueWarning, RadcnnError

Thing = TypeVar("Thing")
#: The environment variable that sets how long an import may take, in seconds, and what it is without one.
SECONDS_VARIABLE, _SECONDS = "RADCNN_PLUGIN_SECONDS", 5.0
#: Imports that took longer than this are worth a remark, s.
NOTABLE_SECONDS = 1.0
_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Package:
    """An installed package that adds something.

    Attributes
    ----------
    name, version : str
        Of the distribution, as ``pip list`` shows them.
    module : str
        Import name of the package that the entry point lies in.
    seconds : float
        How long the import took.
    """

    name: str
    version: str
    module: str
    seconds: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()

    @property
    def remark(self) -> str:
        """Where a thing comes from, and how long its import took where that is worth a remark, for a list."""
        slow = f", import took {self.seconds:.1f} s" if self.seconds > NOTABLE_SECONDS else ""
        return f"from the package {self}{slow}"


@dataclass(frozen=True)
class LeftOut:
    """An entry point that is not used.

    Attributes
    ----------
    what : str
        ``"model"``, ``"engine"`` or ``"format"``.
    name : str
        Of the entry point.
    group : str
        Its group: ``"napari_radcnn.models"``.
    package : str
        Name of the distribution that declares it.
    reason : str
        Why, without a full stop.
    """

    what: str
    name: str
    group: str
    package: str
    reason: str

    def __str__(self) -> str:
        return (
            f"The {self.what} '{self.name}' of the package '{self.package}' (entry point in {self.group}) is left out: "
            f"{self.reason}. Update the package, or uninstall it."
        )

    def to_dict(self) -> dict[str, str]:
        """Return it as JSON types."""
        return {
            "package": self.package,
            "group": self.group,
            "entry_point": self.name,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class _Declared:
    """An entry point as the metadata of a package declares it, and where that lies; nothing is imported."""

    name: str
    place: str
    package: str
    version: str
    location: str


class Added(Generic[Thing]):
    """One kind of thing that installed packages add.

    Parameters
    ----------
    group : str
        Group of the entry points: ``"napari_radcnn.models"``.
    what : str
        What one is called in messages: ``"model"``.
    check : callable
        ``check(thing, name, package)`` returns what the entry point gives as it is used here, or raises.
    taken : callable
        Returns the names that no package can have.
    """

    def __init__(
        self,
        group: str,
        what: str,
        check: Callable[[object, str, Package], Thing],
        taken: Callable[[], Collection[str]],
    ) -> None:
        self.group, self.what = group, what
        self._check, self._taken = check, taken
        self._outcomes: dict[_Declared, Thing | str | _Import] = {}
        self._reported: set[tuple[_Declared, str]] = set()
        self._lock = Lock()

    def names(self) -> list[str]:
        """Return the names that are declared and free, in order; imports nothing."""
        return sorted(declared.name for declared in self._candidates())

    def find(self, name: str) -> Thing | None:
        """Return the thing of that name, for which nothing else is imported; None for none, or one left out."""
        return next((self._take(declared) for declared in self._candidates() if declared.name == name), None)

    def all(self) -> dict[str, Thing]:
        """Return all things by name, in order; one that cannot be used is named in a `CatalogueWarning`, once."""
        for declared, reason in self._refused().items():
            self._report(declared, reason)
        things = ((declared.name, self._take(declared)) for declared in self._candidates())
        return {name: thing for name, thing in things if thing is not None}

    def left_out(self) -> list[LeftOut]:
        """Return what is not used, and why, as far as it was tried; `all` tries each."""
        refused = [self._left(declared, reason) for declared, reason in self._refused().items()]
        for declared in self._candidates():
            outcome = self._outcomes.get(declared)
            reason = outcome.late if isinstance(outcome, _Import) else outcome
            if isinstance(reason, str) and reason:
                refused.append(self._left(declared, reason))
        return refused

    def _refused(self) -> dict[_Declared, str]:
        """Return the entry points whose name or place speaks against them, with the reason."""
        taken = {name.casefold() for name in self._taken()}
        owner: dict[str, str] = {}
        refused: dict[_Declared, str] = {}
        for declared in _declared(self.group, tuple(sys.path)):
            name = declared.name.casefold()
            if not _NAME.fullmatch(declared.name):
                refused[declared] = "a name may only contain letters, digits, '.', '-' and '_'"
            elif not _PLACE.fullmatch(declared.place):
                refused[declared] = f"'{declared.place}' is not of the form 'module:name'"
            elif name in taken:
                refused[declared] = f"a {self.what} of this name already exists"
            elif name in owner:
                refused[declared] = f"the package '{owner[name]}' also adds a {self.what} of this name"
            else:
                owner[name] = declared.package
        return refused

    def _candidates(self) -> list[_Declared]:
        """Return the entry points whose names are free, by name."""
        refused = self._refused()
        return [declared for declared in _declared(self.group, tuple(sys.path)) if declared not in refused]

    def _take(self, declared: _Declared) -> Thing | None:
        """Return what an entry point gives; None where it cannot be used, or is still being imported."""
        with self._lock:
            if declared not in self._outcomes:
                self._outcomes[declared] = _Import(declared.place)
            outcome = self._outcomes[declared]
        if isinstance(outcome, _Import):
            if not outcome.ended():
                if outcome is not current_thread():
                    self._report(declared, outcome.late)
                return None
            outcome = self._outcomes[declared] = self._checked(declared, outcome)
        if isinstance(outcome, str):
            self._report(declared, outcome)
            return None
        return outcome

    def _checked(self, declared: _Declared, imported: _Import) -> Thing | str:
        """Return what was imported, if it is what it should be; else the reason why not."""
        if imported.caught.error is not None:
            return reason_of(imported.caught.error)
        module = declared.place.partition(".")[0].partition(":")[0]
        package = Package(declared.package, declared.version, module, imported.seconds)
        try:
            return self._check(imported.thing, declared.name, package)
        except BROKEN as error:
            return reason_of(error)

    def _left(self, declared: _Declared, reason: str) -> LeftOut:
        return LeftOut(self.what, declared.name, self.group, declared.package, reason)

    def _report(self, declared: _Declared, reason: str) -> None:
        """Warn of what is left out, once."""
        if (declared, reason) not in self._reported:
            self._reported.add((declared, reason))
            warnings.warn(str(self._left(declared, reason)), CatalogueWarning, stacklevel=4)


class blamed:  # noqa: N801  used as a function, like contextlib's
    """Turn whatever the code of an installed package raises in a block into one clear line that names the package.

    Parameters
    ----------
    package : Package or None
        Whose code runs in the block; None for our own, whose errors are raised as they are.
    what : str
        What failed, as the beginning of a sentence: ``"The engine 'ball'"``.
    kind : type
        The error that is raised.

    Raises
    ------
    RadcnnError
        Of that kind; those that the package raises itself stay as they are, and so does a MemoryError.
    """

    def __init__(self, package: Package | None, what: str, kind: type[RadcnnError]) -> None:
        self._package, self._what, self._kind = package, what, kind

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._package is None or not isinstance(error, Exception) or isinstance(error, RadcnnError | MemoryError):
            return
        text = f"{self._what} failed in the package '{self._package}': {reason_of(error)}."
        raise self._kind(text) from error


class _Import(Thread):
    """The import of one entry point, on a thread of its own so that a slow one is not waited for any longer.

    A daemon: a process that is to end does not wait for it either.
    """

    def __init__(self, place: str) -> None:
        super().__init__(name=f"import of {place}", daemon=True)
        self._place = place
        self._start_lock = Lock()
        self.thing: object = None
        self.caught = _Caught()
        self.seconds = 0.0
        #: Why it is left out for now; empty where it has ended in time, or not begun.
        self.late = ""

    def ended(self) -> bool:
        """Begin it if it has not begun, wait for the time that it may take, once, and return whether it has ended."""
        if current_thread() is self:  # its module asks for the list that it is to stand on
            return False
        with self._start_lock:
            if self.ident is None:
                self.start()
        if not self.late and self.is_alive():
            limit = _limit()
            self.join(limit)
            if self.is_alive():
                self.late = (
                    f"its import took longer than {limit:g} s; it becomes available when the import ends, and the "
                    f"environment variable {SECONDS_VARIABLE} sets how long to wait"
                )
        return not self.is_alive()

    def run(self) -> None:
        """Import it."""
        started = time.perf_counter()
        with self.caught:
            module, _, names = self._place.partition(":")
            thing: object = import_module(module)
            for name in names.split("."):
                thing = getattr(thing, name)
            self.thing = thing
        self.seconds = time.perf_counter() - started


class _Caught:
    """Keeps whatever somebody else's module raises, `SystemExit` too: it is reported, and ends nothing here."""

    error: BaseException | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> bool:
        self.error = error
        return True


def _limit() -> float:
    """Return how long an import may take, in seconds."""
    try:
        return max(0.0, float(os.environ[SECONDS_VARIABLE]))
    except (KeyError, ValueError):
        return _SECONDS


@lru_cache(maxsize=16)
def _declared(group: str, path: tuple[str, ...]) -> tuple[_Declared, ...]:  # noqa: ARG001  the path is the cache's key
    """Return the entry points of a group by name, as the packages on `sys.path` declare them."""
    from importlib.metadata import entry_points

    found = []
    for entry in entry_points(group=group):
        package = entry.dist
        name, version = (package.metadata["Name"], package.version) if package is not None else ("", "")
        location = str(package.locate_file("")) if package is not None else ""
        found.append(_Declared(entry.name, entry.value, name or "?", version or "", location))
    return tuple(sorted(found, key=lambda one: (one.name, one.package)))
