"""Models on their way to workers: as packs, with a hash, and only where a worker may not have them anyway."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_radcnn.cohort.chain import Resolved
from napari_radcnn.foreign.pack import pack
from napari_radcnn.models import ModelSpec, find_model

_NOT_STATED = "Not stated. The model was packed to be sent to a worker of a cohort, and must not be redistributed."


def packs_of(
    steps: Sequence[Resolved], trust: str | None
) -> tuple[dict[str, bytes], tuple[Resolved, ...], dict[str, str]]:
    """Return the packs of all models that do not come with a package, and the steps with the names they get.

    Last comes where each of those models lies here, by step.

    Raises
    ------
    ModelError
        If one cannot be packed.
    """
    packs: dict[str, bytes] = {}
    renamed, origins = [], {}
    for step in steps:
        spec = find_model(step.model, trust=trust) if step.model else None
        if spec is None or spec.origin is None:  # with this package, or one that is installed
            renamed.append(step)
            continue
        name = f"sent-{step.identity.partition(':')[2][:16]}"
        packs[name] = _packed(spec, step.model, name, trust)
        origins[step.name] = str(spec.origin.absolute())
        renamed.append(replace(step, model=name))
    return packs, tuple(renamed), origins


def _packed(spec: ModelSpec, model: str, name: str, trust: str | None) -> bytes:
    with tempfile.TemporaryDirectory(prefix="radcnn-pack-") as temporary:
        card = Path(spec.card)
        told = card.read_text(encoding="utf-8") if card.is_file() else _NOT_STATED
        source: ModelSpec | str = spec if spec.pipeline.endswith(".installed") else model
        made = pack(
            source,
            Path(temporary) / f"{name}.radcnn-model.zip",
            licence=spec.licence or _NOT_STATED,
            card=told or _NOT_STATED,
            name=name,
            trust=trust,
        )
        return made.read_bytes()
