"""What File > Open Sample offers: small synthetic scans."""

from __future__ import annotations

from napari_radcnn import phantom
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import LayerData, layer_data
from napari_radcnn.gui.reading.show import watch
from napari_radcnn.volume import Volume


def head() -> list[LayerData]:
    """Return a head like a T1-weighted MR scan."""
    return _shown(phantom.head())


def disks() -> list[LayerData]:
    """Return a noisy CT of contrast disks."""
    return _shown(phantom.disks()[0])


def oblique_head() -> list[LayerData]:
    """Return the head from a tilted acquisition: none of its axes runs along the patient's."""
    tilted = Geometry.from_parts((48, 64, 56), (4.0, 3.0, 3.5), direction=_tilted_direction())
    middle = tilted.to_world([(n - 1) / 2 for n in tilted.shape])
    centered = Geometry.from_parts(tilted.shape, tilted.spacing, (-middle).tolist(), tilted.direction)
    volume = phantom.head(centered)
    return _shown(volume.with_metadata(name="oblique head phantom"))


def _tilted_direction() -> list[list[float]]:
    upright = Geometry.from_parts((1, 1, 1), (1, 1, 1)).direction
    tilted: list[list[float]] = (phantom.rotation(12.0, -9.0, 17.0) @ upright).tolist()
    return tilted


def _shown(volume: Volume) -> list[LayerData]:
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        watch(viewer)
    return [layer_data(volume)]
