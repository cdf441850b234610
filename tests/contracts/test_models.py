"""What every model keeps to, ours and those of installed packages: it says what it is, and runs on a sample."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import CancelledError
from napari_radcnn.inference.plan import Plan
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import read_beside
from napari_radcnn.models import get_model, models
from napari_radcnn.operations import plan, run
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.spec.card import own_card, pack_card
from napari_radcnn.spec.identity import model_identity
from napari_radcnn.spec.options import describe, make_options
from napari_radcnn.tasks import TASKS, kind_of, numbers_of
from napari_radcnn.volume import Volume
from samples import sample_for

LISTED = models()
#: Those that run on a scan and are done; engines answer prompts.
RUN = [spec for spec in LISTED if spec.task != "interactive"]
#: Those whose run takes seconds, and is looked at by their own tests, too; a model that is new is not among them.
#: `ct-tissues` asks the network of `ct-organs`, which is not among them.
COSTLY = {
    "brain-extraction",
    "brain-structures",
    "brain-tissue",
    "ct-tissues",
    "lung-nodules",
    "mr-super-resolution",
    "ct-super-resolution",
}


def test_there_are_models_to_look_at():
    assert len(LISTED) >= 14
    assert len(RUN) >= 10
    assert [spec.name for spec in LISTED] == sorted({spec.name for spec in LISTED})


@pytest.mark.parametrize("spec", LISTED, ids=lambda spec: spec.name)
def test_a_spec_is_complete(spec):
    for name in ("title", "summary", "version", "licence", "citation", "body_part", "pipeline"):
        assert getattr(spec, name), name
    assert get_model(spec.name) == spec
    assert spec.task in TASKS
    # without these, the names of what it finds would be taken out of results that are given away
    assert spec.classes if spec.task in ("detection", "classification") else not spec.classes
    assert spec.labels if spec.task == "segmentation" else not spec.labels
    assert 0 not in spec.labels
    assert json.loads(json.dumps(spec.to_dict()))["name"] == spec.name
    assert model_identity(spec) == model_identity(get_model(spec.name))


@pytest.mark.parametrize("spec", LISTED, ids=lambda spec: spec.name)
def test_a_card_has_its_parts(spec):
    text = own_card(spec) or pack_card(spec)
    for heading in ("Licen", "Trained on", "Measured", "Where it fails", "Research use"):
        assert heading in text, f"{spec.card} lacks '{heading}'"
    assert spec.name in text.splitlines()[0]


@pytest.mark.parametrize("spec", LISTED, ids=lambda spec: spec.name)
def test_options_have_defaults_titles_and_help(spec):
    assert make_options(spec.options, None) == spec.options()
    for option in describe(spec.options):
        assert option.title
        assert len(option.help) > 10
        assert not option.help.endswith(".")
        assert option.check(option.default) == option.default


def test_planning_imports_no_torch():
    code = (
        "import sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from napari_radcnn.models import models\n"
        "from napari_radcnn.operations import plan\n"
        "from samples import sample_for\n"
        "for spec in models():\n"
        "    if spec.task != 'interactive' and spec.is_available:\n"
        "        plan(sample_for(spec), spec)\n"
        "        assert 'torch' not in sys.modules, spec.name\n"
        "        print(spec.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [spec.name for spec in RUN if spec.is_available]


class Ran:
    """A model that has run on its sample once, for all that is asked of the run."""

    def __init__(self, spec):
        self.spec, self.scan = spec, sample_for(spec)
        self.expected = plan(self.scan, spec)
        self.steps = []
        self.result = run(self.scan, spec, device="cpu", anyway=True, progress=lambda *step: self.steps.append(step))


@pytest.fixture(
    scope="module",
    params=[pytest.param(spec, marks=pytest.mark.slow) if spec.name in COSTLY else spec for spec in RUN],
    ids=[spec.name for spec in RUN],
)
def ran(request):
    if not request.param.is_available:
        pytest.skip(request.param.how_to_install)
    return Ran(request.param)


def test_the_plan_says_what_the_run_costs(ran):
    assert isinstance(ran.expected, Plan)
    assert ran.expected.model == ran.spec.name
    assert ran.expected.patches >= 1
    assert ran.expected.memory_bytes > 0
    assert min(ran.expected.patch_shape) >= 1
    assert all("\n" not in text for text in ran.expected.warnings)


def test_the_result_is_of_its_task_and_lies_where_the_scan_lies(ran):
    spec, scan, result = ran.spec, ran.scan, ran.result
    assert kind_of(result) is TASKS[spec.task].kind
    if isinstance(result, LabelMap):
        assert result.geometry.is_close(scan.geometry)
        assert set(np.unique(result.array)) - {0} <= set(spec.labels)
        assert result.labels == {value: spec.labels[value] for value in result.labels}
        assert result.array.any()
    elif isinstance(result, Volume):
        assert np.isfinite(result.array).all()
        box, given = (geometry.corners for geometry in (result.geometry, scan.geometry))
        assert np.abs(box.min(0) - given.min(0)).max() <= max(scan.geometry.spacing)
        assert np.abs(box.max(0) - given.max(0)).max() <= max(scan.geometry.spacing)
    elif isinstance(result, Detections):
        assert {box.label for box in result.boxes} <= set(spec.classes)
        low, high = scan.geometry.corners.min(0), scan.geometry.corners.max(0)
        assert all(((low <= box.center) & (box.center <= high)).all() for box in result.boxes)
        assert all(0 <= box.score <= 1 for box in result.boxes)
    elif isinstance(result, Classification):
        assert set(result.probabilities) == set(spec.classes)
        assert all(0 <= value <= 1 for value in result.probabilities.values())


def test_the_result_says_how_it_was_made(ran):
    made = ran.result.provenance
    assert made["model"]["name"] == ran.spec.name
    assert made["model"]["version"] == ran.spec.version
    assert made["model"]["identity"] == model_identity(ran.spec)
    assert set(made["options"]) == {option.name for option in describe(ran.spec.options)}
    assert made["input"]["sha256"]
    assert ran.spec.name in ran.result.name
    assert set(ran.expected.warnings) <= set(ran.result.warnings)
    assert all("\n" not in text for text in ran.result.warnings)
    assert all(
        isinstance(name, str) and isinstance(value, str) for name, value in numbers_of(ran.result, ran.spec.task)
    )


def test_progress_reaches_its_end(ran):
    done, total, _ = ran.steps[-1]
    assert done == total >= 1
    assert all(0 <= done <= total for done, total, _ in ran.steps)


def test_the_result_is_written_with_its_manifest(ran, tmp_path):
    known = TASKS[ran.spec.task].kind
    path = tmp_path / ("a.nii.gz" if known.is_image else f"a{next(iter(filter(None, known.writers)))}")
    write_with_manifest(ran.result, path)
    assert read_beside(path)["model"]["name"] == ran.spec.name
    if known.is_image:
        (back,) = radcnn.read(path)
        np.testing.assert_array_equal(back.array, ran.result.array)


@pytest.mark.parametrize("spec", RUN, ids=lambda spec: spec.name)
def test_a_set_cancel_stops_the_run(spec):
    if not spec.is_available:
        pytest.skip(spec.how_to_install)
    cancel = Event()
    cancel.set()
    with pytest.raises(CancelledError):
        run(sample_for(spec), spec, device="cpu", cancel=cancel, anyway=True)


def test_files_of_weights_lie_in_the_package_that_is_named():
    for spec in LISTED:
        assert all(Path(weights.path).suffix for weights in spec.weights)
        assert all(len(weights.sha256) == 64 for weights in spec.weights)
