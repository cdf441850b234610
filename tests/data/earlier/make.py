"""Make the files of this folder, by public functions and the command line only.

    python make.py TESTS OUT

`TESTS` is the tests folder of the version that writes (for its small networks), `OUT` an empty folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from napari_radcnn.cli import main
from napari_radcnn.interactive.tools import Combine, Grow, KeepLargest, Paint, Shrink, Smooth
from napari_radcnn.phantom import head, rotation

#: Where everything is made, so that manifests name no one's folder.
WORK = Path("/tmp/radcnn-earlier")
CPU = ["--device", "cpu", "--precision", "float32"]


def digest(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def said(*words: str) -> None:
    """Run a command; it must succeed."""
    if main(list(words)):
        raise SystemExit(f"failed: {' '.join(words)}")


# -- scans ------------------------------------------------------------------------------------------------------------


def write_scans(tests: Path) -> None:
    """Write a head, a trunk, the outline of a gland and a piece of a scan like those nnU-Net learned from."""
    direction = rotation(12.0, -9.0, 17.0) @ np.eye(3)[:, ::-1]
    shape, spacing = (30, 45, 36), (6.6, 4.9, 5.6)
    origin = -direction @ ((np.array(shape) - 1) / 2 * spacing)
    drawn = head(radcnn.Geometry.from_parts(shape, spacing, origin, direction))
    radcnn.write(drawn.with_array((drawn.array // 16 * 16).astype(np.int16)), WORK / "head.nii.gz")

    shape, spacing = (14, 48, 60), (5.0, 5.5, 5.5)
    grid = radcnn.Geometry.from_parts(shape, spacing, (-162.0, -129.0, -40.0))
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(grid.to_world(index), -1, 0)
    trunk = np.full(shape, -1000, np.int16)
    for center, radii, value in (
        ((0, 0), (140, 105), -100),  # skin and fat
        ((0, 0), (122, 88), 50),  # muscle
        ((62, -8), (42, 56), -850),  # left lung
        ((-62, -8), (46, 60), -850),  # right lung, larger
        ((0, 66), (16, 15), 500),  # vertebra, behind
        ((10, -30), (30, 28), 40),  # heart
    ):
        trunk[((x - center[0]) / radii[0]) ** 2 + ((y - center[1]) / radii[1]) ** 2 <= 1] = value
    trunk[(z > 10) & (trunk == 40)] = 60
    radcnn.write(radcnn.Volume(trunk, grid, radcnn.VolumeMetadata(name="trunk", modality="CT")), WORK / "trunk.nii.gz")

    shape = (40, 40, 40)
    grid = radcnn.Geometry.from_parts(shape, (1.0, 1.0, 1.0))
    k, j, i = np.meshgrid(*map(np.arange, shape), indexing="ij")
    limb = (abs(j - 20 - 0.4 * (i - 20)) < 3) & (abs(k - 20) < 12) & (abs(i - 20) < 14)
    ball = (k - 22) ** 2 + (j - 22) ** 2 + (i - 24) ** 2 < 6**2
    gland = radcnn.LabelMap((limb | ball).astype(np.uint8), grid, {1: radcnn.Label("gland")})
    radcnn.write(gland, WORK / "gland.nii.gz")

    drawn = radcnn.read(tests / "data" / "nnunet" / "images" / "held_000_0000.nii.gz")[0]
    box = (slice(2, 18), slice(8, 27), slice(4, 38))
    affine = np.array(drawn.geometry.affine)
    affine[:3, 3] = drawn.geometry.to_world((2, 8, 4))
    array = np.ascontiguousarray(drawn.array[box])
    radcnn.write(radcnn.Volume(array, radcnn.Geometry(array.shape, affine)), WORK / "piece.nii.gz")


# -- sessions ---------------------------------------------------------------------------------------------------------


def write_sessions(out: Path) -> dict[str, object]:
    """Write three sessions and return what they hold."""
    scan = radcnn.read(WORK / "head.nii.gz")[0]
    found = {}
    for name, make in (("points", _points), ("objects", _objects), ("strokes", _strokes)):
        folder = WORK / "sessions" / name
        session = radcnn.PromptSession(scan, engine="region", folder=folder)
        is_closed = make(session)
        found[name] = {
            "labels": digest(session.labels),
            "objects": {
                str(item.value): [item.name, np.round(item.color, 6).tolist(), item.is_locked]
                for item in session.objects
            },
            "voxels": {str(item.value): int((session.labels == item.value).sum()) for item in session.objects},
            "prompts": {str(item.value): len(session.prompts(item.value)) for item in session.objects},
            "history": list(session.history),
            "undone": 0,
            "engine": session.engine,
        }
        if is_closed:
            session.close()
        shutil.copytree(
            folder, out / name, ignore=shutil.ignore_patterns("*lock*")
        )  # an open one: as a crash leaves it
        session.close()
        again = radcnn.PromptSession.resume(radcnn.PromptSession.unfinished(folder)[0], scan)
        while again.can_redo:
            again.redo()
            found[name]["undone"] += 1
        found[name]["redone"] = digest(again.labels)
        again.close()
    return found


def _points(session: radcnn.PromptSession) -> bool:
    session.add(radcnn.Prompt.point((-28, 20, 30)))
    session.add(radcnn.Prompt.point((-46, 20, 30), positive=False))
    session.add(radcnn.Prompt.point((-28, 28, 32)))
    session.add_object("ventricle", (0.2, 0.4, 0.9))
    session.add(radcnn.Prompt.point((12, 5, 10)))
    return True


def _objects(session: radcnn.PromptSession) -> bool:
    session.add_object("mass")
    session.add(radcnn.Prompt.point((-28, 20, 30)))
    session.apply(Grow(8.0))
    session.apply(Smooth(5.0))
    session.lock(1)
    session.add_object("rim", (1.0, 0.5, 0.0))
    session.apply(Combine(1, "union", 9.0))
    session.apply(Paint(((20.0, 20.0, 20.0), (30.0, 30.0, 25.0)), 9.0, is_flat=False))
    session.apply(KeepLargest())
    session.undo()
    session.undo()
    session.redo()
    session.rename(1, "lesion")
    session.add_object("gone")
    session.apply(Paint(((0.0, -30.0, 0.0),), 14.0, is_flat=False))
    session.remove_object(3)
    session.apply(Shrink(5.0), 2)
    session.recolor(2, (0.1, 0.9, 0.3))
    session.undo()
    session.undo()  # two steps that a redo brings back
    return True


def _strokes(session: radcnn.PromptSession) -> bool:
    session.add(radcnn.Prompt.scribble([(0, 40, 10), (10, 50, 12), (20, 40, 14)], radius=4.0))
    session.add(radcnn.Prompt.scribble([(-60, 0, 40), (-60, 20, 40)], positive=False))
    session.add_object("box")
    session.add(radcnn.Prompt.box((-44, 4, 30), (-12, 4, 30), (-44, 36, 30)))
    session.undo()
    session.redo()
    session.lock(2)
    session.add_object("lasso")
    session.add(radcnn.Prompt.lasso([(0, -20, 12), (26, -20, 12), (26, 30, 12), (0, 30, 12)]))
    return False


# -- packs ------------------------------------------------------------------------------------------------------------


def write_packs(tests: Path, out: Path) -> dict[str, object]:
    """Write three packs and what each says of the piece; return how it is called."""
    sys.path.insert(0, str(tests))
    from model_factory import UNET, describe, unet, write_bundle, write_safetensors

    (WORK / "LICENCE").write_text("BSD-3-Clause\n")
    (WORK / "card.md").write_text("# Two organs\n\nRandom weights, for tests.\n")
    bundle = write_bundle(WORK / "two-organs", unet(2))
    described = WORK / "described"
    described.mkdir()
    describe(described / "model.json", architecture={"name": "UNet", "arguments": UNET}, licence="BSD-3-Clause")
    write_safetensors(described / "weights.safetensors", unet(9).state_dict())
    fixture = tests / "data" / "nnunet" / "Dataset904_Fixture" / "nnUNetTrainer__nnUNetPlans__3d_lowres"
    lowres = Path(shutil.copytree(fixture, WORK / fixture.parent.name / fixture.name))
    texts = ["--licence", str(WORK / "LICENCE"), "--card", str(WORK / "card.md")]
    found = {}
    for name, model in (("bundle", bundle), ("safetensors", described / "weights.safetensors"), ("nnunet", lowres)):
        pack = out / f"{name}.radcnn-model.zip"
        said("models", "pack", str(model), "-o", str(pack), "--name", f"earlier-{name}", *texts)
        said("models", "install", str(pack))
        said("run", f"earlier-{name}", str(WORK / "piece.nii.gz"), "-o", str(WORK / f"{name}.nii.gz"), *CPU)
        labels = radcnn.read(WORK / f"{name}.nii.gz")[0].array
        found[name] = {"name": f"earlier-{name}", "voxels": np.bincount(labels.ravel()).tolist()}
        shutil.copy(WORK / f"{name}.nii.gz", out / f"{name}.labels.nii.gz")
        said("models", "remove", f"earlier-{name}")
    return found


# -- manifests --------------------------------------------------------------------------------------------------------


def write_manifests(out: Path) -> None:
    """Write three results, and keep their manifests."""
    point = {"kind": "point", "points_mm": [[-28, 20, 30]]}
    box = {"kind": "box", "points_mm": [[0, -20, 12], [26, -20, 12], [0, 30, 12]]}
    steps = [
        {"object": "mass", "prompt": point},
        {"object": "mass", "tool": {"name": "grow", "distance_mm": 6}},
        {"lock": "mass"},
        {"object": "middle", "prompt": box},
        {"undo": 1},
        {"redo": 1},
        {"rename": "middle", "to": "ventricle"},
    ]
    (WORK / "script.json").write_text(json.dumps({"engine": "region", "steps": steps}))
    said("run", "ct-tissues", str(WORK / "trunk.nii.gz"), "-o", str(WORK / "tissues.nii.gz"), *CPU)
    said("run", "adrenal-mass", str(WORK / "gland.nii.gz"), "-o", str(WORK / "mass.json"), *CPU)
    said("interact", str(WORK / "head.nii.gz"), str(WORK / "script.json"), "-o", str(WORK / "lesion.nii.gz"), *CPU)
    for name in ("tissues.nii.gz", "mass.json", "lesion.nii.gz"):
        shutil.copy(WORK / f"{name}.radcnn.json", out)
    shutil.copy(WORK / "mass.json", out)


def make(tests: Path, out: Path) -> None:
    """Make everything."""
    shutil.rmtree(WORK, ignore_errors=True)
    for folder in (WORK, out / "sessions", out / "packs", out / "manifests"):
        folder.mkdir(parents=True)
    write_scans(tests)
    for name in ("head.nii.gz", "trunk.nii.gz", "gland.nii.gz", "piece.nii.gz"):
        shutil.copy(WORK / name, out)
    found = {"sessions": write_sessions(out / "sessions"), "packs": write_packs(tests, out / "packs")}
    write_manifests(out / "manifests")
    (out / "expected.json").write_text(json.dumps(found, indent=1) + "\n")
    shutil.rmtree(WORK)


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
