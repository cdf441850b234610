"""Outputs of several files, each written as run 0 or run 1, and what tells the two apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import doubts_of, manifest_path
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE = (4, 6, 5)
GEOMETRY = oblique_geometry(SHAPE)
Write = Callable[[Path, int], object]


def labels(run: int, metadata: VolumeMetadata | None = None) -> LabelMap:
    """Return the labels of a run, with its manifest."""
    array = (np.indices(SHAPE).sum(axis=0) % (3 + run) == 0).astype(np.uint8)
    made_by = {"schema": "radcnn-manifest/1", "run": run}
    return LabelMap(
        array, GEOMETRY, {1: Label(f"run {run}")}, provenance=made_by, metadata=metadata or VolumeMetadata()
    )


@dataclass(frozen=True)
class Output:
    """What is written: under which name, from labels or an image, with the DICOM series or without."""

    name: str
    is_image: bool = False
    needs_series: bool = False

    def prepare(self, series: Path) -> Write:
        """Return what writes a run, with all that it reads already read."""
        scan = None
        if self.needs_series:
            if not series.exists():
                write_dicom_series(series, Volume(np.arange(120, dtype=np.int16).reshape(SHAPE), GEOMETRY))
            (scan,) = radcnn.read(series)

        def write(folder: Path, run: int) -> object:
            metadata = None if scan is None else scan.metadata
            made = labels(run, metadata)
            if self.is_image:
                values = np.asarray(made.array, np.int16) * 100 + run
                known = VolumeMetadata(provenance=made.provenance) if scan is None else scan.metadata
                volume = Volume(values, GEOMETRY, known).with_metadata(provenance=made.provenance)
                return write_with_manifest(volume, folder / self.name, overwrite=True)
            return write_with_manifest(made, folder / self.name, overwrite=True)

        return write

    def run_in(self, folder: Path) -> int | None:
        """Return the run that all files in the folder are of; None where there is none of them.

        Raises
        ------
        AssertionError
            If some are missing, or they are of two runs.
        """
        path = folder / self.name
        doubts = doubts_of(path)
        manifest = manifest_path(path)
        if not path.exists() and not manifest.exists():
            return None
        assert path.exists(), sorted(one.name for one in folder.iterdir())
        assert manifest.exists(), sorted(one.name for one in folder.iterdir())
        assert doubts == []
        run = json.loads(manifest.read_text())["run"]
        if not self.name.endswith(".sr.dcm"):
            (found,) = radcnn.read(path)
            wanted = labels(run).array
            assert np.array_equal(np.asarray(found.array) > 10 if self.is_image else found.array > 0, wanted)
        else:
            report = radcnn.read_report(path)
            volume = radcnn.read(path.with_name(path.name.replace(".sr.", ".seg.")))[0]
            assert np.array_equal(volume.array > 0, labels(run).array > 0)
            assert len(report.findings) == 1
        return run


OUTPUTS = {
    "nifti": Output("out.nii.gz"),
    "pair": Output("out.mhd"),
    "store": Output("out.ome.zarr"),
    "image": Output("out.nrrd", is_image=True),
    "report": Output("out.sr.dcm", needs_series=True),
    "series": Output("out", is_image=True, needs_series=True),
}
