"""What a run will cost, said before it runs. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_radcnn.memory import free_memory
from napari_radcnn.suitability import Suitability
from napari_radcnn.user_folders import recall, remember

#: Name of the file that keeps the rates.
_TIMINGS = "timings"


@dataclass(frozen=True)
class Plan:
    """The cost of a run.

    Attributes
    ----------
    model : str
        Name of the model.
    patches : int
        How many patches are computed; cancel takes effect between two.
    patch_shape : tuple of int
        Voxels of one patch.
    memory_bytes : int
        Memory it needs besides the scan itself: measured for the model, scaled with the scan.
    seconds : float or None
        From earlier runs of this model on this computer; None before the first.
    first_seconds : float or None
        What the first may take: from figures of another computer, for models that state one.
    reference_seconds : float or None
        Of one patch on the reference computer, s, where it depends on the options; None: the pipeline's own figure.
    elsewhere : str
        Where another computer runs it, whose time and memory are not known here; empty for this computer.
    device : str
        As asked for: ``"auto"`` is settled when the run begins.
    warnings : tuple of str
        What speaks against running this model on this scan.
    network_bytes : int
        The part of `memory_bytes` that a foreign network takes whatever the scan.
    suitability : Suitability
        Whether the model was made for such a scan; its reasons are among the warnings.
    """

    model: str
    patches: int
    patch_shape: tuple[int, int, int]
    memory_bytes: int
    seconds: float | None = None
    device: str = "auto"
    warnings: tuple[str, ...] = ()
    network_bytes: int = 0
    suitability: Suitability = field(default_factory=Suitability)
    first_seconds: float | None = None
    reference_seconds: float | None = None
    elsewhere: str = ""

    def summary(self) -> str:
        """Return the cost as one line for a dock or a terminal."""
        if self.elsewhere:
            return f"Run by a worker of {self.elsewhere}: its time and memory are not known before the run."
        size = "x".join(str(n) for n in self.patch_shape)
        count = f"{self.patches} patches" if self.patches > 1 else "1 patch"
        time = "time unknown until the first run on this computer"
        if self.seconds is not None:
            time = f"about {_duration(self.seconds)}"
        elif self.first_seconds is not None:
            time = f"roughly {_duration(self.first_seconds)} (estimated until the first run here)"
        return f"{count} of up to {size} · {self.memory_bytes / 2**30:.1f} GiB memory · {time}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def memory_warning(memory_bytes: int) -> str | None:
    """Return what to tell the user where the computer has less free memory than a run needs, else None."""
    free = free_memory()
    if free >= memory_bytes:
        return None
    return (
        f"This run needs about {memory_bytes / 2**30:.1f} GiB of memory, but only {free / 2**30:.1f} GiB are free: "
        "close other programs, or crop the scan."
    )


# -- how long it took here before -----------------------------------------------------------------------------------


def recall_seconds(key: str, amount: float) -> float | None:
    """Return how long `amount` of work takes at the last rate measured here, s; None before the first."""
    entry = recall(_TIMINGS, key) or {}
    rate = entry.get("seconds_per_amount")
    return rate * amount if isinstance(rate, int | float) else None


def remember_seconds(key: str, amount: float, seconds: float) -> None:
    """Keep how long `amount` of work took, for the next plan; a cache that cannot be written is left alone."""
    if amount > 0:
        remember(_TIMINGS, key, {"seconds_per_amount": float(f"{seconds / amount:.4g}")})
