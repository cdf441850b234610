"""Time points, phases, echoes and b-values: the layers of volumes that belong together.

They stay one layer each. A layer with a fourth axis would scroll through them with a slider, but everything here takes
a layer for a scan with a grid: models, fusion, export, and what they would run on is one of the volumes anyway. The
first is shown and the others are there, hidden, so that they neither cover it nor are read before they are wanted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, layer_data
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.volume import Volume

#: Of volumes that belong together so many become layers.
MOST_LAYERS = 8
#: Below the package's key in a layer's metadata: where its volume stands.
STANDING = "standing"
#: What readers put behind the name of the second volume of a file, and so on.
_NUMBER = re.compile(r"(?<= · )\d+$")


@dataclass(frozen=True)
class Standing:
    """Where a volume stands among those that belong together.

    Attributes
    ----------
    number : int
        From 1.
    places : tuple of int
        Of all that belong together, in what was read from the scan, from 0.
    """

    number: int
    places: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many belong together."""
        return len(self.places)


@dataclass(frozen=True, eq=False)
class Few:
    """The volumes that become layers.

    Attributes
    ----------
    volumes : list of Volume
        In order.
    standings : list of Standing or None
        Of each; None of one that stands alone.
    """

    volumes: list[Volume]
    standings: list[Standing | None]


def layers_of(
    volumes: Sequence[Volume] | Few, *, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> list[LayerData]:
    """Return napari's layers for what was read from one file, folder or series.

    Of volumes that belong together all but the first are hidden, and numbers in their names get leading zeros, so
    that sorted names are in order. Of many only the first few become layers, see `few_of`.

    Raises
    ------
    RadcnnError
        As `layer_data` does.
    CancelledError
        If `cancel` was set.
    """
    few = volumes if isinstance(volumes, Few) else few_of(volumes)
    found = [layer_data(volume, progress=progress, cancel=cancel) for volume in few.volumes]
    for (_, arguments, _), volume, standing in zip(found, few.volumes, few.standings, strict=True):
        if standing is not None:
            arguments["metadata"][METADATA_KEY][STANDING] = standing
        if standing is not None and not volume.metadata.is_label:
            arguments["name"] = _padded(arguments["name"], len(str(standing.count)))
            arguments["visible"] = standing.number == 1
    return found


def few_of(volumes: Sequence[Volume], which: Sequence[int] | None = None) -> Few:
    """Return the volumes that become layers without asking: of more than eight that belong together, the first eight.

    Hundreds of layers would block the viewer for minutes. The first volume says what was left out, and how to get it.

    Parameters
    ----------
    volumes : sequence of Volume
        All that was read.
    which : sequence of int, optional
        The places of those that are asked for instead, from 0.
    """
    standings: dict[int, Standing] = {}
    left_out: set[int] = set()
    told: dict[int, str] = {}
    for sequence in _sequences(volumes):
        standings |= {place: Standing(n + 1, tuple(sequence)) for n, place in enumerate(sequence)}
        if len(sequence) > MOST_LAYERS:
            left_out.update(sequence[MOST_LAYERS:])
            told[sequence[0]] = (
                f"{len(sequence)} volumes belong together, of which the first {MOST_LAYERS} are layers here: the page "
                "Scans adds any of the others, `radcnn convert IN OUT --select N` writes one as a file of its own, and "
                "`napari_radcnn.read` returns all."
            )
    kept = [n for n in range(len(volumes)) if n not in left_out] if which is None else list(which)
    chosen = [volumes[n] for n in kept]
    if which is None:
        chosen = [
            replace(volume, warnings=(*volume.warnings, told[n])) if n in told else volume
            for n, volume in zip(kept, chosen, strict=True)
        ]
    return Few(chosen, [standings.get(n) for n in kept])


def standing_of(layer: Any) -> Standing | None:
    """Return where the volume of a layer stands; None of one that stands alone, or is not ours."""
    kept = layer.metadata.get(METADATA_KEY)
    return kept.get(STANDING) if isinstance(kept, dict) else None


def _padded(name: str, width: int) -> str:
    return _NUMBER.sub(lambda number: number[0].zfill(width), name)


def _sequences(volumes: Sequence[Volume]) -> list[list[int]]:
    """Return the places of volumes that belong together: of one series or file, on one grid, and no labels."""
    found: list[list[int]] = []
    for n, volume in enumerate(volumes):
        for sequence in found:
            if _belong_together(volumes[sequence[0]], volume):
                sequence.append(n)
                break
        else:
            found.append([n])
    return [sequence for sequence in found if len(sequence) > 1]


def _belong_together(first: Volume, other: Volume) -> bool:
    one, two = first.metadata, other.metadata
    if one.is_label or two.is_label or (one.series_uid or one.source) is None:
        return False
    same_origin = one.series_uid == two.series_uid and (bool(one.series_uid) or one.source == two.source)
    return same_origin and first.is_color == other.is_color and first.geometry.is_close(other.geometry)
