"""The operations: a volume, a model and its options in, a result in the same place in the patient out.

The viewer, the command line and Python call the same functions, so they give the same voxels.
"""

from napari_radcnn.inference.align import resample_to
from napari_radcnn.operations.classifying import classify
from napari_radcnn.operations.comparing import evaluate
from napari_radcnn.operations.detecting import detect
from napari_radcnn.operations.embedding import embed
from napari_radcnn.operations.landmarking import landmarks
from napari_radcnn.operations.planning import models_for, plan
from napari_radcnn.operations.regressing import regress
from napari_radcnn.operations.replaying import Replay, replay
from napari_radcnn.operations.restoring import denoise, super_resolve, synthesize
from napari_radcnn.operations.running import run
from napari_radcnn.operations.segmenting import segment
from napari_radcnn.operations.streaming import can_stream, is_store_target, segment_to
from napari_radcnn.operations.surviving import survival
from napari_radcnn.results import Result

__all__ = [
    "Replay",
    "Result",
    "can_stream",
    "classify",
    "denoise",
    "detect",
    "embed",
    "evaluate",
    "is_store_target",
    "landmarks",
    "models_for",
    "plan",
    "regress",
    "replay",
    "resample_to",
    "run",
    "segment",
    "segment_to",
    "super_resolve",
    "survival",
    "synthesize",
]
