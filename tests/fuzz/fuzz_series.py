"""Series whose tags were swapped between slices, dropped, or made another type: right, or said, or refused by name.

    python tests/fuzz/fuzz_series.py [--seed N] [--count N]

Every voxel holds the number of its volume and slice, so that a volume put together wrongly shows by its values.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
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
from vendor_layouts import LAYOUTS, PHILIPS, at_random
from vendor_series import Layout, values, write_layout

SHAPE = (4, 5, 6)
GRIDS = (Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25)), oblique_geometry(SHAPE))
#: What volumes say of themselves whether or not anything is wrong.
_PLAIN = "in its series, distinguished by"
_TOO_LONG_S = 20.0
_NEAR_MM = 1e-3
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
#: "consistent": the headers are those of an undamaged series; only the pixels know better.
GOOD = ("right", "said", "refused", "consistent")
_TAGS = {pydicom.tag.Tag(keyword) for keyword in _KEYWORDS}
_NUMBER, _PLACE = pydicom.tag.Tag("InstanceNumber"), pydicom.tag.Tag("ImagePositionPatient")
_PRIVATE = (0x0019, 0x0043, 0x0065, 0x2001, 0x2005)
_ODD: tuple[Any, ...] = ("", "nan", "1e99", "-1", "9" * 15, "x\\y", b"\xff\xfe", "1\\2\\3")

#: What the headers of a file say of what may be damaged.
Said = dict[Any, tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Sound:
    """A series before it is damaged.

    Attributes
    ----------
    paths : tuple of Path
        Its files, volume by volume.
    said : tuple of dict
        What the header of each says.
    warnings : frozenset of str
        What is said of it although nothing is wrong.
    """

    paths: tuple[Path, ...]
    said: tuple[Said, ...]
    warnings: frozenset[str]


@cache
def sound(layout: Layout, grid: Geometry) -> Sound:
    """Write the series of a vendor once for all inputs."""
    folder = Path(tempfile.mkdtemp(dir=_FOLDER.name))
    paths = tuple(path for group in write_layout(folder, layout, grid) for path in group)
    said = tuple(what_is_said(pydicom.dcmread(path)) for path in paths)
    return Sound(paths, said, frozenset(line for volume in read(folder) for line in volume.warnings))


_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-series-")


def what_is_said(dataset: Dataset) -> Said:
    """Return type and value of everything in a header that may be damaged."""
    return {element.tag: (element.VR, str(element.value)) for element in dataset if _may_be_damaged(element.tag)}


def _may_be_damaged(tag: Any) -> bool:
    return tag in _TAGS or (tag.group in _PRIVATE and tag.element > 0xFF)


class Copies(dict[int, Dataset]):
    """The files of a series that are damaged, each read when it is."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __missing__(self, n: int) -> Dataset:
        self[n] = pydicom.dcmread(self._paths[n])
        return self[n]


def damaged(rng: random.Random, whole: Sound, datasets: Copies) -> str:
    """Damage one tag of some slices and return what was done."""
    tag = rng.choice(sorted({tag for said in whole.said for tag in said}))
    count = len(whole.paths)
    kind = rng.choice(("swap", "swap", "swap many", "drop", "drop all", "odd", "same"))
    some = rng.sample(range(count), 2)
    if kind == "swap many":
        some = rng.sample(range(count), 2 * rng.randint(1, count // 2))
    if kind.startswith("swap"):
        for one, other in zip(some[::2], some[1::2], strict=True):
            _swap(datasets[one], datasets[other], tag)
    elif kind == "same":
        for n in range(count):
            if tag in datasets[some[0]]:
                element = datasets[some[0]][tag]
                datasets[n][tag] = pydicom.DataElement(tag, element.VR, element.value)
    else:
        for n in some if kind != "drop all" else range(count):
            if kind == "odd":
                _make_odd(datasets[n], tag, rng.choice(_ODD))
            elif tag in datasets[n]:
                del datasets[n][tag]
    return f"{kind} {tag} {pydicom.datadict.keyword_for_tag(tag)} of {some}"


def is_consistent(before: Sequence[Said], after: Sequence[Said], tags: set[Any]) -> bool:
    """Whether the headers are those of a series as the scanner writes it, so that they cannot contradict each other.

    That is so where every header that there was is there again, be it with other pixels, or where the places have
    changed as a whole. What is the same in all files tells nothing and is left out.
    """
    telling = sorted(tag for tag in tags if _varies(before, tag) and _varies(after, tag))
    if _PLACE not in telling:
        return _rows(before, telling) == _rows(after, telling)
    telling.remove(_PLACE)
    return any(_places(before, telling, named=named) == _places(after, telling, named=named) for named in (True, False))


def _varies(every: Sequence[Said], tag: Any) -> bool:
    return len({said.get(tag) for said in every}) > 1


def _rows(every: Sequence[Said], tags: Sequence[Any]) -> Counter[Any]:
    return Counter(tuple(said.get(tag) for tag in tags) for said in every)


def _places(every: Sequence[Said], tags: Sequence[Any], *, named: bool) -> Counter[Any]:
    """Count what is said at every place, by its position or whichever it is."""
    found: dict[Any, Counter[Any]] = defaultdict(Counter)
    for said in every:
        found[said.get(_PLACE)][tuple(said.get(tag) for tag in tags)] += 1
    return Counter((place if named else None, frozenset(rows.items())) for place, rows in found.items())


def cannot_be_known(layout: Layout, before: Sequence[Said], after: Sequence[Said]) -> bool:
    """Whether headers do not contradict each other.

    Where places or numbers were damaged and another tag as well, a contradiction in the other one alone tells nothing
    of the places.
    """
    tags = {tag for said in (*before, *after) for tag in said}
    if layout.number is at_random or layout.manufacturer == PHILIPS:  # whose numbers may be random
        tags -= {_NUMBER}
    changed = {tag for tag in tags if [said.get(tag) for said in before] != [said.get(tag) for said in after]}
    others = changed - {_NUMBER, _PLACE} if changed & {_NUMBER, _PLACE} else set()
    return any(is_consistent(before, after, tags - {tag}) for tag in (None, *others))


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


def verdict(volumes: list[Volume], layout: Layout, grid: Geometry, plain: frozenset[str]) -> str:
    """Return ``"right"``, ``"said"`` or ``"silently wrong"``."""
    numbers = [_number(volume, grid) for volume in volumes]
    told = {line for volume in volumes for line in volume.warnings if _PLAIN not in line} - plain
    if None not in numbers and set(numbers) == set(range(layout.volumes)):
        return "right"
    return "said" if told else "silently wrong"


def _number(volume: Volume, grid: Geometry) -> int | None:
    """Return which of the volumes that were written this is, by its values; None if one of them is not in its place."""
    array = np.asarray(volume.array)
    n, slices = int(array[0, 0, 0]) // 1000 - 1, array[:, 0, 0].astype(int) % 1000 // 100
    if array.shape != SHAPE or not np.array_equal(array, values(SHAPE, n)[slices]) or len(set(slices)) < SHAPE[0]:
        return None
    places = [volume.geometry.to_world((k, 0, 0)) for k in range(SHAPE[0])]
    truth = [grid.to_world((int(k), 0, 0)) for k in slices]
    return n if np.abs(np.array(places) - truth).max() < _NEAR_MM else None


def one(seed: int, folder: Path) -> tuple[str, str]:
    """Damage a series and read it; return the verdict and what was done."""
    rng = random.Random(seed)
    layout, grid = rng.choice(LAYOUTS), rng.choice(GRIDS)
    whole = sound(layout, grid)
    datasets = Copies(whole.paths)
    done = [damaged(rng, whole, datasets) for _ in range(rng.choice((1, 1, 1, 2)))]
    folder.mkdir(exist_ok=True)
    for n, path in enumerate(whole.paths):
        if n in datasets:
            datasets[n].save_as(folder / path.name)
        else:
            os.link(path, folder / path.name)
    start = time.process_time()
    try:
        result = verdict(read(folder), layout, grid, whole.warnings)
    except RadcnnError as error:
        result = "refused" if any(path.name in str(error) for path in whole.paths) else "refused without a file"
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        result = f"crash: {type(error).__name__}: {error}"
    if result == "silently wrong":
        after = [what_is_said(datasets[n]) if n in datasets else said for n, said in enumerate(whole.said)]
        result = "consistent" if cannot_be_known(layout, whole.said, after) else result
    if time.process_time() - start > _TOO_LONG_S:
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
