"""How long 104 labels take to be measured, and how much memory, beside a loop of SimpleITK's filters.

``python -m benchmarks measuring`` writes the section of ``docs/figures.md``; ``python -m benchmarks.measuring 120
128 128`` prints the figures of a smaller scan of so many slices, rows and columns.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import SimpleITK as sitk

import napari_radcnn as radcnn
from benchmarks.common import table
from napari_radcnn.measure import segments

_SHAPE, _SPACING = (600, 512, 512), (1.5, 0.8, 0.8)
_COUNTS = (13, 4, 2)
#: Labels that SimpleITK's loop measures; all take it as long, as each is a filter over the whole scan.
_OF_THE_LOOP = 4
_MEMORY = """
import os, psutil, sys
from benchmarks.common import peak_mb
from benchmarks.measuring import scan
from napari_radcnn.measure import segments
labels, image = scan(tuple(map(int, sys.argv[1:4])))
labels.array[...] |= 0  # an array of zeros is in memory once it is written to
segments(*scan(shape=(65, 64, 64)))  # what is imported and made once
before = psutil.Process().memory_info().rss
segments(labels, image)
after = peak_mb(os.getpid()) * 1_024_000  # what Linux calls kB are KiB
print(1 + (after - before) / (labels.array.nbytes + image.array.nbytes))
"""


def scan(shape: tuple[int, int, int] = _SHAPE) -> tuple[radcnn.Volume, radcnn.Volume]:
    """Return 104 ellipsoids of different sizes as labels, and a CT of noise."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint8)
    pitch = np.array(shape) / _COUNTS
    for n, place in enumerate(np.ndindex(*_COUNTS), 1):
        half = pitch / 2 * rng.uniform(0.5, 0.98, 3)
        center = (np.array(place) + 0.5) * pitch
        box = tuple(
            slice(int(c - h), min(int(c + h) + 2, most)) for c, h, most in zip(center, half, shape, strict=True)
        )
        away = sum(((x - c) / h) ** 2 for x, c, h in zip(np.ogrid[box], center, half, strict=True))
        labels[box][away <= 1] = n
    image = np.empty(shape, np.int16)
    for k in range(shape[0]):
        image[k] = rng.normal(40, 80, shape[1:])
    grid = radcnn.Geometry.from_parts(shape, _SPACING)
    metadata = radcnn.VolumeMetadata(name="CT", modality="CT", units="HU")
    return radcnn.Volume(labels, grid, radcnn.VolumeMetadata(is_label=True)), radcnn.Volume(image, grid, metadata)


def _loop(labels: radcnn.Volume, image: radcnn.Volume, values: range) -> None:
    """Measure labels one by one, as is done where a mask is made of each: no surface, no diameter."""
    masks, scan_image = labels.to_simpleitk(), image.to_simpleitk()
    for value in values:
        mask = masks == value
        shapes, intensities = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelIntensityStatisticsImageFilter()
        shapes.Execute(mask)
        intensities.Execute(mask, scan_image)


def report() -> str:
    """Return the figures as Markdown."""
    return figures(_SHAPE)


def figures(shape: tuple[int, int, int]) -> str:
    """Return the figures of a scan of so many slices, rows and columns as Markdown."""
    labels, image = scan(shape)
    started = time.perf_counter()
    found = segments(labels, image)["labels"]
    ours = time.perf_counter() - started
    started = time.perf_counter()
    _loop(labels, image, range(1, 1 + _OF_THE_LOOP))
    theirs = (time.perf_counter() - started) / _OF_THE_LOOP * len(found)
    del labels, image
    words = [sys.executable, "-c", _MEMORY, *map(str, shape)]
    memory = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    rows = [
        ("`measure.segments`, all columns", f"{ours:.1f} s"),
        (f"SimpleITK, a mask and two filters a label ({_OF_THE_LOOP} of {len(found)} labels timed)", f"{theirs:.0f} s"),
        ("times as fast", f"{theirs / ours:.1f}"),
        ("peak memory, in sizes of the two arrays", f"{float(memory):.2f}"),
    ]
    size = " x ".join(map(str, shape[::-1]))
    return f"Ellipsoids in a CT of noise, {size} voxels:\n\n{table(('104 labels', 'measured'), rows)}"


if __name__ == "__main__":
    asked = tuple(map(int, sys.argv[1:4]))
    print(figures(asked if len(asked) == 3 else _SHAPE))
