"""What one step changed in a label map: the box and a few bits a voxel, the same for undo and for redo."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import SessionError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.update import box_shape

Labels = npt.NDArray[np.uint16]

#: Of zlib: what a step changes is mostly runs of zeros, which the fastest level packs nearly as small as the slowest.
_LEVEL = 1
#: With more kinds of change than this in one step, whole label values are packed instead of one bit plane a kind.
MOST_PLANES = 8


@dataclass(frozen=True, eq=False)
class Difference:
    """Labels before, exclusive-or labels after, in the smallest box: applied twice it is undone.

    Parameters
    ----------
    box : tuple of slice
        In (k, j, i).
    kinds : tuple of int
        The values that the exclusive-or takes besides 0; empty where they are not packed as bit planes.
    packed : bytes
        A bit plane for each of `kinds`, or the values themselves; compressed.
    gained : mapping of int to int
        How many voxels more an object has after the step, by its value.
    """

    box: Box
    kinds: tuple[int, ...]
    packed: bytes | memoryview
    gained: Mapping[int, int]
    xor: Labels | None = None  # while it is at hand

    @classmethod
    def pack(cls, box: Box, xor: Labels, kinds: tuple[int, ...], gained: Mapping[int, int]) -> Difference:
        """Return the difference of a box whose labels change by `xor`, which takes the values `kinds` and 0."""
        if len(kinds) > MOST_PLANES:
            return cls(box, (), zlib.compress(np.ascontiguousarray(xor).data, _LEVEL), gained, xor)
        planes = b"".join(np.packbits(xor == kind).tobytes() for kind in kinds)
        return cls(box, kinds, zlib.compress(planes, _LEVEL), gained, xor)

    def unpack(self) -> Labels:
        """Return the exclusive-or of labels before and after, of the box's shape.

        Raises
        ------
        SessionError
            If the bytes are damaged.
        """
        if self.xor is not None:
            return self.xor
        shape = box_shape(self.box)
        count = math.prod(shape)
        each = -(-count // 8)
        size = each * len(self.kinds) or 2 * count
        unpacker = zlib.decompressobj()
        try:
            plain = unpacker.decompress(self.packed, size + 1)  # a few damaged bytes may unpack to gigabytes
        except zlib.error as error:
            raise SessionError(f"A step of this session is damaged: {error}.") from error
        if len(plain) != size or not unpacker.eof:
            raise SessionError("A step of this session is damaged: its box and its voxels do not match.")
        if not self.kinds:
            return np.frombuffer(plain, np.uint16).reshape(shape)
        xor = np.zeros(count, np.uint16)
        for number, kind in enumerate(self.kinds):
            bits = np.frombuffer(plain, np.uint8, each, number * each)
            np.copyto(xor, kind, where=np.unpackbits(bits, count=count).view(np.bool_))
        return xor.reshape(shape)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the packed bytes as JSON types."""
        return {
            "box": [[extent.start, extent.stop] for extent in self.box],
            "kinds": list(self.kinds),
            "gained": {str(value): count for value, count in self.gained.items()},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], packed: bytes | memoryview) -> Difference:
        """Return the difference that `to_dict` and its bytes tell."""
        k, j, i = (slice(int(start), int(stop)) for start, stop in plain["box"])
        gained = {int(value): int(count) for value, count in plain["gained"].items()}
        return cls((k, j, i), tuple(int(kind) for kind in plain["kinds"]), packed, gained)
