"""The guard of a classifier, fitted with its weights, or to those that ship.

``python -m napari_radcnn.training.classifiers.guard NAME DATA OUT``
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_radcnn.models import get_model
from napari_radcnn.models.classifiers.guard import guard_file, write_guard
from napari_radcnn.models.classifiers.run import modules
from napari_radcnn.spec.shipped import about_weights
from napari_radcnn.training.classifiers import adrenal_mass, cxr_pneumonia
from napari_radcnn.training.classifiers.learn import fit_guard, folds

_CASES = {"adrenal-mass": adrenal_mass.cases, "cxr-pneumonia": cxr_pneumonia.cases}


def main(name: str, data: Path, out: Path) -> None:
    """Fit the guard of a model that ships and write it into a folder."""
    spec = get_model(name)
    cases = _CASES[name](data)
    recipe = about_weights(spec)["recipe"]
    if not isinstance(recipe, dict):
        raise SystemExit(f"{name}: the settings of its training do not lie beside its weights")
    fold = folds(cases.classes, int(recipe["members"]), int(recipe["seed"]))
    write_guard(fit_guard(modules(spec), cases, fold, spec.weights[0].sha256), out / guard_file(spec).name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
