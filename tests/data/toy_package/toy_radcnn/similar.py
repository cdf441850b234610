"""`toy-similar`: what is connected with a prompt and as bright. This module describes it and imports nothing heavy."""

from napari_radcnn.interactive.engines.specs import NoOptions
from napari_radcnn.spec.model import ModelSpec

SPEC = ModelSpec(
    name="toy-similar",
    title="Similar voxels",
    task="interactive",
    version="1",
    summary="Takes what is connected with a prompt and about as bright.",
    modalities=(),
    body_part="any",
    pipeline="toy_radcnn.engine:SimilarEngine",
    options=NoOptions,
    licence="BSD-3-Clause",
    citation="none",
    card="similar.md",
)
