"""Models of several inputs: which scan goes where, what is missing, one grid, and what the user is told."""

from __future__ import annotations

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from grids import axial, oblique
from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.inference.request import Outcome
from napari_radcnn.operations import plan, run
from napari_radcnn.phantom import world_field
from napari_radcnn.spec.patches import InputSlot

SLOTS = (InputSlot("T1", ("MR",)), InputSlot("FLAIR", ("MR",)), InputSlot("PET", ("PT",)))


@pytest.fixture
def seen(monkeypatch):
    """Register a model of three inputs; return what its recipe was given."""
    _, pipeline = fake_models.register(monkeypatch, inputs=SLOTS, modalities=("MR", "PT"))
    found = []

    def remember(request, monitor):
        found.extend(request.volumes)
        return Outcome("cpu", "float32", array=np.zeros(request.volume.geometry.shape, np.uint8))

    monkeypatch.setattr(pipeline, "run", remember)
    return found


def scan(grid, modality, name, **metadata):
    volume = world_field(grid)
    return volume.with_array(volume.array, modality=modality, name=name, **metadata)


def three(**flair):
    return scan(axial(), "MR", "first"), scan(axial(), "MR", "second", **flair), scan(axial(), "PT", "third")


def test_scans_by_name_reach_their_inputs_in_any_order(seen):
    first, second, third = three()
    labels = run({"PET": third, "T1": first, "FLAIR": second}, "fake")
    assert [volume.name for volume in seen] == ["first", "second", "third"]
    assert labels.geometry.is_close(first.geometry)
    assert [labels.provenance["inputs"][slot]["name"] for slot in ("T1", "FLAIR", "PET")] == [
        "first",
        "second",
        "third",
    ]


def test_scans_on_the_first_grid_are_passed_as_they_are(seen):
    given = three()
    run(given, "fake")
    assert all(mine is theirs for mine, theirs in zip(seen, given, strict=True))


def test_a_scan_on_another_grid_is_resampled_onto_the_first_and_the_user_is_told(seen):
    first, _, third = three()
    finer = first.geometry.with_spacing((1.0, 0.5, 0.6))
    moved = scan(finer, "MR", "second")
    expected = plan([first, moved, third], "fake").warnings
    assert any("Resampled" in text and "second" in text and "third" not in text for text in expected)
    run([first, moved, third], "fake")
    assert seen[1].geometry.is_close(first.geometry)
    inside = (slice(1, -1),) * 3  # the field is linear, so interpolation is exact off the border
    assert np.allclose(seen[1].array[inside], first.array[inside], atol=1e-2)


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (1, ["takes 3 scans (T1, FLAIR, PET)", "got 1", "missing: FLAIR, PET"]),
        (2, ["got 2", "missing: PET"]),
        (4, ["takes 3 scans", "got 4"]),
    ],
)
def test_a_wrong_number_of_scans_is_refused_with_what_is_missing(seen, keep, said):
    with pytest.raises(ModelError) as caught:
        run([*three(), three()[0]][:keep], "fake")
    assert all(text in str(caught.value) for text in said)
    assert not seen


def test_unknown_and_missing_names_are_refused(seen):
    first, second, third = three()
    with pytest.raises(ModelError, match="no input named 'T2'"):
        run({"T1": first, "T2": second, "PET": third}, "fake")
    with pytest.raises(ModelError, match="missing: FLAIR"):
        run({"T1": first, "PET": third}, "fake")


def test_a_model_of_one_scan_refuses_two(monkeypatch):
    fake_models.register(monkeypatch)
    with pytest.raises(ModelError, match="takes 1 scan, got 2"):
        run(three()[:2], "fake")


def test_another_modality_or_patient_space_is_a_warning_before_the_run(seen):
    first, second, third = three(frame_of_reference_uid="1.2")
    first = first.with_array(first.array, frame_of_reference_uid="1.3")
    told = plan([first, second, third], "fake").warnings
    assert any("frames of reference" in text for text in told)
    assert not any("The input " in text for text in told)
    told = plan([first, third, third], "fake").warnings
    assert any(text == "The input FLAIR is PT, but 'fake' was made for MR." for text in told)


def test_scans_that_do_not_overlap_are_refused(seen):
    first, second, third = three()
    far = radcnn.Geometry(second.geometry.shape, second.geometry.affine + np.outer([1, 1, 1, 0], [0, 0, 0, 9000.0]))
    with pytest.raises(GeometryError, match="do not overlap"):
        run([first, world_field(far), third], "fake")


def test_an_oblique_reference_grid_is_kept(seen):
    first, second, third = scan(oblique(), "MR", "first"), *three()[1:]
    labels = run([first, second, third], "fake")
    assert labels.geometry.is_close(first.geometry)
    assert all(volume.geometry.is_close(first.geometry) for volume in seen)
