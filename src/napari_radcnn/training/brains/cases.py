"""The three heads that the networks of brains learn from: how much gray and white matter each of their voxels holds.

* One person's T1 with the partial volumes of FSL FAST (Zhang et al. 2001), after brain extraction.
* The average of 152 heads with the gray and white matter maps of ICBM (Fonov et al. 2009), from the package nilearn.
* The mean of 27 scans of one person (Holmes et al. 1998), as Debian's package mricron-data brings it; tissue from a
  mixture of three normal distributions. Its atlas (Tzourio-Mazoyer et al. 2002) says in all three where the deep gray
  nuclei, the cerebellum and the brain stem are, which gray values alone do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Names of the heads, and how often each is drawn: an average of many has blurred folds.
HEADS = {"mricron ch2": 0.38, "nilearn MNI152": 0.14, "mr_t1_fast": 0.48}
#: Where Debian's mricron-data puts its templates.
TEMPLATES = Path("/usr/share/mricron/templates")
_NILEARN = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
#: Parts of the brain whose gray and white matter may look different: cortex with the white matter below it, striatum,
#: thalamus with pallidum, cerebellum, brain stem.
CORTEX, STRIATUM, THALAMUS, CEREBELLUM, STEM = range(5)
#: Numbers of the atlas: caudate and putamen, pallidum and thalamus, from the first part of the cerebellum on.
_STRIATUM, _THALAMUS, _CEREBELLUM = (71, 74), (75, 78), 91
#: Farthest distance to the brain's surface that is told apart, mm.
REACH = 30.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A head on a grid of 1 mm; axes point to the right, to the front and up.

    Attributes
    ----------
    name : str
        Of the scan.
    gray, white : (i, j, k) array of float32
        Fraction of each voxel, 0..1.
    distance : (i, j, k) array of float32
        mm to the surface of the brain with the fluid in its folds; negative inside.
    t1 : (i, j, k) array of float32
        The scan; its white matter is about 1.
    has_t1 : (i, j, k) array of bool
        Where the scan was not cut away.
    part : (i, j, k) array of uint8
        `CORTEX` and so on.
    levels : tuple of float
        Typical gray values of fluid, gray and white matter in `t1`.
    """

    name: str
    gray: Floats
    white: Floats
    distance: Floats
    t1: Floats
    has_t1: Mask
    part: npt.NDArray[np.uint8]
    levels: tuple[float, float, float]


def load_anatomies(data: Path, cache: Path) -> list[Anatomy]:
    """Return the three heads; what takes long is kept in the folder `cache`.

    Parameters
    ----------
    data : Path
        Folder that holds ``mr_t1_fast`` with ``bet.nii.gz``, ``pve_1.nii.gz`` and ``pve_2.nii.gz``.
    cache : Path
        Folder for the atlas as it lies on that scan.

    Raises
    ------
    ModelError
        If a scan is missing; the text says what to install.
    """
    colin = _colin()
    return [colin, _icbm(), _fast(data, cache, colin)]


def _read(path: Path) -> tuple[Floats, npt.NDArray[np.float64]]:
    import nibabel

    if not path.is_file():
        raise ModelError(f"There is no {path}: see napari_radcnn.training.brains.cases for the files needed.")
    image: Any = nibabel.as_closest_canonical(nibabel.load(path))  # type: ignore[no-untyped-call,attr-defined]
    return np.asarray(image.dataobj, np.float32), np.asarray(image.affine)


def _colin() -> Anatomy:
    """Return the head with the atlas; the atlas lies on its grid."""
    whole, _ = _read(TEMPLATES / "ch2.nii.gz")
    stripped, affine = _read(TEMPLATES / "ch2bet.nii.gz")
    inside = _kept(stripped > 0)
    levels = three_levels(whole[inside])
    csf, gm, wm = levels
    white = np.clip((whole - gm) / (wm - gm), 0, 1) * inside
    gray = np.clip(np.minimum((whole - csf) / (gm - csf), 1 - white), 0, 1) * inside
    # Skin that was left on the brain is brighter than white matter.
    part = _parts(np.asarray(_read(TEMPLATES / "aal.nii.gz")[0], np.uint8), affine, gray + white > 0.5)
    return _anatomy("mricron ch2", gray, white, whole, np.ones(whole.shape, bool), part, levels)


def _icbm() -> Anatomy:
    found = find_spec("nilearn")
    if found is None or found.origin is None:
        raise ModelError("The average head is part of nilearn: pip install nilearn.")
    folder = Path(found.origin).parent / "datasets" / "data"
    (gray, affine), (white, _), (t1, _) = (_read(folder / _NILEARN.format(kind)) for kind in ("gm", "wm", "t1"))
    gray, white = np.asarray(gray / 255, np.float32), np.asarray(white / 255, np.float32)
    # An average of many has few voxels of one tissue alone: sharpened, the maps are as one person's.
    csf = np.clip(1 - gray - white, 0, 1)
    total = gray**3 + white**3 + csf**3
    gray, white = gray**3 / total, white**3 / total
    inside = _kept(t1 > 0)
    atlas, atlas_affine = _read(TEMPLATES / "aal.nii.gz")
    offset = np.rint(affine[:3, 3] - atlas_affine[:3, 3]).astype(int)
    moved = _shifted(np.asarray(atlas, np.uint8), offset, t1.shape)
    part = _parts(moved, affine, gray + white > 0.5)
    levels = (float(np.median(t1[inside & (csf > 0.9)])), _mean(t1, gray), _mean(t1, white))
    return _anatomy("nilearn MNI152", gray * inside, white * inside, t1, inside, part, levels)


def _fast(data: Path, cache: Path, colin: Anatomy) -> Anatomy:
    folder = data / "mr_t1_fast"
    t1, _ = _read(folder / "bet.nii.gz")
    gray, white = (_read(folder / f"pve_{n}.nii.gz")[0] for n in (1, 2))
    part, near = _matched(t1, cache / "brain_tissue_parts.npz", colin)
    inside = _kept((t1 > 0) & near)  # two artificial spheres lie outside the brain
    levels = (float(np.median(t1[inside & (gray + white < 0.1)])), _mean(t1, gray * inside), _mean(t1, white * inside))
    return _anatomy("mr_t1_fast", gray * inside, white * inside, t1, inside, part, levels)


def _anatomy(
    name: str, gray: Floats, white: Floats, t1: Floats, has_t1: Mask, part: npt.NDArray[np.uint8], levels: Any
) -> Anatomy:
    from scipy import ndimage

    # By anatomy, thalamus and pallidum are gray matter and the brain stem is white, whatever gray values say.
    deep, stem = (ndimage.gaussian_filter(mask.astype(np.float32), 0.6) for mask in (part == THALAMUS, part == STEM))
    taken = white * deep - gray * stem
    gray, white = gray + taken, white - taken
    tissue = _kept(gray + white > 0.5)
    filled = ndimage.distance_transform_edt(~tissue) < 5
    brain = ndimage.distance_transform_edt(filled) > 4
    brain = ndimage.binary_fill_holes(brain | tissue)
    near = ndimage.binary_dilation(tissue, iterations=2)
    distance = ndimage.distance_transform_edt(~brain) - ndimage.distance_transform_edt(brain)
    scale = levels[2]
    return Anatomy(
        name,
        np.asarray(gray * near, np.float32),
        np.asarray(white * near, np.float32),
        np.clip(distance, -REACH, REACH).astype(np.float32),
        np.asarray(t1 / scale, np.float32),
        has_t1,
        part,
        (levels[0] / scale, levels[1] / scale, 1.0),
    )


def _kept(mask: Mask) -> Mask:
    """Return the largest part of a mask that hangs together by more than thin bridges."""
    from scipy import ndimage

    parts, count = ndimage.label(ndimage.binary_erosion(mask, iterations=2))
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = ndimage.binary_dilation(parts == sizes.argmax(), np.ones((3, 3, 3)), iterations=3)
    return np.asarray(largest & mask)


def _mean(values: Floats, share: Floats) -> float:
    return float(np.median(values[share > 0.95]))


def three_levels(values: Floats) -> tuple[float, float, float]:
    """Return the means of three normal distributions fitted to gray values (expectation maximization)."""
    means = np.quantile(values, (0.06, 0.4, 0.85))
    spread, weight = np.full(3, values.std() / 3), np.full(3, 1 / 3)
    counts, edges = np.histogram(values, 256)
    centers = (edges[1:] + edges[:-1]) / 2
    for _ in range(100):
        density = weight / spread * np.exp(-0.5 * ((centers[:, None] - means) / spread) ** 2)
        share = density / density.sum(1, keepdims=True).clip(1e-30) * counts[:, None]
        weight = share.sum(0) / counts.sum()
        means = (share * centers[:, None]).sum(0) / share.sum(0)
        spread = np.sqrt((share * (centers[:, None] - means) ** 2).sum(0) / share.sum(0)).clip(1e-3)
    csf, gray, white = sorted(means.tolist())
    return csf, gray, white


def _shifted(array: npt.NDArray[np.uint8], offset: npt.NDArray[Any], shape: Any) -> npt.NDArray[np.uint8]:
    """Return `array` on a grid that begins `offset` voxels later."""
    result = np.zeros(shape, array.dtype)
    index = [np.arange(n) + o for n, o in zip(shape, offset, strict=True)]
    inside = [(x >= 0) & (x < n) for x, n in zip(index, array.shape, strict=True)]
    result[np.ix_(*inside)] = array[np.ix_(*(x[good] for x, good in zip(index, inside, strict=True)))]
    return result


def _parts(atlas: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64], tissue: Mask) -> npt.NDArray[np.uint8]:
    """Return the parts on the atlas' grid; the atlas names gray matter, each other voxel goes with the nearest."""
    from scipy import ndimage

    def between(ends: tuple[int, int]) -> Mask:
        return np.asarray((atlas >= ends[0]) & (atlas <= ends[1]))

    part = np.zeros(atlas.shape, np.uint8)
    cerebellum, cortex = atlas >= _CEREBELLUM, (atlas > 0) & (atlas < _CEREBELLUM)
    to_cerebellum, to_cortex = (ndimage.distance_transform_edt(~mask) for mask in (cerebellum, cortex))
    part[to_cerebellum < to_cortex] = CEREBELLUM
    x, y, z = (
        affine[axis, 3] + affine[axis, axis] * np.arange(n).reshape([-1 if axis == m else 1 for m in range(3)])
        for axis, n in enumerate(atlas.shape)
    )
    stem = (np.abs(x) < 17) & (y > -42) & (y < -8) & (z < -6) & tissue & (to_cerebellum > 3) & (to_cortex > 3)
    part[stem] = STEM
    part[between(_STRIATUM)] = STRIATUM
    part[between(_THALAMUS)] = THALAMUS
    return part


def _matched(t1: Floats, path: Path, colin: Anatomy) -> tuple[npt.NDArray[np.uint8], Mask]:
    """Return the parts of the head with the atlas on another person's grid, and where its brain lies, 6 mm wider."""
    if path.exists():
        with np.load(path) as kept:
            return kept["part"], kept["near"]
    import SimpleITK as sitk

    def image(array: Any) -> Any:
        return sitk.GetImageFromArray(np.ascontiguousarray(np.asarray(array, np.float32).transpose(2, 1, 0)))

    fixed = image(t1 / np.quantile(t1[t1 > 0], 0.95))
    moving = image(colin.t1 * (colin.distance < 2))
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([2, 1])
    method.SetInitialTransform(start)
    affinely = method.Execute(fixed, moving)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(60)
    demons.SetStandardDeviations(1.5)
    small_fixed = sitk.Shrink(fixed, [2, 2, 2])
    rough = sitk.Resample(moving, small_fixed, affinely, sitk.sitkLinear)
    field = demons.Execute(small_fixed, rough)
    both = sitk.CompositeTransform(
        [affinely, sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))]
    )

    def carried(array: Any, how: int) -> Any:
        return sitk.GetArrayFromImage(sitk.Resample(image(array), fixed, both, how)).transpose(2, 1, 0)

    part = np.rint(carried(colin.part, sitk.sitkNearestNeighbor)).astype(np.uint8)
    near = carried(colin.distance - REACH, sitk.sitkLinear) < 6 - REACH
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, part=part, near=near)
    return part, near
