"""Use the package as it is installed: ``python scripts/check_installed.py FOLDER``, from outside the checkout.

FOLDER is where it should have been installed. Each line that is printed is a check that passed; the first that does not
ends the program with exit status 1.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path

MOST_MILLISECONDS = 50
_IMPORT = """
import json, sys, time
at = time.process_time()
import napari_radcnn
took = 1000 * (time.process_time() - at)
heavy = sorted({"torch", "napari", "qtpy", "PyQt6", "PySide6", "monai", "numpy"} & set(sys.modules))
print(json.dumps({"took": took, "heavy": heavy, "file": napari_radcnn.__file__}))
"""


def main() -> None:
    site = Path(sys.argv[1]).resolve()
    check_import(site)
    with tempfile.TemporaryDirectory() as folder:
        check_commands(site, Path(folder))
        check_manifest(Path(folder))


def check_import(site: Path) -> None:
    """The package comes from there, and importing it costs next to nothing."""
    found = [json.loads(run(sys.executable, "-c", _IMPORT)) for _ in range(5)]
    if not Path(found[0]["file"]).resolve().is_relative_to(site):
        fail(f"napari_radcnn is {found[0]['file']}, not in {site}")
    if found[0]["heavy"]:
        fail(f"importing it loads {found[0]['heavy']}")
    took = sorted(one["took"] for one in found)[2]
    if took > MOST_MILLISECONDS:
        fail(f"importing it takes {took:.0f} ms of a processor")
    print(f"imported in {took:.0f} ms, without torch, Qt or napari")


def check_commands(site: Path, folder: Path) -> None:
    """The command lists the models and runs one of them, with the weights that ship."""
    from pydicom.data import get_testdata_file

    scripts = [site / "bin" / "radcnn", Path(sys.executable).parent / "radcnn"]
    radcnn = str(next(path for path in scripts if path.exists()))
    names = {model["name"] for model in json.loads(run(radcnn, "models", "--json"))["models"]}
    if not {"brain-tissue", "ct-denoise", "region"} <= names:
        fail(f"radcnn models lists {sorted(names)}")
    print(f"radcnn models: {len(names)}")
    scan, result = get_testdata_file("CT_small.dcm", download=False), folder / "quiet.nii.gz"
    run(radcnn, "run", "ct-denoise", str(scan), "-o", str(result))
    manifest = json.loads(result.with_name(f"{result.name}.radcnn.json").read_text(encoding="utf-8"))
    if manifest["model"]["name"] != "ct-denoise":
        fail(f"the manifest says {manifest['model']}")
    run(radcnn, "evaluate", str(scan), str(result))
    print("radcnn run ct-denoise: a result with its manifest, near the scan")


def check_manifest(folder: Path) -> None:
    """napari finds the plug-in, and reads with it."""
    import npe2

    manager = npe2.PluginManager.instance()
    manager.discover()
    manifest = manager.get_manifest("napari-radcnn")
    if not manifest.contributions.widgets or manifest.package_version != importlib.metadata.version("napari-radcnn"):
        fail("napari's manifest of the plug-in is not that of this version")
    layers = npe2.read([str(folder / "quiet.nii.gz")], stack=False, plugin_name="napari-radcnn")
    if [data.shape for data, *_ in layers] != [(1, 128, 128)]:
        fail(f"the plug-in reads {[data.shape for data, *_ in layers]}")
    print(f"napari {importlib.metadata.version('napari')}: the plug-in is found, and reads the result")


def run(*words: str) -> str:
    """Return what a program prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"{' '.join(words[:3])}: exit status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def fail(cause: str) -> None:
    raise SystemExit(f"check_installed: {cause}")


if __name__ == "__main__":
    main()
