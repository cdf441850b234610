"""The reader that napari calls: one for all formats, for files and folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, is_ours
from napari_radcnn.gui.layers.show import tell_of
from napari_radcnn.gui.reading.show import watch
from napari_radcnn.gui.scans.opening import hand_over, is_asked_by_window
from napari_radcnn.gui.scans.reading import layers_at, layers_of_files
from napari_radcnn.progress import Progress

PathOrPaths = str | Sequence[str]
#: What a reader returns that has read everything and adds no layer itself (a contract of npe2).
_NO_LAYERS: list[Any] = [(None,)]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return the reader if every path looks like something we show, else None; looks at first bytes only."""
    from napari_radcnn.io import contents

    paths = _as_list(path)
    return read if paths and all(contents.kind_of(one) in contents.SHOWN for one in paths) else None


def read(path: PathOrPaths) -> list[LayerData]:
    """Read every volume of files or folders, and the findings of structured reports and of our JSON and CSV files.

    Slices of a DICOM series are one volume. Where napari's window asks, by a drop or its menu, the Scans page opens the
    paths instead, beside the viewer, and no layer is returned; so is none of a slice whose series is open already.

    Raises
    ------
    RadcnnError
        If one cannot be read; napari shows its text as a notification.
    """
    import napari
    from napari.utils import progress as progress_bar

    viewer = napari.current_viewer()
    paths = [Path(one) for one in _as_list(path)]
    if viewer is not None and is_asked_by_window():
        hand_over(viewer, paths)
        return _NO_LAYERS
    if viewer is not None:
        watch(viewer)
    with progress_bar(total=0, desc="Reading") as bar:

        def on_progress(done: int, total: int, message: str) -> None:
            bar.total = total
            bar.set_description(message)
            bar.update(done - bar.n)

        found = _slice(viewer, paths[0], on_progress) if len(paths) == 1 else None
        if found is None:
            found = _layers(paths, on_progress)
    for _, arguments, _ in found:
        if METADATA_KEY in arguments.get("metadata", {}):
            tell_of(arguments["name"], arguments["metadata"])
    return found or _NO_LAYERS


def _layers(paths: Sequence[Path], progress: Progress) -> list[LayerData]:
    from napari_radcnn.io import Kind, kind_of

    findings = [path for path in paths if kind_of(path) in (Kind.REPORT, Kind.FINDINGS)]
    found = [layer for path in findings for layer in layers_at(path, progress)]
    scans = [path for path in paths if path not in findings]
    return found + (layers_of_files(scans, progress) if scans else [])


def _slice(viewer: Any, path: Path, progress: Progress) -> list[LayerData] | None:
    """Return the layers of the series that a file is one slice of; None where it is none, or lies alone.

    Nobody can be asked here whether the series is meant. It is, since a slice has no place among models and planes, and
    that is said. Nothing is returned where the series is open: napari calls the reader once for every file of a list.
    """
    from napari.utils.notifications import show_info

    from napari_radcnn.gui.layers.sequences import layers_of
    from napari_radcnn.io import read_series
    from napari_radcnn.io.several import series_beside, slice_of

    uid = slice_of(path)
    if uid is None:
        return None
    for layer in () if viewer is None else viewer.layers:
        if is_ours(layer) and _holds(layer, uid, path):
            return []
    found = series_beside(path, progress)
    if found is None or not found.series.n_volumes:
        return None
    show_info(
        f"{path.name}: the series of {found.series.n_files} slices that it belongs to was opened; "
        "napari_radcnn.read(path) reads the slice alone."
    )
    return layers_of(read_series(found.series, progress), progress=progress)


def _holds(layer: Any, series_uid: str, path: Path) -> bool:
    """Return whether a layer shows a series that was read from the folder of a file."""
    volume = layer.metadata[METADATA_KEY].get("volume")
    if volume is None or volume.metadata.series_uid != series_uid or volume.metadata.source is None:
        return False
    return path.resolve().is_relative_to(Path(volume.metadata.source).resolve())


def _as_list(path: PathOrPaths) -> list[Any]:
    return [path] if isinstance(path, str) else list(path)
