"""The real scans that `promptable-3d` learns from, each with maps of what may be an object in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.promptable.input import resample
from napari_radcnn.volume import Volume

Labels = npt.NDArray[np.uint16]

#: Objects with fewer voxels are not learned from.
_SMALLEST = 40


@dataclass(frozen=True, eq=False)
class Case:
    """A scan and a map of objects in it.

    Attributes
    ----------
    name : str
        What the card lists.
    image : (k, j, i) array of float32
        In the scan's units.
    labels : (k, j, i) array of uint16
        0 is no object.
    geometry : Geometry
        Of both.
    is_drawn : bool
        Whether people or a trained model made the map; False for regions found from the values alone.
    boxes : tuple of (int, tuple of slice)
        Of every object.
    """

    name: str
    image: npt.NDArray[np.float32]
    labels: Labels
    geometry: Geometry
    is_drawn: bool
    boxes: tuple[tuple[int, tuple[slice, slice, slice]], ...]


#: Scan, map of objects, both relative to the data folder; a map may be several masks.
DRAWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ct_totalsegmentator/example_ct_dicom", ("ct_totalsegmentator/example_seg_dicom.nii.gz",)),
    ("ct_totalsegmentator/example_mr_sm.nii.gz", ("ct_totalsegmentator/example_seg_mr.nii.gz",)),
    (
        "ct_totalsegmentator/aorta_cta/ct_cropped.nii.gz",
        (
            "ct_totalsegmentator/aorta_cta/aorta.nii.gz",
            "ct_totalsegmentator/aorta_cta/vertebrae_T12.nii.gz",
            "ct_totalsegmentator/aorta_cta/T716_aorta_true_false_lumen.nii.gz",
        ),
    ),
    (
        "ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz",
        ("ct_totalsegmentator/pulmonary_cta/pulmonary_artery.nii.gz",),
    ),
    ("mr_t1_fast/bet.nii.gz", ("mr_t1_fast/pve_1.nii.gz", "mr_t1_fast/pve_2.nii.gz")),
)

#: Scans without a map: their objects are found from the values.
UNDRAWN: tuple[str, ...] = (
    "ct_chest_thin/ct_hu.nii.gz",
    "ct_totalsegmentator/example_ct_dicom",
    "ct_totalsegmentator/aorta_cta/ct_cropped.nii.gz",
    "ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz",
    "ct_totalsegmentator/ct_brain_atlas_1mm.nii.gz",
    "mr_head/MR.nii.gz",
    "mr_stroke_t1_t2_flair/T1.nii.gz",
    "mr_stroke_t1_t2_flair/T2.nii.gz",
    "mr_stroke_t1_t2_flair/FLAIR.nii.gz",
    "mr_t1_fast/bet.nii.gz",
)

#: Widths of the blur before the search for regions, mm, and the finest grid they are searched on, mm.
_SCALES = (1.5, 3.0, 5.0)
_FINEST = 1.5


def load_cases(data: Path, cache: Path) -> list[Case]:
    """Read the scans and their maps, and find regions in those that have none.

    Parameters
    ----------
    data : Path
        The folder that `DRAWN` and `UNDRAWN` are relative to.
    cache : Path
        A folder where the regions, which take a minute, are kept for the next time.

    Raises
    ------
    ReadError
        If a scan or a map is missing.
    """
    from napari_radcnn.io import read

    cases = []
    for scan, maps in DRAWN:
        volume = read(data / scan)[0]
        for path in maps:
            labels = _on_grid(read(data / path)[0], volume.geometry)
            cases.append(_case(f"{scan} + {Path(path).name}", volume, labels, is_drawn=True))
    for scan in UNDRAWN:
        coarse = coarser(read(data / scan)[0])
        cases.extend(
            _case(f"{scan}, regions of {scale} mm", coarse, found, is_drawn=False)
            for scale, found in zip(
                _SCALES, _kept_regions(coarse, cache / f"{scan.replace('/', '-')}.npz"), strict=True
            )
        )
    return [case for case in cases if case.boxes]


def _kept_regions(volume: Volume, path: Path) -> list[Labels]:
    """Return `find_regions` of a scan, from the file where they are kept."""
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in sorted(file)]
    found = find_regions(volume)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    kept = {f"regions_{n}": labels for n, labels in enumerate(found)}
    np.savez_compressed(temporary, allow_pickle=False, **kept)
    temporary.replace(path)
    return found


def names() -> list[str]:
    """Return every scan that is learned from."""
    return sorted({scan for scan, _ in DRAWN} | set(UNDRAWN))


def _on_grid(volume: Volume, geometry: Geometry) -> Labels:
    """Return a map on a scan's grid; partial volumes become what is more than half."""
    turned = volume.geometry.axis_map(geometry.orientation)
    if not volume.geometry.reoriented(turned).is_close(geometry):
        raise GeometryError(f"The map {volume.name} is not on the grid of its scan.")
    array = turned.apply(volume.array)
    if not np.issubdtype(array.dtype, np.integer):
        array = array > 0.5
    return array.astype(np.uint16)


def _case(name: str, volume: Volume, labels: Labels, *, is_drawn: bool) -> Case:
    counts = np.bincount(labels.ravel())
    boxes = tuple(
        (n + 1, (box[0], box[1], box[2]))
        for n, box in enumerate(ndimage.find_objects(labels.astype(np.int32)))
        if box is not None and counts[n + 1] >= _SMALLEST
    )
    return Case(name, volume.array.astype(np.float32), labels, volume.geometry, is_drawn, boxes)


def coarser(volume: Volume) -> Volume:
    """Return a scan on a grid of at least 1.5 mm, averaged over the voxels that become one."""
    from napari_radcnn.volume import Volume as Made

    geometry = volume.geometry
    spacing = [max(s, _FINEST) for s in geometry.spacing]
    target = geometry.with_spacing(spacing)
    return Made(resample(volume.array.astype(np.float32), target.shape), target, volume.metadata)


def find_regions(volume: Volume) -> list[Labels]:
    """Return maps of regions, fine to coarse: watersheds of the blurred scan's gradient, like neighbors joined.

    What lies outside the body (below a tenth of the way from the 1st percentile to the 99th, and touching the border)
    is left out.
    """
    from skimage.segmentation import watershed

    image = volume.array.astype(np.float32)
    low, high = np.percentile(image[::2, ::2, ::2], (1, 99))
    image = np.clip(image, low, high)
    extent = float(high - low) or 1.0
    outside = _outside(image, float(low + 0.1 * extent))
    found = []
    for scale in _SCALES:
        sigma = [scale / s / 2 for s in volume.geometry.spacing]
        smooth = ndimage.gaussian_filter(image, sigma)
        gradient = ndimage.generic_gradient_magnitude(smooth, ndimage.sobel)
        calm = ndimage.minimum_filter(gradient, size=[max(3, int(2 * scale / s) | 1) for s in volume.geometry.spacing])
        markers, _ = ndimage.label((gradient == calm) & ~outside)
        regions = watershed(gradient, markers, mask=~outside)
        found.append(_joined(regions, smooth, 0.03 * extent))
    return found


def _outside(image: npt.NDArray[np.float32], level: float) -> npt.NDArray[np.bool_]:
    """Return what is dark and reaches the border of a slice."""
    labels, _ = ndimage.label(image < level)
    border = np.unique(np.concatenate([labels[:, 0].ravel(), labels[:, -1].ravel(), labels[:, :, 0].ravel()]))
    return np.asarray(np.isin(labels, border[border > 0]))


def _joined(regions: npt.NDArray[np.int32], image: npt.NDArray[np.float32], tolerance: float) -> Labels:
    """Return the regions with touching ones of nearly the same mean made one, no chain longer than `tolerance`.

    Pairs are joined in order of how alike they are, as long as the means of what is joined stay within the tolerance
    (Felzenszwalb and Huttenlocher 2004, with a fixed threshold).
    """
    count = int(regions.max()) + 1
    sizes = np.bincount(regions.ravel(), minlength=count).astype(float)
    sums = np.bincount(regions.ravel(), weights=image.ravel(), minlength=count)
    pairs = []
    for axis in range(3):
        a = np.take(regions, range(regions.shape[axis] - 1), axis).ravel()
        b = np.take(regions, range(1, regions.shape[axis]), axis).ravel()
        different = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.unique(np.sort(np.stack([a[different], b[different]], 1), 1), axis=0))
    edges = np.unique(np.concatenate(pairs), axis=0)
    means = sums / np.maximum(sizes, 1)
    order = np.argsort(np.abs(means[edges[:, 0]] - means[edges[:, 1]]), kind="stable")
    parent = np.arange(count)

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = int(parent[n])
        return n

    for a, b in edges[order]:
        first, second = root(int(a)), root(int(b))
        if first == second:
            continue
        if abs(sums[first] / sizes[first] - sums[second] / sizes[second]) < tolerance:
            parent[second] = first
            sums[first] += sums[second]
            sizes[first] += sizes[second]
    roots = np.array([root(n) for n in range(count)])
    kept = np.unique(roots[1:][sizes[roots[1:]] >= _SMALLEST])
    by_size = kept[np.argsort(-sizes[kept])][:60000]
    names_of = np.zeros(count, np.uint16)
    names_of[by_size] = np.arange(1, len(by_size) + 1)
    renamed = names_of[roots]
    renamed[0] = 0
    return renamed[regions].astype(np.uint16)
