"""Alignments as files of JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from napari_radcnn.alignment.transform import Alignment
from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.files import write_text
from napari_radcnn.schemas import ALIGNMENT, check_schema


def write_alignment(alignment: Alignment, path: str | Path, overwrite: bool = False) -> None:
    """Write an alignment as JSON; its matrix maps positions of the moving scan to those of the fixed one, LPS mm.

    Raises
    ------
    WriteError
        If the file cannot be written, or exists.
    """
    write_text(Path(path), json.dumps(describe(alignment), indent=2, ensure_ascii=False) + "\n", overwrite)


def describe(alignment: Alignment) -> dict[str, Any]:
    """Return an alignment as JSON types, as it is written."""
    residual = alignment.residual_mm
    return {
        "schema": ALIGNMENT,
        "moving_to_fixed": alignment.matrix.tolist(),
        "unit": "mm",
        "space": "LPS",
        "rotation_degrees": alignment.rotation_degrees,
        "translation_mm": list(alignment.translation_mm),
        "center_mm": list(alignment.center),
        "residual_mm": residual if math.isfinite(residual) else None,
        "similarity": alignment.similarity,
        "overlap": alignment.overlap,
        "belongs_together": alignment.belongs_together,
        "doubts": list(alignment.doubts),
        "fixed": dict(alignment.fixed),
        "moving": dict(alignment.moving),
    }


def read_alignment(path: str | Path) -> Alignment:
    """Read what `write_alignment` has written.

    Raises
    ------
    ReadError
        If the file is none, damaged, or of a newer version.
    """
    where = Path(path)
    try:
        kept = json.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{where}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ReadError(f"{where}: no JSON: {error}.") from error
    schema = kept.get("schema") if isinstance(kept, dict) else None
    check_schema(schema, ALIGNMENT, where, ReadError)
    if schema != ALIGNMENT:
        raise ReadError(f"{where}: no alignment of two scans: it lacks the schema {ALIGNMENT}.")
    try:
        residual = kept.get("residual_mm")
        x, y, z = (float(part) for part in kept["center_mm"])
        return Alignment(
            kept["moving_to_fixed"],
            math.inf if residual is None else float(residual),
            float(kept["similarity"]),
            float(kept["overlap"]),
            tuple(str(line) for line in kept["doubts"]),
            (x, y, z),
            _named(kept["fixed"]),
            _named(kept["moving"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, GeometryError) as error:
        raise ReadError(f"{where}: the alignment is damaged: {error}.") from error


def _named(found: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()}
