"""The engine `toy-similar`; imported when it is opened."""

import numpy as np
from scipy import ndimage

from napari_radcnn.errors import ModelError
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import MaskUpdate, whole_box


class SimilarEngine:
    name = "toy-similar"

    def __init__(self, settings):  # device and precision: of no use here
        self.share = 0.1  # of the range of values

    def prepare(self, volume, monitor):
        """Nothing is slow the first time."""

    def predict(self, request, monitor):
        array, newest = request.volume.array, request.prompts[-1]
        covered = rasterize(newest, request.volume.geometry)
        if covered is None:
            raise ModelError("The engine 'toy-similar' needs a prompt inside of the scan.")
        mask = request.current.copy()
        if newest.positive:
            monitor.check()  # raises where the user has cancelled
            values = array[covered.box][covered.mask]
            margin = self.share * (np.nanmax(array) - np.nanmin(array))
            similar = (array >= np.nanmin(values) - margin) & (array <= np.nanmax(values) + margin)
            similar[covered.box] |= covered.mask
            numbers, _ = ndimage.label(similar)
            touched = np.unique(numbers[covered.box][covered.mask])
            mask |= np.isin(numbers, touched[touched > 0])
        else:
            mask[covered.box] &= ~covered.mask
        return MaskUpdate(whole_box(mask.shape), mask)

    def close(self):
        """Nothing is kept."""
