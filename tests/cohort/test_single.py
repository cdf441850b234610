"""One model on one scan by a worker elsewhere gives what it gives here, and nothing of the patient travels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import clusters
import cohorts

_CODE = """
import sys, json, dataclasses
from pathlib import Path
import numpy as np
import napari_radcnn as radcnn
from napari_radcnn import operations
from napari_radcnn.cohort.cluster.single import run_elsewhere
from napari_radcnn.errors import CancelledError, RadcnnError
from napari_radcnn.models import get_model, find_model
import tempfile, threading, cohorts, films, nnunet_folder
def same_record(here, away):
    here, away = here.provenance, away.provenance
    for key in ("model", "options", "input", "result", "facts", "warnings", "suitability"):
        assert here[key] == away[key], (key, here[key], away[key])
address, certificates, foreign = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
scan = cohorts.scan(5)
patient = {"patient_name": "Meier^Anna", "patient_id": "P77"}
metadata = dataclasses.replace(scan.metadata, **patient, acquisition={"EchoTime": "3"})
scan = dataclasses.replace(scan, metadata=metadata)
for spec, options in ((get_model("toy-waiting"), {"value": 150.0}), (get_model("nlm-denoise"), {"strength": 0.5})):
    here = operations.run(scan, spec, options)
    away = run_elsewhere([scan], spec, options, address, certificates)
    assert type(away) is type(here)
    assert np.array_equal(np.asarray(here.array), np.asarray(away.array)), spec.name
    assert np.allclose(here.geometry.affine, away.geometry.affine, atol=1e-9)
    assert here.name == away.name
    same_record(here, away)
    told = json.dumps(dict(away.provenance), default=str)
    assert "Meier" not in told and "P77" not in told
spec = find_model(foreign)
ct = nnunet_folder.scan()
here = operations.run(ct, spec, anyway=True)
away = run_elsewhere([ct], spec, {}, address, certificates, anyway=True)
assert np.array_equal(here.array, away.array) and here.array.any()
assert here.name == away.name
same_record(here, away)
# a radiograph: what its sides, window and polarity say of it is judged there as here
header = dict(modality="DX", PatientOrientation=["R", "F"], PhotometricInterpretation="MONOCHROME1",
              WindowCenter=1000, WindowWidth=900, ViewPosition="PA", PatientName="Meier^Anna")
film = films.read_film(Path(tempfile.mkdtemp()), films.waves((96, 120)), **header)
chest = get_model("cxr-pneumonia")
here = operations.run(film, chest, anyway=True)
away = run_elsewhere([film], chest, {}, address, certificates, anyway=True)
assert any("PatientOrientation" in reason for reason in here.provenance["suitability"]["reasons"])
assert (here.name, here.probabilities) == (away.name, away.probabilities)
same_record(here, away)
cancel = threading.Event()
def progress(done, total, message):
    if message == "waiting":
        cancel.set()
try:
    how = {"progress": progress, "cancel": cancel}
    run_elsewhere([scan], get_model("toy-waiting"), {"seconds": 300.0}, address, certificates, **how)
except CancelledError:
    print("cancelled")
try:
    run_elsewhere([cohorts.scan(0, 9003)], get_model("toy-waiting"), {}, address, certificates)
except RadcnnError as error:
    print(error)
"""


@pytest.mark.slow  # `test_sending` has what travels and comes back, without processes
def test_a_model_runs_elsewhere_as_it_does_here(tmp_path: Path) -> None:
    import nnunet_folder

    models = cohorts.lay_out_model(tmp_path / "models")
    with clusters.Processes(tmp_path, models) as cluster:
        cluster.scheduler()
        cluster.worker("one", XDG_DATA_HOME=str(tmp_path / "data"))
        helpers = Path(__file__).parents[1] / "helpers"
        environment = cohorts.environment(models)
        environment["PYTHONPATH"] += f":{helpers}"
        words = [sys.executable, "-c", _CODE, cluster.address, str(cluster.certificates), str(nnunet_folder.folder())]
        done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert "cancelled" in done.stdout
    assert "ZeroDivisionError: a fault of the model" in done.stdout
    # the model that is not part of the package travelled there
    assert list((tmp_path / "data").rglob("sent-*"))
