"""Damage models of every format in every way we can think of, and open them: each must open or be refused by name.

    python tests/fuzz/fuzz_models.py --count 5000 --seed 1

As `fuzz_readers`, for `radcnn.open_model` and for packs. Weights of what still opens are loaded, too.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch  # here, so that a worker has it before its first model and loading it is not taken for a hang

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

from fuzz_readers import Worker, damaged

import napari_radcnn as radcnn
from model_factory import UNET, describe, unet, write_bundle, write_onnx, write_safetensors, zipped
from napari_radcnn.errors import RadcnnError
from napari_radcnn.foreign.processing.steps import Processing

_NNUNET = Path(__file__).parent.parent / "data" / "nnunet" / "Dataset904_Fixture"


#: What may stand in a configuration that nobody should write.
_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3.5,
    1e308,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "x" * 3000,
    "\0",
    "$__import__('os').getcwd()",
    "$(lambda: 1)()",
    "$@network_def",
    "@preprocessing",
    "@a::b#c",
    "%inference.json#network_def",
    "$'a' * 999999999",
    "$[1] * 3",
    "$1 / 0",
    "$-@bundle_root",
    "../../x",
    "image",
    "1",
    [],
    {},
    [[[[[[[[[[1]]]]]]]]]],
    [1, 2],
    [1, 2, 3],
    [-1, 0, 1],
    ["image", 3],
    {"_target_": "os.system", "command": "true"},
    {"_target_": "UNet"},
    {"_target_": 5},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "SPL"},
    {"0": "background"},
    {"name": "UNet", "arguments": {"spatial_dims": 9}},
)


def make_sources(folder: Path) -> dict[str, Path]:
    """Write one sound model of every format, each in a folder of its own; return what is opened."""
    from napari_radcnn.foreign.pack import pack

    network = unet()
    built = {"architecture": {"name": "UNet", "arguments": UNET}}
    for name in ("torch", "safetensors", "torchscript", "onnx", "zip", "pack"):
        (folder / name).mkdir()
    torch.save(network.state_dict(), folder / "torch" / "net.pt")
    describe(folder / "torch" / "net.json", **built)
    write_safetensors(folder / "safetensors" / "net.safetensors", network.state_dict())
    describe(folder / "safetensors" / "net.json", **built, keep_largest=True, colors={"liver": [1, 0.5, 0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), folder / "torchscript" / "net.ts")
    describe(folder / "torchscript" / "net.json")
    write_onnx(folder / "onnx" / "net.onnx", np.eye(3, 1), np.zeros(3), (16, 16, 16))
    describe(folder / "onnx" / "net.json")
    bundle = write_bundle(folder / "bundle" / "net")
    found = {
        "torch": folder / "torch" / "net.pt",
        "safetensors": folder / "safetensors" / "net.safetensors",
        "torchscript": folder / "torchscript" / "net.ts",
        "onnx": folder / "onnx" / "net.onnx",
        "bundle": bundle,
        "zip": zipped(bundle, folder / "zip" / "net.zip"),
        "pack": pack(bundle, folder / "pack" / "net.radcnn.zip", licence="MIT", card="# Card"),
    }
    if _NNUNET.is_dir():
        name = "nnUNetTrainer__nnUNetPlans__3d_lowres"
        shutil.copytree(_NNUNET / name, folder / "nnunet" / name)
        found["nnunet"] = folder / "nnunet" / name
    return found


def make_input(source: Path, target: Path, number: int, seed: int) -> Path:
    """Copy a model to `target` and damage one of its files; descriptions as often as weights."""
    rng = random.Random(f"{seed}:{number}")
    shutil.copytree(source.parent, target, dirs_exist_ok=True)
    path = target / source.name
    files = sorted(found for found in target.rglob("*") if found.is_file())
    texts = [file for file in files if file.suffix in (".json", ".yaml")]
    file = rng.choice(texts if texts and rng.random() < 0.5 else files)
    if file in texts and rng.random() < 0.7:
        file.write_text(json.dumps(changed(json.loads(file.read_text()), rng)))
    else:
        file.write_bytes(damaged(bytearray(file.read_bytes()), rng))
    return path


def changed(value: Any, rng: random.Random) -> Any:
    """Put something odd in one to three places of a configuration."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if places:
            holder, key = rng.choice(places)
            if rng.random() < 0.15:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(rng.choice(_ODD))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def judge(path: Path) -> str:
    """Open a model; return ``"opened"``, ``"refused"``, or what is bad about it."""
    names = {path.name, *(inner.name for inner in path.parent.rglob("*"))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _open(path)
        except RadcnnError as error:
            text = str(error)
            if "\n" in text or len(text) > 1500:
                return f"bad: a long message: {text[:200]!r}"
            return "refused" if any(name in text for name in names) else f"bad: names no file: {text}"
        except (Exception, RecursionError) as error:  # noqa: BLE001  finding these is what this is for
            return f"bad: {type(error).__name__}: {error}"
    return "opened"


def _open(path: Path) -> None:
    from napari_radcnn.foreign.pack import verify
    from napari_radcnn.networks.files import open_network

    if path.name.endswith(".radcnn.zip"):
        verify(path)
        return
    try:
        spec = radcnn.open_model(path)
    except RadcnnError as error:
        if "trust='" not in str(error):
            raise
        spec = radcnn.open_model(path, trust=str(error).split("trust='")[1][:64])
    for file in spec.files:
        if file.kind in ("torch", "safetensors") and isinstance(spec.network, Processing) and _is_ours(file):
            open_network(file, channels=1, spatial_dims=3).torch_module()


def _is_ours(file: object) -> bool:
    """Whether nothing of the model's own would run when it is loaded."""
    return getattr(file, "architecture", None) is not None and not getattr(file, "is_program", True)


def run(count: int, seed: int, findings: Path, *, verbose: bool = True) -> dict[str, Counter[str]]:
    """Open `count` damaged inputs of every format; return how many were opened, refused and bad; keep the bad ones."""
    counts: dict[str, Counter[str]] = {}
    worker = Worker(judge)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for kind, source in make_sources(Path(folder)).items():
            counts[kind] = Counter()
            for number in range(count):
                with tempfile.TemporaryDirectory(prefix="input-") as target:
                    path = make_input(source, Path(target), number, seed)
                    verdict = worker.judge(path)
                    counts[kind][verdict.partition(":")[0]] += 1
                    if verdict.startswith("bad"):
                        shutil.copytree(target, findings / f"{kind}-{seed}-{number}", dirs_exist_ok=True)
                        sys.stdout.write(f"{kind} {number}: {verdict[:300]}\n")
            if verbose:
                sys.stdout.write(f"{kind}: {dict(counts[kind])}\n")
    worker.close()
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    arguments = parser.parse_args()
    total = run(arguments.count, arguments.seed, arguments.findings)
    sys.exit(any(found["bad"] for found in total.values()))
