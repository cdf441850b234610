"""Networks from elsewhere whose boxes are known: what they list, decoded, suppressed and placed; and bad answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import describe_answer, scan
from model_factory import write_safetensors
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.detection.anchors import anchor_boxes, cells_of_sizes, moved
from napari_radcnn.foreign.detection.suppression import Found, suppressed
from napari_radcnn.networks.outputs import pack, unpack
from onnx_file import boxes_onnx

PATCH = (40, 50)


def box_keys(**changes):
    """Return the keys of a detector of two dimensions in place of those of a classification."""
    keys = {
        "task": "detection",
        "classes": ["nodule", "cyst"],
        "spatial_dims": 2,
        "patch": list(PATCH),
        "fit": "linear",
    }
    return keys | changes


def film(mean=0.3, shape=(1, 80, 100)):
    """Return a picture twice as large as what the network sees, its pixels 0.5 x 0.25 mm."""
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 0.25], [0, 0.5, 0], [2.0, 0, 0]]
    affine[:3, 3] = [-11.0, 7.0, 3.0]
    return radcnn.Volume(
        scan(mean, shape).array, radcnn.Geometry(shape, affine), radcnn.VolumeMetadata("film", modality="CT")
    )


@pytest.fixture
def detected(tmp_path, monkeypatch):
    """Return a function that detects in a picture with a network that answers with these arrays."""

    def run(*arrays, volume=None, answer=None, options=None, **changes):
        class Here:
            backend, device, precision, agreement, measured_on = "torch", "cpu", "float32", None, None

            def __call__(self, patch):
                return pack(arrays if answer is None else answer(patch))

            def close(self):
                pass

        monkeypatch.setattr("napari_radcnn.foreign.detection.run.open_file_network", lambda *_, **__: (Here(), ()))
        path = tmp_path / "net.onnx"
        path.write_bytes(boxes_onnx([[0.0] * 4] * 2, [0.0] * 2, [0] * 2, (40, 50)))
        describe_answer(tmp_path / "net.json", **box_keys(**changes))
        monkeypatch.setattr("napari_radcnn.foreign.sidecar.opening.check_detector", lambda *_: None)
        return radcnn.detect(film() if volume is None else volume, radcnn.open_model(path), options, device="cpu")

    return run


def test_arrays_come_back_from_a_row():
    arrays = [np.arange(6.0).reshape(2, 3), np.zeros((0, 4)), np.array(5.0), np.arange(4.0).reshape(1, 2, 2, 1)]
    for before, after in zip(arrays, unpack(pack(arrays)), strict=True):
        assert before.shape == after.shape
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("dims", [2, 3])
def test_anchors_lie_in_the_middle_of_their_steps_and_are_moved_by_deltas(dims):
    cells = cells_of_sizes([[8.0]], [[1.0] * (dims - 1)])[0]
    found = anchor_boxes(cells, (3, 2, 4)[:dims], (4, 6, 2)[:dims], is_middle=True)
    middle = (np.array((4, 6, 2)[:dims])) // 2
    np.testing.assert_array_equal(found[0], np.concatenate([middle - 4, middle + 4]))
    np.testing.assert_array_equal(
        found[1] - found[0], [0] * (dims - 1) + [(4, 6, 2)[dims - 1]] + [0] * (dims - 1) + [(4, 6, 2)[dims - 1]]
    )
    deltas = np.zeros((len(found), 2 * dims))
    deltas[:, 0], deltas[:, dims] = 5.0, 5 * np.log(2)
    there = moved(found, deltas, [10.0] * dims + [5.0] * dims)
    np.testing.assert_allclose((there[:, 0] + there[:, dims]) / 2, (found[:, 0] + found[:, dims]) / 2 + 0.5 * 8)
    np.testing.assert_allclose(there[:, dims] - there[:, 0], 16)


def test_of_boxes_that_share_too_much_the_best_of_each_class_is_kept():
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [20, 20, 30, 30], [5, 0, 15, 10.0]])
    found = Found(corners, np.array([0.6, 0.9, 0.5, 0.2, 0.3]), np.array([0, 0, 1, 0, 0]))
    kept, more = suppressed(found, 0.5, 10)
    assert (kept.scores.tolist(), more) == ([0.9, 0.5, 0.3, 0.2], False)
    assert suppressed(found, 0.4, 10)[0].scores.tolist() == [0.9, 0.5, 0.2]  # 6 x 10 of 14 x 10 shared
    kept, more = suppressed(found, 0.5, 2)
    assert (kept.scores.tolist(), more) == ([0.9, 0.5], True)


def test_a_listed_box_of_a_radiograph_is_placed_in_the_patient(detected):
    found = detected(np.array([[10.0, 20, 14, 30]]), np.array([0.8]), np.array([1.0]))
    (one,) = found.boxes
    # rows 20..28 and columns 40..60 of the picture, from edge to edge
    assert (one.label, one.score) == ("cyst", pytest.approx(0.8))
    np.testing.assert_allclose(one.center, (-11 + 0.25 * 49.5, 7 + 0.5 * 23.5, 3), atol=1e-6)
    np.testing.assert_allclose(one.size, (0.25 * 20, 0.5 * 8, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        ([20.0, 10, 30, 14], {"order": "reversed"}),
        ([12.0, 25, 4, 10], {"box": "center-size"}),
        ([25.0, 12, 10, 4], {"box": "center-size", "order": "reversed"}),
        ([10 / 40, 20 / 50, 14 / 40, 30 / 50], {"coordinates": "fraction"}),
        ([9.5, 19.5, 13.5, 29.5], {"starts_at": "center"}),
    ],
)
def test_boxes_are_read_as_their_description_says(detected, row, changes):
    plain = detected(np.array([[10.0, 20, 14, 30]]), np.array([0.8]), np.array([0.0])).boxes[0]
    one = detected(np.array([row]), np.array([0.8]), np.array([0.0]), **changes).boxes[0]
    np.testing.assert_allclose((*one.center, *one.size), (*plain.center, *plain.size), atol=1e-5)


def test_a_score_for_each_class_makes_a_finding_of_each(detected):
    logits = np.array([[[2.0, 0.0], [-9.0, -9.0]]])
    found = detected(np.array([[[10.0, 20, 14, 30], [1, 1, 5, 5]]]), logits, activation="sigmoid")
    assert [(one.label, round(one.score, 4)) for one in found.boxes] == [("nodule", 0.8808), ("cyst", 0.5)]


def test_regions_of_a_faster_rcnn_are_moved_for_each_class(detected):
    regions = np.array([[10.0, 20, 14, 30]])
    logits = np.array([[0.0, np.log(6), np.log(3)]])
    deltas = np.zeros((1, 12))
    deltas[0, 4] = 10 * 0.5  # the nodule's, by half of its height
    found = detected(
        regions,
        logits,
        deltas,
        form="proposals",
        delta_weights=[10, 10, 5, 5],
        least_score=0.1,
        classes=["nodule", "cyst"],
    )
    assert [(one.label, one.score) for one in found.boxes] == [
        ("nodule", pytest.approx(0.6)),
        ("cyst", pytest.approx(0.3)),
    ]
    assert found.boxes[0].center[1] - found.boxes[1].center[1] == pytest.approx(0.5 * 4)


def test_windows_find_an_object_once_and_where_it_lies(detected):
    volume = film(shape=(1, 90, 110))
    bright = np.zeros((1, 90, 110), np.float32)
    bright[0, 45:53, 60:66] = 1
    volume = volume.with_array(bright)

    def answer(patch):
        rows, columns = (np.flatnonzero(patch[0, 0].any(axis)) for axis in (1, 0))
        if not len(rows):
            return np.zeros((0, 4)), np.zeros(0), np.zeros(0)
        return (
            np.array([[rows[0], columns[0], rows[-1] + 1, columns[-1] + 1.0]]),
            np.array([patch.sum() / 50]),
            np.zeros(1),
        )

    found = detected(answer=answer, volume=volume, fit=..., overlap=0.5)
    assert found.boxes[0].score == pytest.approx(48 / 50)
    np.testing.assert_allclose(found.boxes[0].center, (-11 + 0.25 * 62.5, 7 + 0.5 * 48.5, 3))
    np.testing.assert_allclose(found.boxes[0].size, (0.25 * 6, 0.5 * 8, 2))
    assert len(found.boxes) == 1


def test_boxes_outside_of_the_picture_are_left_out_and_told(detected):
    corners = np.array([[10.0, 20, 14, 30], [-9, 20, -2, 30], [10, 60, 14, 70], [-4, 20, 4, 30]])
    found = detected(corners, np.array([0.9, 0.8, 0.7, 0.6]), np.zeros(4))
    assert len(found.boxes) == 2
    np.testing.assert_allclose(found.boxes[1].size[1], 0.5 * 2 * 4)  # what lies within
    assert any("placed 2 boxes outside the scan; they are left out" in text for text in found.warnings)


def test_ten_thousand_boxes_are_cut_to_the_best_and_told(detected):
    rng = np.random.default_rng(0)
    low = np.stack([rng.uniform(0, 36, 10_000), rng.uniform(0, 46, 10_000)], 1)
    scores = rng.uniform(0.1, 0.9, 10_000)
    found = detected(np.concatenate([low, low + 3], 1), scores, np.zeros(10_000), suppress_above=0.95, most=250)
    assert len(found.boxes) == 250
    assert found.boxes[0].score == pytest.approx(scores.max())
    assert any("detected more than 250 boxes" in text for text in found.warnings)


def test_a_threshold_leaves_out_findings(detected):
    corners = np.array([[10.0, 20, 14, 30], [20, 20, 24, 30]])
    found = detected(corners, np.array([0.9, 0.4]), np.zeros(2), options={"threshold": 0.5})
    assert [one.score for one in found.boxes] == [pytest.approx(0.9)]


GOOD = np.array([[10.0, 20, 14, 30]])


@pytest.mark.parametrize(
    ("arrays", "changes", "told"),
    [
        ((GOOD * np.nan, np.array([0.8]), np.zeros(1)), {}, "returned NaN"),
        ((GOOD, np.array([np.inf]), np.zeros(1)), {}, "returned infinity"),
        ((GOOD, np.array([0.8, 0.1]), np.zeros(1)), {}, "lists 1 boxes, but 2 scores"),
        ((GOOD, np.array([0.8]), np.zeros(3)), {}, "one score and one class are expected for each box"),
        ((GOOD[:, :3], np.array([0.8]), np.zeros(1)), {}, "boxes have shape 1 x 3; a row of 4 numbers"),
        ((GOOD, np.array([7.5]), np.zeros(1)), {}, "not between 0 and 1, so they are logits"),
        ((GOOD, np.array([0.8]), np.array([2.0])), {}, 'those of the 2 names are 0 to 1: see "first_label"'),
        ((GOOD, np.array([0.8]), np.array([0.5])), {}, "classes lie between 0.5 and 0.5"),
        ((GOOD, np.array([0.8]), np.zeros(1)), {"first_label": 1}, "those of the 2 names are 1 to 2"),
        ((np.array([[12.0, 25, 4, 10]]), np.array([0.8]), np.zeros(1)), {}, 'set "box" to "center-size"'),
        ((GOOD, np.array([[0.8, 0.1, 0.1]])), {}, "gives 3 scores for each box, but 2 classes are named"),
        ((GOOD, np.zeros((1, 2)), np.zeros((1, 8))), {"form": "proposals"}, "1 x 3 and 1 x 12 are expected"),
    ],
)
def test_an_answer_that_does_not_fit_is_no_finding(detected, arrays, changes, told):
    with pytest.raises(ModelError, match=f"three-ways: .*{told}"):
        detected(*arrays, **changes)


MAPS = {"form": "anchor-maps", "anchors": {"shapes": [[8, 8]], "scales": [1]}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classes": []}, "'classes' must name each class to be detected"),
        ({"classes": ["a", "a"]}, "none twice"),
        ({"form": "rows"}, "form='rows' is not supported"),
        ({"activation": "softmax"}, "softmax is for"),
        ({"least_score": 3}, "'least_score' must be between 0 and 1"),
        ({"suppress_above": -1}, "'suppress_above' must be between 0 and 1"),
        ({"most": 0}, "'most' must be a number from 1"),
        ({"box": "middle"}, "box='middle' is not supported"),
        ({"anchors": {}}, "the argument 'anchors' is not supported"),
        ({"form": "anchor-maps"}, "'anchors' is missing"),
        ({**MAPS, "anchors": {"shapes": [[8]], "scales": [1]}}, "'shapes' must be a list of lists of 2 numbers"),
        ({**MAPS, "anchors": {"shapes": [[8, 8]], "scales": [0]}}, "'scales' must be a number above 0"),
        ({**MAPS, "anchors": {"shapes": [[8, 0.5]], "scales": [1]}}, "an anchor has no extent"),
        ({**MAPS, "anchors": {"sizes": [[8], [8, 9]], "ratios": [1]}}, "'sizes' must be as many in each level"),
        ({**MAPS, "delta_weights": [1, 1]}, "'delta_weights' must be 4 numbers above 0"),
        ({"outputs": ["a"]}, "'outputs' must be a mapping"),
        ({"outputs": {"boxes": 0}}, "'scores' is missing"),
        ({"outputs": {"boxes": 0, "scores": 1, "label": 2}}, "'label' is not supported; did you mean 'labels'?"),
        ({"outputs": {"boxes": "corners", "scores": "scores"}}, "has no output 'corners'"),
        ({"outputs": {"boxes": 0, "scores": 7}}, "has no output 7"),
        ({"form": "anchor-maps", **MAPS}, 'the network has 3 outputs .* needs 2: name them with "outputs"'),
        ({"patch": [40, 60]}, "expects input of shape 1 x 1 x 40 x 50, but net.json gives 1 x 1 x 40 x 60"),
        ({"slices": "mean"}, "slices='mean' is not supported"),
        ({"fit": ..., "mirror_axes": [0]}, "boxes of mirrored patches are not joined"),
    ],
)
def test_wrong_descriptions_are_named_with_their_line(tmp_path, changes, told):
    (tmp_path / "net.onnx").write_bytes(boxes_onnx([[0.0] * 4], [0.0], [0], PATCH))
    describe_answer(tmp_path / "net.json", **box_keys(**changes))
    with pytest.raises(ModelError, match=told) as caught:
        radcnn.open_model(tmp_path / "net.onnx")
    assert str(caught.value).startswith("net.")


def test_weights_of_a_retinanet_need_its_own_form(tmp_path):
    from napari_radcnn.networks.retinanet import RetinaNet

    small = {"spatial_dims": 2, "num_classes": 2, "num_anchors": 1, "backbone": "resnet10", "fpn_channels": 8}
    small |= {"backbone_arguments": {"n_input_channels": 1}, "returned_layers": [1]}
    write_safetensors(tmp_path / "net.safetensors", RetinaNet(**small).state_dict())
    keys = box_keys(architecture={"name": "RetinaNet", "arguments": small}, fit="linear", patch=[64, 64])
    scales = {"shapes": [[8, 8]], "scales": [1, 2]}
    describe_answer(tmp_path / "net.json", **(keys | {"form": "anchor-maps", "anchors": scales, "least_score": 0.0}))
    spec = radcnn.open_model(tmp_path / "net.safetensors")
    found = radcnn.detect(film(), spec, device="cpu")
    assert found.boxes
    describe_answer(tmp_path / "net.json", **keys)
    with pytest.raises(ModelError, match='detects boxes is RetinaNet, with "form": "anchor-maps"'):
        radcnn.open_model(tmp_path / "net.safetensors")
    describe_answer(tmp_path / "net.json", **(keys | {"task": "segmentation", "fit": ...}))
    with pytest.raises(ModelError, match=r"the network 'RetinaNet' returns boxes, not an output for every voxel"):
        radcnn.open_model(tmp_path / "net.safetensors")
    (tmp_path / "net.json").write_text((tmp_path / "net.json").read_text().replace("resnet10", "VGG"))
    with pytest.raises(ModelError, match="the backbone 'VGG' is not one of"):
        radcnn.open_model(tmp_path / "net.safetensors")


def test_shell_files_manifest_and_replay_say_the_same(tmp_path, capsys):
    pytest.importorskip("openvino")
    path = tmp_path / "net.onnx"
    path.write_bytes(
        boxes_onnx([[10.0, 20, 14, 30], [20, 5, 26, 15], [10, 20, 14, 31]], [0.7, -0.3, 0.2], [1, 2, 1], PATCH)
    )
    describe_answer(tmp_path / "net.json", **box_keys(first_label=1, outputs={"boxes": 0, "scores": 1, "labels": 2}))
    place = radcnn.write(film(), tmp_path / "film.nii.gz")
    out = tmp_path / "out.json"
    assert main(["run", str(path), str(place), "-o", str(out), "--device", "cpu", "--anyway"]) == 0
    capsys.readouterr()
    listed = json.loads(out.read_text())["detections"]
    expected = 1 / (1 + np.exp(-np.array([0.7, -0.3]) - 0.3))
    assert [one["label"] for one in listed] == ["nodule", "cyst"]
    assert [one["score"] for one in listed] == pytest.approx(expected, abs=1e-4)
    assert listed[0]["center_mm"] == pytest.approx([-11 + 0.25 * 49.5, 7 + 0.5 * 23.5, 3], abs=1e-3)
    found = radcnn.detect(radcnn.read(place)[0], radcnn.open_model(path), device="cpu", anyway=True)
    assert [one.score for one in found.boxes] == pytest.approx([one["score"] for one in listed])
    manifest = json.loads((tmp_path / "out.json.radcnn.json").read_text())
    assert manifest["result"]["numbers"]["findings"] == 2.0
    assert manifest["result"]["numbers"]["1 score"] == pytest.approx(expected[0], abs=1e-4)
    again = radcnn.replay(tmp_path / "out.json.radcnn.json")
    assert again.is_same is True
    assert main(["run", str(path), str(place), "-o", str(tmp_path / "out.csv"), "--threshold", "0.6", "--anyway"]) == 0
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(rows) == 2
