"""Predictions compared with their references, for each kind of result as the table in `napari_radcnn.tasks` says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import ReadError
from napari_radcnn.tasks import kinds, load
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.metrics.volumes import TakenAs


def evaluate(
    reference: str | Path, prediction: str | Path, *, tolerance_mm: float = 2.0, taken_as: TakenAs = "auto"
) -> dict[str, Any]:
    """Compare a prediction with its reference: label maps, images, findings, classes, or values.

    Parameters
    ----------
    reference, prediction : path
        Scans or label maps on the same grid; findings, two files as they are written here, or two folders with a
        JSON file of a name for each scan; classes, two CSV files with the case in the first column, of which
        `reference` holds its class in the second, or of findings that may stand together 0 or 1 in a column for each,
        and `prediction` a column of probabilities for each class; values, two CSV files with a column ``value``, in
        `prediction` also ``low`` and ``high`` of the interval, or two folders with a JSON file for each scan.
    tolerance_mm : float
        Of the surface Dice of labels.
    taken_as : str
        What scans are taken as: ``"labels"``, ``"images"``, or ``"auto"``, by their marks and values.

    Returns
    -------
    dict
        Figures as JSON types under the name of the kind, such as ``"labels"``.

    Raises
    ------
    ReadError
        If one of them cannot be read, or they do not belong together.
    GeometryError
        If they lie on different grids.
    OptionError
        If they are to be taken as labels and cannot be.
    """
    if taken_as != "auto":
        return compare_scans(Path(reference), Path(prediction), tolerance_mm, taken_as)
    asked = dict.fromkeys(kind.compare for kind in reversed(kinds()) if kind.compare)
    for place in asked:
        found: dict[str, Any] | None = load(place)(Path(reference), Path(prediction), tolerance_mm)
        if found is not None:
            return found
    raise ReadError(f"{reference} and {prediction} contain nothing that can be compared.")


def compare_scans(reference: Path, prediction: Path, tolerance_mm: float, taken_as: TakenAs = "auto") -> dict[str, Any]:
    """Compare two label maps or two images; whatever is no report is taken for one."""
    from napari_radcnn.metrics import compare

    return compare(_only_volume(reference), _only_volume(prediction), tolerance_mm=tolerance_mm, taken_as=taken_as)


def _only_volume(path: Path) -> Volume:
    from napari_radcnn.io import read

    volumes = read(path)
    if len(volumes) != 1:
        raise ReadError(
            f"{path} contains {len(volumes)} volumes, but only one can be compared: first write it to a separate "
            "file with `radcnn convert --select N`."
        )
    return volumes[0]
