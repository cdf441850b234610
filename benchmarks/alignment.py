"""How often a rigid move is found back, and whether pairs that do not belong together are called so.

    python benchmarks/alignment.py DATA [--starts 20] [--only NAME ...] [-o FILE.json]

DATA holds `mr_head`, `ct_totalsegmentator` and `mr_stroke_t1_t2_flair`. The moving scan is put on another grid, turned
by 7 degrees and a third coarser, so that no voxel lies on one of the fixed scan, and then moved: up to 30 mm and 20
degrees about its middle, in a random direction. Found means to 1 mm at its middle and 1 degree.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

import napari_radcnn as radcnn
from napari_radcnn.alignment.transform import Alignment, angle_of
from napari_radcnn.geometry import Geometry
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume

_HEAD, _STROKE = "mr_head/MR.nii.gz", "mr_stroke_t1_t2_flair"
_CT, _CHEST = "ct_totalsegmentator/example_ct.nii.gz", "ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz"
#: Name, fixed and moving scan, and the part of the moving one that is kept along (k, j, i).
PAIRS: dict[str, tuple[str, str, tuple[slice, slice, slice] | None]] = {
    "mr_head": (_HEAD, _HEAD, None),
    "example_ct": (_CT, _CT, None),
    "stroke T1 to T2": (f"{_STROKE}/T2.nii.gz", f"{_STROKE}/T1.nii.gz", None),
    "stroke T1 to FLAIR": (f"{_STROKE}/FLAIR.nii.gz", f"{_STROKE}/T1.nii.gz", None),
    "crop of mr_head": (_HEAD, _HEAD, (slice(60, 125), slice(70, 170), slice(40, 120))),
    "crop of example_ct": (_CT, _CT, (slice(30, 75), slice(20, 80), slice(20, 95))),
}
#: Pairs that do not belong together.
STRANGERS = (
    (_HEAD, _CT),
    (_CT, f"{_STROKE}/T2.nii.gz"),
    (_CHEST, _HEAD),
    (_CHEST, f"{_STROKE}/FLAIR.nii.gz"),
)


@dataclass(frozen=True)
class Try:
    """One start: what was put on, and how far from it the answer is."""

    pair: str
    moved_mm: float
    turned_degrees: float
    error_mm: float
    error_degrees: float
    residual_mm: float
    similarity: float
    overlap: float
    belongs_together: bool
    seconds: float


def other_grid(volume: Volume) -> Volume:
    """Return a scan on a grid of its own: turned, coarser, with voxels between those of the first."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(
        np.radians(7) * np.array((1, -2, 1.5)) / np.linalg.norm((1, -2, 1.5))
    ).as_matrix()
    middle = volume.geometry.to_world((np.array(volume.shape) - 1) / 2)
    turn[:3, 3] = middle - turn[:3, :3] @ middle + 0.37
    coarser = volume.geometry.with_spacing([1.33 * mm for mm in volume.geometry.spacing])
    grid = Geometry(coarser.shape, turn @ coarser.affine)
    fill = float(np.min(volume.array))
    return volume.with_array(resample(volume.array, volume.geometry, grid, interpolation="linear", fill=fill), grid)


def random_move(rng: np.random.Generator, volume: Volume) -> Alignment:
    """Return a move of up to 30 mm and 20 degrees about the middle of a scan."""
    axis, along = rng.normal(size=(2, 3))
    angle, length = rng.uniform(0, 20), rng.uniform(0, 30)
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(np.radians(angle) * axis / np.linalg.norm(axis)).as_matrix()
    middle = volume.geometry.to_world((np.array(volume.shape) - 1) / 2)
    move[:3, 3] = middle + length * along / np.linalg.norm(along) - move[:3, :3] @ middle
    return Alignment(move)


def run(name: str, data: Path, starts: int) -> list[Try]:
    """Return all starts of one pair."""
    fixed_path, moving_path, part = PAIRS[name]
    fixed, moving = (radcnn.read(data / path)[0] for path in (fixed_path, moving_path))
    if part is not None:
        moving = moving.with_array(moving.array[part], moving.geometry.cropped(part))
    moving = other_grid(moving)
    middle = moving.geometry.to_world((np.array(moving.shape) - 1) / 2)
    rng = np.random.default_rng(22)
    found = []
    for _ in range(starts):
        move = random_move(rng, moving)
        begun = time.perf_counter()
        answer = radcnn.align(fixed, move.moved(moving))
        seconds = time.perf_counter() - begun
        left = answer.matrix @ move.matrix  # the identity, where it was found
        error = float(np.linalg.norm(left[:3, :3] @ middle + left[:3, 3] - middle))
        shift = float(np.linalg.norm(move.to_fixed(middle) - middle))
        found.append(
            Try(
                name,
                shift,
                move.rotation_degrees,
                error,
                angle_of(left),
                answer.residual_mm,
                answer.similarity,
                answer.overlap,
                answer.belongs_together,
                seconds,
            )
        )
        print(json.dumps(asdict(found[-1])), flush=True)
    return found


def main() -> None:
    """Run what is asked for, print every start, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=[*PAIRS, "strangers"])
    parser.add_argument("-o", dest="output", type=Path)
    parsed = parser.parse_args()
    wanted = parsed.only or [*PAIRS, "strangers"]
    kept: dict[str, object] = {}
    for name in PAIRS:
        if name in wanted:
            tries = run(name, parsed.data, parsed.starts)
            good = [one for one in tries if one.error_mm <= 1 and one.error_degrees <= 1]
            kept[name] = {
                "found": len(good),
                "starts": len(tries),
                "believed": sum(one.belongs_together for one in tries),
                "median_error_mm": float(np.median([one.error_mm for one in tries])),
                "median_error_degrees": float(np.median([one.error_degrees for one in tries])),
                "median_seconds": float(np.median([one.seconds for one in tries])),
                "tries": [asdict(one) for one in tries],
            }
            print(f"{name}: {len(good)} of {len(tries)} found", flush=True)
    if "strangers" in wanted:
        told = []
        for one, other in STRANGERS:
            answer = radcnn.align(*(radcnn.read(parsed.data / path)[0] for path in (one, other)))
            told.append({"fixed": one, "moving": other, "doubts": answer.doubts, "said": answer.summary()})
            print(json.dumps(told[-1]), flush=True)
        kept["strangers"] = told
    if parsed.output is not None:
        parsed.output.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
