"""Which foreign models may run code of their own: those whose SHA-256 the user has named.

Weights are numbers, and a network that we build from a list is ours; neither needs trust. A TorchScript file is a
program, and so is a bundle with Python files or expressions in its configuration: these run only if the user says that
this very file or folder is trusted, each time (``trust=``) or once for this computer (`remember_trust`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_radcnn.errors import ModelError, TrustError
from napari_radcnn.files import owned, write_text
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.user_folders import WAIT_SECONDS, config_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")


def refuse_linked_folders(folder: Path) -> None:
    """Refuse a folder with folders in it that are links: what they hold is in no hash, and may change at any time.

    Raises
    ------
    ModelError
        If there is one, by name.
    """
    for place, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(place, name)
            if path.resolve() != path.parent.resolve() / name:  # a symbolic link, or a junction of Windows
                raise ModelError(
                    f"{folder.name}: '{path.relative_to(folder)}' is a link to a folder, which cannot be verified "
                    "with the model: replace it by a copy."
                )


def tree_sha256(folder: Path) -> str:
    """Return one SHA-256 for a folder: of the names and contents of all its files.

    Raises
    ------
    ModelError
        If a file cannot be read, or is a link that leads out of the folder, or a folder in it is a link.
    """
    total = hashlib.sha256()
    root = folder.resolve()
    refuse_linked_folders(folder)
    try:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            if not path.resolve().is_relative_to(root):
                raise ModelError(
                    f"{folder.name}: '{path.relative_to(folder)}' is a link that points outside the folder."
                )
            total.update(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n".encode())
    except OSError as error:
        raise ModelError(f"{folder}: the folder cannot be read: {error.strerror or error}.") from error
    return total.hexdigest()


def require_trust(path: Path, sha256: str, reasons: Sequence[str], trust: str | None) -> None:
    """Refuse a model that contains code, unless the user trusts it.

    Parameters
    ----------
    path : Path
        The file or folder, for the message.
    sha256 : str
        Of the file, or of the folder as `tree_sha256` gives it.
    reasons : sequence of str
        What in it is code.
    trust : str or None
        The SHA-256 that the user named.

    Raises
    ------
    TrustError
        If it is not trusted; tells how to trust it.
    """
    if trust is not None and trust.strip().lower() == sha256:
        return
    if sha256 in trusted():
        return
    shown = "; ".join(reasons[:4]) + (f"; and {len(reasons) - 4} more" if len(reasons) > 4 else "")
    other = "" if trust is None else " It does not match the SHA-256 passed with trust."
    raise TrustError(
        f"{path.name}: this model contains code, which was not run: {shown}.{other} If you trust its authors, open "
        f"it with trust='{sha256}' (in a shell: --trust and the same).",
        sha256,
        tuple(reasons),
    )


def trusted() -> frozenset[str]:
    """Return the SHA-256 of all models that are trusted on this computer."""
    try:
        stored = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: then nothing is trusted
        return frozenset()
    return frozenset(s for s in stored if isinstance(s, str)) if isinstance(stored, list) else frozenset()


def remember_trust(sha256: str) -> None:
    """Trust a model on this computer from now on.

    Raises
    ------
    ModelError
        If it is no SHA-256.
    WriteError
        If the settings cannot be written.
    """
    value = sha256.strip().lower()
    if not _SHA256.fullmatch(value):
        raise ModelError(f"'{sha256[:80]}' is not a SHA-256: 64 digits 0-9 and a-f are expected.")
    _change(lambda known: known | {value})


def forget_trust(sha256: str) -> None:
    """Trust a model no longer.

    Raises
    ------
    WriteError
        If the settings cannot be written.
    """
    _change(lambda known: known - {sha256.strip().lower()})


def _change(change: Callable[[frozenset[str]], frozenset[str]]) -> None:
    target = _store()
    target.parent.mkdir(parents=True, exist_ok=True)
    with owned(target, wait=WAIT_SECONDS):  # what another process trusts meanwhile is not lost
        write_text(target, json.dumps(sorted(change(trusted())), indent=1) + "\n", overwrite=True)


def _store() -> Path:
    return config_folder() / "trusted-models.json"
