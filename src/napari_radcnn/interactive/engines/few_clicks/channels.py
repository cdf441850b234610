"""What the network of `few-clicks` is shown of a cube: windows of the picture, prompts drawn as bumps.

Values are in *units*: Hounsfield units of CT; of other scans a thousandth of the range from their 1st to their 99th
percentile, so that a window of 150 units is a window on either.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.engines.few_clicks.network import CHANNELS

Array = npt.NDArray[np.float32]

#: Half widths, in units, of the windows around the value of a click.
NARROW, MIDDLE = 20.0, 75.0
#: Standard deviations, in voxels, of bumps: a click, the newest click, what its value is averaged over.
_CLICK, _NEWEST, _VALUE = 1.8, 4.5, 0.9
#: Nothing is farther than this.
_FAR = 12.0
#: A scan with a value below this is CT.
_AIR = -200.0
SCAN, NARROW_AT, MIDDLE_AT, NEWEST_VALUE, MASK, PROPOSAL = range(6)
POSITIVE, NEGATIVE, NEWEST, BOX, SCRIBBLE, SIZE, ZOOM, OUTSIDE, NEAR, AGAINST = range(6, len(CHANNELS))
#: What a way costs for each voxel of half the resolution, and the difference from the value of a prompt, in units,
#: that costs as much as a tenth of what makes a place far.
_STEP, _DIFFERENCE = 0.1, 50.0


def units_of(values: npt.NDArray) -> tuple[float, float, float]:
    """Return what a scan's values are multiplied by to be in units, and the ends of its own scale, in units.

    Parameters
    ----------
    values : array
        Of the scan, or enough of them.
    """
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    if float(values.min()) < _AIR:
        return 1.0, max(low, -1024.0), max(high, low + 1.0)
    factor = 1000.0 / max(high - low, 1e-6)
    return factor, low * factor, high * factor


def scan_scale(picture: Array, low: float, high: float) -> Array:
    """Return a picture in its scan's own scale, -1 at `low` and 1 at `high`, cut at 1.5."""
    half = max((high - low) / 2, 1e-3)
    scaled = (picture - np.float32((low + high) / 2)) * np.float32(1 / half)
    return np.clip(scaled, -1.5, 1.5, out=scaled)


def window(picture: Array, value: float, half: float) -> Array:
    """Return a picture in a window: 0 at its middle, -1 and 1 from its ends on."""
    scaled = (picture - np.float32(value)) * np.float32(1 / half)
    return np.clip(scaled, -1, 1, out=scaled)


def bump(size: int, at: npt.ArrayLike, sigma: float) -> Array:
    """Return a Gaussian bump, 1 in its middle, which may lie between voxels or outside."""
    line = np.arange(size, dtype=np.float32)
    k, j, i = (np.exp(-((line - np.float32(x)) ** 2) / np.float32(2 * sigma * sigma)) for x in np.asarray(at))
    return k[:, None, None] * j[None, :, None] * i[None, None, :]


def value_at(picture: Array, at: npt.ArrayLike) -> float:
    """Return the value of a picture at a place, averaged over about a voxel around it."""
    weight = bump(picture.shape[0], np.clip(np.asarray(at, float), 0, picture.shape[0] - 1), _VALUE)
    return float((weight * picture).sum() / weight.sum())


def arrival(cost: Array, places: npt.NDArray[np.int64]) -> Array:
    """Return what the cheapest way from any of some places to each voxel costs (fast marching; Sethian 1996).

    Parameters
    ----------
    cost : (n, n, n) array of float32
        Of a voxel's side, more than 0.
    places : (m, 3) array of int
        Where ways begin.
    """
    import SimpleITK as sitk

    march = sitk.FastMarchingImageFilter()
    march.SetStoppingValue(float(_FAR))
    march.SetNumberOfWorkUnits(1)
    march.SetTrialPoints([tuple(int(x) for x in place[::-1]) for place in places])
    reached = march.Execute(sitk.GetImageFromArray(np.float32(1) / cost))
    return np.minimum(sitk.GetArrayFromImage(reached), np.float32(_FAR)).astype(np.float32)


def _halved(picture: Array) -> Array:
    """Return the mean of every eight voxels."""
    k, j, i = (n // 2 for n in picture.shape)
    return np.asarray(picture.reshape(k, 2, j, 2, i, 2).mean((1, 3, 5)), np.float32)


def _mound(size: int, low: npt.NDArray, high: npt.NDArray) -> Array:
    """Return 1 in the middle of a box, which falls along ellipsoids and is a little more than 0 in its corners."""
    line = np.arange(size, dtype=np.float32)
    middle, half = (np.asarray(low) + np.asarray(high) - 1) / 2, np.maximum((np.asarray(high) - low) / 2, 0.5)
    k, j, i = ((line - np.float32(m)) ** 2 / np.float32(h * h) for m, h in zip(middle, half, strict=True))
    radius = np.sqrt(k[:, None, None] + j[None, :, None] + i[None, None, :])
    return np.maximum(np.float32(0.1), 1 - np.float32(0.5) * radius)


class Board:
    """The channels of one cube, written from prompt to prompt.

    Parameters
    ----------
    picture : (n, n, n) array of float32
        In units.
    low, high : float
        Ends of the scan's own scale, in units.
    zoom : float
        mm between voxels of the cube.
    inside : (n, n, n) array of bool
        What lies in the scan.
    channels : (c, n, n, n) array of float32, optional
        To be written to; a new one by default.
    """

    def __init__(
        self,
        picture: Array,
        low: float,
        high: float,
        zoom: float,
        inside: npt.NDArray[np.bool_],
        channels: Array | None = None,
    ) -> None:
        self.picture = picture
        self.channels = np.empty((len(CHANNELS), *picture.shape), np.float32) if channels is None else channels
        self.channels[...] = 0
        self.channels[SCAN] = scan_scale(picture, low, high)
        self.channels[ZOOM] = np.float32(np.log2(zoom) / 2)
        self.channels[OUTSIDE] = ~inside
        self._size = picture.shape[0]
        self._halved = _halved(picture)
        self._has_value = False

    def click(self, at: npt.ArrayLike, *, positive: bool) -> None:
        """Draw a click, which is the newest prompt from now on."""
        channel = self.channels[POSITIVE if positive else NEGATIVE]
        np.maximum(channel, bump(self._size, at, _CLICK), out=channel)
        self._newest(at, positive=positive)
        self._reach(np.asarray(at, float)[None], positive=positive)

    def scribble(self, line: npt.NDArray, *, positive: bool) -> None:
        """Draw a line through voxels, which is the newest prompt from now on.

        Parameters
        ----------
        line : (m, 3) array
            Neighboring voxels.
        positive : bool
            Whether the object is there.
        """
        drawn = np.zeros(self.picture.shape, np.float32)
        for at in line[:: max(1, len(line) // 24)]:
            np.maximum(drawn, bump(self._size, at, _CLICK), out=drawn)
        channel = self.channels[SCRIBBLE]
        np.copyto(channel, drawn if positive else -drawn, where=drawn > np.abs(channel))
        self._newest(line[len(line) // 2], positive=positive)
        self._reach(np.asarray(line, float), positive=positive)

    def _reach(self, places: npt.NDArray[np.float64], *, positive: bool) -> None:
        """Note how near every voxel is to a prompt along ways that keep to the value there."""
        size = self._size // 2
        indices = np.unique(np.floor((places + 0.5) / 2).astype(int), axis=0)
        indices = indices[((indices >= 0) & (indices < size)).all(1)]
        if not len(indices):
            return
        value = float(np.median(self._halved[tuple(indices.T)]))
        if len(places) == 1:
            value = value_at(self.picture, places[0])
        far = arrival(_STEP + np.abs(self._halved - np.float32(value)) / np.float32(_DIFFERENCE), indices)
        near = np.exp(-far).repeat(2, 0).repeat(2, 1).repeat(2, 2)
        channel = self.channels[NEAR if positive else AGAINST]
        np.maximum(channel, near, out=channel)

    def box(self, low: npt.NDArray, high: npt.NDArray) -> None:
        """Draw a box, from its first voxel to the one past its last; its middle gives the windows' value."""
        start, stop = np.maximum(np.rint(low).astype(int), 0), np.maximum(np.rint(high).astype(int), 0)
        inside = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        self.channels[BOX][inside] = _mound(self._size, low, high)[inside]
        self.look_at((np.asarray(low) + np.asarray(high) - 1) / 2)

    def _newest(self, at: npt.ArrayLike, *, positive: bool) -> None:
        self.channels[NEWEST] = bump(self._size, at, _NEWEST) * np.float32(1 if positive else -1)
        value = value_at(self.picture, at)
        self.channels[NEWEST_VALUE] = window(self.picture, value, MIDDLE)
        if positive and not self._has_value:
            self.tell_value(value)
            self._has_value = True

    def look_at(self, at: npt.ArrayLike) -> None:
        """Center the windows on the value at a place, until a positive click does."""
        if not self._has_value:
            self.tell_value(value_at(self.picture, at))

    def tell_value(self, value: float) -> None:
        """Center the windows on a value, in units."""
        self.channels[NARROW_AT] = window(self.picture, value, NARROW)
        self.channels[MIDDLE_AT] = window(self.picture, value, MIDDLE)

    def tell_size(self, share: float, at: npt.ArrayLike) -> None:
        """Tell the object's largest side, as a share of the cube's, around the place that was pointed at first.

        It is drawn as a bump that has fallen to a third where the object is likely to end: the same number in every
        voxel was not listened to.
        """
        self.channels[SIZE] = bump(self._size, at, max(share * self._size / 3, 0.5))

    def tell_mask(self, mask: npt.NDArray) -> None:
        """Tell the answer so far: probabilities, or a mask."""
        self.channels[MASK] = mask

    def tell_proposal(self, mask: npt.NDArray) -> None:
        """Tell what another engine made of the first prompt."""
        self.channels[PROPOSAL] = mask
