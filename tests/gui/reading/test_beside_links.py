"""Which places of two scans are the same, whose the scans are, and labels and findings carried from one to another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Layer
from scipy.spatial.transform import Rotation

import grids
from napari_radcnn.alignment import Alignment
from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.aligning import place
from napari_radcnn.gui.layers.belonging import identity, made_of
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.beside import pairs
from napari_radcnn.gui.reading.beside.copying import copyable, moved_findings, moved_labels
from napari_radcnn.gui.reading.beside.links import Links, layout_for
from napari_radcnn.gui.reading.beside.outlines import outline
from napari_radcnn.gui.reading.beside.spaces import Link, link_of, space_of
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.results import Detection, Detections, Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

GRID = grids.sheared()
TURN = np.eye(4)
TURN[:3, :3] = Rotation.from_rotvec(np.radians(7) * np.array((0.0, 0.6, 0.8))).as_matrix()
TURN[:3, 3] = (4.0, -9.0, 2.5)
MOVE = Alignment(TURN, residual_mm=0.4)


def scan(name="scan", grid=GRID, **known):
    array = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape)
    return Volume(array, grid, VolumeMetadata(name=name, **{"modality": "CT", "units": "HU", **known}))


def layer_of(volume):
    return Layer.create(*layer_data(volume))


class Viewer:
    """What `place` needs of one."""

    def __init__(self, *layers):
        self.layers = list(layers)


# -- links ---------------------------------------------------------------------------------------------------------


def test_one_frame_of_reference_links_and_nothing_else_does():
    one, two = (layer_of(scan(name, frame_of_reference_uid="1.2")) for name in "ab")
    assert link_of(one, two, {}) == Link("frame")
    other = layer_of(scan("c", frame_of_reference_uid="1.3"))
    assert link_of(one, other, {}) is None  # the same grid
    unknown = [layer_of(scan(name)) for name in "de"]
    assert link_of(*unknown, {}) is None
    assert link_of(one, unknown[0], {}) is None
    film = layer_of(scan("f", frame_of_reference_uid="1.2", is_placed=False))
    assert link_of(one, film, {}) is None
    assert link_of(one, film, {(space_of(one), space_of(film)): (0.0, 0.0, 0.0)}) is None


def test_a_scan_that_was_moved_by_hand_is_not_linked_by_its_file():
    one, two = (layer_of(scan(name, frame_of_reference_uid="1.2")) for name in "ab")
    two.translate = np.add(two.translate, (0.0, 5.0, 0.0))
    assert link_of(one, two, {}) is None
    two.translate = np.subtract(two.translate, (0.0, 5.0, 0.0))
    assert link_of(one, two, {}) == Link("frame")


@pytest.mark.parametrize("uid", ["", "1.9"])
def test_an_aligned_scan_lies_in_the_space_of_what_it_was_aligned_to(uid):
    fixed = layer_of(scan("now", frame_of_reference_uid=uid))
    beside = layer_of(scan("also now", frame_of_reference_uid=uid))
    moving, sibling = (layer_of(scan(name, frame_of_reference_uid="1.2")) for name in ("before", "also before"))
    placed = place(Viewer(fixed, moving), moving, MOVE, "now", space_of(fixed))
    assert link_of(fixed, moving, {}) == Link("alignment", residual_mm=0.4)
    assert link_of(moving, fixed, {}) == Link("alignment", residual_mm=0.4)
    assert (link_of(beside, moving, {}) is not None) == bool(uid)
    assert link_of(moving, sibling, {}) is None  # which stayed where it was
    placed.undo()
    assert link_of(fixed, moving, {}) is None
    assert link_of(moving, sibling, {}) == Link("frame")


def test_the_same_place_links_by_what_lies_between_and_is_taken_back():
    one, two = layer_of(scan("a", frame_of_reference_uid="1")), layer_of(scan("b", frame_of_reference_uid="2"))
    again = layer_of(scan("c", frame_of_reference_uid="2"))
    links = Links()
    links.first = one
    here, there = np.array((40.0, 17.0, -30.0)), np.array((52.5, 11.0, -29.0))  # along S, P, L
    assert links.declare(here, [(two, there)])
    link = links.to(two)
    assert link == Link("place", (1.0, -6.0, 12.5))
    assert not link.is_identity
    assert link.words == "same place, L 1.0 A 6.0 S 12.5 mm apart"
    assert np.allclose(link.to_second((-30.0, 17.0, 40.0)), (-29.0, 11.0, 52.5))
    assert np.allclose(link.inverse.to_second(link.to_second((3.0, 4.0, 5.0))), (3.0, 4.0, 5.0))
    assert links.to(again) == link  # it is of their spaces
    assert link_of(two, one, links.declared) == link.inverse
    assert not links.declare(here, [(two, there)])  # nothing new
    assert links.declare(here, [(two, here)])
    assert links.to(two).is_identity
    links.first = two
    assert links.declare(there, [(one, here)])  # from the other side
    assert links.to(one) == link.inverse
    assert len(links.declared) == 1
    links.steps.pop()()
    links.steps.pop()()
    links.first = one
    assert links.to(two) == link
    links.steps.pop()()
    assert links.to(two) is None
    links.wanted["position"] = False
    assert links.declare(here, [(two, there)])
    assert links.followed(two) is None
    film = layer_of(scan("film", is_placed=False))
    assert not links.declare(here, [(film, there)])


def test_why_something_is_not_linked():
    links = Links()
    links.first = layer_of(scan("a", frame_of_reference_uid="1"))
    assert links.why_not([layer_of(scan("b", frame_of_reference_uid="1"))]) == {}
    other = layer_of(scan("m", modality="MR", units="", is_calibrated=False))
    assert links.why_not([other]) == {
        "position": "it is not known which places of the scans are the same",
        "window": "CT beside MR",
        "zoom": "the pixel size is known for only one of them",
    }
    links.first = layer_of(scan("t1", modality="MR", units=""))
    assert links.why_not([layer_of(scan("t2", modality="MR", units=""))])["window"] == "values without a common unit"


def test_pictures_have_no_second_plane():
    ct, film = layer_of(scan("a")), layer_of(scan("b", is_placed=False))
    assert layout_for("grid", ct, [ct]) == "grid"
    assert layout_for("grid", ct, [film]) == "two"
    assert layout_for("two", ct, [ct, film]) == "row"
    assert layout_for("row", ct, [film]) == "two"


# -- pairs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "are_two"),
    [
        (("Doe^Jane", "1"), ("Doe^Jane", "1"), False),
        (("Doe^Jane", "1"), ("Doe^Jane", "2"), True),
        (("Doe^Jane", "1"), ("DOE^JANE", " 1"), False),
        (("Doe^Jane", "1"), ("Roe^Ann", "1"), False),  # she changed her name
        (("Doe^Jane", ""), ("Roe^Ann", "1"), True),
        (("Doe^Jane", ""), ("doe jane", "1"), False),
        (("", ""), ("Doe^Jane", "1"), False),
        (("", ""), ("", ""), False),
        (("Doe^Jane", "1"), ("", ""), False),
    ],
)
def test_two_patients(one, two, are_two):
    volumes = [scan(patient_name=name, patient_id=number) for name, number in (one, two)]
    assert pairs.are_two_patients(*volumes) is are_two


def test_the_most_likely_partner_comes_first():
    known = {"patient_name": "Doe", "patient_id": "1", "description": "chest"}
    own = layer_of(scan("now", study_uid="s2", **known))
    stranger = layer_of(scan("stranger", study_uid="s3", **known | {"patient_id": "2"}))
    mr = layer_of(scan("mr", study_uid="s1", **known | {"modality": "MR"}))
    second = layer_of(scan("second series", study_uid="s2", **known))
    prior = layer_of(scan("prior", study_uid="s1", **known))
    prior_head = layer_of(scan("prior head", study_uid="s1", **known | {"description": "head"}))
    labels = Layer.create(*layer_data(LabelMap(np.zeros(GRID.shape, np.uint8), GRID, {})))
    found = pairs.partners_of(own, [stranger, labels, mr, second, prior_head, own, prior])
    assert [layer.name for layer in found] == ["prior", "prior head", "second series", "stranger", "mr"]


def test_overlap_is_that_of_the_places_that_are_the_same():
    one = layer_of(scan("a", grids.axial()))
    away = grids.axial().affine.copy()
    away[:3, 3] += (0.0, 300.0, 0.0)
    two = layer_of(scan("b", Geometry(grids.SHAPE, away)))
    assert not pairs.overlap(one, two, Link("frame"))
    assert pairs.overlap(one, two, Link("place", (0.0, 299.0, 0.0)))
    assert not pairs.overlap(two, one, Link("place", (0.0, 299.0, 0.0)))
    assert pairs.overlap(two, one, Link("place", (0.0, 299.0, 0.0)).inverse)


# -- labels and findings -------------------------------------------------------------------------------------------


def test_labels_are_carried_to_the_nearest_voxels_of_an_oblique_grid():
    source, target = oblique_geometry((12, 15, 18)), grids.sheared()
    shift = np.array((3.7, -2.2, 5.4))
    middle = target.to_world((1, 2, 2)) - source.to_world((6, 7, 9)) + shift
    target = Geometry(target.shape, target.affine + np.pad(-middle[:, None] + 2 * shift[:, None], ((0, 1), (3, 0))))
    array = np.random.default_rng(3).integers(0, 5, source.shape).astype(np.uint8)
    labels = LabelMap(array, source, {2: Label("two")}, "drawn", {"model": "x"}, ("careful",))
    link = Link("place", (float(shift[0]), float(shift[1]), float(shift[2])))
    there = scan("there", target, frame_of_reference_uid="2", series_uid="9")
    found = moved_labels(labels, there, link, "Copied.")
    index = np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), -1)
    back = np.rint(source.to_index(target.to_world(index) - shift)).astype(int)
    inside = ((back >= 0) & (back < source.shape)).all(-1)
    assert 0.2 < inside.mean() <= 1
    expected = np.where(
        inside, array[tuple(np.where(inside[..., None], back, 0).reshape(-1, 3).T)].reshape(target.shape), 0
    )
    assert np.array_equal(found.array, expected)
    assert found.geometry.is_close(target)
    assert found.labels == labels.labels
    assert found.metadata.series_uid == "9"
    assert found.provenance == {"model": "x", "copied_onto": "there"}
    assert found.warnings == ("careful", "Copied.")
    with pytest.raises(GeometryError, match="do not overlap"):
        moved_labels(labels, there, Link("place", (900.0, 0.0, 0.0)), "")


def test_findings_are_carried_with_what_was_decided():
    box = Detection("nodule", 0.7, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "accepted")
    moved = moved_findings(Detections((box,), "n", warnings=("a",)), Link("place", (10.0, -20.0, 30.0)), "Copied.")
    assert moved.boxes == (replace(box, center=(11.0, -18.0, 33.0)),)
    assert moved.warnings == ("a", "Copied.")


def test_only_what_belongs_to_a_scan_is_copied():
    one, two = layer_of(scan("a")), layer_of(scan("b"))
    labels = LabelMap(np.ones(GRID.shape, np.uint8), GRID, {1: Label("x")})
    of_one, of_two = (Layer.create(*made_of(layer_data(labels), identity(each))) for each in (one, two))
    foreign = Layer.create(np.zeros((3, 4, 5), np.uint8), {"name": "foreign"}, "labels")
    layers = [one, two, of_one, of_two, foreign]
    assert copyable(layers, one) == [of_one]
    assert copyable(layers, two) == [of_two]


def test_an_outline_is_one_voxel_wide_and_labels_beside_each_other_both_have_one():
    cut = np.zeros((6, 8), np.uint8)
    cut[1:5, 1:5], cut[1:5, 5:7] = 2, 3
    found = outline(cut)
    assert np.array_equal(found[2:4, 2:4], np.zeros((2, 2)))
    assert (found[1:5, 4] == 2).all()
    assert (found[1:5, 5] == 3).all()
    assert not found[0].any()
    assert np.array_equal(found != 0, (found != 0) & (cut != 0))
