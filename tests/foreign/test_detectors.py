"""Detectors from elsewhere: MONAI's RetinaNet against MONAI's own detector, and networks whose boxes are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from napari_radcnn.errors import ModelError, ResourceError, TrustError
from napari_radcnn.foreign.detection import memory
from napari_radcnn.inference import plan as plan_module
from napari_radcnn.phantom import oblique_geometry
from retina import let_monai_build, monai_detector, monai_network, said_by, write_detector_bundle

PREPROCESSING = [
    {"_target_": "LoadImaged", "keys": "image", "_disabled_": "@whether_raw"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0]},
    {
        "_target_": "ScaleIntensityRanged",
        "keys": "image",
        "a_min": -3,
        "a_max": 3,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
    },
    {"_target_": "EnsureTyped", "keys": "image"},
]


def _volume(shape, geometry):
    values = np.random.default_rng(8).normal(0, 1, shape).astype(np.float32)
    return radcnn.Volume(values, geometry, radcnn.VolumeMetadata("scan", modality="CT"))


def _straight(shape):
    """Return a grid along the axes of the patient."""
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 1.1], [0, 1.3, 0], [1.7, 0, 0]]
    affine[:3, 3] = [-31.0, 17.0, 40.0]
    return radcnn.Geometry(shape, affine)


def _shown_by_monai(path, preprocessing):
    from monai import transforms

    made = [
        getattr(transforms, one["_target_"])(**{k: v for k, v in one.items() if k not in ("_target_", "_disabled_")})
        for one in preprocessing
    ]
    return transforms.Compose(made)({"image": str(path)})["image"]


def _in_the_patient(boxes, image):
    """Return centers and sizes, LPS mm, as MONAI's AffineBoxToWorldCoordinated gives them."""
    from monai.apps.detection.transforms.box_ops import apply_affine_to_boxes

    to_lps = np.diag([-1.0, -1, 1, 1]) @ np.asarray(image.affine, float)
    world = apply_affine_to_boxes(torch.from_numpy(boxes).double(), torch.from_numpy(to_lps)).numpy()
    return (world[:, :3] + world[:, 3:]) / 2, world[:, 3:] - world[:, :3]


def _share(first, second):
    """Return intersection over union of boxes given as center and size."""
    low = np.maximum(first[0] - first[1] / 2, second[0] - second[1] / 2)
    high = np.minimum(first[0] + first[1] / 2, second[0] + second[1] / 2)
    common = np.prod(np.clip(high - low, 0, None), -1)
    return common / (np.prod(first[1], -1) + np.prod(second[1], -1) - common)


@pytest.mark.parametrize(("roi", "use_inferer"), [([64, 64, 64], False), ([24, 32, 16], True)])
def test_boxes_are_those_of_monais_own_detector(tmp_path, monkeypatch, roi, use_inferer):
    let_monai_build(monkeypatch)
    network = monai_network(3)
    volume = _volume((22, 36, 44), _straight((22, 36, 44)))
    path = radcnn.write(volume, tmp_path / "scan.nii.gz")
    spec = radcnn.open_model(write_detector_bundle(tmp_path / "bundle", network, 3, roi, PREPROCESSING))
    assert (spec.task, spec.classes) == ("detection", ("disc", "ring"))
    image = _shown_by_monai(path, PREPROCESSING)
    detector = monai_detector(network, 3, roi)
    boxes, scores, labels = said_by(detector, torch.as_tensor(image).float(), use_inferer)
    assert 10 < len(boxes) <= 40
    centers, sizes = _in_the_patient(boxes, image)
    found = radcnn.detect(radcnn.read(path)[0], spec, device="cpu")
    # MONAI's resampled grid reaches beyond the scan: what lies there alone is not listed here
    edges = volume.geometry.to_world(np.array([[-0.5] * 3, np.array(volume.shape) - 0.5]))
    is_inside = ((centers + sizes / 2 > edges.min(0)) & (centers - sizes / 2 < edges.max(0))).all(1)
    assert is_inside.sum() > 10
    order = [n for n in np.argsort(-scores, kind="stable") if is_inside[n]]
    assert len(found.boxes) == len(order)
    assert any("outside of the scan" in text for text in found.warnings) == (not is_inside.all())
    for one, number in zip(found.boxes, order, strict=True):
        assert one.score == pytest.approx(scores[number], abs=1e-4)
        assert one.label == ("disc", "ring")[labels[number]]
        share = _share((np.array(one.center), np.array(one.size)), (centers[number], sizes[number]))
        assert share >= 0.99


def test_windows_that_do_not_fit_into_memory_are_halved_and_boxes_are_monais_of_that_size(tmp_path, monkeypatch):
    let_monai_build(monkeypatch)
    network = monai_network(3)
    preprocessing = [one for one in PREPROCESSING if one["_target_"] != "Spacingd"]
    volume = _volume((24, 40, 48), _straight((24, 40, 48)))
    path = radcnn.write(volume, tmp_path / "scan.nii.gz")
    read = radcnn.read(path)[0]
    spec = radcnn.open_model(write_detector_bundle(tmp_path / "bundle", network, 3, [64, 64, 64], preprocessing))
    whole = radcnn.plan(read, spec)
    assert (whole.patches, whole.patch_shape) == (1, (48, 40, 24))
    assert not any("windows" in text for text in whole.warnings)

    monkeypatch.setattr(memory, "_LEAST_SIDE", 16)
    monkeypatch.setattr(memory, "free_memory", lambda: whole.memory_bytes - 1)
    smaller = radcnn.plan(read, spec)
    # 24 would begin every 18 voxels, which are no whole steps of the coarsest map, of 8 voxels
    assert smaller.patch_shape == (32, 40, 24)
    assert smaller.memory_bytes < whole.memory_bytes
    found = radcnn.detect(read, spec, device="cpu")
    (told,) = [text for text in found.warnings if "windows" in text]
    assert "windows of 32 x 40 x 24 voxels instead of 48 x 40 x 24" in told
    image = torch.as_tensor(_shown_by_monai(path, preprocessing)).float()
    boxes, scores, _ = said_by(monai_detector(network, 3, [32, 40, 24]), image, True)
    assert len(found.boxes) == len(boxes) > 10
    centers, sizes = _in_the_patient(boxes, _shown_by_monai(path, preprocessing))
    for one, number in zip(found.boxes, np.argsort(-scores, kind="stable"), strict=True):
        assert one.score == pytest.approx(scores[number], abs=1e-4)
        assert _share((np.array(one.center), np.array(one.size)), (centers[number], sizes[number])) >= 0.99

    for module in (memory, plan_module):
        monkeypatch.setattr(module, "free_memory", lambda: 1 << 20)
    assert radcnn.plan(read, spec).patch_shape == (48, 40, 24)
    with pytest.raises(ResourceError, match=r"needs about .* GiB of memory, but only 0\.0 GiB are free"):
        radcnn.detect(read, spec, device="cpu")


@pytest.mark.parametrize(
    ("side", "divisible", "overlap", "half"),
    [
        (512, 16, 0.25, 256),
        (192, 8, 0.25, 96),
        (100, 8, 0.25, 64),
        (144, 8, 0.5, 80),
        (64, 8, 0.25, 0),
        (128, 1, 0, 64),
    ],
)
def test_half_a_window_keeps_steps_that_are_whole_in_every_map(side, divisible, overlap, half):
    assert memory._halved(side, divisible, overlap) == half


def test_an_oblique_scan_has_its_findings_in_place_and_their_sides_kept(tmp_path, monkeypatch):
    let_monai_build(monkeypatch)
    network = monai_network(3)
    preprocessing = [one for one in PREPROCESSING if one["_target_"] not in ("Orientationd", "Spacingd")]
    volume = _volume((16, 24, 32), oblique_geometry((16, 24, 32)))
    spec = radcnn.open_model(write_detector_bundle(tmp_path / "bundle", network, 3, [64, 64, 64], preprocessing))
    found = radcnn.detect(volume, spec, device="cpu")
    shown = torch.from_numpy(np.clip((volume.array.transpose(2, 1, 0)[None] + 3) / 6, 0, 1))
    boxes, scores, _ = said_by(monai_detector(network, 3), shown, False)
    for one, number in zip(found.boxes, np.argsort(-scores, kind="stable"), strict=True):
        low, high = boxes[number, :3], boxes[number, 3:]
        index = ((low + high) / 2)[::-1]
        np.testing.assert_allclose(one.center, volume.geometry.to_world(index), atol=1e-2)
        sides = (high - low)[::-1] * volume.geometry.spacing
        np.testing.assert_allclose(sorted(one.size), sorted(sides), atol=1e-2)
        towards = np.abs(volume.geometry.affine[:3, :3]).argmax(0)  # the patient's axis nearest to each of the scan's
        np.testing.assert_allclose(np.array(one.size)[towards], sides, atol=1e-2)


def test_every_slice_is_looked_at_by_a_network_of_two_dimensions(tmp_path, monkeypatch):
    let_monai_build(monkeypatch)
    network = monai_network(2)
    preprocessing = [one for one in PREPROCESSING if one["_target_"] not in ("Orientationd", "Spacingd")]
    volume = _volume((3, 40, 48), _straight((3, 40, 48)))
    spec = radcnn.open_model(write_detector_bundle(tmp_path / "bundle", network, 2, [64, 64], preprocessing))
    found = radcnn.detect(volume, spec, device="cpu")
    expected = []
    detector = monai_detector(network, 2)
    for k in range(3):
        shown = torch.from_numpy(np.clip((volume.array[k].T[None] + 3) / 6, 0, 1))
        boxes, scores, _ = said_by(detector, shown, False)
        for box, score in zip(boxes, scores, strict=True):
            index = (k, (box[1] + box[3]) / 2, (box[0] + box[2]) / 2)
            expected.append((float(score), volume.geometry.to_world(np.array(index)), (box[2:] - box[:2]) * (1.1, 1.3)))
    expected.sort(key=lambda one: -one[0])
    assert len(found.boxes) == 40
    assert len(expected) > 40
    for one, (score, center, size) in zip(found.boxes, expected, strict=False):
        assert one.score == pytest.approx(score, abs=1e-4)
        np.testing.assert_allclose(one.center, center, atol=1e-2)
        np.testing.assert_allclose(one.size, (*size, 1.7), atol=1e-2)
    assert any("only the 40 with the highest scores are listed" in text for text in found.warnings)


def test_its_own_files_are_not_run_and_code_is_still_refused(tmp_path, monkeypatch):
    let_monai_build(monkeypatch)
    network = monai_network(2)

    def opened(name, file="", **changes):
        folder = write_detector_bundle(tmp_path / name, network, 2, [64, 64], PREPROCESSING[:2], **changes)
        if file:
            (folder / file).write_text("raise SystemExit\n")
        return radcnn.open_model(folder)

    assert opened("plain").task == "detection"
    for number, (told, changes) in enumerate(
        {
            "Python files in 'scripts'": {"file": "scripts/other.py"},
            "'scripts.mine.Saver'": {"handlers": [{"_target_": "scripts.mine.Saver"}]},
            "__import__": {"more": "$__import__('os').system('true')"},
        }.items()
    ):
        with pytest.raises(TrustError, match=told):
            opened(f"code{number}", **changes)


ANCHORS = {"_target_": "AnchorGeneratorWithAnchorShape", "feature_map_scales": [1, 2, 4]}
OPS = "$@detector.set_box_selector_parameters"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"anchor_generator": ANCHORS | {"base_anchor_shapes": [[8, 8]]}}, "1 anchors x 2 classes"),
        ({"anchor_generator": ANCHORS | {"base_anchor_shapes": [[8, 8, 8], [9, 9, 9]]}}, "not of 2 dimensions"),
        (
            {"anchor_generator": ANCHORS | {"feature_map_scales": [1, 2], "base_anchor_shapes": [[8, 8], [9, 9]]}},
            "returns 6 maps, but 4 are expected: 2 levels",
        ),
        ({"anchor_generator": {"_target_": "MyAnchors"}}, "the anchors of 'MyAnchors' are not supported"),
        ({"detector_ops": [f"{OPS}(nms_tresh=0.3)"]}, "the argument 'nms_tresh' is not supported"),
        ({"detector_ops": [f"{OPS}(nms_thresh=3)"]}, "thresholds lie between 0 and 1"),
        ({"detector_ops": ["$@detector.set_something(1)"]}, "'detector_ops' has 1 arguments without a name"),
        ({"detector_ops": ["$@detector.set_something()"]}, "'@detector.set_something' is not supported"),
        ({"backbone": "$torch.nn.Identity()"}, "the backbone 'torch.nn.Identity' is not supported"),
        ({"backbone": "$monai.networks.nets.resnet.resnet50(pretrained=True)"}, "would be loaded from elsewhere"),
        ({"backbone": "$[1 for _ in range(9)]"}, "'backbone' is .*which is not supported"),
        ({"inferer": {"_target_": "SimpleInferer"}}, "the inferer 'SimpleInferer' is not supported for a detector"),
        ({"postprocessing": [{"_target_": "Activationsd", "keys": "box"}]}, "'Activations' of the postprocessing"),
        ({"preprocessing": [{"_target_": "Resized", "keys": "image", "spatial_size": 40}]}, "scans that are resized"),
    ],
)
def test_what_is_not_understood_is_refused_when_the_bundle_is_opened(tmp_path, monkeypatch, changes, told):
    changes = dict(changes)
    let_monai_build(monkeypatch)
    before = changes.pop("preprocessing", PREPROCESSING[:2])
    folder = write_detector_bundle(tmp_path / "b", monai_network(2), 2, [64, 64], before, **changes)
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(folder)
