"""RetinaNets of MONAI: made by its own code, trained on made-up discs, and written as its published bundle is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.networks.retinanet_network import RetinaNet, resnet_fpn_feature_extractor
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.networks.blocks import backbone_fpn_utils
from monai.networks.nets import resnet
from torch import nn

from model_factory import METADATA, write_bundle

#: Of both dimensions: anchors at each place of the finest level, voxels.
SHAPES = {2: [[8, 8], [12, 12]], 3: [[8, 8, 6], [12, 10, 8]]}
SELECTOR = {"score_thresh": 0.05, "topk_candidates_per_level": 200, "nms_thresh": 0.3, "detections_per_img": 40}


class Stages(nn.ModuleDict):
    """The parts of a backbone up to the last stage that is asked for: what MONAI takes from torchvision for it."""

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        parts, left = {}, set(return_layers)
        for name, part in model.named_children():
            parts[name] = part
            left.discard(name)
            if not left:
                break
        super().__init__(parts)
        self.asked = return_layers

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what each stage says."""
        found = {}
        for name, part in self.items():
            x = part(x)
            if name in self.asked:
                found[self.asked[name]] = x
        return found


def let_monai_build(monkeypatch: Any) -> None:
    """Put small things in the place of torchvision, which MONAI asks for a backbone's parts and before a loss."""
    stand_in = SimpleNamespace(_utils=SimpleNamespace(IntermediateLayerGetter=Stages))
    monkeypatch.setattr(backbone_fpn_utils, "torchvision_models", stand_in)
    module = "monai.apps.detection.networks.retinanet_network._validate_trainable_layers"
    monkeypatch.setattr(module, lambda *_, **__: 5)
    for name in ("Matcher", "BalancedPositiveNegativeSampler"):  # it asks whether its own are of these classes
        monkeypatch.setattr(f"monai.apps.detection.networks.retinanet_detector.{name}", type(name, (), {}))


def backbone_arguments(dims: int) -> dict[str, Any]:
    """Return the arguments of a small backbone."""
    return {
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [8, 16, 32, 64],
        "spatial_dims": dims,
        "n_input_channels": 1,
        "conv1_t_size": 3,
        "conv1_t_stride": 1,
    }


def fresh_network(dims: int, classes: int = 2, seed: int = 0) -> RetinaNet:
    """Return MONAI's own network with the weights that it begins with."""
    torch.manual_seed(seed)
    backbone = resnet.ResNet(**backbone_arguments(dims))
    extractor = resnet_fpn_feature_extractor(backbone, dims, False, [1, 2], None)
    return RetinaNet(dims, classes, len(SHAPES[dims]), extractor, size_divisible=[8] * dims)


def monai_network(dims: int, classes: int = 2, seed: int = 3) -> RetinaNet:
    """Return MONAI's own network, its weights random but for heads that say something everywhere."""
    network = fresh_network(dims, classes, seed)
    with torch.no_grad():
        for head in (network.classification_head, network.regression_head):
            for name, parameter in head.named_parameters():
                if name.endswith("weight") and parameter.ndim > 2:
                    parameter.normal_(std=2.0 / np.sqrt(np.prod(parameter.shape[1:])))
        network.classification_head.cls_logits.weight.mul_(1.5)
        network.classification_head.cls_logits.bias.fill_(-2.0)
        network.regression_head.bbox_reg.weight.mul_(0.15)
    return network.eval()


def monai_detector(network: RetinaNet, dims: int, roi: Sequence[int] | None = None, overlap: float = 0.25) -> Any:
    """Return MONAI's own detector of a network."""
    anchors = AnchorGeneratorWithAnchorShape(feature_map_scales=(1, 2, 4), base_anchor_shapes=SHAPES[dims])
    detector = RetinaNetDetector(network, anchors)
    detector.set_box_selector_parameters(**SELECTOR)
    if roi is not None:
        detector.set_sliding_window_inferer(roi_size=roi, overlap=overlap, mode="constant")
    return detector.eval()


def write_detector_bundle(
    folder: Path, network: nn.Module, dims: int, roi: Sequence[int], preprocessing: list[Any], **changes: Any
) -> Path:
    """Write a bundle in the words of MONAI's `lung_nodule_ct_detection`."""
    given = ",".join(f"{key}={value!r}" for key, value in backbone_arguments(dims).items())
    selector = ",".join(f"{key}={value}" for key, value in SELECTOR.items())
    data = {
        "inputs": {"image": {"modality": "CT", "num_channels": 1, "channel_def": {"0": "image"}}},
        "outputs": {"pred": {"type": "object", "format": "dict", "channel_def": {"0": "disc", "1": "ring"}}},
    }
    keys: dict[str, Any] = {
        "whether_raw": False,
        "whether_resampled": "$(not @whether_raw)",
        "infer_patch_size": list(roi),
        "anchor_generator": {
            "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
            "feature_map_scales": [1, 2, 4],
            "base_anchor_shapes": SHAPES[dims],
        },
        "backbone": f"$monai.networks.nets.resnet.ResNet({given})",
        "feature_extractor": "$monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor("
        f"@backbone,{dims},False,[1,2],None)",
        "network_def": {
            "_target_": "RetinaNet",
            "spatial_dims": dims,
            "num_classes": 2,
            "num_anchors": len(SHAPES[dims]),
            "feature_extractor": "@feature_extractor",
            "size_divisible": [8] * dims,
        },
        "detector": {"_target_": "RetinaNetDetector", "network": "@network", "anchor_generator": "@anchor_generator"},
        "detector_ops": [
            "$@detector.set_target_keys(box_key='box', label_key='label')",
            f"$@detector.set_box_selector_parameters({selector})",
            "$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,overlap=0.25,sw_batch_size=1,"
            "mode='constant',device='cpu')",
        ],
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing},
        "inferer": {"_target_": "scripts.detection_inferer.RetinaNetInferer", "detector": "@detector"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "ClipBoxToImaged", "box_keys": "box", "remove_empty": True},
                {"_target_": "AffineBoxToWorldCoordinated", "box_keys": "box", "affine_lps_to_ras": True},
                {"_target_": "ConvertBoxModed", "box_keys": "box", "src_mode": "xyzxyz", "dst_mode": "cccwhd"},
                {"_target_": "DeleteItemsd", "keys": ["image"]},
            ],
        },
        "handlers": [{"_target_": "scripts.detection_saver.DetectionSaver", "output_dir": "@output_dir"}],
        "evaluator": {"_target_": "scripts.evaluator.DetectionEvaluator", "network": "@network"},
    }
    write_bundle(folder, network, METADATA | {"network_data_format": data}, **(keys | changes))
    (folder / "scripts").mkdir()
    for name in ("__init__", "detection_inferer", "detection_saver"):
        (folder / "scripts" / f"{name}.py").write_text("raise SystemExit('this was run')\n")
    return folder


def said_by(detector: Any, image: torch.Tensor, use_inferer: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes, scores and classes as MONAI's detector gives them for ``(1, ...)``."""
    with torch.inference_mode():
        found = detector([image], use_inferer=use_inferer)[0]
    return found["boxes"].numpy(), found["labels_scores"].numpy(), found["labels"].numpy()


def draw_discs(rng: np.random.Generator, side: int, spacing: float = 1.0) -> tuple[np.ndarray, list[list[float]]]:
    """Return a picture of noise with two or three bright discs apart from each other, and their boxes in voxels."""
    picture = rng.normal(0, 0.15, (side, side))
    rows, columns = np.mgrid[:side, :side]
    boxes: list[list[float]] = []
    for _ in range(60):
        radius = rng.uniform(3.5, 6.5) / spacing
        center = rng.uniform(radius + 1, side - radius - 2, 2)
        box = [*(center - radius + 0.5), *(center + radius + 0.5)]
        apart = [abs((b[0] + b[2]) / 2 - center[0]) + abs((b[1] + b[3]) / 2 - center[1]) > 16 for b in boxes]
        if all(apart) and len(boxes) < 3:
            picture[(rows - center[0]) ** 2 + (columns - center[1]) ** 2 <= radius**2] += 1
            boxes.append([float(value) for value in box])
    return picture.astype(np.float32), boxes


def train(
    network: RetinaNet, detector: Any, steps: int, side: int = 64, told: Callable[[int, float], None] | None = None
) -> None:
    """Train a network of two dimensions on discs by MONAI's own losses and matcher."""
    rng = np.random.default_rng(11)
    detector.set_atss_matcher(num_candidates=4)
    detector.set_hard_negative_sampler(batch_size_per_image=64, positive_fraction=0.5, pool_size=20, min_neg=16)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    detector.train()
    for step in range(steps):
        drawn = [draw_discs(rng, side) for _ in range(4)]
        images = [torch.from_numpy(picture)[None] for picture, _ in drawn]
        targets = [{"boxes": torch.tensor(b), "labels": torch.zeros(len(b), dtype=torch.long)} for _, b in drawn]
        losses = detector(images, targets)
        loss = losses["classification"] + losses["box_regression"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if told is not None:
            told(step, float(loss))
    detector.eval()
