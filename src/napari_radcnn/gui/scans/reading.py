"""From files to layers: scans, label maps, also those that do not say so, reports and findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.gui.findings.layer import detections_layer
from napari_radcnn.gui.layers.layers import METADATA_KEY, RECOGNIZED, LayerData
from napari_radcnn.gui.layers.sequences import few_of, layers_of
from napari_radcnn.gui.measure.carried import rulers_layer
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.volume import Volume


def layers_at(
    path: Path,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    which: Sequence[int] | None = None,
) -> list[LayerData]:
    """Return the layers of a file or folder, which may hold scans, labels, a report or findings; `which` as `few_of`.

    Raises
    ------
    ReadError
        If it cannot be read.
    CancelledError
        If `cancel` was set.
    """
    from napari_radcnn.io import Kind, kind_of

    kind = kind_of(path)
    if kind is Kind.REPORT:
        return [_report(path)]
    if kind is Kind.FINDINGS:
        return [_detections(path)]
    return layers_of_files([path], progress, cancel, which)


def layers_of_files(
    paths: Sequence[Path],
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    which: Sequence[int] | None = None,
) -> list[LayerData]:
    """Return the layers of files and folders with scans; slices of a series become one; `which` as for `few_of`.

    Raises
    ------
    ReadError
        If none can be read.
    CancelledError
        If `cancel` was set.
    """
    from napari_radcnn.io.several import read_together
    from napari_radcnn.manifest import doubts_of

    volumes = read_together(paths, progress, cancel)
    doubts = tuple(doubt for path in paths for doubt in doubts_of(path))
    if doubts:
        volumes = [replace(volume, warnings=(*volume.warnings, *doubts)) for volume in volumes]
    few = few_of(volumes, which, _is_label_map)
    is_found = [len(group) == 1 and _is_label_map(group[0]) for group in few.groups]
    few = replace(
        few,
        groups=[(_as_labels(group[0]),) if found else group for group, found in zip(few.groups, is_found, strict=True)],
    )
    layers = layers_of(few, progress=progress, cancel=cancel)
    for (_, arguments, _), found in zip(layers, is_found, strict=True):
        if found:
            arguments["metadata"][METADATA_KEY][RECOGNIZED] = True
    return layers


def _as_labels(volume: Volume) -> Volume:
    return replace(volume, metadata=replace(volume.metadata, is_label=True))


def _is_label_map(volume: Volume) -> bool:
    """Return whether the voxels are plainly those of a label map although the format does not say so.

    DICOM says so, and the voxels of a scan in a store are not read before they are seen.
    """
    from napari_radcnn.suitability.sample import take_sample
    from napari_radcnn.suitability.values import kind_of

    metadata = volume.metadata
    if metadata.is_label or metadata.source_format == "DICOM" or volume.is_color or not volume.is_loaded:
        return False
    return metadata.source_format != "picture" and kind_of(take_sample(volume)) == "label map"


def _report(path: Path) -> LayerData:
    """Return the findings or the rulers of a structured report in their place in the patient."""
    from napari_radcnn.io import read_report
    from napari_radcnn.io.dicom_results import is_ruler_report, read_ruler_report

    if is_ruler_report(path):
        return rulers_layer(read_ruler_report(path), path)
    report = read_report(path)
    without = len(report.findings) - len(report.detections.boxes)
    told = [*report.warnings, *([f"{without} findings have no position in the patient."] if without else [])]
    return detections_layer(replace(report.detections, warnings=(*report.detections.warnings, *told)))


def _detections(path: Path) -> LayerData:
    """Return the findings that were written here, with what their manifest says of them."""
    from napari_radcnn.io.reports import read_detections
    from napari_radcnn.manifest import doubts_of, read_beside

    try:
        manifest = read_beside(path)
        warnings = manifest.get("warnings", ())
    except ReadError as error:  # of a newer version; the findings do not depend on it
        manifest, warnings = {}, [str(error)]
    told = (*doubts_of(path), *(map(str, warnings) if isinstance(warnings, list) else ()))
    return detections_layer(replace(read_detections(path), provenance=manifest, warnings=told))
