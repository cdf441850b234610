"""Nodules of the lung, with the networks that ship: found in a trunk of closed forms, on grids of any kind."""

from dataclasses import replace
from threading import Event

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import CancelledError, GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.request import Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models.lung_nodules import run as lung_nodules
from napari_radcnn.models.lung_nodules.places import Places
from napari_radcnn.models.lung_nodules.points import Point, operating_points
from napari_radcnn.models.lung_nodules.spec import POINTS, SPEC, LungNodulesOptions
from napari_radcnn.phantom import rotation
from napari_radcnn.volume import Volume, VolumeMetadata
from trunk import AXIAL, trunk

#: Centers (LPS mm) and diameters of what is put into the lungs, all solid.
NODULES = (((-62.0, 20.0, 60.0), 12.0), ((-70.0, -25.0, 20.0), 9.0), ((60.0, 30.0, 70.0), 16.0))
#: Another grid than the trunk's own: tilted, with slices thicker than pixels are wide.
TILTED = Geometry.from_parts((96, 122, 170), (2.0, 1.5, 1.4), (-128.0, -96.0, -58.0), rotation(7, -5, 6)[:, ::-1])


def with_nodules(geometry, nodules=NODULES):
    """The trunk with balls of 40 HU, each voxel mixed by how much of it they fill."""
    scan, _ = trunk(geometry)
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    position = geometry.to_world(index)
    hu = np.asarray(scan.array, np.float32)
    for center, diameter in nodules:
        away = np.linalg.norm(position - np.array(center), axis=-1)
        share = np.clip(0.5 - (away - diameter / 2) / 1.5, 0, 1)
        hu = hu * (1 - share) + 40 * share
    return scan.with_array(np.rint(hu).astype(np.int16))


@pytest.fixture(scope="module")
def tilted():
    """With nodules, and with no numbers in its first slices."""
    scan = with_nodules(TILTED)
    values = np.asarray(scan.array, np.float32)
    values[:2] = np.nan
    return scan.with_array(values)


@pytest.fixture(scope="module")
def found(tilted):
    with pytest.MonkeyPatch.context() as patch:  # of many places the best stay, in a third of the time
        patch.setattr(lung_nodules, "PLACES", 60)
        patch.setattr(lung_nodules, "_MIRRORED", 10)
        return radcnn.detect(tilted, "lung-nodules")


def _nearest(boxes, center):
    distances = [np.linalg.norm(np.subtract(box.center, center)) for box in boxes]
    number = int(np.argmin(distances))
    return distances[number], boxes[number]


@pytest.mark.parametrize(("center", "diameter"), NODULES)
def test_nodules_on_a_tilted_grid_are_found_where_they_are(found, center, diameter):
    away, box = _nearest(found.boxes, center)
    assert away < 2
    assert box.label == "lung nodule"
    assert box.score > 0.5
    assert len(set(box.size)) == 1
    assert diameter / 1.6 < box.size[0] < diameter * 1.6


def test_little_else_is_found_and_the_best_come_first(found):
    scores = [box.score for box in found.boxes]
    assert scores == sorted(scores, reverse=True)
    ranks = [found.boxes.index(_nearest(found.boxes, center)[1]) for center, _ in NODULES]
    assert max(ranks) <= len(NODULES) + 1


def test_the_result_says_what_it_learned_from(found):
    assert any("synthetic nodules only" in text for text in found.warnings)
    assert found.provenance["facts"]["lung_liters"] == pytest.approx(1.08, rel=0.2)


def test_voxels_without_a_number_are_told(found):
    assert any("NaN" in text for text in found.warnings)


@pytest.mark.slow  # what is found on the tilted grid lies where it is
def test_the_order_of_axes_changes_nothing(tilted, found):
    again = radcnn.detect(tilted.reoriented("RAI"), "lung-nodules")
    assert len(again.boxes) == len(found.boxes)
    for one, other in zip(again.boxes, found.boxes, strict=True):
        assert np.allclose(one.center, other.center, atol=1e-3)
        assert one.score == pytest.approx(other.score, abs=1e-3)


def test_options_choose_among_the_places(tilted):
    places = Places(np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]), np.array([4.0, 8.0, 12.0]), np.zeros(3))
    scores = np.array([0.9, 0.15, 0.6])

    def left(**options):
        request = Request(SPEC, tilted, LungNodulesOptions(**options), RunSettings(), 1)
        return lung_nodules._detections(TILTED, places, scores, lung_nodules._best(request, places, scores, None))

    def told(**options):
        return [(box.score, box.size[0]) for box in left(**options)]

    assert told() == [(0.9, 4.0), (0.6, 12.0)]
    assert told(threshold=0.1) == [(0.9, 4.0), (0.6, 12.0), (0.15, 8.0)]
    assert told(threshold=0.1, smallest=5.0) == [(0.6, 12.0), (0.15, 8.0)]
    assert told(most=1) == [(0.9, 4.0)]
    assert left()[0].center == pytest.approx(tuple(TILTED.to_world((1.0, 2.0, 3.0))))


# -- what is refused --------------------------------------------------------------------------------------------------


def test_too_few_slices_are_refused_before_the_run():
    scan, _ = trunk()
    flat = Volume(scan.array[20:24], scan.geometry.cropped((slice(20, 24), slice(None), slice(None))), scan.metadata)
    with pytest.raises(GeometryError, match="4 slices over 20 mm"):
        radcnn.plan(flat, "lung-nodules")
    with pytest.raises(GeometryError, match="4 slices"):
        radcnn.detect(flat, "lung-nodules")


def test_a_scan_without_a_lung_is_refused():
    scan, truth = trunk()
    airless = scan.with_array(np.where(truth["lung"] | truth["airway"] | truth["air"], 40, scan.array))
    with pytest.raises(ModelError, match="No aerated lung"):
        radcnn.detect(airless, "lung-nodules", anyway=True)


@pytest.mark.parametrize("change", [lambda hu: hu + 1024, lambda hu: hu * 0, lambda hu: hu * np.float32(np.nan)])
def test_what_holds_no_hounsfield_units_is_refused(change):
    scan, _ = trunk()
    with pytest.raises(ModelError, match=r"Hounsfield|value everywhere|no finite"):
        radcnn.detect(scan.with_array(change(scan.array)), "lung-nodules")


def test_what_speaks_against_a_scan_is_said_before_the_run():
    scan, _ = trunk()
    thick = replace(scan, geometry=Geometry.from_parts(AXIAL.shape, (7.0, 3.1, 3.0)))
    assert any("7.0 mm: the model was trained" in text for text in radcnn.plan(thick, "lung-nodules").warnings)
    other = replace(scan, metadata=VolumeMetadata(name="head", modality="MR"))
    assert any("MR" in text for text in radcnn.plan(other, "lung-nodules").warnings)
    unknown = replace(scan, metadata=replace(scan.metadata, is_calibrated=False))
    assert any("voxel size of the scan is unknown" in text for text in radcnn.plan(unknown, "lung-nodules").warnings)
    assert radcnn.plan(scan, "lung-nodules").warnings == ()


def test_a_run_can_be_stopped_and_tells_its_steps(tilted):
    steps = []
    cancel = Event()

    def progress(done, total, message):
        steps.append((done, total, message))
        if "airways" in message:
            cancel.set()

    with pytest.raises(CancelledError):
        radcnn.detect(tilted, "lung-nodules", progress=progress, cancel=cancel)
    assert "airways" in steps[-1][2]
    assert steps[-1][0] < steps[-1][1]


def test_patches_cover_the_cells_with_few_shapes():
    for sides in ((30, 90, 130), (81, 200, 5)):
        patch = lung_nodules._sampling(sides).patch
        assert all(n % 16 == 0 and 16 <= n <= 80 for n in patch)
    assert lung_nodules._sampling((112, 74, 108)).patch == (64, 80, 64)


def test_operating_points_ship_and_find_more_the_lower_their_score():
    points = {point.name: point for point in operating_points(SPEC)}
    assert tuple(points) == POINTS
    assert points["sensitivity 0.9"].threshold <= points["sensitivity 0.8"].threshold
    assert points["sensitivity 0.9"].false_per_chest >= points["sensitivity 0.8"].false_per_chest
    assert points["balanced"].false_per_chest <= 1


def test_a_chosen_operating_point_takes_the_place_of_the_minimum_score(tilted, monkeypatch):
    stored = [Point("balanced", 0.97, 0.5, 0.7), Point("sensitivity 0.8", 0.012, 0.8, 9.0)]
    monkeypatch.setattr("napari_radcnn.models.lung_nodules.points.operating_points", lambda _: tuple(stored))
    few = radcnn.detect(tilted, "lung-nodules", {"operating_point": "balanced", "threshold": 0.01})
    many = radcnn.detect(tilted, "lung-nodules", {"operating_point": "sensitivity 0.8", "threshold": 0.99})
    assert all(box.score >= 0.97 for box in few.boxes)
    assert len(few.boxes) < len(many.boxes)
    assert few.provenance["facts"]["operating_point"]["threshold"] == 0.97
    assert any("50 of 100" in text and "0.7 false findings" in text for text in few.warnings)
    with pytest.raises(ModelError, match=r"no operating point 'sensitivity 0\.9'"):
        radcnn.detect(tilted, "lung-nodules", {"operating_point": "sensitivity 0.9"})


def test_without_a_point_the_minimum_score_counts(found):
    assert "operating_point" not in found.provenance["facts"]
