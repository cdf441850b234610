"""What the network of `ct-organs` says of a scan, for the rules: what cannot be bone or muscle, and what is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.ct_organs.network import CLASSES, SPACING
from napari_radcnn.models.ct_tissues.grids import Mask, Small

#: Classes that are bone, that are muscle, and that hold air.
_BONES = ("vertebrae", "sacrum", "ribs", "sternum", "scapulae", "clavicles", "humeri", "hips", "femurs")
_MUSCLES = ("erector spinae", "iliopsoas", "gluteal muscles")
_AIRY = (*(name for name in CLASSES if name.startswith("lung")), "trachea")
#: Classes that hold much contrast medium.
_BRIGHT = (
    *("heart", "aorta", "arteries and veins of the upper chest", "vena cava", "portal and splenic vein"),
    *("iliac vessels", "liver", "spleen", "kidneys"),
)
#: Classes that a rule may call anything.
_UNSURE = ("other", "costal cartilage")
#: HU that an organ without contrast medium does not reach.
_ENHANCED = 100.0
#: How sure the network must be to overrule the rules.
_SURE = 0.5


@dataclass(frozen=True, eq=False)
class Named:
    """Shares of classes at 3 mm.

    Attributes
    ----------
    shares : (classes, k, j, i) array of float16
        Probabilities, in the order of `napari_radcnn.models.ct_organs.network.CLASSES`.
    """

    shares: npt.NDArray[np.float16]

    def bone(self, small: Small) -> Mask:
        """Return what is bone, on a small grid."""
        return self._on(small, _BONES)

    def muscle(self, small: Small) -> Mask:
        """Return what is a muscle with a name."""
        return self._on(small, _MUSCLES)

    def bright(self, small: Small) -> Mask:
        """Return what contrast medium makes as bright as bone: blood and organs, where the whole of one is bright."""
        found = np.zeros(small.hu.shape, bool)
        for name in _BRIGHT:
            mask = self._on(small, (name,))
            if mask.any() and np.median(small.hu[mask]) > _ENHANCED:
                found |= mask
        return found

    def organ(self, small: Small) -> Mask:
        """Return what is an organ or a vessel: neither bone nor muscle, and not air by itself."""
        return self._on(small, tuple(name for name in CLASSES if name not in (*_BONES, *_MUSCLES, *_AIRY, *_UNSURE)))

    def _on(self, small: Small, names: tuple[str, ...]) -> Mask:
        chosen = [n for n, name in enumerate(CLASSES) if name in names]
        sure = self.shares[chosen].sum(0, dtype=np.float32) > _SURE
        places = []
        for axis, count in enumerate(small.hu.shape):
            step = small.spacing[axis] / small.factor[axis]
            center = (np.arange(count) * small.factor[axis] + small.factor[axis] / 2) * step / SPACING - 0.5
            places.append(np.clip(np.rint(center).astype(int), 0, sure.shape[axis] - 1))
        return np.asarray(sure[np.ix_(*places)])
