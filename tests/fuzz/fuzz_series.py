"""Series whose tags were swapped between slices, dropped, or made another type: right, or said, or refused by name.

    python tests/fuzz/fuzz_series.py [--seed N] [--count N]

Every voxel holds the number of its volume and slice, so that a volume put together wrongly shows by its values.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.tag
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from napari_radcnn.errors import RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume
from vendor_series import LAYOUTS, Layout, values, write_layout

SHAPE = (4, 5, 6)
GRIDS = (Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25)), oblique_geometry(SHAPE))
#: Warnings that do not say that anything is wrong.
_PLAIN = ("in its series, distinguished by", "SUV is not available")
_TOO_LONG_S = 20.0
#: What is damaged; values of the pixels and their layout are for the other fuzzer.
_KEYWORDS = (
    "InstanceNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "ImageType",
    "EchoTime",
    "EchoNumbers",
    "ImageComments",
    "AcquisitionTime",
    "ContentTime",
    "SeriesTime",
    "ImageIndex",
    "FrameReferenceTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "ImagePositionPatient",
    "KVP",
    "NominalPercentageOfCardiacPhase",
)
#: "consistent": nothing in the headers contradicts what is not so; no reader could know.
GOOD = ("right", "said", "refused", "consistent")
_NUMBER = pydicom.tag.Tag("InstanceNumber")
_PRIVATE = (0x0019, 0x0043, 0x0065, 0x2001, 0x2005)
_ODD: tuple[Any, ...] = ("", "nan", "1e99", "-1", "9" * 15, "x\\y", b"\xff\xfe", "1\\2\\3")


def damaged(rng: random.Random, datasets: list[Dataset]) -> tuple[str, frozenset[int]]:
    """Damage one tag of some slices and return what was done, and between which slices values were swapped."""
    tags = [element.tag for element in datasets[0] if element.tag.group in _PRIVATE and element.tag.element > 0xFF]
    tags += [pydicom.tag.Tag(keyword) for keyword in _KEYWORDS if any(keyword in one for one in datasets)]
    tag = rng.choice(tags)
    kind = rng.choice(("swap", "swap", "swap many", "drop", "drop all", "odd", "same"))
    some = rng.sample(range(len(datasets)), 2)
    if kind == "swap many":
        some = rng.sample(range(len(datasets)), 2 * rng.randint(1, len(datasets) // 2))
    if kind.startswith("swap"):
        if tag == _NUMBER:  # between two slices of one place, where nothing else need tell, it is only another order
            some = [
                n for pair in zip(some[::2], some[1::2], strict=True) if (pair[0] - pair[1]) % SHAPE[0] for n in pair
            ]
        for one, other in zip(some[::2], some[1::2], strict=True):
            _swap(datasets[one], datasets[other], tag)
    elif kind == "same":
        for dataset in datasets:
            if tag in datasets[some[0]]:
                element = datasets[some[0]][tag]
                dataset[tag] = pydicom.DataElement(tag, element.VR, element.value)
    else:
        for n in some if kind != "drop all" else range(len(datasets)):
            if kind == "odd":
                _make_odd(datasets[n], tag, rng.choice(_ODD))
            elif tag in datasets[n]:
                del datasets[n][tag]
    return f"{kind} {tag} of {some}", frozenset(some) if kind.startswith("swap") else frozenset()


def is_consistent(datasets: list[Dataset], swapped: tuple[frozenset[int], ...]) -> bool:
    """Whether nothing in the headers contradicts: a scanner might have written them so.

    The numbers tell nothing, all was swapped between the same slices, or the slices of all volumes are in one order.
    """
    numbers = {str(dataset.get("InstanceNumber")) for dataset in datasets}
    if len(numbers) == 1 or (len(swapped) == 2 and len(set(swapped)) == 1 and bool(swapped[0])):
        return True
    places = [str(dataset.get("ImagePositionPatient")) for dataset in datasets]
    return len({tuple(places[n : n + SHAPE[0]]) for n in range(0, len(places), SHAPE[0])}) == 1


def _swap(one: Dataset, other: Dataset, tag: Any) -> None:
    first, second = one.get(tag), other.get(tag)
    for dataset, element in ((one, second), (other, first)):
        if element is not None:
            dataset[tag] = pydicom.DataElement(tag, element.VR, element.value)
        elif tag in dataset:
            del dataset[tag]


def _make_odd(dataset: Dataset, tag: Any, value: Any) -> None:
    raw = value if isinstance(value, bytes) else value.encode()
    dataset[tag] = pydicom.DataElement(tag, "OB", raw + b"\0" * (len(raw) % 2))


def verdict(volumes: list[Volume], layout: Layout) -> str:
    """Return ``"right"``, ``"said"`` or ``"silently wrong"``."""
    seen = []
    for volume in volumes:
        array = np.asarray(volume.array)
        numbers = [int(v) // 1000 - 1 for v in array[:, 0, 0]]
        slices = [int(v) % 1000 // 100 for v in array[:, 0, 0]]
        is_whole = len(set(numbers)) == 1 and slices in ([*range(SHAPE[0])], [*range(SHAPE[0])][::-1])
        seen.append((numbers[0], is_whole and np.array_equal(np.sort(array, 0), np.sort(values(SHAPE, numbers[0]), 0))))
    told = [line for volume in volumes for line in volume.warnings if not any(plain in line for plain in _PLAIN)]
    if all(is_whole for _, is_whole in seen) and {n for n, _ in seen} == set(range(layout.volumes)):
        return "right"
    return "said" if told else "silently wrong"


def one(seed: int, folder: Path) -> tuple[str, str]:
    """Damage a series and read it; return the verdict and what was done."""
    rng = random.Random(seed)
    layout, grid = rng.choice(LAYOUTS), rng.choice(GRIDS)
    paths = [path for group in write_layout(folder, layout, grid) for path in group]
    datasets = [pydicom.dcmread(path) for path in paths]
    done, swapped = zip(*(damaged(rng, datasets) for _ in range(rng.choice((1, 1, 1, 2)))), strict=True)
    for path, dataset in zip(paths, datasets, strict=True):
        dataset.save_as(path)
    start = time.monotonic()
    try:
        result = verdict(read(folder), layout)
    except RadcnnError as error:
        result = "refused" if any(path.name in str(error) for path in paths) else "refused without a file"
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        result = f"crash: {type(error).__name__}: {error}"
    if result == "silently wrong" and is_consistent(datasets, swapped):
        result = "consistent"
    if time.monotonic() - start > _TOO_LONG_S:
        result = "hang"
    return result, f"{layout}: {'; '.join(done)}"


def main() -> int:
    """Run it and print what was found; return how many inputs came out badly."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    bad = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in range(options.count):
            with tempfile.TemporaryDirectory() as folder:
                result, done = one(options.seed * 1_000_000 + n, Path(folder))
            counts[result.partition(":")[0]] += 1
            if result not in GOOD:
                bad += 1
                sys.stdout.write(f"seed {options.seed}, input {n}: {result}: {done}\n")
    sys.stdout.write(f"{dict(counts)}\n")
    return bad


if __name__ == "__main__":
    sys.exit(main() > 0)
