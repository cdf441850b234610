"""Which patient space the scan of a layer lies in, and how places in one scan are found in another."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.layers.aligning import SPACE, alignment_of
from napari_radcnn.gui.layers.belonging import identity
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours, volume_from_layer
from napari_radcnn.gui.reading.captions import volume_of
from napari_radcnn.gui.reading.words import along

Space = Hashable
Offset = tuple[float, float, float]
#: Where the same place was declared: by the spaces of two scans, from positions in the first to those in the second.
Declared = Mapping[tuple[Space, Space], Offset]
_MOVED_MM = 1e-3


@dataclass(frozen=True)
class Link:
    """How places in one scan are found in another.

    Attributes
    ----------
    kind : {"frame", "alignment", "place"}
        Both state one frame of reference; one was aligned to the other; the same place was declared in both.
    offset : (x, y, z)
        From positions in the first scan to those in the second, LPS mm; zero but for ``"place"``.
    residual_mm : float or None
        Of the alignment.
    """

    kind: Literal["frame", "alignment", "place"]
    offset: Offset = (0.0, 0.0, 0.0)
    residual_mm: float | None = None

    @property
    def is_identity(self) -> bool:
        """Whether both scans have the same positions."""
        return not any(self.offset)

    @property
    def inverse(self) -> Link:
        """The same from the second scan to the first."""
        x, y, z = self.offset
        return Link(self.kind, (-x, -y, -z), self.residual_mm)

    @property
    def words(self) -> str:
        """What links the two."""
        if self.kind == "frame":
            return "one frame of reference"
        if self.kind == "alignment":
            return "aligned" if self.residual_mm is None else f"aligned, residual {self.residual_mm:.2f} mm"
        return f"same place, {' '.join(along(axis, part) for axis, part in enumerate(self.offset))} mm apart"

    def to_second(self, position: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return where positions ``(..., 3)`` in the first scan, LPS mm, are in the second."""
        return np.asarray(position, float) + np.array(self.offset)


def space_of(layer: Any) -> Space:
    """Return what names the patient space that the scan of a layer lies in; scans with equal names share positions.

    A scan that was aligned to another lies in the space of that one as long as it stays where it was put; one without a
    frame of reference, without a place, or moved by hand, lies in one of its own.
    """
    own = "layer", identity(layer)
    volume = volume_of(layer)
    if volume is None or not volume.metadata.is_placed or _is_moved(layer):
        return own
    kept: Space = layer.metadata[METADATA_KEY].get(SPACE)
    if kept is not None:
        return kept
    uid = volume.metadata.frame_of_reference_uid
    return ("frame", uid) if uid else own


def link_of(first: Any, second: Any, declared: Declared) -> Link | None:
    """Return how places in the scan of one layer are found in that of another; None where that is not known.

    What was declared by hand comes before what the files say. Grids that are alike, and positions that overlap, say
    nothing: two scanners, and two visits, have coordinates of their own.
    """
    if not (_is_placed(first) and _is_placed(second)):
        return None
    one, two = space_of(first), space_of(second)
    if (one, two) in declared:
        return Link("place", declared[one, two])
    if (two, one) in declared:
        return Link("place", declared[two, one]).inverse
    if one != two:
        return None
    found = alignment_of(second) or alignment_of(first)
    return Link("frame") if found is None else Link("alignment", residual_mm=found.residual_mm)


def _is_placed(layer: Any) -> bool:
    volume = volume_of(layer)
    return volume is not None and volume.metadata.is_placed


def _is_moved(layer: Any) -> bool:
    """Whether the layer of a scan lies elsewhere than it was put when it was loaded or aligned."""
    if not is_ours(layer):
        return True
    try:
        present = volume_from_layer(layer).geometry
    except RadcnnError:
        return True
    return not present.is_close(layer.metadata[METADATA_KEY]["place"].native, tolerance=_MOVED_MM)
