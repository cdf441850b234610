"""Recipes: how each kind of model is run, from a volume to voxels of the result on the volume's own grid."""

from napari_radcnn.inference.pipelines.base import Outcome, Pipeline, Request, get_pipeline

__all__ = ["Outcome", "Pipeline", "Request", "get_pipeline"]
