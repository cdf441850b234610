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
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from napari_radcnn.errors import ModelError, ReadError, TrustError
from napari_radcnn.files import atomic_path, hidden_path, make_ready, owned, sync_folder, sync_tree
from napari_radcnn.foreign.description import slug
from napari_radcnn.foreign.pack_list import WORDS, entry_path, listed_spec, words_of
from napari_radcnn.foreign.unpacked import unpacked
from napari_radcnn.io.archive import unpack
from napari_radcnn.io.targets import refuse_sources
from napari_radcnn.schemas import PACK, PACK_LIST, check_schema
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.trust import forget_trust, remember_trust
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.tasks import TASKS
from napari_radcnn.user_folders import data_folder

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
#: What training leaves beside a model and nobody needs to run it.
_LEFT_OUT = re.compile(r"(^|/)(\..*|validation.*|__pycache__|training_log.*|progress\.png|debug\.json)(/|$)")
#: A date that says nothing, so that the same model gives the same file.
_DATE = (1980, 1, 1, 0, 0, 0)
_PIECE = 1 << 20
#: Beside an installed model: the SHA-256 that its user trusted. Hidden files are no part of a model.
_TRUSTED = ".trusted"


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
        If the file cannot be written, or is one of those that it is made of or lies among them.
    """
    from napari_radcnn.foreign import open_model

    origin = model.origin if isinstance(model, ModelSpec) else Path(model)
    if origin is None:
        raise ModelError("Only models opened from a file or folder can be packed.")
    refuse_sources(Path(out), [origin, *(text for text in (licence, card) if isinstance(text, Path))])
    spec = model if isinstance(model, ModelSpec) else open_model(origin, trust=trust)
    texts = {"LICENCE.txt": _text(licence, "license"), "CARD.md": _text(card, "card")}
    chosen = _checked_name(slug(spec.name) if name is None else name)
    files = _files_of(spec, origin)
    refuse_sources(Path(out), files.values())
    hashes = {f"model/{inside}": file_sha256(path) for inside, path in files.items()}
    hashes |= {inside: hashlib.sha256(text.encode()).hexdigest() for inside, text in texts.items()}
    words = {"schema": PACK, **words_of(spec), "name": chosen, "files": hashes}
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
    WriteError
        If another process installs a model of that name.
    """
    path = Path(path)
    info = verify(path)
    place = _folder() / info.name
    if place.exists() or place.is_symlink():
        raise _taken(path, info.name)
    if info.name in taken:
        raise ModelError(
            f"{path.name}: a model '{info.name}' that is not a pack already exists; pack this one under another name."
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        make_ready(place.parent)
        with owned(place):
            _install(path, info, place, trust)
    except ReadError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"{path.name}: the model cannot be installed: {error.strerror or error}.") from error
    return info.name


def _install(path: Path, info: PackInfo, place: Path, trust: str | None) -> None:
    from napari_radcnn.foreign import open_model

    temporary = hidden_path(place)
    try:
        temporary.mkdir(mode=0o700)
        unpack(path, temporary)
        entry = entry_path(temporary, info.words)
        try:
            open_model(entry)
        except TrustError as error:
            open_model(entry, trust=trust)
            remember_trust(error.sha256)
            (temporary / _TRUSTED).write_text(error.sha256, encoding="ascii")
        sync_tree(temporary)
        if place.exists():  # another process was faster
            raise _taken(path, info.name)
        temporary.rename(place)
        sync_folder(place.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _taken(path: Path, name: str) -> ModelError:
    return ModelError(
        f"{path.name}: a model '{name}', or what is left of one, is already installed; remove it first: radcnn models "
        f"remove {name}."
    )


def uninstall(name: str) -> None:
    """Remove an installed model, also one that cannot be used, and what is left of one; its code is trusted no longer.

    Raises
    ------
    ModelError
        If there is none of that name, or it cannot be removed.
    WriteError
        If another process is installing it.
    """
    place = _folder() / name
    if not _NAME.fullmatch(name) or not (place.exists() or place.is_symlink()):
        listed = ", ".join(spec.name for spec in installed()) or "none"
        raise ModelError(f"No model '{name}' is installed; installed: {listed}.")
    try:
        make_ready(place.parent)
        with owned(place):
            trusted_sha256 = _trusted_by(place)
            aside = hidden_path(place)
            place.rename(aside)  # gone at once, or not at all
            if aside.is_dir() and not aside.is_symlink():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                aside.unlink(missing_ok=True)
        if trusted_sha256 and trusted_sha256 not in map(_trusted_by, _folder().iterdir()):
            forget_trust(trusted_sha256)
    except OSError as error:
        raise ModelError(f"{name}: the model cannot be removed: {error.strerror or error}.") from error


def _trusted_by(place: Path) -> str:
    """Return the SHA-256 that was trusted when a model was installed; empty where none was."""
    try:
        return (place / _TRUSTED).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True)
class UnusablePack:
    """An installed pack whose model cannot be listed.

    Attributes
    ----------
    name : str
        What it was installed as.
    reason : str
        Why, and what to do, in one line.
    """

    name: str
    reason: str


def installed() -> list[ModelSpec]:
    """Return the models of all installed packs, by name; see `unusable` for the others. Imports no torch."""
    return [found for found in _installed() if isinstance(found, ModelSpec)]


def unusable() -> list[UnusablePack]:
    """Return what is installed and cannot be used: packs of a newer version of this program, and damaged ones."""
    return [found for found in _installed() if isinstance(found, UnusablePack)]


def _installed() -> Iterator[ModelSpec | UnusablePack]:
    if not _folder().is_dir():
        return
    for place in sorted(p for p in _folder().iterdir() if _NAME.fullmatch(p.name)):
        try:
            info = _info(place, json.loads((place / PACK_LIST).read_text(encoding="utf-8")))
            yield listed_spec(place, info.words)
        except ModelError as error:
            yield UnusablePack(place.name, str(error))
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else _brief(error)
            what = f"its {PACK_LIST} cannot be read ({why})"
            yield UnusablePack(
                place.name,
                f"{place.name}: {what}; remove it (radcnn models remove {place.name}) and install its pack again.",
            )


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
    for what in ("task", "labels", "classes", "inputs", "spacing", "patch", "modalities"):
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
    from napari_radcnn.foreign.sidecar.opening import find_sidecar

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


def _info(path: Path, words: Any) -> PackInfo:
    """Return what a pack.json says, checked."""
    if isinstance(words, dict):
        check_schema(words.get("schema"), PACK, path.name, ModelError)
    if not isinstance(words, dict) or words.get("schema") != PACK:
        raise ModelError(f'{path.name}: not a model pack: its pack.json does not say "schema": "{PACK}".')
    texts = {key: words.get(key) for key in (*WORDS, "entry")}
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
