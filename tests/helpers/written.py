"""Outputs of several files, each written as run 0 or run 1, and what tells the two apart."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.cli.runs import _write as write_result
from napari_radcnn.errors import WriteError
from napari_radcnn.files import make_ready, recover
from napari_radcnn.foreign.pack import install, installed, installed_sha256, pack, uninstall, unusable, verify
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.interactive.journal.journal import Journal, saved_sessions
from napari_radcnn.io.omezarr import progress
from napari_radcnn.io.with_manifest import write_manifest, write_with_manifest
from napari_radcnn.manifest import doubts_of, manifest_path
from napari_radcnn.models import get_model
from napari_radcnn.operations import segment_to
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.progress import Monitor
from napari_radcnn.results import Classification, Detection, Detections, Label, LabelMap
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


@dataclass(frozen=True)
class Findings:
    """Findings, as a table or as JSON, with their manifest."""

    name: str

    def prepare(self, scratch: Path) -> Write:
        def write(folder: Path, run: int) -> object:
            boxes = [Detection(f"run {run}", 0.5, (1.0 + n, -2.0, 3.0), (4.0, 5.0, 6.0)) for n in range(3)]
            made = Detections(tuple(boxes), provenance={"schema": "radcnn-manifest/1", "run": run})
            return write_with_manifest(made, folder / self.name, overwrite=True)

        return write

    def run_in(self, folder: Path) -> int | None:
        path = folder / self.name
        doubts = doubts_of(path)  # as every reader does first: what was begun is finished or taken back
        if not path.exists() and not manifest_path(path).exists():
            return None
        run = int(json.loads(manifest_path(path).read_text())["run"])
        assert doubts == []
        assert path.read_text().count(f"run {run}") == 3
        return run


@dataclass(frozen=True)
class Manifest:
    """A manifest alone."""

    def prepare(self, scratch: Path) -> Write:
        return lambda folder, run: write_manifest({"run": run, "notes": ["x" * 99] * 99}, folder / "a", overwrite=True)

    def run_in(self, folder: Path) -> int | None:
        path = manifest_path(folder / "a")
        return int(json.loads(path.read_text())["run"]) if path.exists() else None


@dataclass(frozen=True)
class Evidence:
    """A classification, its manifest, and a folder of maps."""

    def prepare(self, scratch: Path) -> Write:
        def write(folder: Path, run: int) -> object:
            try:
                (folder / "why").mkdir(exist_ok=True)
            except OSError as error:
                raise WriteError("the folder of evidence") from error
            array = np.full(SHAPE, run + 1, np.float32)
            maps = tuple(Volume(array, GEOMETRY, VolumeMetadata(f"a · {kind}")) for kind in ("Saliency", "Occlusion"))
            made_by = {"schema": "radcnn-manifest/1", "run": run}
            made = Classification({"run": float(run)}, provenance=made_by, evidence=maps)
            return write_result(made, Namespace(output=folder / "a.json", evidence=folder / "why", overwrite=True))

        return write

    def run_in(self, folder: Path) -> int | None:
        paths = [folder / "why" / f"a.{kind}.nii.gz" for kind in ("saliency", "occlusion")]
        recover(folder)
        there = [path.exists() for path in (*paths, folder / "a.json", folder / "a.json.radcnn.json")]
        if not any(there):
            return None
        assert all(there)
        assert doubts_of(folder / "a.json") == []
        run = int(json.loads((folder / "a.json.radcnn.json").read_text())["run"])
        assert json.loads((folder / "a.json").read_text())["probabilities"] == {"run": run}
        assert all((radcnn.read(path)[0].array == run + 1).all() for path in paths)
        return run


@dataclass(frozen=True)
class Session:
    """An interactive session; a run is one more step of it."""

    def prepare(self, scratch: Path) -> Write:
        def write(folder: Path, run: int) -> object:
            kept = saved_sessions(folder)
            with Journal.open(kept[0].path) if kept else Journal.create(folder, {"volume": "a"}) as journal:
                count = sum(record.kind == "step" for record in journal.records())
                journal.append("step", f"{run} after {count}".encode())
            return None

        return write

    def run_in(self, folder: Path) -> int | None:
        kept = saved_sessions(folder)
        if not kept:
            return None
        (saved,) = kept
        assert not saved.problem
        with Journal.open(saved.path) as journal:
            steps = [record.payload.decode().split(" after ") for record in journal.records()]
            assert journal.lost_bytes == 0
        assert [int(number) for _, number in steps] == list(range(len(steps)))
        return int(steps[-1][0])


@dataclass(frozen=True)
class Pack:
    """A model pack; the run stands in its card."""

    def prepare(self, scratch: Path) -> Write:
        from model_factory import unet, write_bundle

        bundle = scratch.with_name("bundle")
        spec = radcnn.open_model(bundle if bundle.exists() else write_bundle(bundle, unet(2)))
        texts = {"licence": "MIT", "name": "two"}
        return lambda folder, run: pack(spec, folder / "two.zip", card=f"# {run}", overwrite=True, **texts)

    def run_in(self, folder: Path) -> int | None:
        path = folder / "two.zip"
        if not path.exists():
            return None
        verify(path)
        with zipfile.ZipFile(path) as archive:
            return int(archive.read("CARD.md").decode().removeprefix("# "))


@dataclass(frozen=True)
class Installed:
    """An installed model: run 1 installs it, or removes the one of run 0."""

    removes: bool

    def prepare(self, scratch: Path) -> Write:
        packs = [scratch.with_name(f"pack {run}") for run in (0, 1)]
        write_pack = Pack().prepare(scratch)
        for run, place in enumerate(packs):
            place.mkdir(exist_ok=True)
            write_pack(place, run)

        def write(folder: Path, run: int) -> object:
            os.environ["XDG_DATA_HOME"] = str(folder)
            if run and self.removes:
                return uninstall("two") if installed() else make_ready(folder / "napari-radcnn" / "models")
            if run and installed():
                return None
            return install(packs[run] / "two.zip")

        return write

    def run_in(self, folder: Path) -> int | None:
        os.environ["XDG_DATA_HOME"] = str(folder)
        assert unusable() == []
        found = installed()
        if not found:
            return None
        (spec,) = found
        installed_sha256(spec)
        return int(Path(spec.card).read_text().removeprefix("# "))


@dataclass(frozen=True)
class Streamed:
    """Labels that are written block by block."""

    def prepare(self, scratch: Path) -> Write:
        progress._LONG_SECONDS = 1e9  # each run makes the same calls, however slow the disk is
        module = ModuleType("streaming_while_faults_happen")
        module.STREAMS = True
        module.plan = lambda request: Plan(request.spec.name, SHAPE[0], SHAPE, 1000)
        module.run = self._stream
        sys.modules[module.__name__] = module
        known = {"name": "streamed", "task": "segmentation", "pipeline": module.__name__}
        spec = replace(get_model("nlm-denoise"), **known, labels={1: Label("found")})
        scans = [Volume(labels(run).array.astype(np.int16), GEOMETRY, VolumeMetadata(f"run {run}")) for run in (0, 1)]
        how = {"device": "cpu", "precision": "float32"}
        return lambda folder, run: segment_to(scans[run], spec, folder / "a.ome.zarr", overwrite=True, **how)

    @staticmethod
    def _stream(request: Request, monitor: Monitor) -> Outcome:
        sink = request.sink
        assert sink is not None
        for k in range(sink.mark_reached, SHAPE[0]):
            box = (slice(k, k + 1), slice(0, SHAPE[1]), slice(0, SHAPE[2]))
            sink.write(box, request.volume.read_block(box).astype(np.uint8))
            sink.mark(k + 1)
        return Outcome("cpu", "float32")

    def run_in(self, folder: Path) -> int | None:
        path = folder / "a.ome.zarr"
        doubts = doubts_of(path)
        if not path.exists() and not manifest_path(path).exists():
            return None
        run = int(json.loads(manifest_path(path).read_text())["input"]["name"].removeprefix("run "))
        assert doubts == []
        assert np.array_equal(radcnn.read(path)[0].array, labels(run).array)
        return run


class Writes(Protocol):
    """An output, as the tests see it."""

    def prepare(self, scratch: Path) -> Write:
        """Return what writes a run, with all that it needs made in or beside a scratch folder."""

    def run_in(self, folder: Path) -> int | None:
        """Return the run that everything in a folder is of, None where there is nothing; fail if it is of two."""


_FORMATS = ("nii.gz", "nrrd", "mha", "mhd", "ome.zarr")
OUTPUTS: dict[str, Writes] = {
    **{f"labels.{suffix}": Output(f"out.{suffix}") for suffix in _FORMATS},
    **{f"image.{suffix}": Output(f"out.{suffix}", is_image=True) for suffix in _FORMATS},
    "streamed store": Streamed(),
    "segmentation": Output("out.seg.dcm", needs_series=True),
    "report": Output("out.sr.dcm", needs_series=True),
    "series": Output("out", is_image=True, needs_series=True),
    "findings.json": Findings("out.json"),
    "findings.csv": Findings("out.csv"),
    "manifest": Manifest(),
    "pack": Pack(),
    "installed model": Installed(removes=False),
    "removed model": Installed(removes=True),
    "session": Session(),
    "evidence": Evidence(),
}
