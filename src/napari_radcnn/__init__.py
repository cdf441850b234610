"""A radiology workbench inside napari: open clinical scans in their place in the patient, run networks on them.

Importing costs nothing: the public names are resolved when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_radcnn.errors import RadcnnError
    from napari_radcnn.geometry import Geometry
    from napari_radcnn.interactive.prompts import Prompt
    from napari_radcnn.io import read, read_report, write
    from napari_radcnn.models import models
    from napari_radcnn.models.formats import open_model
    from napari_radcnn.operations import classify, denoise, detect, plan, resample_to, segment, super_resolve
    from napari_radcnn.results import (
        Classification,
        Detection,
        Detections,
        Finding,
        Label,
        LabelMap,
        Measurement,
        Report,
    )
    from napari_radcnn.session import PromptSession, SegmentedObject
    from napari_radcnn.volume import Volume, VolumeMetadata

__version__ = "0.1.0"

_HOME = {
    "RadcnnError": "errors",
    "Geometry": "geometry",
    "Volume": "volume",
    "VolumeMetadata": "volume",
    "Label": "results",
    "LabelMap": "results",
    "Detection": "results",
    "Detections": "results",
    "Classification": "results",
    "Measurement": "results",
    "Finding": "results",
    "Report": "results",
    "open_model": "models.formats",
    "read": "io",
    "read_report": "io",
    "write": "io",
    "segment": "operations",
    "detect": "operations",
    "classify": "operations",
    "denoise": "operations",
    "super_resolve": "operations",
    "plan": "operations",
    "resample_to": "operations",
    "Prompt": "interactive.prompts",
    "PromptSession": "session",
    "SegmentedObject": "session",
}

__all__ = [
    "Classification",
    "Detection",
    "Detections",
    "Finding",
    "Geometry",
    "Label",
    "LabelMap",
    "Measurement",
    "Prompt",
    "PromptSession",
    "RadcnnError",
    "Report",
    "SegmentedObject",
    "Volume",
    "VolumeMetadata",
    "classify",
    "denoise",
    "detect",
    "models",
    "open_model",
    "plan",
    "read",
    "read_report",
    "resample_to",
    "segment",
    "super_resolve",
    "write",
]


def __getattr__(name: str) -> Any:
    if name == "models":  # a package of that name stands here as well, so the package itself can be called
        return import_module(f"{__name__}.models")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
