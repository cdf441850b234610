"""How gray a scan is shown: what it is, in what unit, by which windows. Knows neither napari nor Qt.

Layers keep the values of the scan; a window is a range of them, and what is written on the screen is in the unit that
readers use: SUVbw for PET.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.suitability.sample import take_sample
from napari_radcnn.suitability.values import hounsfield
from napari_radcnn.voi import VoiWindow
from napari_radcnn.volume import Volume

#: Name, center and width in HU, in the order of their keys.
CT_WINDOWS: tuple[tuple[str, float, float], ...] = (
    ("Abdomen", 40, 400),
    ("Lung", -600, 1500),
    ("Bone", 400, 1800),
    ("Brain", 40, 80),
    ("Stroke", 35, 35),
    ("Liver", 70, 150),
    ("Mediastinum", 50, 350),
)
#: Up to which SUVbw a PET is shown, in the order of their keys.
SUV_TOPS = (7.0, 5.0, 10.0, 15.0)
#: Name and percentiles of what has no unit that means the same everywhere.
_PERCENTILES: tuple[tuple[str, float, float], ...] = (
    ("Middle 99 %", 0.5, 99.5),
    ("Middle 95 %", 2.5, 97.5),
    ("Middle 80 %", 10, 90),
    ("Full range", 0, 100),
)
#: How many time points, and about how many of their values, tell the windows of a scan.
_MOST_POINTS, _MOST_VALUES = 8, 1_000_000
#: Of a volume, bytes that are looked at twice while they are near the processor.
_BLOCK_BYTES = 8 << 20
_PET = ("PT", "NM")
_NO_SUV = "SUV is not available: "


@dataclass(frozen=True)
class Preset:
    """A window that can be chosen.

    Attributes
    ----------
    window : VoiWindow
        Of the layer's values.
    is_own : bool
        Whether the file states it.
    """

    window: VoiWindow
    is_own: bool = False

    @property
    def name(self) -> str:
        """As it stands in a menu."""
        return self.window.name


@dataclass(frozen=True)
class Look:
    """How a scan is shown.

    Attributes
    ----------
    kind : str
        DICOM's modality code, by the header or by the values; empty where neither tells.
    is_recognized : bool
        Whether the values told it.
    unit : str
        Of what is written on the screen; empty where it is not known.
    factor : float
        ``written = value * factor``.
    is_inverted : bool
        Whether low values look bright.
    presets : tuple of Preset
        What can be chosen, the file's own first; never empty.
    first : int
        With which one the scan is shown first.
    reach : (low, high)
        From the least to the greatest value of the scan: as far as a window can be set.
    note : str
        Why the unit is not the one that readers use; empty where it is.
    """

    kind: str = ""
    is_recognized: bool = False
    unit: str = ""
    factor: float = 1.0
    is_inverted: bool = False
    presets: tuple[Preset, ...] = field(default=(Preset(VoiWindow(0.5, 1.0, "Full range", "LINEAR_EXACT")),))
    first: int = 0
    reach: tuple[float, float] = (0.0, 1.0)
    note: str = ""

    @property
    def window(self) -> VoiWindow:
        """The one that the scan is shown with first."""
        return self.presets[self.first].window

    def written(self, value: float) -> float:
        """Return a value of the layer in the unit of the screen."""
        return value * self.factor

    def written_window(self, window: VoiWindow) -> VoiWindow:
        """Return a window of the layer's values as it is written on the screen."""
        return replace(window, center=self.written(window.center), width=window.width * self.factor)


def look_of(volume: Volume) -> Look:
    """Return how a scan of gray values is shown.

    Parameters
    ----------
    volume : Volume
        Looked at for its values where the header does not say what it is; one that is not in memory is not.
    """
    metadata = volume.metadata
    kind, shift, is_recognized = _kind(volume)
    own = _own_presets(volume)
    look = Look(kind, is_recognized, metadata.units, is_inverted=metadata.is_inverted)
    is_known = volume.is_loaded if kind == "CT" else own and not volume.is_loaded  # by the header, or all its values
    sampled = () if is_known else _by_percentiles(volume)
    first = 0
    if kind == "CT":
        general = [VoiWindow(c - shift, w, name, "LINEAR_EXACT") for name, c, w in CT_WINDOWS]
        shifted = f"CT, as its values suggest; they are about {-shift:g} HU too high."
        look = replace(look, note=shifted) if shift else replace(look, unit="HU")
    elif kind in _PET and volume.suvbw_factor is not None:
        factor = volume.suvbw_factor
        general = [VoiWindow(top / 2 / factor, top / factor, f"SUV 0 to {top:g}", "LINEAR_EXACT") for top in SUV_TOPS]
        look = replace(look, unit="SUVbw", factor=factor, is_inverted=True)
        first = len(own)
    else:
        general = list(sampled)
        if kind in _PET:
            note = next((line for line in volume.warnings if line.startswith(_NO_SUV)), "")
            look = replace(look, is_inverted=True, note=note.removesuffix(" The values are shown as stored."))
    presets = (*own, *map(Preset, general)) or look.presets
    ends = _ends(volume) if volume.is_loaded else tuple(end for window in sampled for end in window.limits)
    ends = ends or tuple(end for preset in presets for end in preset.window.limits)
    low, high = min(ends), max(ends)
    return replace(look, presets=presets, first=first, reach=(low, high if high > low else low + 1.0))


def look_of_points(volumes: Sequence[Volume]) -> Look:
    """Return how time points of one scan are shown, all with one window.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one kind. Some of them, over the whole time, are looked at for their values: contrast medium comes late.
    """
    if not all(volume.is_loaded for volume in volumes) or len(volumes) == 1:
        return look_of(volumes[0])
    places = sorted(set(np.linspace(0, len(volumes) - 1, _MOST_POINTS).round().astype(int).tolist()))
    chosen = [volumes[n] for n in places]
    step = max(1, math.ceil((len(chosen) * volumes[0].size / _MOST_VALUES) ** (1 / 3)))
    mixed = np.concatenate([volume.array[::step, ::step, ::step] for volume in chosen])
    sample = volumes[0].with_array(mixed, Geometry((*mixed.shape[:3],), volumes[0].geometry.affine))
    return look_of(sample)


def _own_presets(volume: Volume) -> list[Preset]:
    metadata = volume.metadata
    windows = metadata.windows
    if not windows and metadata.window_center is not None and (metadata.window_width or 0) > 0:
        windows = (VoiWindow(metadata.window_center, float(metadata.window_width or 0), function="LINEAR_EXACT"),)
    unnamed = "As stored"
    return [
        Preset(replace(window, name=window.name or (f"{unnamed} {n}" if n > 1 else unnamed)), True)
        for n, window in enumerate(windows, 1)
    ]


def _kind(volume: Volume) -> tuple[str, float, bool]:
    """Return what a scan is, what makes its values Hounsfield units where it is a CT, and whether its values told."""
    metadata = volume.metadata
    if metadata.modality not in ("", "OT", "SC", "CT"):
        return metadata.modality, 0.0, False
    if metadata.units == "HU":
        return "CT", 0.0, False
    if metadata.units or metadata.is_label or not volume.is_loaded:
        return metadata.modality if not metadata.units else "", 0.0, False
    found = hounsfield(take_sample(volume))
    if found.sure or found.offset is not None:
        return "CT", float(round(found.offset or 0.0)), not metadata.modality
    return ("CT", 0.0, False) if metadata.modality == "CT" else ("", 0.0, False)


def _ends(volume: Volume) -> tuple[float, ...]:
    """Return the least and the greatest finite value of a volume in memory; nothing where there is none."""
    found: list[float] = []
    array = volume.array
    step = max(_BLOCK_BYTES // max(array[:1].nbytes, 1), 1)
    for start in range(0, len(array), step):  # in parts, each of which is read from memory once
        part = array[start : start + step]
        finite = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        if finite.size:
            found += [float(finite.min()), float(finite.max())]
    return (min(found), max(found)) if found else ()


def _by_percentiles(volume: Volume) -> list[VoiWindow]:
    values = volume.percentiles(*(level for _, *levels in _PERCENTILES for level in levels))
    pairs = [(low, high if high > low else low + 1.0) for low, high in zip(values[::2], values[1::2], strict=True)]
    return [VoiWindow.of_limits(limits, name) for (name, _, _), limits in zip(_PERCENTILES, pairs, strict=True)]
