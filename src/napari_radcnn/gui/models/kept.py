"""What the Models dock keeps of results: by scan and model, until the scan is closed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours
from napari_radcnn.models import ModelSpec
from napari_radcnn.results import Classification, LabelMap, Regression, Survival
from napari_radcnn.volume import Volume


@dataclass(frozen=True, eq=False)
class Kept:
    """How a run on a scan ended, and what the dock shows of it again when the scan is chosen again.

    Attributes
    ----------
    spec : ModelSpec
        The model.
    line : str
        What was shown when it ended.
    task : str
        Of the result; empty where there is none.
    result : Result or None
        For the page of its task; None for labels and images, whose layers hold them.
    rows : sequence of (str, str)
        Its numbers.
    ended : datetime
        When.
    """

    spec: ModelSpec
    line: str
    task: str = ""
    result: Any = None
    rows: Sequence[tuple[str, str]] = ()
    ended: datetime = field(default_factory=datetime.now)

    @classmethod
    def of(cls, spec: ModelSpec, line: str, task: str, result: Any, rows: Sequence[tuple[str, str]]) -> Kept:
        """Keep a result without its voxels."""
        if isinstance(result, LabelMap | Volume):
            result = None
        elif isinstance(result, Classification):
            result = replace(result, evidence=())
        elif isinstance(result, Regression | Survival):
            result = replace(result, maps=())
        return cls(spec, line, task, result, rows)


class KeptResults:
    """The last result of each model on each scan."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Hashable, int], Kept] = {}  # a spec that is kept keeps its id

    def keep(self, scan: Hashable, kept: Kept) -> None:
        """Keep how the last run of a model on a scan ended."""
        self._kept[scan, id(kept.spec)] = kept

    def get(self, scan: Hashable | None, spec: ModelSpec | None) -> Kept | None:
        """Return how the last run of a model on a scan ended."""
        return self._kept.get((scan, id(spec)))

    def drop(self, scan: Hashable | None, spec: ModelSpec | None = None) -> None:
        """Forget what one model or, by default, all models answered of a scan."""
        for key in [key for key in self._kept if key[0] == scan and (spec is None or key[1] == id(spec))]:
            del self._kept[key]


def title_of(layer: Any, model: str, ended: datetime) -> str:
    """Return the title of a result: the scan by its name now, its series, the model, and the time of the result."""
    return " · ".join(filter(None, (layer.name, _series(layer), model, f"{ended:%H:%M}")))


def _series(layer: Any) -> str:
    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    if not isinstance(volume, Volume):
        return ""
    metadata = volume.metadata
    number = "" if metadata.series_number is None else f"series {metadata.series_number}"
    return " ".join(filter(None, (number, metadata.description)))
