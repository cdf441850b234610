"""Tools that need no voxel's neighborhood: clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from napari_radcnn.inference.monitor import Monitor
from napari_radcnn.interactive.tools_base import FormTool, ToolState
from napari_radcnn.interactive.update import MaskUpdate, box_shape


@dataclass(frozen=True)
class Clear(FormTool):
    """Remove all voxels of the object."""

    name: ClassVar[str] = "clear"

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Clear"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the empty object."""
        monitor.check()
        found = state.find()
        return None if found is None else MaskUpdate(found, np.zeros(box_shape(found), bool))
