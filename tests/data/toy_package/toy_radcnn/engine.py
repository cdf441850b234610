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
        newest = request.prompts[-1]
        if newest.positive and newest.kind not in ("point", "scribble"):
            raise ModelError(f"'{self.name}' takes no {newest.kind}; click on the object, or draw a scribble in it.")
        covered = rasterize(newest, request.volume.geometry)  # its voxels, in the smallest box
        mask = request.current.copy()
        if newest.positive:
            array = np.nan_to_num(request.volume.array)
            values = array[covered.box][covered.mask]
            margin = self.share * (array.max() - array.min())
            similar = (array >= values.min() - margin) & (array <= values.max() + margin)
            monitor.check()  # raises where the user has cancelled
            numbers, _ = ndimage.label(similar)
            mask |= np.isin(numbers, np.unique(numbers[covered.box][covered.mask]))
        else:
            mask[covered.box] &= ~covered.mask
        return MaskUpdate(whole_box(mask.shape), mask)

    def close(self):
        """Nothing is kept."""
