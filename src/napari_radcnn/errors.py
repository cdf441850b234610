"""What goes wrong, in words a user can act on.

Every error this package raises on purpose is a `RadcnnError`. Its text is one clear line: which file or value,
what is wrong with it, what to do. The command line prints that line, and the viewer shows the same one.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit status of the command line; part of its contract."""

    DONE = 0
    USAGE = 2
    INPUT_OUTPUT = 3
    MODEL = 4
    RESOURCES = 5
    #: The work was done to its end, but some of it has no result, such as cases of a cohort.
    INCOMPLETE = 6
    CANCELLED = 130


class RadcnnError(Exception):
    """Something the user can understand and act on went wrong."""

    exit_status = ExitStatus.INPUT_OUTPUT


class ReadError(RadcnnError):
    """A file or folder cannot be read, or reading it would be wrong."""


class WriteError(RadcnnError):
    """A result cannot be written; nothing half-written is left behind."""


class GeometryError(RadcnnError):
    """Positions, orientations or spacings that make no volume."""


class OptionError(RadcnnError):
    """A setting is unknown, or its value is out of range."""

    exit_status = ExitStatus.USAGE


class ModelError(RadcnnError):
    """A model is unknown, its weights are missing or damaged, or it does not fit the task."""

    exit_status = ExitStatus.MODEL


class UnsuitableError(ModelError):
    """A model was not made for such a scan, and nothing was computed; `anyway` runs it all the same.

    Attributes
    ----------
    reasons : tuple of str
        What speaks against it.
    """

    def __init__(self, message: str, reasons: tuple[str, ...]) -> None:
        super().__init__(message)
        self.reasons = reasons


class TrustError(ModelError):
    """A model contains code of its own, which was not run because the user has not said that it is trusted.

    Attributes
    ----------
    sha256 : str
        Of the file or folder; what the user names to trust it.
    reasons : tuple of str
        What in it is code.
    """

    def __init__(self, message: str, sha256: str, reasons: tuple[str, ...]) -> None:
        super().__init__(message)
        self.sha256, self.reasons = sha256, reasons


class SessionError(RadcnnError):
    """An interactive step does not fit the session as it is now; the session is as it was before."""


class JournalError(RadcnnError):
    """A session cannot be kept on the disk, or a kept one cannot be read; the session in memory is not touched."""


class ResourceError(RadcnnError):
    """The device is missing, or memory does not suffice."""

    exit_status = ExitStatus.RESOURCES


class CancelledError(RadcnnError):
    """The user asked to stop; nothing was written."""

    exit_status = ExitStatus.CANCELLED

    def __init__(self, what: str = "The run") -> None:
        super().__init__(f"{what} was cancelled; nothing was written.")


class WriteWarning(UserWarning):
    """What whoever wrote should know: programs that read the file otherwise, or what lay hidden beside it."""


class CatalogueWarning(UserWarning):
    """A folder of models or recipes, or what an installed package adds, is left out; all others are there."""
