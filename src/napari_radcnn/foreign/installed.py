"""Models from installed packs: the list describes them, and they are opened when they are planned or run."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.pack import installed_sha256, open_installed
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Pipeline, Request, get_pipeline
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.identity import model_identity
from napari_radcnn.spec.model import ModelSpec

#: Both pipelines of foreign models give labels block by block.
STREAMS = True


def plan(request: Request) -> Plan:
    """Return the cost, as the pipeline of the model has it."""
    pipeline, opened = _opened(request)
    return pipeline.plan(opened)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Run the model by its own pipeline."""
    pipeline, opened = _opened(request)
    return pipeline.run(opened, monitor)


def identity_of(spec: ModelSpec) -> str:
    """Return the identity of a model as it is run; see `napari_radcnn.spec.identity`.

    Raises
    ------
    ModelError
        If it is of an installed pack whose files have changed or are gone.
    """
    return model_identity(_opened_spec(spec) if spec.pipeline == __name__ else spec)


def _opened(request: Request) -> tuple[Pipeline, Request]:
    opened = _opened_spec(request.spec)
    return get_pipeline(opened), replace(request, spec=opened)


def _opened_spec(spec: ModelSpec) -> ModelSpec:
    if spec.origin is None or not spec.origin.exists():
        raise ModelError(f"The files of '{spec.name}' are missing: {spec.origin}. Install its pack again.")
    # Checked each time; only opening it, which may take seconds, is spared while nothing has changed.
    return _open(str(spec.origin), installed_sha256(spec), _Held(spec))


class _Held:
    """Carries a spec past the cache, which goes by its folder and what is in it."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return hash(self.spec.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.spec.name == self.spec.name


@lru_cache(maxsize=8)
def _open(origin: str, sha256: str, held: _Held) -> ModelSpec:  # noqa: ARG001  folder and hash are the cache's key
    return open_installed(held.spec)
