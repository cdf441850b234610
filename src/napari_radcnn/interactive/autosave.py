"""What a session asks of its journal; where the journal fails, the session goes on in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_radcnn.errors import JournalError
from napari_radcnn.interactive.journal.journal import Journal
from napari_radcnn.interactive.journal.records import RecordKind

_log = logging.getLogger(__name__)


class Autosave:
    """The journal of one session.

    Parameters
    ----------
    folder : path or None
        Where sessions are kept; the user's folder where None.
    header : mapping
        What the journal begins with.
    warn : callable
        Gets one line when steps can no longer be kept on the disk; not again until they could be meanwhile.
    journal : Journal, optional
        Of a session that goes on.
    """

    def __init__(
        self,
        folder: Path | None,
        header: Mapping[str, Any],
        warn: Callable[[str], None],
        journal: Journal | None = None,
    ) -> None:
        self._warn = warn
        #: Why the last steps are not on the disk; empty where they are.
        self.problem = ""
        self._journal = Journal.create(folder, header) if journal is None else journal

    @property
    def path(self) -> Path:
        """The session's folder; it exists from the first step on."""
        return self._journal.path

    def keep(self, kind: RecordKind, payload: bytes = b"") -> None:
        """Append a record; what could not be written before goes first."""
        self._try(lambda: self._journal.append(kind, payload))

    def save(self) -> None:
        """Write what waits, without what no redo brings back, and wait until the disk has it."""
        self._try(self._journal.compact)
        self._try(self._journal.sync)

    def close(self, *, is_finished: bool) -> None:
        """Let others open the session; a finished one is removed."""
        if not is_finished:
            self._try(self._journal.compact)
        self._try(lambda: self._journal.close(is_finished=is_finished))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except JournalError as error:
            if not self.problem:
                _log.warning("%s", error)
                self._warn(str(error))
            self.problem = str(error)
        else:
            self.problem = ""
