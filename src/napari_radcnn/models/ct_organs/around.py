"""What the network of `ct-organs` says of the voxels around a place, for engines that ask about one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import AxisMap
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.few_clicks.anatomy import Shares
from napari_radcnn.interactive.engines.lattice import Floats, Lattice
from napari_radcnn.models.ct_organs.channels import at_3mm, middle_of
from napari_radcnn.models.ct_organs.network import CHANNELS, CLASSES, MULTIPLE, SPACING, build_network
from napari_radcnn.models.ct_organs.run import shown_at_3mm, suits
from napari_radcnn.models.ct_organs.spec import SPEC
from napari_radcnn.models.ct_organs.structures import STRUCTURES
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.progress import Monitor
from napari_radcnn.suitability.judge import judge
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.inference.backends.base import Predictor

#: Voxels of 3 mm along S, P, L that are looked at.
_WINDOW = (48, 64, 96)
#: Windows whose answers are kept: of the objects that somebody goes back and forth between.
_KEPT = 6

_Start = tuple[int, int, int]


class OrgansAround:
    """Says what the voxels around a place in a CT of a body may be (an `Anatomist`).

    Parameters
    ----------
    settings : RunSettings
        Device and precision.
    network : ShippedNetwork, optional
        Other weights than those that ship.
    """

    def __init__(self, settings: RunSettings, network: ShippedNetwork | None = None) -> None:
        self._settings, self._network = settings, network
        self._predictor: Predictor | None = None
        self._volume: Volume | None = None
        self._shown: npt.NDArray[np.float32] | None = None
        self._answers: dict[_Start, Shares] = {}

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Average a scan to 3 mm, once; nothing else is done for one that is no CT of a body."""
        if self._volume is volume:
            return
        self._volume, self._shown = volume, None
        self._answers.clear()
        monitor.check()
        if not suits(volume.geometry) or judge(SPEC, [volume]).state != "fits":
            return
        upright = volume.reoriented("SPL")
        hu = at_3mm(upright.array, upright.geometry.spacing)
        row, column = middle_of(hu)
        self._shown = shown_at_3mm(hu, row, column, _WINDOW)

    def around(self, place: Floats, monitor: Monitor) -> Shares | None:
        """Return what the voxels around an index in the scan may be; None for a scan that the network is not for."""
        if self._shown is None or self._volume is None:
            return None
        axes, geometry = self._axes(), self._volume.geometry
        shape = np.array([geometry.shape[n] for n in axes.order])
        spacing = np.array([geometry.spacing[n] for n in axes.order])
        at = np.array([place[n] for n in axes.order])
        at = np.where(axes.flip, shape - 1 - at, at)
        start = self._start((at + 0.5) * spacing / SPACING - 0.5)
        if start not in self._answers:
            if len(self._answers) >= _KEPT:
                self._answers.pop(next(iter(self._answers)))
            self._answers[start] = self._ask(start, shape, spacing, monitor)
        return self._answers[start]

    def close(self) -> None:
        """Give its memory back."""
        if self._predictor is not None:
            self._predictor.close()
        self._predictor = self._volume = self._shown = None
        self._answers.clear()

    def _axes(self) -> AxisMap:
        assert self._volume is not None
        return self._volume.geometry.axis_map("SPL")

    def _start(self, at: Floats) -> _Start:
        """Return where the window around a voxel of 3 mm begins: on the network's own coarsest grid."""
        assert self._shown is not None
        starts = [
            max(0, min(round((middle - size / 2) / MULTIPLE) * MULTIPLE, whole - size))
            for middle, size, whole in zip(at, _WINDOW, self._shown.shape[1:], strict=True)
        ]
        return starts[0], starts[1], starts[2]

    def _ask(self, start: _Start, shape: npt.NDArray, spacing: Floats, monitor: Monitor) -> Shares:
        assert self._shown is not None
        monitor.check()
        window = tuple(slice(s, s + n) for s, n in zip(start, _WINDOW, strict=True))
        channels = np.ascontiguousarray(self._shown[(slice(None), *window)])
        if self._predictor is None:
            self._open(channels, monitor)
        assert self._predictor is not None
        logits = np.asarray(self._predictor(channels), np.float32)
        power = np.exp(logits - logits.max(0))
        # Only what lies in the scan: a small one is filled up with air.
        inside = np.maximum(1, np.minimum(_WINDOW, np.rint(shape * spacing / SPACING).astype(int) - start))
        k, j, i = (slice(0, int(n)) for n in inside)
        values = (power / power.sum(0))[:, k, j, i]
        axes = self._axes()
        first = np.empty(3)
        for n in range(3):
            begin = (start[n] + 0.5) * SPACING / spacing[n] - 0.5
            end = (start[n] + inside[n] - 0.5) * SPACING / spacing[n] - 0.5
            first[axes.order[n]] = shape[n] - 1 - end if axes.flip[n] else begin
        steps = SPACING / np.array([spacing[axes.order.index(n)] for n in range(3)])
        values = np.stack([axes.invert(value) for value in values])
        lattice = Lattice(
            (float(first[0]), float(first[1]), float(first[2])),
            (float(steps[0]), float(steps[1]), float(steps[2])),
            (values.shape[1], values.shape[2], values.shape[3]),
        )
        return Shares(lattice, np.ascontiguousarray(values), _TRUSTED)

    def _open(self, sample: npt.NDArray[np.float32], monitor: Monitor) -> None:
        from napari_radcnn.inference.backends.choice import open_predictor
        from napari_radcnn.inference.devices import default_threads

        network = self._network or ShippedNetwork.of(SPEC, build_network, 3, len(CHANNELS))
        self._predictor, _ = open_predictor(
            network, _WINDOW, self._settings, threads=default_threads(), sample=sample, monitor=monitor
        )


#: Vertebrae and loops of bowel touch one another; ribs do not.
_TRUSTED = np.isin(CLASSES, [name for structure in STRUCTURES for name in structure.classes]) & (
    np.array(CLASSES) != "vertebrae"
)
