"""The reader that napari calls: one for all formats, for files and folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ReadError
from napari_radcnn.gui.findings.layer import detections_layer
from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.gui.layers.show import tell_of
from napari_radcnn.gui.reading.show import watch
from napari_radcnn.progress import Progress

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return the reader if every path looks like something we show, else None; looks at first bytes only."""
    from napari_radcnn.io import contents

    paths = _as_list(path)
    return read if paths and all(contents.kind_of(one) in contents.SHOWN for one in paths) else None


def read(path: PathOrPaths) -> list[LayerData]:
    """Read every volume of files or folders, and the findings of structured reports and of our JSON and CSV files.

    Raises
    ------
    RadcnnError
        If one cannot be read; napari shows its text as a notification.
    """
    import napari
    from napari.utils import progress as progress_bar

    viewer = napari.current_viewer()
    if viewer is not None:
        watch(viewer)
    found: list[LayerData] = []
    with progress_bar(total=0, desc="Reading") as bar:

        def on_progress(done: int, total: int, message: str) -> None:
            bar.total = total
            bar.set_description(message)
            bar.update(done - bar.n)

        for one in _as_list(path):
            found += layers_at(Path(one), on_progress)
    for _, arguments, _ in found:
        if "place" in arguments.get("metadata", {}).get(METADATA_KEY, {}):
            tell_of(arguments["name"], arguments["metadata"])
    return found


def layers_at(path: Path, progress: Progress | None = None) -> list[LayerData]:
    """Return the layers of a file or folder, which may hold scans, labels, a report or findings.

    Raises
    ------
    RadcnnError
        If it cannot be read.
    """
    from napari_radcnn.io import Kind, kind_of, read as read_volumes
    from napari_radcnn.manifest import doubts_of

    kind = kind_of(path)
    if kind is Kind.REPORT:
        return [_report(path)]
    if kind is Kind.FINDINGS:
        return [_detections(path)]
    volumes, doubts = read_volumes(path, progress=progress), tuple(doubts_of(path))
    if doubts:
        volumes = [replace(volume, warnings=(*volume.warnings, *doubts)) for volume in volumes]
    return layers_of(volumes, progress=progress)


def _report(path: Path) -> LayerData:
    """Return the findings of a structured report in their place in the patient; what has no place is told."""
    from napari.utils.notifications import show_warning

    from napari_radcnn.io import read_report

    report = read_report(path)
    without = len(report.findings) - len(report.detections.boxes)
    told = [*report.warnings, *([f"{without} findings have no position in the patient."] if without else [])]
    for warning in told:
        show_warning(f"{report.name}: {warning}")
    return detections_layer(report.detections)


def _detections(path: Path) -> LayerData:
    """Return the findings that were written here, with what their manifest says of them."""
    from napari.utils.notifications import show_warning

    from napari_radcnn.io.reports import read_detections
    from napari_radcnn.manifest import doubts_of, read_beside

    try:
        manifest = read_beside(path)
        warnings = manifest.get("warnings", ())
    except ReadError as error:  # of a newer version; the findings do not depend on it
        manifest, warnings = {}, [str(error)]
    told = (*doubts_of(path), *(map(str, warnings) if isinstance(warnings, list) else ()))
    for warning in told:
        show_warning(f"{path.stem}: {warning}")
    return detections_layer(replace(read_detections(path), provenance=manifest, warnings=told))


def _as_list(path: PathOrPaths) -> list[Any]:
    return [path] if isinstance(path, str) else list(path)
