"""Voxels that are no finite numbers: counted, replaced and told before any model sees the scan.

This is the only place for them. A model is never shown one, whatever it is and however it reads its scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box
from napari_radcnn.inference.request import Outcome, Request, Sink
from napari_radcnn.preprocessing import resample
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.volume import Volume
from napari_radcnn.voxels import Level, VoxelSource, box_ends

_SLAB_VALUES = 1 << 24


@dataclass(frozen=True, eq=False)
class Filled:
    """Scans without gaps.

    Attributes
    ----------
    volumes : tuple of Volume
        As a model may see them; the very same objects where nothing was replaced.
    gaps : tuple of Volume
        The scans that had some, as they were, whose gaps the result has as well.
    warnings : tuple of str
        What was replaced by what, one line a scan.
    facts : mapping
        The same for the manifest; empty where nothing was replaced.
    """

    volumes: tuple[Volume, ...]
    gaps: tuple[Volume, ...]
    warnings: tuple[str, ...]
    facts: dict[str, Any]


def fill_gaps(spec: ModelSpec, volumes: tuple[Volume, ...], monitor: Monitor | None = None) -> Filled:
    """Replace what is no finite number in the inputs of a model.

    Parameters
    ----------
    spec : ModelSpec
        Its `gaps` say by what.
    volumes : tuple of Volume
        Its inputs, each on its own grid.
    monitor : Monitor, optional
        May cancel.

    Raises
    ------
    ModelError
        If a scan holds hardly anything but gaps.
    """
    filled, gaps, warnings, facts = [], [], [], []
    for number, volume in enumerate(volumes):
        count, least = _counted(volume, monitor)
        if not count:
            filled.append(volume)
            continue
        share = count / volume.size
        if share >= 1 or share > spec.gaps.most:
            what = (
                "no finite values"
                if share >= 1
                else f"non-finite values (NaN or infinite) in {share:.0%} of its voxels"
            )
            raise ModelError(
                f"'{volume.name}' contains {what}: results of a model would be meaningless; export the scan again."
            )
        value = spec.gaps.standing_in(_modalities(spec, volume, number))
        value = least if value is None else value
        filled.append(_without_gaps(volume, value))
        gaps.append(volume)
        air = " (air)" if spec.gaps.value is None and value != least else ""
        warnings.append(
            f"'{volume.name}': {count} voxels ({share:.2%}) are not finite (NaN or infinite); the model saw "
            f"{value:g}{air} there{_consequence(spec)}."
        )
        slot = spec.inputs[number].name if number < len(spec.inputs) else "scan"
        facts.append({"input": slot, "voxels": count, "replaced_by": value})
    return Filled(tuple(filled), tuple(gaps), tuple(warnings), {"not_finite": facts} if facts else {})


def with_gaps(outcome: Outcome, request: Request, filled: Filled) -> Outcome:
    """Return what a model found with the scan's gaps: background in labels, NaN in an image."""
    if not filled.gaps:
        return outcome
    facts = {**outcome.facts, **filled.facts}
    array = outcome.array
    if array is None:
        return replace(outcome, facts=facts)
    grid = request.volume.geometry if outcome.geometry is None else outcome.geometry
    array = np.array(array)
    empty = np.nan if array.dtype.kind == "f" else 0
    for volume in filled.gaps:
        if volume.geometry.is_close(grid):
            for box in _slabs(volume):
                array[box][~np.isfinite(volume.read_block(box))] = empty
        elif volume.geometry.is_close(request.volume.geometry):
            missing = ~np.isfinite(volume.array)
            array[resample(missing.astype(np.uint8), volume.geometry, grid, interpolation="nearest", fill=0) > 0] = (
                empty
            )
    return replace(outcome, array=array, facts=facts)


class GappedSink:
    """Hands labels on to a sink, with background where the scan had no number.

    Parameters
    ----------
    sink : Sink
        Where labels go.
    gaps : tuple of Volume
        Scans on the grid of the labels.
    """

    def __init__(self, sink: Sink, gaps: tuple[Volume, ...]) -> None:
        self._sink, self._gaps = sink, gaps

    @property
    def mark_reached(self) -> int:
        """As of the sink."""
        return self._sink.mark_reached

    def write(self, box: Box, values: npt.NDArray[Any]) -> None:
        """Put labels in their place."""
        values = np.array(values)
        for volume in self._gaps:
            values[~np.isfinite(volume.read_block(box))] = 0
        self._sink.write(box, values)

    def mark(self, reached: int) -> None:
        """As of the sink."""
        self._sink.mark(reached)


def sink_with_gaps(request: Request, filled: Filled) -> Sink | None:
    """Return the request's sink, with the gaps of those scans that lie on its grid."""
    gaps = tuple(v for v in filled.gaps if v.geometry.is_close(request.volume.geometry))
    return GappedSink(request.sink, gaps) if request.sink is not None and gaps else request.sink


# -- inside ---------------------------------------------------------------------------------------------------------


def _modalities(spec: ModelSpec, volume: Volume, number: int) -> tuple[str, ...]:
    slots = spec.inputs[number].modalities if number < len(spec.inputs) else spec.modalities
    return slots or ((volume.modality,) if volume.modality else ())


def _consequence(spec: ModelSpec) -> str:
    if spec.task == "segmentation":
        return ", and they are background in the result"
    return ", and they stay NaN in the result" if spec.task in ("denoising", "super-resolution", "synthesis") else ""


def _slabs(volume: Volume) -> Iterator[Box]:
    depth = max(1, _SLAB_VALUES // max(1, int(np.prod(volume.shape[1:]))))
    if volume.source is not None and not volume.is_loaded:
        depth = -(-depth // volume.source.chunks[0]) * volume.source.chunks[0]
    for start in range(0, volume.shape[0], depth):
        yield slice(start, min(start + depth, volume.shape[0])), slice(0, volume.shape[1]), slice(0, volume.shape[2])


def _counted(volume: Volume, monitor: Monitor | None) -> tuple[int, float]:
    """Return how many voxels are no finite numbers, and the least of those that are."""
    if volume.dtype.kind != "f":
        return 0, 0.0
    count, least = 0, np.inf
    for box in _slabs(volume):
        if monitor is not None:
            monitor.check()
        values = volume.read_block(box)
        finite = np.isfinite(values)
        wrong = values.size - int(np.count_nonzero(finite))
        count += wrong
        if not wrong or finite.any():
            least = min(least, float(values.min() if not wrong else values[finite].min()))
    return count, least


def _without_gaps(volume: Volume, value: float) -> Volume:
    if volume.source is not None and not volume.is_loaded:
        source = _FilledSource(volume.source, value)
        return Volume.lazy(source, volume.geometry, volume.metadata, volume.warnings, volume.suvbw_factor)
    return replace(volume.with_array(_filled(volume.array, value)), warnings=volume.warnings)


def _filled(values: npt.NDArray[Any], value: float) -> npt.NDArray[Any]:
    return np.where(np.isfinite(values), values, values.dtype.type(value))


class _FilledSource:
    """A store whose gaps are filled as they are read (a `napari_radcnn.voxels.VoxelSource`)."""

    def __init__(self, source: VoxelSource, value: float) -> None:
        self._source, self._value = source, value
        self.shape, self.dtype, self.chunks = source.shape, source.dtype, source.chunks
        self.levels: tuple[Level, ...] = ()

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box."""
        k, j, i = (slice(*ends) for ends in box_ends(box, self.shape))
        return _filled(self._source.read((k, j, i)), self._value)
