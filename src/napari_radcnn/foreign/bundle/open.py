"""MONAI bundles: a folder with ``configs/metadata.json``, ``configs/inference.json`` and ``models/``.

The configuration is read as data (`bundle_config`), the network is one of ours (`networks.architectures`),
and known transforms become processing steps (`bundle_transforms`). Python files and expressions of a bundle are code:
they are refused, by name, unless the user trusts this very bundle.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.fitting import check_fits
from napari_radcnn.foreign.answers.specified import answering_spec
from napari_radcnn.foreign.bundle.answers import answer_of, answering_of, is_answer
from napari_radcnn.foreign.bundle.config import Resolver, Unresolved, code_in
from napari_radcnn.foreign.bundle.detector import Detector, has_own_scripts, is_detector, is_own_target
from napari_radcnn.foreign.bundle.stated import Stated, stated_in
from napari_radcnn.foreign.bundle.transforms import (
    is_known,
    padding_of,
    sampling_of,
    steps_back,
    steps_there,
    transforms_in,
)
from napari_radcnn.foreign.configs import read_config
from napari_radcnn.foreign.description import Words, labels_for, make_spec, modality_codes, network_file, text_of
from napari_radcnn.foreign.detection.described import Detecting
from napari_radcnn.foreign.detection.specified import check_detector, detecting_spec
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.foreign.processing.steps import Processing
from napari_radcnn.networks.architectures import check_architecture, input_shape, known_name
from napari_radcnn.networks.checkpoints import find_entry, read_checkpoint, torch_kind
from napari_radcnn.networks.files import check_weights
from napari_radcnn.results import Label
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import BUNDLE_CODE, Architecture, InputSlot, NetworkFile
from napari_radcnn.spec.trust import refuse_linked_folders, require_trust, tree_sha256

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_WEIGHTS = ("model.safetensors", "model.pt", "model.pth", "model.ts")
#: What networks call the number of channels of their input.
_CHANNELS = ("in_channels", "n_channels", "n_input_channels")
#: How metadata call a map of classes.
_MAPS = frozenset({"segmentation", "labels", "classes"})
_NETWORKS = ("network_def", "network", "net", "model")
#: What logs to the screen; any other handler of a logging.conf is made by evaluating its text.
_PLAIN_LOGGING = {"class": {"StreamHandler", ""}, "args": {"(sys.stdout,)", "(sys.stderr,)", "()", ""}}


def is_bundle(folder: Path) -> bool:
    """Whether a folder is laid out as a MONAI bundle."""
    return any((folder / "configs" / name).is_file() for name in (*_CONFIGS, "metadata.json"))


def open_bundle(root: Path, *, shown: Path | None = None, trust: str | None = None) -> ModelSpec:
    """Return the description of the model in a bundle.

    Parameters
    ----------
    root : Path
        Its folder.
    shown : Path, optional
        What the user gave, where that is an archive.
    trust : str, optional
        The SHA-256 of the bundle, if the user trusts it to run code of its own.

    Raises
    ------
    ModelError
        If it contains code and is not trusted, or anything in it is missing, damaged or not known.
    """
    shown = root if shown is None else shown
    refuse_linked_folders(root)
    path = next((root / "configs" / name for name in _CONFIGS if (root / "configs" / name).is_file()), None)
    if path is None:
        raise ModelError(f"{shown.name}: the bundle has no configs/inference.json (or .yaml).")
    config = read_config(path, f"{shown.name}: {path.name}")
    finds_boxes = is_detector(config)

    def is_harmless(target: str) -> bool:
        return is_known(target) or bool(known_name(target)) or (finds_boxes and is_own_target(target))

    files = [] if finds_boxes and has_own_scripts(root) else _python_in(root)
    code = [*files, *_logging_code(root), *code_in(config, is_harmless)]
    if code:
        require_trust(shown, tree_sha256(root), code, trust)
    metadata_path = root / "configs" / "metadata.json"
    metadata = read_config(metadata_path, f"{shown.name}: {metadata_path.name}") if metadata_path.is_file() else {}
    bundle = _Bundle(root, shown, path, Resolver({"bundle_root": str(root), **config}), config, metadata)
    stated = stated_in(metadata, metadata_path, f"{shown.name}: {metadata_path.name}")
    if not finds_boxes:
        return bundle.spec(trust, stated, may_run_code=bool(code))
    if stated is not None:
        raise stated.a.wrong("a detector is described by its inference.json")
    return bundle.detecting(trust)


def _python_in(root: Path) -> list[str]:
    """Return the Python files of a bundle, those in a package as one."""
    files = sorted(p.relative_to(root) for p in root.rglob("*") if p.suffix in (".py", ".pyc", ".so", ".pyd"))
    places = dict.fromkeys(p.parts[0] if len(p.parts) > 1 else p.name for p in files)
    return [f"Python files in '{place[:60]}'" for place in places]


def _logging_code(root: Path) -> list[str]:
    path = root / "configs" / "logging.conf"
    if not path.is_file():
        return []
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (configparser.Error, ValueError, OSError):
        return ["an unreadable 'logging.conf'"]
    for section in parser.sections():
        for key, plain in _PLAIN_LOGGING.items():
            value = parser.get(section, key, fallback="").strip()
            if section.startswith(("handler_", "formatter_")) and value not in plain:
                return [f"'{key}={value[:60]}' in 'logging.conf'"]
    return []


class _Bundle:
    """One bundle while it is being opened."""

    def __init__(
        self,
        root: Path,
        shown: Path,
        path: Path,
        resolver: Resolver,
        config: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        self.root, self.path, self.resolver, self.config, self.metadata = root, path, resolver, config, metadata
        self.shown = shown
        self.name = f"{shown.name}: {path.name}"

    def spec(self, trust: str | None, stated: Stated | None, *, may_run_code: bool) -> ModelSpec:
        architecture = self.architecture(may_run_code)
        image, prediction = self.format_of("inputs", "image"), self.format_of("outputs", "pred")
        file = self.weights(architecture, trust)
        if (stated is None and is_answer(architecture, prediction)) or (stated is not None and stated.is_answer):
            return self.answering(architecture, image, prediction, file, stated)
        processing = self.processing(architecture, image, prediction)
        if stated is not None:
            processing = stated.synthesizing(processing)
        labels: dict[int, Any] = {}
        if processing.output == "labels":
            is_argmax = any(isinstance(s, steps.Decide) and s.kind == "argmax" for s in processing.back)
            names = _channel_names(prediction, processing.classes)
            numbers, labels = labels_for(names, is_argmax)
            painted = next((s.order for s in processing.back if isinstance(s, steps.Paint)), None)
            if painted is not None:
                numbers, labels = self.painted(dict(painted), names, is_argmax)
            processing = replace(processing, class_labels=numbers)
        if file.architecture is not None:
            check_weights(file)
        codes = modality_codes(image.get("modality"))
        names = _channel_names(image, processing.channels)
        inputs = tuple(InputSlot(name, modality_codes(name) or codes) for name in names)
        return make_spec(self.words(), processing, file, inputs, labels, self.shown)

    def answering(
        self,
        architecture: Architecture,
        image: Mapping[str, Any],
        prediction: Mapping[str, Any],
        file: NetworkFile,
        stated: Stated | None,
    ) -> ModelSpec:
        """Return the description of a network that answers once for a whole scan."""
        there, back, inferer = self.steps()
        sampling, _, _ = sampling_of(inferer, self.name)
        if sampling is not None:
            raise ModelError(
                f"{self.name}: a network with one output per scan cannot use patches (a sliding-window inferer)."
            )
        # only the number of the patch's dimensions tells where the network says nothing
        takes = input_shape(architecture)
        known = 2 if architecture.name == "EfficientNetBN" else None if takes is None else len(takes) - 1
        dims = architecture.arguments.get("spatial_dims", known)
        shape = image.get("spatial_shape")
        dims = dims or (len(shape) if isinstance(shape, list) and len(shape) in (2, 3) else 3)
        there, order = _slices_first(there, None) if dims == 2 else (there, (2, 1, 0))
        channels = self.count(architecture, image, _CHANNELS, "inputs")

        def classes() -> list[str]:
            count = self.count(architecture, prediction, ("out_channels", "num_classes", "classes"), "outputs")
            return _channel_names(prediction, count)

        answer = answer_of(stated, architecture, prediction, self.metadata, back, classes, dims, self.name)
        shown_as = {**image, "spatial_shape": list(takes[1:])} if takes is not None else image
        how = answering_of(there, answer, channels, dims, order, shown_as, self.name)
        if stated is not None:
            how = stated.joining(how)
        if file.architecture is not None:
            check_weights(file)
        check_fits(file, how, self.name)
        codes = modality_codes(image.get("modality"))
        inputs = [InputSlot(name, modality_codes(name) or codes) for name in _channel_names(image, how.scans)]
        return answering_spec(self.words(), how, file, inputs, self.shown)

    def detecting(self, trust: str | None) -> ModelSpec:
        """Return the description of a network that finds boxes."""
        detector = Detector(self.config, self.resolver, self.name)
        architecture = detector.architecture()
        image, prediction = self.format_of("inputs", "image"), self.format_of("outputs", "pred")
        dims, classes = (architecture.arguments.get(key) for key in ("spatial_dims", "num_classes"))
        if dims not in (2, 3) or type(classes) is not int or not 1 <= classes <= 4096:
            raise ModelError(f"{self.name}: 'spatial_dims' or 'num_classes' of the network is missing or out of range.")
        there = steps_there(transforms_in(self.part("preprocessing"), self.name), self.name)
        if any(isinstance(step, steps.Resize | steps.Repeat) for step in there):
            raise ModelError(f"{self.name}: scans that are resized are not supported for a detector.")
        if "postprocessing" in self.config:
            detector.check_after(self.part("postprocessing"))
        there, order = _slices_first(there, None) if dims == 2 else (there, (2, 1, 0))
        given = prediction.get("channel_def")
        plain = ["finding"] if classes == 1 else [f"finding {number}" for number in range(1, classes + 1)]
        named = given if isinstance(given, Mapping) else {}
        names = [text_of(named.get(str(number))) or plain[number] for number in range(classes)]
        sampling, is_whole_below, boxes = detector.sampling_and_boxes(names, dims)
        channels = detector.channels()
        how = Detecting(
            channels,
            channels,
            there,
            sampling,
            boxes,
            detector.divisible(dims),
            is_whole_below,
            dims,
            "each" if dims == 2 else "one",
            order,
            is_as_stored=True,
        )
        file = replace(self.weights(architecture, trust), output=())
        if file.architecture is not None:
            check_weights(file)
        check_detector(file, how, self.name)
        codes = modality_codes(image.get("modality"))
        inputs = [InputSlot(name, modality_codes(name) or codes) for name in _channel_names(image, channels)]
        return detecting_spec(self.words(), how, file, inputs, self.shown)

    def steps(self) -> tuple[tuple[steps.Step, ...], tuple[steps.BackStep, ...], Any]:
        """Return what is done before and after the network, and the inferer."""
        there = steps_there(transforms_in(self.part("preprocessing"), self.name), self.name)
        back_key = next((k for k in ("postprocessing", "post_transform") if k in self.config), None)
        back = () if back_key is None else steps_back(transforms_in(self.part(back_key), self.name), self.name)
        inferer = self.part("inferer") if "inferer" in self.config else {"_target_": "SimpleInferer"}
        return there, back, inferer

    def painted(
        self, painted: Mapping[int, int], names: list[str], is_argmax: bool
    ) -> tuple[tuple[int, ...], dict[int, Label]]:
        """Return the label of each channel, and the labels, where the bundle itself gives them."""
        if is_argmax or not set(painted) <= set(range(len(names))) or 0 in painted.values():
            raise ModelError(f"{self.name}: the function that merges classes does not match the output of the network.")
        numbers = tuple(painted.get(n, 0) for n in range(len(names)))
        return numbers, {value: Label(names[n]) for n, value in painted.items()}

    def words(self) -> Words:
        about = self.metadata
        name = text_of(about.get("name")) or self.shown.stem
        licence = next((p.name for p in sorted(self.root.glob("LICENSE*"))), "")
        return Words(
            name,
            version=text_of(about.get("version")),
            summary=text_of(about.get("description") or about.get("task")),
            licence=text_of(about.get("license")) or (f"see {licence} in the bundle" if licence else ""),
            citation=text_of("; ".join(map(str, refs)) if isinstance(refs := about.get("references"), list) else refs),
        )

    def format_of(self, direction: str, name: str) -> Mapping[str, Any]:
        """Return what the metadata say of the input ``image`` or the output ``pred``; empty where nothing."""
        value: Any = self.metadata
        for key in ("network_data_format", direction, name):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, Mapping) else {}

    def part(self, key: str) -> Any:
        """Return a part of the configuration; expressions that are not worked out stay texts, which nobody accepts."""
        try:
            return self.resolver.resolve_parts(self.resolver.get(key))
        except Unresolved as error:
            raise ModelError(f"{self.name}: it has no '{key}', which is required.") from error

    def architecture(self, may_run_code: bool) -> Architecture:
        """Return the network the configuration asks for."""
        key = next((k for k in _NETWORKS if isinstance(self.config.get(k), Mapping)), None)
        if key is None:
            raise ModelError(f"{self.name}: it does not describe a network (network_def).")
        try:
            described = self.resolver.resolve(self.config[key])
            name = known_name(str(described.get("_target_")))
            if name is not None:
                arguments = {k: v for k, v in described.items() if not k.startswith("_")}
                architecture = Architecture(name, arguments)
                check_architecture(architecture, self.name)
                return architecture
            problem = f"the network '{str(described.get('_target_'))[:60]}' is not on the list of supported networks"
        except Unresolved as error:
            problem = f"'{key}' contains the expression '{str(error)[:60]}'"
        if not may_run_code:
            require_trust(self.shown, tree_sha256(self.root), [problem], None)
        where = {"root": str(self.root), "sha256": tree_sha256(self.root)}
        config = self.path.relative_to(self.root).as_posix()
        return Architecture(BUNDLE_CODE, {**where, "config": config, "key": key})

    def weights(self, architecture: Architecture, trust: str | None) -> NetworkFile:
        folder = self.root / "models"
        path = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
        if path is None:
            raise ModelError(f"{self.shown.name}: the bundle has no weights: models/model.pt (or .safetensors, .ts).")
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ModelError(f"{self.shown.name}: 'models/{path.name}' is a link that points outside the bundle.")
        if path.suffix == ".safetensors":
            return network_file(path, kind="safetensors", architecture=architecture)
        kind = torch_kind(path)
        if kind is None:
            raise ModelError(f"{path.name}: the weights of '{self.shown.name}' are not a PyTorch file.")
        if kind == "torchscript":
            file = network_file(path, kind="torchscript")
            require_trust(self.shown, tree_sha256(self.root), [f"'models/{path.name}' is a TorchScript program"], trust)
            return file
        return network_file(path, kind="torch", architecture=architecture, entry=find_entry(read_checkpoint(path)))

    def processing(
        self, architecture: Architecture, image: Mapping[str, Any], prediction: Mapping[str, Any]
    ) -> Processing:
        there, back, inferer = self.steps()
        for step in there:
            if isinstance(step, steps.Resize | steps.Repeat):
                raise ModelError(
                    f"{self.name}: '{type(step).__name__}' in the preprocessing is supported only for a network that "
                    "returns one output for a whole scan."
                )
        sampling, dims, axis = sampling_of(inferer, self.name)
        if sampling is None and architecture.arguments.get("spatial_dims") == 2:
            dims = 2
        if dims == 2:
            there, order = _slices_first(there, axis)
        else:
            order = (2, 1, 0)
        there += padding_of(inferer, sampling)
        channels = self.count(architecture, image, _CHANNELS, "inputs")
        classes = self.count(architecture, prediction, ("out_channels", "num_classes"), "outputs")
        is_image = prediction.get("format") not in _MAPS and not any(isinstance(s, steps.Decide) for s in back)
        if not is_image:
            back = _with_decision(back, classes)
        if not any(isinstance(s, steps.Invert) for s in back):
            back = _with_inversion(back)
        return Processing(
            channels, classes, there, sampling, back, (), dims, "image" if is_image else "labels", stored_order=order
        )

    def count(self, architecture: Architecture, described: Mapping[str, Any], names: tuple[str, ...], what: str) -> int:
        """Return a number of channels, on which network and metadata must agree."""
        told = described.get("num_channels")
        takes = input_shape(architecture) if what == "inputs" else None
        built = next((architecture.arguments[n] for n in names if n in architecture.arguments), None)
        built = built if takes is None else takes[0]
        for value in (built, told):
            if value is not None and (type(value) is not int or not 1 <= value <= 4096):
                raise ModelError(f"{self.name}: the number of channels of the {what} is {str(value)[:20]!r}.")
        if built is None and told is None:
            raise ModelError(
                f"{self.name}: neither the network nor the metadata give the number of channels of the {what}."
            )
        if built is not None and told is not None and built != told:
            raise ModelError(
                f"{self.name}: the network has {built} channels of {what}, but metadata.json says {told}; correct "
                "one of the two."
            )
        return int(built if built is not None else told)  # type: ignore[arg-type]


def _channel_names(described: Mapping[str, Any], count: int) -> list[str]:
    """Return a name for each channel."""
    given = described.get("channel_def")
    given = given if isinstance(given, Mapping) else {}
    alone = text_of(described.get("modality")) or "image"
    plain = [alone] if count == 1 else [f"channel {n}" for n in range(count)]
    return [text_of(given.get(str(n))) or plain[n] for n in range(count)]


def _slices_first(
    there: tuple[steps.Step, ...], axis: int | None
) -> tuple[tuple[steps.Step, ...], tuple[int, int, int]]:
    """Return the steps with the axis of slices before the two of the network.

    Without an axis, slices are those of the scan as it is stored; MONAI's axes are then ``(i, j)``.
    """
    axis = 2 if axis is None else axis
    if axis not in (0, 1, 2):
        raise ModelError(f"Slices along axis {axis} are not supported.")
    order = [axis, *(n for n in range(3) if n != axis)]

    def turned(values: Any) -> Any:
        return tuple(values[n] for n in order)

    changed: list[steps.Step] = []
    for step in there:
        match step:
            case steps.Orient(axes=axes):
                changed.append(steps.Orient("".join(turned(axes))))
            case steps.Space():
                changed.append(replace(step, spacing=turned(step.spacing)))
            case steps.CropForeground():
                changed.append(replace(step, margin=turned(step.margin), divisible=turned(step.divisible)))
            case steps.Resize() | steps.Center():
                changed.append(replace(step, shape=(0, *turned(step.shape)[1:])))
            case steps.Pad():
                changed.append(replace(step, shape=turned(step.shape), divisible=turned(step.divisible)))
            case _:
                changed.append(step)
    stored = [(2, 1, 0)[n] for n in order]
    return tuple(changed), (stored[0], stored[1], stored[2])


def _with_decision(back: tuple[steps.BackStep, ...], classes: int) -> tuple[steps.BackStep, ...]:
    """Return the steps with a decision, where a bundle leaves that to whoever reads its result."""
    if any(isinstance(step, steps.Decide) for step in back):
        return back
    if classes > 1:
        return (*back, steps.Decide("argmax"))
    has_activation = any(isinstance(step, steps.Activate) for step in back)
    return (*back, *(() if has_activation else (steps.Activate("sigmoid"),)), steps.Decide("threshold", 0.5))


def _with_inversion(back: tuple[steps.BackStep, ...]) -> tuple[steps.BackStep, ...]:
    """Return the steps with the way back to the scan's grid before the decision."""
    at = next((n for n, step in enumerate(back) if isinstance(step, steps.Decide)), len(back))
    return (*back[:at], steps.Invert("linear"), *back[at:])
