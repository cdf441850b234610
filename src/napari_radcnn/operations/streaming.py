"""Labels of scans that do not fit into memory: written to a store as they are found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy.typing as npt

from napari_radcnn.errors import ModelError, RadcnnError, WriteError
from napari_radcnn.files import check_target, together
from napari_radcnn.geometry import Box
from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request, get_pipeline
from napari_radcnn.manifest import manifest_path
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import manifest_of_run
from napari_radcnn.operations.planning import make_request, plan_of, refuse_too_large, refuse_unsuitable
from napari_radcnn.operations.running import RunKeywords, execute, expect, refuse_keywords
from napari_radcnn.results import LabelMap
from napari_radcnn.schemas import label_store
from napari_radcnn.suitability import Suitability
from napari_radcnn.volume import Volume


def segment_to(
    volume: Inputs,
    model: str | Path | ModelSpec,
    target: str | Path,
    options: object = None,
    *,
    overwrite: bool = False,
    each_block: Callable[[Box, npt.NDArray[Any]], None] | None = None,
    **how: Unpack[RunKeywords],
) -> Volume:
    """Give every voxel a class, and write the labels as they are found: for scans that do not fit into memory.

    A run that was killed leaves its part hidden beside the target; the same call goes on where it was.

    Parameters
    ----------
    volume, model, options, how
        As in `run`. An OME-Zarr scan is read block by block.
    target : path
        ``*.ome.zarr`` or ``*.zarr``, or ``STORE.ome.zarr/labels/NAME``, which is added to the store of the scan and
        touches nothing else in it; the manifest is written beside the store.
    overwrite : bool
        Whether `target` may exist.
    each_block : callable, optional
        Called as ``each_block(box, labels)`` when labels have been written, in the thread that runs: `box` is three
        slices along ``(k, j, i)`` of the scan's grid, `labels` an array of its shape.

    Returns
    -------
    Volume
        The labels that were written, not loaded, with the run's manifest and warnings.

    Raises
    ------
    ModelError
        As `run`; or if the model does not give its labels block by block.
    OptionError
        As `run`.
    WriteError
        If the target is in the way, an input, is no Zarr store, another process writes it, or the disk is full.
    """
    from napari_radcnn.io import read
    from napari_radcnn.io.omezarr.growing import GrowingLabels
    from napari_radcnn.io.targets import refuse_sources, sources_of
    from napari_radcnn.io.with_manifest import write_manifest

    refuse_keywords({name: value for name, value in how.items() if name not in RunKeywords.__annotations__})
    target = Path(target)
    progress, cancel = how.get("progress"), how.get("cancel")
    request = make_request(
        volume,
        model,
        options,
        how.get("device", "auto"),
        how.get("precision", "auto"),
        how.get("threads"),
        "segmentation",
        anyway=how.get("anyway", False),
    )
    spec = request.spec
    if not can_stream(spec):
        raise ModelError(f"'{spec.name}' needs the whole scan in memory: run it without streaming.")
    if not is_store_target(target):
        raise WriteError(f"{target}: labels can only be streamed to OME-Zarr; use a name ending in .ome.zarr.")
    refuse_sources(target, [path for one in request.volumes for path in sources_of(one)])
    request = replace(request, streams=True)
    expected_plan = plan_of(request)
    refuse_unsuitable(request, expected_plan)
    refuse_too_large(request, expected_plan)
    check_target(manifest_path(target), overwrite)
    grown = GrowingLabels(
        target,
        request.volume.geometry,
        spec.labels,
        fingerprint=_fingerprint(request),
        overwrite=overwrite,
        each_block=each_block,
    )
    try:
        found = execute(replace(request, sink=grown), progress, cancel)
        labels = expect(found, LabelMap)
        with together():
            counts = grown.finish()
            voxel_ml = labels.geometry.voxel_volume / 1000.0
            volumes = {label.name: round(counts.get(value, 0) * voxel_ml, 3) for value, label in spec.labels.items()}
            made_by = {**labels.provenance, "volumes_ml": volumes, "output": target.name}
            write_manifest(made_by, target, overwrite=overwrite)
    except RadcnnError:
        grown.discard()
        raise
    finally:
        grown.close()
    (written,) = read(target)
    told = (*labels.warnings, *grown.notes)
    return replace(written.with_metadata(name=labels.name, provenance=made_by), warnings=told)


def is_store_target(target: Path) -> bool:
    """Return whether labels can be streamed under a name: that of a store, or of labels in the store of a scan."""
    return target.suffix == ".zarr" or label_store(target) is not None


def can_stream(spec: ModelSpec) -> bool:
    """Return whether `segment_to` takes a model: whether its pipeline gives labels block by block."""
    return bool(getattr(get_pipeline(spec), "STREAMS", False))


def _fingerprint(request: Request) -> str:
    """Return what must be the same for a run to go on with what another left."""
    expected = manifest_of_run(request, request.volumes, Outcome("", ""), "", 0.0, (), Suitability())
    kept = {key: expected[key] for key in ("model", "options", "settings", "input", "versions")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
