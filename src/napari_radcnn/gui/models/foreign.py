"""Foreign models in the viewer: opening them, those of this session, and where those lie that were opened last."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_radcnn.errors import TrustError, WriteError
from napari_radcnn.files import owned, write_text
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.user_folders import WAIT_SECONDS, config_folder

#: How many paths are remembered.
MOST_RECENT = 10
#: Opened since the program began, by path: a dock that is opened anew still has them.
_OPENED: dict[Path, ModelSpec] = {}


@dataclass(frozen=True)
class NeedsTrust:
    """A model that contains code, before the user has said whether it may run.

    Attributes
    ----------
    path : Path
        What was to be opened.
    sha256 : str
        What is to be trusted.
    reasons : tuple of str
        What in it is code.
    """

    path: Path
    sha256: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class NeedsInstall:
    """A sound model pack, before the user has said whether it is installed.

    Attributes
    ----------
    path : Path
        The pack.
    title, version, licence : str
        As it states them.
    """

    path: Path
    title: str
    version: str
    licence: str


Opened = ModelSpec | NeedsTrust | NeedsInstall


def open_or_ask(path: Path, trust: str | None = None, *, may_install: bool = False) -> Opened:
    """Open a foreign model, or say what the user must decide first; may take seconds for large weights.

    Parameters
    ----------
    path : Path
        The model, or a model pack.
    trust : str, optional
        The SHA-256 of a model whose code the user lets run; that of a pack is kept.
    may_install : bool
        Whether a pack is installed.

    Raises
    ------
    ModelError
        If it cannot be opened at all.
    """
    from napari_radcnn.foreign import open_model
    from napari_radcnn.foreign.pack import verify
    from napari_radcnn.models.registry import get_model, install_pack

    try:
        if not is_pack(path):
            return open_model(path, trust=trust)
        if may_install:
            return get_model(install_pack(path, trust=trust))
        info = verify(path)
        return NeedsInstall(path, info.title, info.version, info.licence)
    except TrustError as error:
        return NeedsTrust(path, error.sha256, error.reasons)


def is_pack(path: Path) -> bool:
    """Whether a file is a model pack, or was one before it was damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "pack.json" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


# -- of this session ------------------------------------------------------------------------------------------------


def keep(path: Path, spec: ModelSpec) -> None:
    """Have a model among those of this session."""
    _OPENED[path.absolute()] = spec


def opened() -> Mapping[Path, ModelSpec]:
    """Return the foreign models of this session by the path each was opened from."""
    return dict(_OPENED)


def forget_session() -> None:
    """Have no model of this session any more."""
    _OPENED.clear()


# -- across sessions ------------------------------------------------------------------------------------------------


def recent_paths() -> list[Path]:
    """Return where the models lie that were opened last, newest first; they may be gone or changed since."""
    try:
        stored = json.loads(_recent_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged
        return []
    texts = stored if isinstance(stored, list) else []
    paths = [Path(text) for text in texts if isinstance(text, str)]
    return [path for path in paths if path.is_absolute()][:MOST_RECENT]


def remember_path(path: Path) -> None:
    """Have a path first among those opened last."""
    _change_recent(path.absolute(), is_first=True)


def forget_path(path: Path) -> None:
    """Have a path no longer among those opened last."""
    _change_recent(path.absolute(), is_first=False)


def _change_recent(path: Path, *, is_first: bool) -> None:
    target = _recent_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with owned(target, wait=WAIT_SECONDS):
            paths = [*([path] if is_first else []), *(known for known in recent_paths() if known != path)]
            text = json.dumps([str(known) for known in paths[:MOST_RECENT]], indent=1)
            write_text(target, text + "\n", overwrite=True)
    except (OSError, WriteError):  # a read-only home: the model is open all the same
        return


def _recent_file() -> Path:
    return config_folder() / "recent-models.json"
