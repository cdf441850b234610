"""What the formats share: names, labels, errors and the description of a network that runs by a processing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.domain import domain_of
from napari_radcnn.foreign.processing.steps import NetworkOptions, Processing
from napari_radcnn.geometry import Shape
from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import InputSlot, NetworkFile
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.tasks import TaskName

#: What files call a modality, as DICOM's code.
_MODALITIES = {"ct": "CT", "mr": "MR", "mri": "MR", "pet": "PT", "pt": "PT", "us": "US", "cr": "CR", "dx": "DX"}
_BACKGROUND = re.compile(r"back\s*ground|bg", re.IGNORECASE)
_LONGEST = 300


@dataclass(frozen=True)
class Words:
    """What a model says of itself, for the user.

    Attributes
    ----------
    name, title, version, summary, licence, citation, body_part : str
        As in `ModelSpec`.
    """

    name: str
    title: str = ""
    version: str = ""
    summary: str = ""
    licence: str = ""
    citation: str = ""
    body_part: str = ""


def make_spec(
    words: Words,
    processing: Processing,
    file: NetworkFile,
    inputs: Sequence[InputSlot],
    labels: Mapping[int, Label],
    origin: Path,
    domain: Domain | None = None,
) -> ModelSpec:
    """Return the description of a network that `napari_radcnn.foreign.processing.run` runs."""
    made: TaskName = "denoising" if processing.made is None else "synthesis"
    task: TaskName = "segmentation" if processing.output == "labels" else made
    pipeline = "napari_radcnn.foreign.processing.run"
    spec = spec_of(words, task, pipeline, processing, file, inputs, origin, labels.values(), domain)
    return replace(spec, patch=None if processing.sampling is None else processing.sampling.patch, labels=labels)


class Axes(Protocol):
    """What of a description says how the axes of its network lie in a scan."""

    @property
    def orientation(self) -> str | None: ...  # noqa: D102

    @property
    def stored_order(self) -> Shape: ...  # noqa: D102

    @property
    def spacing(self) -> tuple[float, float, float] | None: ...  # noqa: D102


def spec_of(
    words: Words,
    task: TaskName,
    pipeline: str,
    network: Axes,
    file: NetworkFile,
    inputs: Sequence[InputSlot],
    origin: Path,
    labels: Iterable[Label] = (),
    domain: Domain | None = None,
) -> ModelSpec:
    """Return what the descriptions of all networks in files have in common.

    Parameters
    ----------
    words, file, inputs, origin, domain
        As of `ModelSpec`.
    task, pipeline : str
        As of `ModelSpec`.
    network : Axes
        How it is run, for the pipeline.
    labels : iterable of Label
        What it outlines, which tells the region of the body.
    """
    order = _in_scan_order(network)
    spacing = network.spacing
    return ModelSpec(
        name=slug(words.name),
        title=words.title or words.name,
        task=task,
        version=words.version,
        summary=words.summary,
        modalities=tuple(dict.fromkeys(code for slot in inputs for code in slot.modalities)),
        pipeline=pipeline,
        options=NetworkOptions,
        licence=words.licence or "not stated",
        citation=words.citation,
        card="",
        body_part=words.body_part,
        spacing=None if spacing is None or 0 in spacing else order(spacing),
        inputs=tuple(inputs),
        files=(file,),
        network=network,
        origin=origin,
        domain=domain_of(words.body_part, words.summary, labels, domain),
    )


def _in_scan_order(processing: Axes):  # type: ignore[no-untyped-def]
    """Return a function that puts three values along the network's axes into the order of a usual scan's."""
    letters = processing.orientation
    if letters is None:
        places = [processing.stored_order.index(axis) for axis in range(3)]
    else:
        places = [next(n for n, c in enumerate(letters) if c in pair) for pair in ("SI", "PA", "LR")]

    def order(values: tuple[float, float, float]) -> tuple[float, float, float]:
        return values[places[0]], values[places[1]], values[places[2]]

    return order


def network_file(path: Path, **how) -> NetworkFile:  # type: ignore[no-untyped-def]
    """Return a file of weights with its SHA-256."""
    try:
        return NetworkFile(path, file_sha256(path), **how)
    except OSError as error:
        raise ModelError(f"{path.name}: the file cannot be read: {error.strerror or error}.") from error


def slug(name: str) -> str:
    """Return a name as it is typed: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64] or "model"


def text_of(value: object) -> str:
    """Return a text of a foreign file on one line, cut to a length that can be shown."""
    return " ".join(str(value).split())[:_LONGEST] if isinstance(value, str | int | float) else ""


def modality_codes(value: object) -> tuple[str, ...]:
    """Return the DICOM codes for what a file calls its modality; empty where it is not known."""
    found = (_MODALITIES.get(word) for word in re.split(r"[^a-z]+", text_of(value).lower()))
    return tuple(dict.fromkeys(code for code in found if code))


def labels_for(names: Sequence[str], is_argmax: bool) -> tuple[tuple[int, ...], dict[int, Label]]:
    """Return the label of each output channel and the labels by number.

    With arg-max the number of a channel is its label; else channels may overlap, and the first is label 1. A channel
    that is called background is label 0.
    """
    numbers = [0 if _BACKGROUND.fullmatch(name) else n + (not is_argmax) for n, name in enumerate(names)]
    if is_argmax and numbers:
        numbers[0] = 0
    return tuple(numbers), {n: Label(name) for n, name in zip(numbers, names, strict=True) if n}
