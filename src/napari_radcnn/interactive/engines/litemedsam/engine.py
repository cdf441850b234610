"""`litemedsam`: a box in a slice, outlined by LiteMedSAM (Ma et al. 2024), there alone.

It is followed from slice to slice only where the user says how far: the network sees one slice at a time, and answers
also where the object has ended.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.litemedsam.network import BoxNetwork, Embedding, Frame, Slice
from napari_radcnn.interactive.engines.litemedsam.prompts import Reading, cuts_of, key_index, read_prompts
from napari_radcnn.interactive.engines.specs import LITEMEDSAM
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.propagate import Flat, Key, Propagation, Rect, Stack
from napari_radcnn.interactive.update import Mask, MaskUpdate, box_of, joined
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: MB of embeddings that are kept: of about 250 slices.
_MOST_MB = 512
#: Windows of a CT, HU: soft tissue, and lung and bone for what lies outside it.
_SOFT, _LUNG, _BONE = (-160.0, 240.0), (-910.0, 590.0), (-500.0, 1300.0)

Window = tuple[float, float]


class LiteMedSamEngine:
    """Outlines what a box in a slice holds, and follows it through the slices that a box with depth names.

    Parameters
    ----------
    settings : RunSettings
        Device and precision.
    network : BoxNetwork, optional
        What answers boxes, with the interface of `BoxNetwork`; by default LiteMedSAM, loaded when first needed.

    Attributes
    ----------
    name, licence : str
        As on the list of models.
    """

    name = LITEMEDSAM.name
    licence = LITEMEDSAM.licence

    def __init__(self, settings: RunSettings, network: BoxNetwork | None = None) -> None:
        self._settings = settings
        self._network = network
        self._embeddings = _Embeddings(_MOST_MB << 20)
        self._volume: Volume | None = None
        self._range: Window | None = None

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Load the networks; see `Engine`."""
        self._open(monitor)
        self._take(volume)

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Outline the new prompt's slice, and follow the object as far as the prompts say; see `Engine`.

        The slices of other prompts stay as they are, and those nearer to them, unless they are empty.
        """
        network = self._open(monitor)
        self._take(request.volume)
        geometry = request.volume.geometry
        reading = read_prompts(request.prompts, geometry, request.current)
        stack = Stack(np.moveaxis(request.current, reading.axis, 0))
        outline = _Outline(request.volume, network, self._embeddings, reading, self._window(request.volume, reading))
        forbidden = None if request.forbidden is None else np.moveaxis(request.forbidden, reading.axis, 0)
        work = Propagation(stack, outline, reading.keys, reading.cuts, reading.bounds, forbidden, monitor)
        new = request.prompts[-1]
        before = read_prompts(request.prompts[:-1], geometry, request.current) if len(request.prompts) > 1 else None
        if before is not None and _is_changed(before, reading, new, geometry):
            for filled in np.flatnonzero(stack.before.any(axis=(1, 2))):
                stack.clear(int(filled))
            for key in reading.keys:
                work.insert(key)
        elif new.positive:
            index = key_index(new, geometry, reading.axis)
            for key in reading.keys:
                if key.index == index or _reaches_farther(key, before):
                    work.insert(key)
        else:
            cuts = cuts_of(new, geometry, reading.axis)
            for index, cut in cuts.items():
                if len(cuts) == 1:
                    work.cut(index)
                else:
                    stack[index] = stack[index] & ~cut.area
        return _update(stack, reading, request.current)

    def close(self) -> None:
        """Give memory back; see `Engine`."""
        if self._network is not None:
            self._network.close()
        self._network = None
        self._embeddings.clear()
        self._volume = self._range = None

    def _open(self, monitor: Monitor) -> BoxNetwork:
        if self._network is None:
            self._network = BoxNetwork(self._settings, monitor)
        return self._network

    def _take(self, volume: Volume) -> None:
        """Forget what was made of another scan."""
        if volume is not self._volume:
            self._embeddings.clear()
            self._volume, self._range = volume, None

    def _window(self, volume: Volume, reading: Reading) -> Window | None:
        """Return the values that become black and white; None for colors."""
        if volume.is_color:
            return None
        if volume.modality == "CT" and volume.metadata.units in ("HU", ""):
            return _ct_window(volume, reading)
        if self._range is None:  # as the network's training pictures were made, not as the scan says
            plain = volume.with_metadata(window_center=None, window_width=None)
            self._range = plain.contrast_limits()
        return self._range


def _is_changed(before: Reading, now: Reading, new: Prompt, geometry: Geometry) -> bool:
    """Whether the new prompt says something about all slices: another axis, or new bounds."""
    if not new.positive:
        return False
    own = key_index(new, geometry, now.axis)
    is_key = any(key.index == own for key in now.keys)
    return before.axis != now.axis or before.bounds != now.bounds or not is_key or _is_cut(before, now)


def _is_cut(before: Reading, now: Reading) -> bool:
    """Whether a slice that was in reach is not any more."""
    kept = {key.index: key for key in now.keys}
    return any(
        key.index not in kept or kept[key.index].low > key.low or kept[key.index].high < key.high for key in before.keys
    )


def _reaches_farther(key: Key, before: Reading | None) -> bool:
    """Whether a slice was prompted before, and speaks for more slices now."""
    known = () if before is None else before.keys
    return any(other.index == key.index and (other.low, other.high) != (key.low, key.high) for other in known)


def _ct_window(volume: Volume, reading: Reading) -> Window:
    """Return the window of the tissue in the first box."""
    if not reading.keys:
        return _SOFT
    key: Key = reading.keys[0]
    top, left, bottom, right = key.rects[0]
    middle = float(np.median(_read_slice(volume, reading.axis, key.index)[top:bottom, left:right]))
    return _LUNG if middle < _SOFT[0] else _BONE if middle > _SOFT[1] else _SOFT


def _read_slice(volume: Volume, axis: int, index: int) -> Slice:
    """Return the values of one slice, finite, ``(rows, columns)`` or ``(rows, columns, 3)``."""
    ends = [slice(0, n) for n in volume.geometry.shape]
    ends[axis] = slice(index, index + 1)
    block = np.moveaxis(volume.read_block((ends[0], ends[1], ends[2])), axis, 0)[0]
    return np.nan_to_num(np.asarray(block, np.float32), posinf=0.0, neginf=0.0)


@dataclass(eq=False)
class _Outline:
    """Answers a box in a slice."""

    volume: Volume
    network: BoxNetwork
    embeddings: _Embeddings
    reading: Reading
    window: Window | None

    def __post_init__(self) -> None:
        geometry = self.volume.geometry
        row, column = (n for n in range(3) if n != self.reading.axis)
        self._frame = Frame(
            (geometry.shape[row], geometry.shape[column]), (geometry.spacing[row], geometry.spacing[column])
        )

    def __call__(self, index: int, rect: Rect) -> Flat:
        key = (self.reading.axis, index, self.window)
        embedding = self.embeddings.get(key)
        if embedding is None:
            values = _read_slice(self.volume, self.reading.axis, index)
            if self.window is not None:
                values = np.clip(values, *self.window)
            embedding = self.network.embed(self._frame.picture(values))
            self.embeddings.put(key, embedding)
        return self._frame.mask(self.network.decode(embedding, self._frame.box(rect)))


_Place = tuple[int, int, Window | None]


class _Embeddings:
    """The embeddings of slices, those used last; a second box in a slice then costs the decoder alone."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[_Place, Embedding] = OrderedDict()

    def get(self, place: _Place) -> Embedding | None:
        """Return a slice's embedding, or None."""
        if place in self._kept:
            self._kept.move_to_end(place)
        return self._kept.get(place)

    def put(self, place: _Place, embedding: Embedding) -> None:
        """Keep an embedding, and give up those unused for longest where there are too many."""
        self._kept[place] = embedding
        self._size += embedding.nbytes
        while self._size > self._most and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._size = 0


def _update(stack: Stack, reading: Reading, current: Mask) -> MaskUpdate:
    """Return the changed slices as the object's new mask in the smallest box that holds what was and what is there."""
    box: Box | None = None
    for index, mask in stack.changed.items():
        flat = np.moveaxis((mask | stack.before[index])[None], 0, reading.axis)
        offset = [0, 0, 0]
        offset[reading.axis] = index
        box = joined(box, box_of(flat, (offset[0], offset[1], offset[2])))
    if box is None:  # nothing was found, and nothing was there
        box = (slice(0, 1), slice(0, 1), slice(0, 1))
    made = current[box].copy()
    layers = np.moveaxis(made, reading.axis, 0)
    place = tuple(extent for axis, extent in enumerate(box) if axis != reading.axis)
    first, last = box[reading.axis].start, box[reading.axis].stop
    for index, mask in stack.changed.items():
        if first <= index < last:
            layers[index - first] = mask[place]
    return MaskUpdate(box, made)
