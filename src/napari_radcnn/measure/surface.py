"""The surface of a mask: what marching cubes at 0.5 give, without making the mesh.

Between eight voxel centers the mesh of a mask depends on nothing but which of the eight are inside: there are 256 kinds
of cells. The triangles of each are asked of scikit-image once; after that a surface is a count of cells. IBSI measures
its mesh volume and surface area on this mesh (Zwanenburg et al. 2020, reference manual, 3.1).
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

#: Triangles of all kinds of cells: (n, 3, 3) corners in voxels from the first of its eight centers, and (n,) the kind.
_Triangles = tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]


def cells(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the kind of each cell between voxel centers.

    Parameters
    ----------
    mask : (k, j, i) array of uint8
        0 or 1.

    Returns
    -------
    (k - 1, j - 1, i - 1) array of uint8
        A bit for each of the eight centers, ``4 dk + 2 dj + di``; 0 outside of the mask and 255 inside.
    """
    kinds = mask[:, :, :-1] | (mask[:, :, 1:] << 1)
    kinds = kinds[:, :-1] | (kinds[:, 1:] << 2)
    return np.asarray(kinds[:-1] | (kinds[1:] << 4))


class Surface:
    """Area and enclosed volume of a mask that comes in slabs.

    Parameters
    ----------
    steps : (3, 3) array of float
        Columns are the world steps along the axes of the mask, mm: any spacing, obliqueness and shear.
    """

    def __init__(self, steps: npt.NDArray[np.float64]) -> None:
        self._area, self._local, self._flux = _parts(np.ascontiguousarray(steps, np.float64).tobytes())
        self._voxel_volume = float(abs(np.linalg.det(steps)))
        self.area_mm2 = 0.0
        self._volume = 0.0

    @property
    def volume_mm3(self) -> float:
        """What the mesh encloses."""
        return abs(self._volume) * self._voxel_volume

    def add(self, kinds: npt.NDArray[np.uint8], start: int) -> None:
        """Count the cells of a slab, as `cells` gives them; `start` is the slice of the first of them."""
        where = np.flatnonzero((kinds + np.uint8(1)).ravel() > 1)
        found = kinds.ravel()[where]
        counts = np.bincount(found, minlength=256)
        self.area_mm2 += float(counts @ self._area)
        k, j, i = np.unravel_index(where, kinds.shape)
        self._volume += float(counts @ self._local)
        for axis, position in enumerate((k + start, j, i)):
            self._volume += float(np.bincount(found, position, 256) @ self._flux[:, axis])


@lru_cache(maxsize=8)
def _parts(steps: bytes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return area, part of the volume and its change with the position, of each kind of cell; once for a grid."""
    corners, kinds = _triangles()
    # of a triangle a, b, c: half of the cross product is its area as a vector, and a third of the scalar product
    # of that with any of its points its part of the volume
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    sides = corners @ np.frombuffer(steps).reshape(3, 3).T
    areas = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=1) / 2
    weights = [areas, (flat * corners[:, 0]).sum(1) / 3, *(flat.T / 3)]
    area, local, *flux = (np.asarray(np.bincount(kinds, each, 256), np.float64) for each in weights)
    return area, local, np.stack(flux, axis=1)


@cache
def _triangles() -> _Triangles:
    from skimage.measure import marching_cubes

    corners, kinds = [], []
    for kind in range(1, 255):
        bits = np.array([kind >> bit & 1 for bit in range(8)], np.float32).reshape(2, 2, 2)
        points, faces, _, _ = marching_cubes(bits, 0.5, allow_degenerate=False)
        corners.append(points[faces].astype(np.float64))
        kinds.append(np.full(len(faces), kind))
    return np.concatenate(corners), np.concatenate(kinds)
