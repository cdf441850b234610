"""What is asked of whoever works on a case, and what comes back: JSON types, so that they travel."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from napari_radcnn.cohort.chain.resolved import Resolved
from napari_radcnn.version import __version__

#: What the operating system says of a full disk.
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Placed:
    """A file of a case.

    Attributes
    ----------
    path : str
        Where whoever works finds it.
    which : str
        As of `napari_radcnn.cohort.reading.read_scan`.
    shown : str
        What manifests call it, where it was sent elsewhere.
    about : mapping
        What is known of the scan and its file does not hold: fields of `napari_radcnn.VolumeMetadata`.
    """

    path: str
    which: str = ""
    shown: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One case that is to be worked on.

    Attributes
    ----------
    case : str
        Its name.
    inputs : mapping of str to Placed
        Its files, by column.
    steps : tuple of Resolved
        The chain.
    keys, names : mapping of str to str
        By step: its hash, and the name of its file.
    staging : str
        The folder for its results; whoever asked moves them from there.
    reuse : mapping of str to str
        The files of steps that are done already.
    device : str
        As of a run.
    threads : int
        For each process; 0 for the default.
    trust : str or None
        As of `napari_radcnn.open_model`.
    origins : mapping of str to str
        Of steps whose model was sent: where it lies for whoever asked, which is what manifests say.
    version : str
        Of this package, where it was asked.
    """

    case: str
    inputs: Mapping[str, Placed]
    steps: tuple[Resolved, ...]
    keys: Mapping[str, str]
    names: Mapping[str, str]
    staging: str
    reuse: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"
    threads: int = 0
    trust: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Job:
        """Return what `to_dict` gave."""
        return cls(
            **{
                **plain,
                "inputs": {name: Placed(**placed) for name, placed in plain["inputs"].items()},
                "steps": tuple(Resolved.from_dict(step) for step in plain["steps"]),
            }
        )


@dataclass(frozen=True)
class Done:
    """A step that is done.

    Attributes
    ----------
    name, key : str
        The step, and the hash of what decides its result.
    described : mapping
        What decides it, in words.
    files : mapping of str to str
        The names of its files and their SHA-256; the first is the result.
    extra : list of str
        Files beside them that hold times, such as manifests.
    numbers : mapping
        What stands in the table.
    warnings : list of str
        What the user must be told.
    seconds : float
        How long it took.

    Raises
    ------
    ValueError
        If a file would lie outside of the folder of the case: the names come from whoever worked.
    """

    name: str
    key: str
    described: Mapping[str, Any]
    files: Mapping[str, str]
    extra: list[str]
    numbers: Mapping[str, Any]
    warnings: list[str]
    seconds: float

    def __post_init__(self) -> None:
        for name in (*self.files, *self.extra):
            parts = str(name).replace("\\", "/").split("/")
            if not all(parts) or {".", ".."} & set(parts) or parts[0][1:2] == ":":
                raise ValueError(f"the file '{str(name)[:60]}' lies outside of the folder of the case")


@dataclass(frozen=True)
class Answer:
    """What became of a case.

    Attributes
    ----------
    case : str
        Its name.
    state : str
        ``"done"`` or ``"failed"``.
    reason : str
        Why it failed.
    steps : list of Done
        What was done, also where a later step failed.
    inputs : mapping of str to str
        SHA-256 of its files, by column.
    seconds : float
        How long it took.
    is_full : bool
        Whether it failed because a disk is full.
    is_short : bool
        Whether it failed for want of memory or of a device, which somebody else may have.
    tries : int
        How often it was begun.
    where : str
        Who worked on it; empty for this computer.
    """

    case: str
    state: str
    reason: str
    steps: list[Done]
    inputs: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    is_full: bool = False
    is_short: bool = False
    tries: int = 1
    where: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Answer:
        """Return what `to_dict` gave."""
        return cls(**{**plain, "steps": [Done(**step) for step in plain["steps"]]})
