from . import cohort as cohort, measure as measure
from .alignment import (
    Alignment as Alignment,
    align as align,
    read_alignment as read_alignment,
    write_alignment as write_alignment,
)
from .errors import RadcnnError as RadcnnError
from .foreign import open_model as open_model
from .geometry import Geometry as Geometry
from .interactive.prompts import Prompt as Prompt
from .io import read as read, read_report as read_report, write as write
from .models import models as models
from .operations import (
    classify as classify,
    denoise as denoise,
    detect as detect,
    embed as embed,
    landmarks as landmarks,
    plan as plan,
    regress as regress,
    replay as replay,
    resample_to as resample_to,
    segment as segment,
    super_resolve as super_resolve,
    survival as survival,
    synthesize as synthesize,
)
from .reformatting import Plane as Plane, reformat as reformat
from .results import (
    Classification as Classification,
    Detection as Detection,
    Detections as Detections,
    Embedding as Embedding,
    Finding as Finding,
    Label as Label,
    LabelMap as LabelMap,
    Landmark as Landmark,
    Landmarks as Landmarks,
    Measurement as Measurement,
    Regression as Regression,
    Report as Report,
    Survival as Survival,
)
from .session import PromptSession as PromptSession, SegmentedObject as SegmentedObject
from .version import __version__ as __version__
from .volume import Volume as Volume, VolumeMetadata as VolumeMetadata

__all__ = [
    "Alignment",
    "Classification",
    "Detection",
    "Detections",
    "Embedding",
    "Finding",
    "Geometry",
    "Label",
    "LabelMap",
    "Landmark",
    "Landmarks",
    "Measurement",
    "Plane",
    "Prompt",
    "PromptSession",
    "RadcnnError",
    "Regression",
    "Report",
    "SegmentedObject",
    "Survival",
    "Volume",
    "VolumeMetadata",
    "__version__",
    "align",
    "classify",
    "denoise",
    "detect",
    "embed",
    "landmarks",
    "measure",
    "models",
    "open_model",
    "plan",
    "read",
    "read_alignment",
    "read_report",
    "reformat",
    "regress",
    "replay",
    "resample_to",
    "segment",
    "super_resolve",
    "survival",
    "synthesize",
    "write",
    "write_alignment",
]
