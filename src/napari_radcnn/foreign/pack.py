"""Model packs: one file with everything a model needs, for computers without a network.

A pack is a ZIP archive, stored without compression: ``pack.json`` with what the model is and the SHA-256 of every file,
``LICENCE.txt``, ``CARD.md`` and the model's own files under ``model/``. It is checked whole before anything of it is
used, and installed completely or not at all.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.files import atomic_path
from napari_radcnn.foreign.description import slug
from napari_radcnn.foreign.unpacked import unpacked
from napari_radcnn.io.archive import unpack
from napari_radcnn.results import Label
from napari_radcnn.schemas import PACK, PACK_LIST, check_schema
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import InputSlot, NetworkFile
from napari_radcnn.spec.trust import remember_trust
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.tasks import TASKS
from napari_radcnn.user_folders import data_folder

#: What a pack calls the module that runs its model.
_PIPELINES = {"napari_radcnn.foreign.processing.run": "network", "napari_radcnn.foreign.nnunet.run": "nnunet"}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
_WORDS = ("name", "title", "task", "version", "summary", "licence", "citation", "body_part")
#: What training leaves beside a model and nobody needs to run it.
_LEFT_OUT = re.compile(r"(^|/)(\..*|validation.*|__pycache__|training_log.*|progress\.png|debug\.json)(/|$)")
#: A date that says nothing, so that the same model gives the same file.
_DATE = (1980, 1, 1, 0, 0, 0)
_PIECE = 1 << 20


@dataclass(frozen=True)
class PackInfo:
    """What a pack holds.

    Attributes
    ----------
    name, title, version, licence : str
        Of the model.
    files : mapping of str to str
        Path in the pack to SHA-256.
    words : mapping
        All of ``pack.json``.
    """

    name: str
    title: str
    version: str
    licence: str
    files: Mapping[str, str]
    words: Mapping[str, Any]


def pack(
    model: ModelSpec | str | Path,
    out: str | Path,
    *,
    licence: str | Path,
    card: str | Path,
    name: str | None = None,
    trust: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Put a foreign model into one file.

    Parameters
    ----------
    model : ModelSpec or path
        What `napari_radcnn.open_model` returned, or a path that it takes.
    out : path
        The pack, by custom ``NAME.radcnn-model.zip``.
    licence, card : str or Path
        Text of the license of the weights; and a card in Markdown: training data, what it was measured on, where it
        fails. Either the text, or a `Path` of a file that holds it.
    name : str, optional
        What is typed to run it, small letters, digits and dashes; the model's own by default.
    trust : str, optional
        As for `napari_radcnn.open_model`.
    overwrite : bool
        Whether `out` may exist.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ModelError
        If the model cannot be opened, or a name or text is missing.
    WriteError
        If the file cannot be written.
    """
    from napari_radcnn.foreign import open_model

    origin = model.origin if isinstance(model, ModelSpec) else Path(model)
    if origin is None:
        raise ModelError("Only models opened from a file or folder can be packed.")
    spec = model if isinstance(model, ModelSpec) else open_model(origin, trust=trust)
    texts = {"LICENCE.txt": _text(licence, "license"), "CARD.md": _text(card, "card")}
    chosen = _checked_name(slug(spec.name) if name is None else name)
    files = _files_of(spec, origin)
    hashes = {f"model/{inside}": file_sha256(path) for inside, path in files.items()}
    hashes |= {inside: hashlib.sha256(text.encode()).hexdigest() for inside, text in texts.items()}
    words = {"schema": PACK, **_words(spec), "name": chosen, "files": hashes}
    words["weights"] = [
        {"path": inside, "sha256": file.sha256, "kind": file.kind}
        for file in spec.files
        for inside, path in files.items()
        if path == file.path
    ]
    words["entry"] = _entry(spec, origin, files)
    with atomic_path(out, overwrite) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        _add_text(archive, PACK_LIST, json.dumps(words, indent=1) + "\n")
        for inside, text in texts.items():
            _add_text(archive, inside, text)
        for inside, path in files.items():
            member = zipfile.ZipInfo(f"model/{inside}", _DATE)
            with archive.open(member, "w", force_zip64=True) as target, path.open("rb") as source:
                shutil.copyfileobj(source, target, _PIECE)
    return Path(out)


def verify(path: str | Path) -> PackInfo:
    """Check a pack: every file there, none more, each with its SHA-256.

    Raises
    ------
    ModelError
        If it is no pack, damaged or changed.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            if PACK_LIST not in members or members[PACK_LIST].file_size > 4 << 20:
                raise ModelError(f"{path.name}: not a model pack: it has no pack.json.")
            info = _info(path, json.loads(archive.read(PACK_LIST)))
            _check_members(path, members, info)
            for name, wanted in info.files.items():
                digest = hashlib.sha256()
                with archive.open(name) as source:
                    while piece := source.read(_PIECE):
                        digest.update(piece)
                if digest.hexdigest() != wanted:
                    raise ModelError(
                        f"{path.name}: '{name}' has changed since packing; download or copy the pack again."
                    )
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, LookupError) as error:
        raise ModelError(
            f"{path.name}: not a valid model pack ({_brief(error)}); download or copy it again."
        ) from error
    except OSError as error:
        raise ModelError(f"{path.name}: the pack cannot be read: {error.strerror or error}.") from error
    return info


def install(path: str | Path, *, trust: str | None = None, taken: Collection[str] = ()) -> str:
    """Install a pack for this user, and return the name that the model is run by.

    Parameters
    ----------
    path : path
        The pack.
    trust : str, optional
        SHA-256 of a model that contains code; kept for this computer. The refusal states it.
    taken : collection of str
        Names that it may not have, besides those of packs that are installed.

    Raises
    ------
    ModelError
        If the pack is damaged, a model of that name exists, or the model cannot be opened.
    """
    from napari_radcnn.foreign import open_model

    path = Path(path)
    info = verify(path)
    if info.name in {*taken, *(spec.name for spec in installed())}:
        raise ModelError(f"{path.name}: a model '{info.name}' is already installed; uninstall it first.")
    place = _folder() / info.name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".installing-", dir=place.parent))
    except OSError as error:
        raise ModelError(f"{place.parent}: models cannot be stored here: {error.strerror or error}.") from error
    try:
        unpack(path, temporary)
        open_model(_entry_path(temporary, info.words), trust=trust)
        if trust is not None:
            remember_trust(trust)
        temporary.rename(place)
    except ReadError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"{path.name}: the model cannot be installed: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return info.name


def uninstall(name: str) -> None:
    """Remove an installed model.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if not _NAME.fullmatch(name) or not (_folder() / name / PACK_LIST).is_file():
        listed = ", ".join(spec.name for spec in installed()) or "none"
        raise ModelError(f"No model '{name}' is installed; installed: {listed}.")
    shutil.rmtree(_folder() / name)


def installed() -> list[ModelSpec]:
    """Return the models of all installed packs, by name; a damaged one is left out. Imports no torch."""
    if not _folder().is_dir():
        return []
    found = []
    for place in sorted(p for p in _folder().iterdir() if _NAME.fullmatch(p.name)):
        try:
            info = _info(place, json.loads((place / PACK_LIST).read_text(encoding="utf-8")))
            found.append(_listed(place, info.words))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, ModelError):
            continue  # not to be run; `install` of the pack repairs it
    return found


def open_installed(spec: ModelSpec) -> ModelSpec:
    """Return an installed model as it is run; one from the list only describes it.

    Raises
    ------
    ModelError
        If its files are missing or have changed.
    """
    from napari_radcnn.foreign import open_model

    if spec.origin is None:
        raise ModelError(f"'{spec.name}' is not installed.")
    installed_sha256(spec)
    opened = open_model(spec.origin)
    for what in ("task", "labels", "inputs", "spacing", "patch", "modalities"):
        if getattr(opened, what) != getattr(spec, what):
            raise _changed(spec, PACK_LIST, f"its {what} differ from those of the model")
    return replace(opened, name=spec.name, licence=spec.licence, card=spec.card)


def installed_sha256(spec: ModelSpec) -> str:
    """Return one SHA-256 for all that was installed with a model: every file there as it was packed, and none more.

    Parameters
    ----------
    spec : ModelSpec
        As `installed` lists it.

    Raises
    ------
    ModelError
        If a file is missing, has changed, or was added.
    """
    place = Path(spec.card).parent
    try:
        text = (place / PACK_LIST).read_text(encoding="utf-8")
        files = _info(place, json.loads(text)).files
        known = {f"model/{file.path.relative_to(place / 'model').as_posix()}": file.sha256 for file in spec.files}
        there = {p.relative_to(place).as_posix(): p for p in place.rglob("*") if not p.is_dir() or p.is_symlink()}
        for name, wanted in {**files, **known}.items():
            if name not in there or file_sha256(there[name]) != wanted:
                raise _changed(spec, name, "changed since installation")
    except (OSError, ValueError) as error:
        raise _changed(spec, PACK_LIST, f"it cannot be read ({_brief(error)})") from error
    # What a file manager leaves behind is no part of a model.
    more = sorted(name for name in set(there) - {*files, PACK_LIST} if not PurePosixPath(name).name.startswith("."))
    if more:
        raise _changed(spec, more[0], "added since installation")
    return hashlib.sha256(text.encode()).hexdigest()


def _changed(spec: ModelSpec, name: str, cause: str) -> ModelError:
    return ModelError(
        f"{name}: the installed model '{spec.name}' has changed: {cause}. Uninstall it and install its pack again."
    )


# -- inside ---------------------------------------------------------------------------------------------------------


def _files_of(spec: ModelSpec, origin: Path) -> dict[str, Path]:
    """Return the files of a model, by their path within it."""
    if origin.is_dir() or (origin.is_file() and zipfile.is_zipfile(origin) and spec.files[0].path != origin):
        root = origin if origin.is_dir() else unpacked(origin)
        paths = (p for p in sorted(root.rglob("*")) if p.is_file())
        inside = {p.relative_to(root).as_posix(): p for p in paths}
        return {name: path for name, path in inside.items() if not _LEFT_OUT.search(name)}
    from napari_radcnn.foreign.sidecar import find_sidecar

    weights = spec.files[0].path
    sidecar = origin if origin.suffix == ".json" else find_sidecar(weights)
    if sidecar is None:
        raise ModelError(f"{weights.name}: its model.json is missing.")
    return {weights.name: weights, sidecar.name: sidecar}


def _entry(spec: ModelSpec, origin: Path, files: Mapping[str, Path]) -> str:
    """Return what of a pack is opened: a folder, or the file of weights."""
    if len(files) == 2 and spec.files[0].path.name in files and not origin.is_dir():
        return f"model/{spec.files[0].path.name}"
    folders = {name.partition("/")[0] for name in files}
    only = next(iter(folders)) if len(folders) == 1 else ""
    return f"model/{only}" if only and not origin.is_dir() else "model"


def _entry_path(place: Path, words: Mapping[str, Any]) -> Path:
    return place / str(words["entry"])


def _words(spec: ModelSpec) -> dict[str, Any]:
    words = {key: getattr(spec, key) for key in _WORDS}
    return words | {
        "pipeline": _PIPELINES.get(spec.pipeline, spec.pipeline),
        "modalities": list(spec.modalities),
        "spacing": spec.spacing,
        "patch": spec.patch,
        "labels": {str(value): {"name": label.name, "color": label.color} for value, label in spec.labels.items()},
        "inputs": [{"name": slot.name, "modalities": list(slot.modalities)} for slot in spec.inputs],
    }


def _listed(place: Path, words: Mapping[str, Any]) -> ModelSpec:
    """Return the description of an installed model from its pack.json alone."""
    labels = {
        int(value): Label(str(label["name"]), None if label["color"] is None else _three(label["color"]))
        for value, label in words["labels"].items()
    }
    patch = words["patch"]
    return ModelSpec(
        name=words["name"],
        title=words["title"],
        task=words["task"],
        version=words["version"],
        summary=words["summary"],
        licence=words["licence"],
        citation=words["citation"],
        body_part=words["body_part"],
        pipeline="napari_radcnn.foreign.installed",
        options=_options(str(words["pipeline"])),
        modalities=tuple(map(str, words["modalities"])),
        card=str(place / "CARD.md"),
        spacing=None if words["spacing"] is None else _three(words["spacing"]),
        patch=None if patch is None else (int(patch[0]), int(patch[1]), int(patch[2])),
        labels=labels,
        inputs=tuple(InputSlot(str(s["name"]), tuple(map(str, s["modalities"]))) for s in words["inputs"]),
        files=tuple(NetworkFile(place / "model" / f["path"], f["sha256"], f["kind"]) for f in words["weights"]),
        origin=_entry_path(place, words),
    )


def _options(pipeline: str) -> type:
    if pipeline == "nnunet":
        from napari_radcnn.foreign.nnunet.open import NnunetOptions

        return NnunetOptions
    from napari_radcnn.foreign.processing.steps import NetworkOptions

    return NetworkOptions


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(v) for v in values)
    return first, second, third


def _info(path: Path, words: Any) -> PackInfo:
    """Return what a pack.json says, checked."""
    if isinstance(words, dict):
        check_schema(words.get("schema"), PACK, path.name, ModelError)
    if not isinstance(words, dict) or words.get("schema") != PACK:
        raise ModelError(f'{path.name}: not a model pack: its pack.json does not say "schema": "{PACK}".')
    texts = {key: words.get(key) for key in (*_WORDS, "entry")}
    wrong = next((key for key, value in texts.items() if not isinstance(value, str)), None)
    files = words.get("files")
    if wrong or not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise ModelError(f"{path.name}: '{wrong or 'files'}' is missing from its pack.json.")
    if words["task"] not in TASKS or not TASKS[words["task"]].build:
        raise ModelError(f"{path.name}: its pack.json names an unknown task.")
    weights = words.get("weights")
    kinds = ("torchscript", "onnx", "torch", "safetensors")
    if not isinstance(weights, list) or not all(isinstance(w, dict) and w.get("kind") in kinds for w in weights):
        raise ModelError(f"{path.name}: its pack.json does not list its weights.")
    names = [*files, words["entry"], *(f"model/{w.get('path')}" for w in weights)]
    unsafe = next((name for name in names if not _is_inside(name)), None)
    if unsafe is not None:
        raise ModelError(f"{path.name}: '{unsafe[:60]}' points outside the pack, which is not allowed.")
    return PackInfo(
        _checked_name(words["name"]), words["title"], words["version"], words["licence"], dict(files), words
    )


def _check_members(path: Path, members: Mapping[str, zipfile.ZipInfo], info: PackInfo) -> None:
    missing = sorted(set(info.files) - set(members))
    more = sorted(set(members) - set(info.files) - {PACK_LIST})
    if missing or more:
        what = (
            f"does not contain '{missing[0][:60]}'"
            if missing
            else (f"contains '{more[0][:60]}', which its pack.json does not list")
        )
        raise ModelError(f"{path.name}: the pack {what}; download or copy it again.")
    if not {"LICENCE.txt", "CARD.md"} <= set(info.files):
        raise ModelError(f"{path.name}: the license or the model card is missing from the pack.")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
        raise ModelError(
            f"{path.name}: the pack is compressed, but `radcnn models pack` stores files uncompressed; pack the "
            "model again."
        )


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not re.search(r'[\\:*?"<>|\0]', name)


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
        raise ModelError(
            f"'{str(name)[:60]}' is not a valid name for a model: use lowercase letters, digits and hyphens."
        )
    return name


def _text(source: str | Path, what: str) -> str:
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    except (OSError, ValueError) as error:
        raise ModelError(f"{source}: the {what} cannot be read as text: {_brief(error)}.") from error
    if not text.strip():
        raise ModelError(f"The {what} of a pack must not be empty.")
    return text


def _add_text(archive: zipfile.ZipFile, name: str, text: str) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), text)


def _folder() -> Path:
    return data_folder() / "models"


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
