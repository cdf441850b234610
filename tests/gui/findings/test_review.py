"""Findings under review, without a window: what is shown, what was decided, what is written."""

from __future__ import annotations

import json
import math
from copy import deepcopy

import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import ReadError
from napari_radcnn.gui.findings.review import Review
from napari_radcnn.io import Kind, kind_of
from napari_radcnn.io.dicom_results.shareable import shareable
from napari_radcnn.io.reports import read_detections
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.results import Detection, Detections

SCORES = (0.25, 0.75, 0.5, 0.125)


def found(*scores, **more):
    boxes = tuple(
        Detection(f"at {n}", score, (n, -2.0 * n, 3.5), (4.0, 5.0 + n, 3.0)) for n, score in enumerate(scores)
    )
    return Detections(tuple(boxes), "CT · finder", **more)


def test_findings_are_numbered_from_the_highest_score_down():
    review = Review(found(*SCORES))
    assert [box.score for box in review.boxes] == [0.75, 0.5, 0.25, 0.125]
    assert review.shown == [0, 1, 2, 3]
    assert review.boxes[0].diameter == 6.0  # its longest side


def test_the_threshold_hides_what_is_lower_and_not_what_equals_it():
    review = Review(found(*SCORES), threshold=0.5)
    assert review.shown == [0, 1]
    assert review.summary == "2 of 4 findings"
    review.threshold = 0.500001
    assert review.shown == [0]
    review.threshold = 0.0
    assert review.shown == [0, 1, 2, 3]


def test_a_finding_without_a_score_comes_last_and_is_always_shown():
    review = Review(found(math.nan, 0.25, 0.75), threshold=0.9)
    assert [box.label for box in review.boxes] == ["at 2", "at 1", "at 0"]
    assert review.shown == [2]
    assert review.has_scores
    assert not Review(found(math.nan)).has_scores


def test_every_decision_can_be_taken_back_in_turn():
    review = Review(found(*SCORES))
    review.decide(1, "accepted")
    review.decide(1, "rejected")
    review.decide(3, "rejected")
    review.decide(3, "rejected")  # no change, and nothing to take back
    assert [box.state for box in review.boxes] == ["candidate", "rejected", "candidate", "rejected"]
    assert review.summary == "4 of 4 findings · 2 rejected"
    assert review.undo() == 3
    assert review.undo() == 1
    assert review.boxes[1].state == "accepted"
    assert review.undo() == 1
    assert not review.can_undo
    assert review.undo() is None
    assert {box.state for box in review.boxes} == {"candidate"}


def test_the_next_finding_is_the_next_that_is_shown():
    review = Review(found(0.9, math.nan, 0.2), threshold=0.5)  # 0.9, then 0.2 hidden, then the one without a score
    assert review.next_after(0) == 2
    assert review.next_after(2) == 2


def test_what_is_kept_is_shown_and_not_rejected_and_says_what_was_left_out():
    review = Review(found(*SCORES, provenance={"model": {"name": "finder"}}), threshold=0.25)
    review.decide(0, "rejected")
    review.decide(2, "accepted")
    review.decide(3, "accepted")  # which is below the threshold
    kept = review.kept()
    assert [(box.score, box.state) for box in kept.boxes] == [(0.5, "candidate"), (0.25, "accepted")]
    assert kept.provenance["model"] == {"name": "finder"}
    assert kept.provenance["reviews"] == [
        {"score_threshold": 0.25, "accepted": 1, "undecided": 1, "rejected": 1, "below_threshold": 1}
    ]
    assert review.summary == "3 of 4 findings · 1 accepted · 1 rejected · 1 accepted, but below the score and left out"
    again = Review(kept, threshold=0.3).kept()
    assert len(again.provenance["reviews"]) == 2
    assert again.provenance["reviews"][1]["below_threshold"] == 1


def test_nothing_decided_on_findings_that_nothing_is_known_of_makes_no_manifest(tmp_path):
    untouched = Review(found(*SCORES)).kept()
    assert write_with_manifest(untouched, tmp_path / "a.json") == [tmp_path / "a.json"]
    review = Review(found(*SCORES))
    review.decide(0, "rejected")
    assert len(write_with_manifest(review.kept(), tmp_path / "b.json")) == 2
    assert json.loads((tmp_path / "b.json.radcnn.json").read_text())["reviews"][0]["rejected"] == 1


def test_a_manifest_without_the_patient_still_says_what_was_left_out():
    review = Review(found(*SCORES, provenance={"input": {"path": "/home/meier"}}), threshold=0.3)
    manifest = shareable(review.kept().provenance)
    assert manifest["reviews"][0]["below_threshold"] == 2
    assert "meier" not in str(manifest)


def test_a_copy_is_decided_on_by_itself():
    review = Review(found(*SCORES))
    other = deepcopy(review)
    review.decide(0, "rejected")
    assert other.boxes[0].state == "candidate"


def test_nothing_found_is_said():
    assert Review(found()).summary == "No findings."
    assert Review(found(0.5)).summary == "1 of 1 finding"


def test_decisions_survive_in_json_and_are_read_without_them(tmp_path):
    boxes = tuple(
        Detection("a", 0.5, (1.0, -2.0, 3.5), (4.0, 5.0, 6.0), state) for state in ("candidate", "accepted", "rejected")
    )
    radcnn.write(Detections(boxes), tmp_path / "a.json")
    assert read_detections(tmp_path / "a.json").boxes == boxes
    assert Review(read_detections(tmp_path / "a.json")).summary == "3 of 3 findings · 1 accepted · 1 rejected"
    listed = json.loads((tmp_path / "a.json").read_text())["detections"]
    assert ["state" in one for one in listed] == [False, True, True]
    listed[1]["state"] = "perhaps"
    (tmp_path / "b.json").write_text(json.dumps({"detections": listed}))
    with pytest.raises(ReadError, match="contains no valid detections"):
        read_detections(tmp_path / "b.json")


def test_a_table_has_a_column_of_states_where_something_was_decided(tmp_path):
    plain, decided = found(0.5, 0.25), Review(found(0.5, 0.25))
    decided.decide(1, "accepted")
    assert radcnn.write(plain, tmp_path / "a.csv").read_text().splitlines()[0].endswith(",dz_mm")
    head, first, second = radcnn.write(decided.kept(), tmp_path / "b.csv").read_text().splitlines()
    assert head.endswith(",dz_mm,state")
    assert first.endswith(",candidate")
    assert second.endswith(",accepted")


def test_only_json_of_findings_is_taken_for_findings(tmp_path):
    good, manifest = tmp_path / "a.json", tmp_path / "a.json.radcnn.json"
    radcnn.write(found(0.5), good)
    manifest.write_text(good.read_text())
    other, broken, text = tmp_path / "other.json", tmp_path / "broken.json", tmp_path / "a.txt"
    other.write_text('{"probabilities": {"detections": 1}}')
    broken.write_bytes(b"\x00\xff")
    text.write_text(good.read_text())
    assert kind_of(good) is Kind.FINDINGS
    for path in (manifest, other, broken, text, tmp_path / "missing.json", tmp_path):
        assert kind_of(path) is not Kind.FINDINGS
