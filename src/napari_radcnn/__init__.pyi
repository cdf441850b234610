from .errors import RadcnnError as RadcnnError
from .foreign import open_model as open_model
from .geometry import Geometry as Geometry
from .interactive.prompts import Prompt as Prompt
from .io import read as read
from .io import read_report as read_report
from .io import write as write
from .models import models as models
from .operations import (
    classify as classify,
)
from .operations import (
    denoise as denoise,
)
from .operations import (
    detect as detect,
)
from .operations import (
    plan as plan,
)
from .operations import (
    replay as replay,
)
from .operations import (
    resample_to as resample_to,
)
from .operations import (
    segment as segment,
)
from .operations import (
    super_resolve as super_resolve,
)
from .results import (
    Classification as Classification,
)
from .results import (
    Detection as Detection,
)
from .results import (
    Detections as Detections,
)
from .results import (
    Finding as Finding,
)
from .results import (
    Label as Label,
)
from .results import (
    LabelMap as LabelMap,
)
from .results import (
    Measurement as Measurement,
)
from .results import (
    Report as Report,
)
from .session import PromptSession as PromptSession
from .session import SegmentedObject as SegmentedObject
from .version import __version__ as __version__
from .volume import Volume as Volume
from .volume import VolumeMetadata as VolumeMetadata

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
    "__version__",
    "classify",
    "denoise",
    "detect",
    "models",
    "open_model",
    "plan",
    "read",
    "read_report",
    "replay",
    "resample_to",
    "segment",
    "super_resolve",
    "write",
]
