"""How a scan is shown to a network: as it is stored, or as it is shown on the screen."""

from __future__ import annotations

import numpy as np

from napari_radcnn.volume import Volume


def as_shown(volume: Volume, is_as_stored: bool) -> Volume:
    """Return a scan whose high values are bright on the screen, as most programs that train make them.

    Parameters
    ----------
    volume : Volume
        The scan.
    is_as_stored : bool
        Whether it is left alone.
    """
    if is_as_stored or not volume.metadata.is_inverted:
        return volume
    values = np.asarray(volume.array, np.float32)
    return volume.with_array(np.nanmax(values) - values, is_inverted=False)
