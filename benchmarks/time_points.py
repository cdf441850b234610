"""A scan with time points in the viewer: seconds until it is one layer, memory, and frames a second of a cine.

One of 300 points of 64 x 64 x 36, as of fMRI, and one of 10 of 512 x 512 x 100, as of a gated CT, each straight and
oblique, written to a NIfTI file and opened in a viewer that has shown a scan before. Memory is that of the process
beyond what it took before, over that of the voxels. The cine shows every point, painted, as fast as it goes.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import napari
import nibabel
import numpy as np
import psutil
from qtpy.QtWidgets import QApplication
from scipy.spatial.transform import Rotation

import napari_radcnn as radcnn
from benchmarks.common import table
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.gui.reading.time.curve import values_at
from napari_radcnn.phantom import head

#: Name, shape (i, j, k, t), spacing in mm.
_SCANS = (
    ("fMRI, 300 of 64 x 64 x 36", (64, 64, 36, 300), (3.0, 3.0, 3.3)),
    ("gated CT, 10 of 512 x 512 x 100", (512, 512, 100, 10), (0.7, 0.7, 1.5)),
)
_FRAMES = 100


def report() -> str:
    """Return the figures as Markdown."""
    rows = []
    with TemporaryDirectory() as folder:
        viewer = napari.Viewer(show=True)
        radcnn.write(head(), Path(folder, "first.nii.gz"))
        viewer.open(str(Path(folder, "first.nii.gz")), plugin="napari-radcnn")
        _painted(20)
        for name, shape, spacing in _SCANS:
            for is_oblique in (False, True):
                viewer.layers.clear()
                _painted(5)
                path = _written(Path(folder, "scan.nii"), shape, spacing, is_oblique)
                found = _measured(viewer, path)
                rows.append(
                    (
                        f"{name}{', oblique' if is_oblique else ''}",
                        str(found["layers"]),
                        f"{found['open_seconds']:.1f} s",
                        f"{found['memory_over_voxels']:.2f}",
                        f"{found['frames_per_second']:.0f}",
                        "yes" if found["equals_data"] else "no",
                    )
                )
        viewer.close()
    head_row = ("scan", "layers", "opened in", "memory, times the data", "frames a second", "equal to the data")
    told = "From a NIfTI file into a viewer that has shown a scan before; the cine paints every point."
    return f"{told}\n\n{table(head_row, rows)}"


def _written(path: Path, shape: tuple[int, ...], spacing: tuple[float, ...], is_oblique: bool) -> Path:
    rng = np.random.default_rng(3)
    array = rng.integers(0, 1000, shape, np.int16)
    affine = np.diag([*spacing, 1.0])
    if is_oblique:
        affine[:3, :3] = Rotation.from_rotvec((0.0, 0.1, 0.2)).as_matrix() @ affine[:3, :3]
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def _measured(viewer: napari.Viewer, path: Path) -> dict[str, float | bool | int]:
    process = psutil.Process()
    before = process.memory_info().rss
    begun = time.perf_counter()
    viewer.open(str(path), plugin="napari-radcnn")
    _painted(1)
    opened = time.perf_counter() - begun
    (layer,) = viewer.layers
    count = layer.data.shape[0]
    begun = time.perf_counter()
    for n in range(_FRAMES):
        viewer.dims.set_point(0, n % count)
        _painted(1)
    frames = _FRAMES / (time.perf_counter() - begun)
    volumes = radcnn.read(path)
    memory = process.memory_info().rss - before - sum(volume.array.nbytes for volume in volumes)
    curve = values_at(layer, viewer.dims.point)
    shown = volume_from_layer(layer)
    is_equal = bool(np.array_equal(shown.array, volumes[(_FRAMES - 1) % count].array)) and curve is not None
    if curve is not None and shown.geometry.is_axis_aligned:
        index = np.rint(shown.geometry.to_index(np.array(viewer.dims.point[-1:-4:-1]))).astype(int)
        is_equal &= curve.tolist() == [volume.array[tuple(index)] for volume in volumes]
    voxels = sum(volume.array.nbytes for volume in volumes)
    return {
        "layers": len(viewer.layers),
        "open_seconds": opened,
        "frames_per_second": frames,
        "memory_over_voxels": max(memory, 0) / voxels,
        "equals_data": is_equal,
    }


def _painted(times: int) -> None:
    for _ in range(times):
        QApplication.processEvents()
