"""Bundles whose network finds boxes: MONAI's RetinaNet, its anchors and its settings, read without running anything.

The published bundle (`lung_nodule_ct_detection`) makes its backbone by expressions and brings Python files for its
inferer, saver and evaluator. What the expressions call is looked up here; the files are not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.foreign.bundle.config import Resolver, Unresolved
from napari_radcnn.foreign.bundle.transforms import bare_name, transforms_in
from napari_radcnn.foreign.detection.anchors import cells_of_shapes, cells_of_sizes
from napari_radcnn.foreign.detection.described import Anchors, Boxes
from napari_radcnn.geometry import Shape
from napari_radcnn.networks.architectures import check_architecture
from napari_radcnn.spec.patches import Architecture, Sampling

#: Classes of the published bundle's own files, in whose place our own code stands.
_TARGETS = frozenset(
    {
        "scripts.detection_inferer.RetinaNetInferer",
        "scripts.detection_saver.DetectionSaver",
        "scripts.evaluator.DetectionEvaluator",
    }
)
#: Those files, and those by which it was trained and tested.
_SCRIPTS = frozenset(
    f"scripts/{name}.py"
    for name in (
        *("__init__", "detection_inferer", "detection_saver", "evaluator", "trainer"),
        *("cocometric", "cocometric_ignite", "utils", "warmup_scheduler"),
    )
)
#: What postprocessing may do: what is done to every box here, or nothing.
_AFTER = frozenset({"ClipBoxToImage", "AffineBoxToWorldCoordinate", "ConvertBoxMode", "DeleteItems", "EnsureType"})
#: Order of the arguments that are given without a name.
_EXTRACTOR = (
    "backbone",
    "spatial_dims",
    "pretrained_backbone",
    "returned_layers",
    "trainable_backbone_layers",
)
_SELECTOR = ("score_thresh", "topk_candidates_per_level", "nms_thresh", "detections_per_img", "apply_sigmoid")


def is_detector(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration is one of MONAI's RetinaNet."""
    described = config.get("network_def")
    return isinstance(described, Mapping) and str(described.get("_target_")).rpartition(".")[2] == "RetinaNet"


def is_own_target(target: str) -> bool:
    """Return whether a class is one of the published bundle's own that is not needed here."""
    return target in _TARGETS


def has_own_scripts(root: Path) -> bool:
    """Return whether all Python files of a bundle are those that the published one has, and there are some."""
    found = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix in (".py", ".pyc", ".so", ".pyd")]
    return bool(found) and set(found) <= _SCRIPTS


class Detector:
    """What a bundle says of its detector.

    Parameters
    ----------
    config : mapping
        The configuration.
    resolver : Resolver
        Of it.
    name : str
        Bundle and file, for messages.
    """

    def __init__(self, config: Mapping[str, Any], resolver: Resolver, name: str) -> None:
        self._config, self._resolver, self._name = config, resolver, name

    def architecture(self) -> Architecture:
        """Return the network.

        Raises
        ------
        ModelError
            If a part of it is made in a way that is not known.
        """
        described = dict(self._config["network_def"])
        _, _, extractor = self._made(described.pop("feature_extractor", None), "feature_extractor", _EXTRACTOR)
        target, _, backbone = self._made(extractor.get("backbone"), "backbone", ())
        package, _, last = target.rpartition(".")
        if package and not package.startswith("monai.networks.nets"):
            raise ModelError(f"{self._name}: the backbone '{target[:60]}' is not supported.")
        if extractor.get("pretrained_backbone"):
            raise ModelError(f"{self._name}: 'pretrained_backbone' would access files; leave it out.")
        try:
            rest = self._resolver.resolve({k: v for k, v in described.items() if not k.startswith("_")})
        except Unresolved as error:
            raise ModelError(f"{self._name}: 'network_def' contains the expression '{str(error)[:60]}'.") from error
        arguments = {
            **rest,
            "backbone": last,
            "backbone_arguments": backbone,
            **({"returned_layers": extractor["returned_layers"]} if "returned_layers" in extractor else {}),
        }
        architecture = Architecture("RetinaNet", arguments)
        check_architecture(architecture, self._name)
        return architecture

    def channels(self) -> int:
        """Return how many channels its network takes."""
        count = self.architecture().arguments["backbone_arguments"].get("n_input_channels", 3)
        if type(count) is not int or not 1 <= count <= 64:
            raise ModelError(f"{self._name}: the backbone takes {str(count)[:20]} channels.")
        return count

    def divisible(self, dims: int) -> Shape:
        """Return what the sides of its input are multiples of, with a leading 1 in two dimensions."""
        given = self.architecture().arguments.get("size_divisible", 1)
        values = list(given) if isinstance(given, list | tuple) else [given] * dims
        if len(values) != dims or not all(type(n) is int and 1 <= n <= 1024 for n in values):
            raise ModelError(f"{self._name}: size_divisible={str(given)[:40]} must be {dims} whole numbers above 0.")
        k, j, i = [1] * (3 - dims) + values
        return k, j, i

    def sampling_and_boxes(self, names: Sequence[str], dims: int) -> tuple[Sampling | None, bool, Boxes]:
        """Return how windows are taken, whether a smaller scan is shown whole, and what the outputs mean."""
        selector: dict[str, Any] = {}
        sampling: Sampling | None = None
        weights: tuple[float, ...] = ()
        for call in self._calls():
            kind, _, given = self._made(call, "detector_ops", ())
            a = Arguments(f"{self._name}: {kind[:60]}", given)
            if kind.endswith(".set_box_selector_parameters"):
                selector = given
            elif kind.endswith(".set_sliding_window_inferer"):
                sampling = _sampling(a, dims)
            elif kind.endswith(".set_box_coder_weights"):
                weights = a.numbers("weights") or ()
                if len(weights) != 2 * dims or min(weights) <= 0:
                    raise a.wrong(f"'weights' must be {2 * dims} numbers above 0")
            elif not kind.endswith(".set_target_keys"):
                raise ModelError(f"{self._name}: '{kind[:60]}' is not supported.")
        boxes = self._boxes(selector, names, weights, dims)
        return sampling, not self._forces_windows(), boxes

    def check_after(self, value: Any) -> None:
        """Refuse postprocessing that does more to boxes than is done here."""
        for item in transforms_in(value, self._name):
            name = bare_name(item["_target_"]) or str(item["_target_"])
            bare = next((name.removesuffix(s) for s in ("Dict", "D", "d") if name.removesuffix(s) in _AFTER), name)
            if bare not in _AFTER:
                raise ModelError(f"{self._name}: the transform '{name[:60]}' of the postprocessing is not supported.")

    # -- parts ----------------------------------------------------------------------------------------------------

    def _boxes(self, selector: Mapping[str, Any], names: Sequence[str], weights: Sequence[float], dims: int) -> Boxes:
        a = Arguments(f"{self._name}: set_box_selector_parameters", selector)
        least, overlap = a.number("score_thresh", 0.05), a.number("nms_thresh", 0.5)
        per_level = a.counts("topk_candidates_per_level", 1000, length=1)[0]
        most = a.counts("detections_per_img", 300, length=1)[0]
        activation = "sigmoid" if a.flag("apply_sigmoid", True) else "none"
        a.done()
        if not (0 <= least <= 1 and 0 <= overlap <= 1 and per_level >= 1 and most >= 1):
            raise a.wrong("thresholds lie between 0 and 1, and numbers of boxes are above 0")
        anchors = Anchors(self._anchors(dims))
        return Boxes(
            tuple(names),
            "anchor-maps",
            anchors,
            tuple(weights),
            "sigmoid" if activation == "sigmoid" else "none",
            least,
            overlap,
            most,
            per_level,
            starts_at="center",  # `AffineBoxToWorldCoordinated` takes 0 for the center of the first voxel
        )

    def _anchors(self, dims: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
        described = self._config.get("anchor_generator")
        if described is None and isinstance(detector := self._config.get("detector"), Mapping):
            described = detector.get("anchor_generator")
        target, _, given = self._made(described, "anchor_generator", ())
        kind = target.rpartition(".")[2]
        a = Arguments(f"{self._name}: {target[:60]}", given)
        a.only("indexing", ["ij"], "ij")
        try:
            if kind == "AnchorGeneratorWithAnchorShape":
                scales = a.numbers("feature_map_scales") or (1.0, 2.0, 4.0, 8.0)
                shapes = a.take("base_anchor_shapes")
                cells = cells_of_shapes([[float(side) for side in shape] for shape in shapes], scales)
            elif kind == "AnchorGenerator":
                cells = _by_sizes(a.take("sizes"), a.take("aspect_ratios"), dims)
            else:
                raise ModelError(f"{self._name}: the anchors of '{target[:60]}' are not supported.")
        except (TypeError, ValueError, LookupError, ZeroDivisionError) as error:
            raise a.wrong(f"its anchors are not lists of numbers ({' '.join(str(error).split())[:60]})") from error
        a.done()
        if not cells or any(len(cell) != 2 * dims for level in cells for cell in level):
            raise a.wrong(f"its anchors are not of {dims} dimensions")
        return cells

    def _calls(self) -> list[Any]:
        calls = self._config.get("detector_ops", [])
        if not isinstance(calls, list):
            raise ModelError(f"{self._name}: 'detector_ops' must be a list.")
        return calls

    def _forces_windows(self) -> bool:
        described = self._config.get("inferer")
        if (
            not isinstance(described, Mapping)
            or str(described.get("_target_")).rpartition(".")[2] != "RetinaNetInferer"
        ):
            shown = described.get("_target_") if isinstance(described, Mapping) else described
            raise ModelError(f"{self._name}: the inferer '{str(shown)[:60]}' is not supported for a detector.")
        try:
            return self._resolver.resolve(described.get("force_sliding_window", False)) is True
        except Unresolved as error:
            raise ModelError(f"{self._name}: 'force_sliding_window' is '{str(error)[:60]}', not a literal.") from error

    def _made(self, value: Any, what: str, order: Sequence[str]) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a part is made by, and its arguments by name."""
        try:
            target, plain, named = self._resolver.call(value)
        except Unresolved as error:
            raise ModelError(f"{self._name}: '{what}' is '{str(error)[:60]}', which is not supported.") from error
        if len(plain) > len(order):
            raise ModelError(f"{self._name}: '{what}' has {len(plain)} arguments without a name.")
        return target, [], {**dict(zip(order, plain, strict=False)), **named}


def _sampling(a: Arguments, dims: int) -> Sampling:
    roi = a.counts("roi_size", length=dims)
    if min(roi) < 1:
        raise a.wrong("'roi_size' must be positive numbers of voxels", "roi_size")
    overlap = a.number("overlap", 0.5)
    mode = a.only("mode", ["constant", "gaussian"], "constant")
    a.only("padding_mode", ["constant"], "constant")
    a.ignore("sw_batch_size", "sw_device", "device", "progress", "cache_roi_weight_map")
    if not 0 <= overlap < 1:
        raise a.wrong("overlap must be at least 0 and less than 1", "overlap")
    k, j, i = [1] * (3 - dims) + list(roi)
    weights: Any = "monai" if mode == "gaussian" else "constant"
    made = Sampling(
        (k, j, i), overlap, "monai", weights, a.number("sigma_scale", 0.125), padding_value=a.number("cval", 0.0)
    )
    a.done()
    return made


def _by_sizes(sizes: Any, ratios: Any, dims: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Return anchors as MONAI's `AnchorGenerator` takes them: sizes and ratios for each level, or the same for all."""
    levels = [size if isinstance(size, list) else [size] for size in sizes]
    each = ratios if isinstance(ratios[0], list) else [ratios] * len(levels)
    if len(each) != len(levels):
        raise ValueError(f"{len(levels)} levels of sizes, {len(each)} of ratios")
    rows = [[one if isinstance(one, list) else [one] for one in level] for level in each]
    if any(len(one) != dims - 1 for level in rows for one in level):
        raise ValueError(f"ratios are not of {dims} dimensions")
    return tuple(cells_of_sizes([level], row)[0] for level, row in zip(levels, rows, strict=True))
