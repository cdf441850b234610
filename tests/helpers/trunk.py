"""A trunk with an arm on a table, from closed forms in patient space: what `ct-tissues` is tested on."""

from __future__ import annotations

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume, VolumeMetadata

AXIAL = Geometry.from_parts((56, 84, 130), (5.0, 3.1, 3.0), (-190.0, -125.0, -135.0))


def _ellipsoid(position, center, radii):
    return (((position - np.array(center, float)) / np.array(radii, float)) ** 2).sum(-1) <= 1


def trunk(geometry: Geometry = AXIAL, *, effusion: bool = False, contrast: bool = False, noise: float = 15.0):
    """Return a CT and what is where: a mapping of names to masks.

    The right lung (x < 0) is larger than the left, the heart lies left, the liver right below the dome, one arm lies on
    the left, gas in the bowel on the left. `effusion` fills the right lung behind; `contrast` lights the heart up.
    """
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    position = geometry.to_world(index)
    x, y, z = np.moveaxis(position, -1, 0)
    hu = np.full(geometry.shape, -1000.0)
    round_ = (x / 150) ** 2 + (y / 100) ** 2
    trunk_ = round_ <= 1
    arm = ((x - 178) ** 2 + (y - 10) ** 2 <= 20**2) & (z < 60)
    hu[trunk_] = -100
    wall = (x / 130) ** 2 + (y / 82) ** 2 <= 1
    hu[wall] = 55
    inside = (x / 114) ** 2 + (y / 66) ** 2 <= 1
    hu[inside & (z < -20)] = -100
    liver = _ellipsoid(position, (-50, -5, -45), (58, 50, 50))
    hu[liver] = 60
    spine = (x**2 + (y - 62) ** 2 <= 17**2) & (y < 85)
    ribs = inside & (((x / 108) ** 2 + (y / 60) ** 2) > 1) & (np.mod(z, 30) < 12) & (z > -50) & (np.abs(x) > 15)
    right = _ellipsoid(position, (-60, 0, 35), (40, 54, 85))
    left = _ellipsoid(position, (62, 4, 40), (32, 50, 75))
    lung = (right | left) & ~liver
    heart = _ellipsoid(position, (22, -18, 10), (36, 34, 42))
    lung &= ~heart
    hu[lung] = -840
    hu[heart] = 380 if contrast else 40
    trachea = (x**2 + (y - 12) ** 2 <= 9**2) & (z > 50)
    hu[x**2 + (y - 12) ** 2 <= 12**2] = np.where(z > 48, 40, hu)[x**2 + (y - 12) ** 2 <= 12**2]
    hu[trachea] = -1000
    lung &= ~(x**2 + (y - 12) ** 2 <= 12**2)
    gas = _ellipsoid(position, (55, -25, -85), (28, 22, 25))
    hu[gas] = -1000
    hu[ribs] = 700
    hu[spine] = np.where(x**2 + (y - 62) ** 2 <= 13**2, 200, 800)[spine]
    bone = ribs | spine
    lung &= ~bone
    hu[arm] = np.where((x - 178) ** 2 + (y - 10) ** 2 <= 9**2, 800, 50)[arm]
    bone = bone | (arm & ((x - 178) ** 2 + (y - 10) ** 2 <= 9**2))
    table = (np.abs(y - 106) <= 2.5) & (np.abs(x) < 170)
    hu[table & ~trunk_ & ~arm] = 150
    if effusion:
        hu[lung & right & (y > 22)] = 12
    values = hu + np.random.default_rng(0).normal(0, noise, hu.shape)
    metadata = VolumeMetadata(name="trunk", modality="CT", units="HU")
    scan = Volume(np.round(values).astype(np.int16), geometry, metadata)
    masks = {"lung": lung, "airway": trachea, "bone": bone, "air": gas, "body": trunk_ | arm, "arm": arm}
    masks |= {"liver": liver & ~lung, "heart": heart, "fat": trunk_ & ~wall, "table": table & ~trunk_ & ~arm}
    masks |= {"wall": wall & (round_ > 0.5) & ~inside, "dense": lung & right & (y > 22)}
    return scan, masks
