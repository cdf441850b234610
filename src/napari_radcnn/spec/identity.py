"""One identity of a model: a SHA-256 over everything that decides its result.

Weights, the network built around them, what is done to a scan before and after (from a model.json, nnU-Net's plans and
data set, a bundle's configuration), a trusted bundle's code, classes and inputs. Not where the files lie, and not what
is only shown. Manifests, resumed runs, installed packs and replay compare it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import Architecture, NetworkFile

#: Fields of a spec that decide what comes out.
_DECIDING = (
    "task",
    "version",
    "spacing",
    "patch",
    "labels",
    "weights",
    "inputs",
    "files",
    "network",
    "gaps",
)
#: Changed when the way an identity is made changes, so that those of before are not taken for another model's.
IDENTITY_FORM = "1"
#: Classes by the names they had when the first identities were written.
_FIRST_NAMES = {"Processing": "Recipe"}


def model_identity(spec: ModelSpec) -> str:
    """Return the identity of a model: the same for the same model wherever it lies.

    Parameters
    ----------
    spec : ModelSpec
        As it is run: of an installed pack the opened one, see `napari_radcnn.foreign.pack.open_installed`.

    Returns
    -------
    str
        A form number and a SHA-256: ``"1:9f86d0..."``.
    """
    deciding = [_plain(getattr(spec, name)) for name in _DECIDING]
    if spec.package is not None:  # its code may change from version to version
        deciding.append([spec.package.name, spec.package.version])
    told = json.dumps(deciding, sort_keys=True)
    return f"{IDENTITY_FORM}:{hashlib.sha256(told.encode()).hexdigest()}"


def is_same_identity(one: object, other: str) -> bool:
    """Return whether two identities may be of one model; those made in another way, or missing, cannot be compared."""
    if not isinstance(one, str) or one.partition(":")[0] != other.partition(":")[0]:
        return True
    return one == other


def _plain(value: Any) -> Any:
    """Return a value as JSON types, the same for equal values; fields at their default are left out.

    A field that a later version adds has its default in older models, whose identity therefore stays.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return repr(value)
        case Path():
            return value.name
        case NetworkFile():
            plain = [value.sha256, value.kind, _plain(value.architecture), list(value.entry)]
            return plain if value.output is None else [*plain, value.output]
        case Architecture():
            # A trusted bundle's own code is known by the hash of its folder, wherever that lies.
            given = {k: v for k, v in value.arguments.items() if not (k == "root" and "sha256" in value.arguments)}
            return [value.name, _plain(given)]
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case type():
            return value.__qualname__
    if is_dataclass(value):
        told = {f.name: _plain(getattr(value, f.name)) for f in fields(value) if getattr(value, f.name) != _default(f)}
        name = type(value).__name__
        return [_FIRST_NAMES.get(name, name), told]
    return repr(value)


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return None if field.default_factory is MISSING else field.default_factory()
