"""Time points, phases, echoes and b-values: the layers of volumes that belong together.

They stay one layer each. A layer with a fourth axis would scroll through them with a slider, but everything here takes
a layer for a scan with a grid: models, fusion, export, and what they would run on is one of the volumes anyway. The
first is shown and the others are there, hidden, so that they neither cover it nor are read before they are wanted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from napari_radcnn.gui.layers.layers import LayerData, layer_data
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.volume import Volume

#: Of volumes that belong together so many become layers.
MOST_LAYERS = 8
#: What readers put behind the name of the second volume of a file, and so on.
_NUMBER = re.compile(r"(?<= · )\d+$")


def layers_of(
    volumes: Sequence[Volume], *, progress: Progress | None = None, cancel: CancelEvent | None = None
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
    volumes = few_of(volumes)
    found = [layer_data(volume, progress=progress, cancel=cancel) for volume in volumes]
    for sequence in _sequences(volumes):
        width = len(str(len(sequence)))
        for n, place in enumerate(sequence):
            arguments = found[place][1]
            arguments["name"] = _padded(arguments["name"], width)
            arguments["visible"] = n == 0
    return found


def few_of(volumes: Sequence[Volume]) -> list[Volume]:
    """Return the volumes that become layers without asking: of more than eight that belong together, the first eight.

    Hundreds of layers would block the viewer for minutes. The first volume says what was left out, and how to get it.
    """
    left_out: set[int] = set()
    told: dict[int, str] = {}
    for sequence in _sequences(volumes):
        if len(sequence) > MOST_LAYERS:
            left_out.update(sequence[MOST_LAYERS:])
            told[sequence[0]] = (
                f"{len(sequence)} volumes belong together, of which the first {MOST_LAYERS} are layers here: "
                "`radcnn convert IN OUT --select N` writes any other as a file of its own, and `napari_radcnn.read` "
                "returns all."
            )
    return [
        replace(volume, warnings=(*volume.warnings, told[n])) if n in told else volume
        for n, volume in enumerate(volumes)
        if n not in left_out
    ]


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
