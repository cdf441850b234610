"""The classifiers that ship, from a scan to probabilities and from a map back to the scan."""

import json
from dataclasses import replace
from functools import partial
from threading import Event

import numpy as np
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.cli import main
from napari_radcnn.errors import CancelledError, GeometryError, ModelError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.request import Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import get_model
from napari_radcnn.models.classifiers import run as classifier
from napari_radcnn.models.classifiers.calibrated import Calibration, probabilities
from napari_radcnn.models.classifiers.shape import stored_shape
from napari_radcnn.spec.shipped import about_weights
from napari_radcnn.volume import Volume, VolumeMetadata

NAMES = ("cxr-pneumonia", "adrenal-mass")


#: The scans here are drawings, which no patient is taken for.
classify = partial(radcnn.classify, anyway=True)


def radiograph(shape=(1, 90, 120), **about):
    """Two dark lungs beside a bright spine; the one on the right of the picture is brighter below."""
    y, x = np.mgrid[: shape[1], : shape[2]] / np.array(shape[1:])[:, None, None] - 0.5
    lungs = ((y / 0.38) ** 2 + ((abs(x) - 0.18) / 0.12) ** 2 < 1).astype(float)
    picture = 180 - 110 * lungs + 60 * lungs * (x > 0) * (y > 0.1)
    grid = Geometry.from_parts(shape, (1, 3, 3))
    return Volume(picture[None].astype(np.float32), grid, VolumeMetadata("chest", "CR", **about))


def gland(radius=5, shape=(60, 70, 80), half=3):
    """A thin slab with a ball on it."""
    z, y, x = np.indices(shape)
    slab = (abs(x - 40) < 12) & (abs(y - 36) < half) & (abs(z - 30) < 12)
    ball = (x - 46) ** 2 + (y - 36) ** 2 + (z - 34) ** 2 < radius**2
    grid = Geometry.from_parts(shape, (1, 1, 1), (20, 30, -50))
    return Volume((slab | ball).astype(np.uint8), grid, VolumeMetadata("gland", "SEG", is_label=True))


def scan_for(name):
    return radiograph() if name == "cxr-pneumonia" else gland()


def request_for(name, volume=None):
    spec = get_model(name)
    return Request(spec, volume or scan_for(name), spec.options(), RunSettings("cpu"), 1)


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_of_the_classes_and_add_to_one(name):
    spec = get_model(name)
    first = classify(scan_for(name), name, device="cpu")
    again = classify(scan_for(name), name, device="cpu")
    assert tuple(first.probabilities) == classifier.classes(spec)
    assert sum(first.probabilities.values()) == pytest.approx(1.0)
    assert all(0 <= value <= 1 for value in first.probabilities.values())
    assert first.probabilities == again.probabilities
    assert first.provenance["facts"]["members"] == len(classifier.modules(spec))
    assert first.provenance["model"]["weights"][0]["sha256"] == spec.weights[0].sha256


@pytest.mark.parametrize("name", NAMES)
def test_members_and_views_are_averaged(name):
    torch = pytest.importorskip("torch")
    request = request_for(name)
    said = [
        member(view[None]).detach().numpy()
        for member in classifier.modules(request.spec)
        for view in classifier.views(request)
    ]
    logits, calibration = np.stack(said, 1)[0], classifier.calibration_of(request.spec)
    shape = stored_shape(about_weights(request.spec))
    if shape is not None:  # each look is joined with what the shape says
        logits, calibration = shape.joint(logits, classifier.features(request)), Calibration(1.0, (0.0, 0.0))
    expected = probabilities(logits[None], calibration)[0]
    assert (shape is not None) == (name == "adrenal-mass")
    found = classify(request.volume, name, device="cpu").probabilities
    assert list(found.values()) == pytest.approx(expected, abs=1e-5)
    views = classifier.views(request)
    assert len({tuple(view.flatten().tolist()) for view in views}) == len(views)
    assert torch.equal(views[0], classifier.prepared(request)[0][0])


@pytest.mark.parametrize("name", NAMES)
def test_the_operating_point_that_is_asked_for_decides(name):
    finding = classifier.classes(get_model(name))[-1]
    balanced = classify(scan_for(name), name)
    points = balanced.operating_points[finding]
    assert [point.name for point in points] == ["balanced", "sensitivity 0.8", "sensitivity 0.9"]
    assert balanced.thresholds == {finding: points[0].threshold}
    share = balanced.probabilities[finding]
    assert balanced.decided == ((finding,) if share >= points[0].threshold else (next(iter(balanced.probabilities)),))
    asked = classify(scan_for(name), name, {"operating_point": "sensitivity 0.9"})
    assert asked.thresholds == {finding: points[2].threshold}
    assert asked.probabilities == balanced.probabilities
    assert classify(scan_for(name), name, {"operating_point": "0.5"}).thresholds == {}
    with pytest.raises(OptionError, match="operating_point"):
        classify(scan_for(name), name, {"operating_point": "sensitivity 1"})


@pytest.mark.parametrize("name", NAMES)
def test_a_map_lies_on_the_grid_of_the_scan(name):
    request = request_for(name)
    given, back = classifier.prepared(request)
    found = back(np.ones(given.shape[2:]))
    assert found.geometry is request.volume.geometry
    assert found.array.shape == request.volume.shape
    assert found.array.max() == 1
    assert not found.metadata.is_label
    for member in classifier.modules(request.spec):
        assert not member.training
        assert member.features(given).shape[0] == 1


def test_a_thick_gland_is_likelier_to_have_a_mass():
    thin, thick = (classify(gland(radius, half=2), "adrenal-mass").probabilities["mass"] for radius in (3, 12))
    assert thick > thin + 0.2


def test_a_gland_is_the_same_in_any_orientation():
    usual = gland(8)
    turned = usual.geometry.axis_map("LIA")
    stored = Volume(turned.apply(usual.array), usual.geometry.reoriented(turned), usual.metadata)
    first, second = (classify(volume, "adrenal-mass").probabilities["mass"] for volume in (usual, stored))
    assert second == pytest.approx(first, abs=0.1)


def test_the_label_is_an_option():
    array = gland(8).array.copy()
    array[:4] = 5
    several = Volume(array, gland().geometry, gland().metadata)
    with pytest.raises(ModelError, match="set the option"):
        classify(several, "adrenal-mass")
    found = classify(several, "adrenal-mass", {"label": 1}).probabilities
    assert found == classify(gland(8), "adrenal-mass").probabilities
    with pytest.raises(OptionError, match="label"):
        classify(several, "adrenal-mass", {"label": -1})


def test_inverted_radiographs_are_shown_as_they_are_meant():
    picture = radiograph()
    inverted = replace(radiograph(is_inverted=True), array=255 - picture.array)
    expected = classify(picture, "cxr-pneumonia").probabilities["pneumonia"]
    assert classify(inverted, "cxr-pneumonia").probabilities["pneumonia"] == pytest.approx(expected, abs=1e-3)


def test_the_wrong_kind_of_scan_is_refused_or_told():
    volume = Volume(np.random.default_rng(0).normal(size=(9, 50, 50)), Geometry.from_parts((9, 50, 50), (2, 1, 1)))
    with pytest.raises(GeometryError, match="one radiograph"):
        radcnn.plan(volume, "cxr-pneumonia")
    with pytest.raises(GeometryError, match="one radiograph"):
        classify(volume, "cxr-pneumonia")
    with pytest.raises(GeometryError, match="in 3-D"):
        radcnn.plan(radiograph(), "adrenal-mass")
    with pytest.raises(ModelError, match="not a mask"):
        classify(volume, "adrenal-mass")
    mr = replace(radiograph(), metadata=VolumeMetadata("knee", "MR"))
    assert any("MR" in text for text in radcnn.plan(mr, "cxr-pneumonia").warnings)
    with pytest.raises(ModelError, match="constant"):
        classify(replace(radiograph(), array=np.zeros((1, 90, 120))), "cxr-pneumonia")


def test_a_run_can_be_cancelled():
    cancel = Event()

    def stop(done, _total, _message):
        if done == 1:
            cancel.set()

    with pytest.raises(CancelledError):
        classify(gland(), "adrenal-mass", progress=stop, cancel=cancel)


def test_the_command_line_writes_probabilities(tmp_path, capsys):
    scan, target = tmp_path / "gland.nii.gz", tmp_path / "out.json"
    radcnn.write(gland(), scan)
    assert main(["run", "adrenal-mass", str(scan), "-o", str(target)]) == 0
    written = json.loads(target.read_text())
    assert list(written) == ["probabilities", "kind", "decided", "thresholds", "operating_points", "suitability"]
    expected = classify(radcnn.read(scan)[0], "adrenal-mass").probabilities
    assert written["probabilities"] == pytest.approx(dict(expected), abs=1e-4)
    manifest = json.loads((tmp_path / "out.json.radcnn.json").read_text())
    assert manifest["model"]["name"] == "adrenal-mass"
    capsys.readouterr()
    assert main(["run", "cxr-pneumonia", str(scan), "-o", str(tmp_path / "no.json")]) == 3
    assert "one radiograph" in capsys.readouterr().err
    assert not (tmp_path / "no.json").exists()


def test_a_radiograph_of_the_hospital_is_classified(tmp_path):
    """A projection has no position in the patient; MONOCHROME1 keeps its stored values."""
    picture = radiograph().array.astype(np.uint16) * 12
    said = []
    for photometric, values in (("MONOCHROME2", picture), ("MONOCHROME1", 4095 - picture)):
        folder = tmp_path / photometric
        volume = Volume(values, Geometry.from_parts(values.shape, (1, 0.4, 0.4)), VolumeMetadata(modality="DX"))
        write_dicom_series(
            folder,
            volume,
            modality="DX",
            PhotometricInterpretation=photometric,
            ImagePositionPatient=None,
            ImageOrientationPatient=None,
        )
        (read,) = radcnn.read(folder)
        assert read.metadata.is_inverted == (photometric == "MONOCHROME1")
        said.append(classify(read, "cxr-pneumonia").probabilities["pneumonia"])
    assert said[0] == pytest.approx(said[1], abs=1e-3)
    expected = classify(radiograph(), "cxr-pneumonia").probabilities["pneumonia"]
    assert said[0] == pytest.approx(expected, abs=0.02)
