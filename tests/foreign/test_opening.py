"""Models are told apart by looking, and none of them runs anything while it is opened."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from model_factory import (
    METADATA,
    UNET,
    describe,
    inference_config,
    unet,
    write_bundle,
    write_onnx,
    write_safetensors,
    zipped,
)
from napari_radcnn.errors import ModelError, TrustError
from napari_radcnn.networks.files import _importable
from napari_radcnn.spec.identity import model_identity
from napari_radcnn.spec.trust import forget_trust, remember_trust, tree_sha256
from napari_radcnn.user_folders import cache_folder


class _Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self):
        return os.mkdir, (str(self._target),)


def _refusal(path: Path, **how) -> str:
    with pytest.raises(ModelError) as caught:
        radcnn.open_model(path, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _sha_in(text: str) -> str:
    return text.split("trust='")[1].split("'")[0]


# -- what runs code ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, form):
    path, mark = tmp_path / "model.pt", tmp_path / "PWNED"
    if form == "bare":
        path.write_bytes(pickle.dumps({"weight": _Payload(mark)}))
    else:
        torch.save({"weight": _Payload(mark)}, path, _use_new_zipfile_serialization=form == "zip")
    describe(tmp_path / "model.json", architecture={"name": "UNet", "arguments": UNET})
    text = _refusal(path)
    assert text.startswith("model.pt: refused")
    assert "weights_only" in text
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"network_def": {"_target_": "os.system", "command": "touch PWNED"}}, "os.system"),
        (
            {"network_def": {"_target_": "UNet", **UNET, "in_channels": "$__import__('os').system('true')"}},
            "in_channels",
        ),
        ({"network_def": {"_target_": "scripts.Net"}}, "scripts.Net"),
        ({"anywhere": {"deep": ["$open('PWNED','w').write('x')"]}}, "anywhere#deep#0"),
        ({"imports": ["$import subprocess"]}, "import subprocess"),
        ({"imports": ["$from scripts.net import Net"]}, "scripts.net"),
        ({"device": "$torch.hub.load('evil/evil', 'net')"}, "torch.hub"),
        ({"x": "$().__class__.__bases__"}, "__class__"),
        ({"x": "$(lambda: exec('1'))()"}, "exec"),
        ({"x": {"_target_": "builtins.eval", "source": "1"}}, "builtins.eval"),
        ({"x": "$broken syntax ("}, "broken syntax"),
    ],
)
def test_code_in_a_configuration_is_named_and_refused(tmp_path, change, named):
    text = _refusal(write_bundle(tmp_path / "bundle", **change))
    assert text.startswith("bundle: this model contains code, which was not run")
    assert named in text
    assert "trust='" in text


@pytest.mark.parametrize("place", ["scripts/__init__.py", "net.py", "docs/a.pyc"])
def test_python_files_in_a_bundle_are_refused(tmp_path, place):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / place).parent.mkdir(exist_ok=True)
    (bundle / place).write_text("open('PWNED', 'w')")
    assert place.partition("/")[0] in _refusal(bundle)


@pytest.mark.parametrize(
    ("handler", "is_code"),
    [
        ("class=StreamHandler\nargs=(sys.stdout,)", False),
        ("class=StreamHandler\nargs=(exec('1'),)", True),
        ("class=os.system\nargs=('true',)", True),
    ],
)
def test_a_logging_configuration_may_only_log(tmp_path, handler, is_code):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "configs" / "logging.conf").write_text(f"[loggers]\nkeys=root\n[handler_console]\n{handler}\n")
    if is_code:
        assert "logging.conf" in _refusal(bundle)
    else:
        assert radcnn.open_model(bundle).name == "two-organs"


@pytest.mark.parametrize("inside", [True, False])
def test_a_bundle_with_a_linked_folder_is_refused(tmp_path, inside):
    """What lies behind a link is in no hash: changed code ran under the old one."""
    bundle = write_bundle(tmp_path / "bundle")
    code = (bundle if inside else tmp_path) / "real"
    code.mkdir()
    (code / "net.py").write_text("value = 1")
    (bundle / "scripts").symlink_to(code, target_is_directory=True)
    assert "'scripts' is a link to a folder" in _refusal(bundle)
    with pytest.raises(ModelError, match="'scripts' is a link"):
        tree_sha256(bundle)


@pytest.mark.parametrize("change", ["edited", "removed", "added", "sum"])
def test_an_unpacked_archive_that_was_changed_is_unpacked_anew(tmp_path, change):
    path = zipped(write_bundle(tmp_path / "bundle"), tmp_path / "published.zip")
    before = model_identity(radcnn.open_model(path))
    (config,) = (cache_folder() / "unpacked-models").glob("*/bundle/configs/inference.json")
    if change == "edited":
        config.write_text(config.read_text().replace("164", "165"))
    elif change == "removed":
        config.unlink()
    elif change == "added":
        config.with_name("inference.yaml").write_text("a: 1")
    else:
        (sums,) = (cache_folder() / "unpacked-models").glob("*.sha256")
        sums.unlink()
    assert model_identity(radcnn.open_model(path)) == before
    assert "164" in config.read_text()
    assert not config.with_name("inference.yaml").exists()
    names = sorted(p.suffix for p in (cache_folder() / "unpacked-models").iterdir())
    assert names == ["", ".sha256"]  # nothing is left aside


def test_trust_is_for_one_content(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "__init__.py").write_text("raise RuntimeError('imported')")
    sha256 = _sha_in(_refusal(bundle))
    assert sha256 == tree_sha256(bundle)
    assert "does not match the SHA-256" in _refusal(bundle, trust="0" * 64)
    assert radcnn.open_model(bundle, trust=sha256).title == "Two Organs"
    remember_trust(sha256)
    assert radcnn.open_model(bundle).title == "Two Organs"
    forget_trust(sha256)
    _refusal(bundle)
    (bundle / "scripts" / "__init__.py").write_text("raise RuntimeError('changed')")
    _refusal(bundle, trust=sha256)


def test_a_trusted_bundle_makes_its_own_network(tmp_path):
    from napari_radcnn.networks.files import open_network

    change = {"network_def": {"_target_": "scripts.net.make", "classes": "$1 + 2"}}
    bundle = write_bundle(tmp_path / "bundle", torch.nn.Conv3d(1, 3, 1), **change)
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "__init__.py").write_text("")
    (bundle / "scripts" / "net.py").write_text(
        "import torch\n\ndef make(classes):\n    return torch.nn.Conv3d(1, classes, 1)\n"
    )
    spec = radcnn.open_model(bundle, trust=_sha_in(_refusal(bundle)))
    before = tree_sha256(bundle)
    (file,) = spec.files
    module = open_network(file, channels=1, spatial_dims=3).torch_module()
    assert tuple(module(torch.zeros(1, 1, 2, 3, 4)).shape) == (1, 3, 2, 3, 4)
    assert tree_sha256(bundle) == before  # no compiled files were left
    (bundle / "scripts" / "net.py").write_text("1/0")
    with pytest.raises(ModelError, match="changed since it was trusted"):
        open_network(file, channels=1, spatial_dims=3).torch_module()


def test_bundles_with_modules_of_one_name_run_their_own_code(tmp_path):
    seen = []
    for number in (1, 2):
        (tmp_path / f"{number}" / "scripts").mkdir(parents=True)
        (tmp_path / f"{number}" / "scripts" / "__init__.py").write_text("")
        (tmp_path / f"{number}" / "scripts" / "net_of_bundle.py").write_text(f"VALUE = {number}")
        with _importable(tmp_path / f"{number}"):
            seen.append(importlib.import_module("scripts.net_of_bundle").VALUE)
        assert "scripts.net_of_bundle" not in sys.modules
    (tmp_path / "2" / "scripts" / "net_of_bundle.py").write_text("VALUE = 3")
    with _importable(tmp_path / "2"):
        seen.append(importlib.import_module("scripts.net_of_bundle").VALUE)
    assert seen == [1, 2, 3]


def test_torchscript_is_a_program_and_needs_trust(tmp_path):
    path = tmp_path / "net.ts"
    torch.jit.save(torch.jit.script(unet()), path)
    assert "net.json" in _refusal(path)
    describe(tmp_path / "net.json")
    text = _refusal(path)
    assert "a TorchScript file is a program" in text
    with pytest.raises(TrustError) as caught:
        radcnn.open_model(path)
    assert caught.value.sha256 == _sha_in(text) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert caught.value.reasons == ("a TorchScript file is a program",)
    spec = radcnn.open_model(path, trust=_sha_in(text))
    assert spec.files[0].kind == "torchscript"
    assert spec.spacing == (2.0, 1.5, 1.5)


# -- what is damaged, too large or another thing -------------------------------------------------------------------


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle/configs/inference.json", "{}")
        archive.writestr("bundle/models/model.pt", bytes(64 << 20))
    text = _refusal(path)
    assert text.startswith("bundle.zip: the archive of ")
    assert "64.0 MiB" in text
    assert "100 times its size" in text


def test_weights_that_unfold_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", b"\x80\x02}.")
        archive.writestr("model/data/0", bytes(64 << 20))
    assert "64.0 MiB" in _refusal(path)


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "bundle/../../out.txt"])
def test_an_archive_may_not_lead_out(tmp_path, name):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bundle/configs/inference.json", "{}")
        archive.writestr(name, "x")
    assert "points outside the archive" in _refusal(path)
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("suffix", [".pt", ".ts", ".onnx", ".safetensors", ".zip", ".json", ""])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model at all", b"\x80\x02", b"{", bytes(100)])
def test_files_that_are_no_models_are_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"thing{suffix}"
    path.write_bytes(content)
    assert "thing" in _refusal(path)


def test_folders_that_are_no_models_are_refused(tmp_path):
    (tmp_path / "stuff").mkdir()
    (tmp_path / "stuff" / "a.txt").write_text("a")
    assert "stuff: the folder contains no supported model" in _refusal(tmp_path / "stuff")
    assert "no such file" in _refusal(tmp_path / "missing")


@pytest.mark.parametrize("kind", ["pt", "ts", "safetensors", "zip", "onnx"])
def test_files_cut_short_are_refused(tmp_path, kind):
    path = _sound(tmp_path, kind)
    whole = path.read_bytes()
    for part in (0.02, 0.3, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * part)])
        assert path.name in _refusal(path, trust="0" * 64)


def _sound(folder: Path, kind: str) -> Path:
    network, path = unet(), folder / f"model.{kind}"
    described = {"architecture": {"name": "UNet", "arguments": UNET}} if kind in ("pt", "safetensors") else {}
    if kind == "pt":
        torch.save(network.state_dict(), path)
    elif kind == "ts":
        torch.jit.save(torch.jit.script(network), path)
    elif kind == "safetensors":
        write_safetensors(path, network.state_dict())
    elif kind == "onnx":
        write_onnx(path, np.eye(3, 1), np.zeros(3), (16, 16, 16))
    else:
        return zipped(write_bundle(folder / "bundle"), path)
    describe(folder / "model.json", **described)
    return path


@pytest.mark.parametrize("kind", ["pt", "safetensors", "zip", "onnx"])
def test_sound_files_open(tmp_path, kind):
    spec = radcnn.open_model(_sound(tmp_path, kind))
    assert spec.title == "Two Organs"
    assert {value: label.name for value, label in spec.labels.items()} == {1: "liver", 2: "spleen"}
    assert spec.modalities == ("CT",)
    assert spec.spacing == ((2.0, 1.5, 1.5))
    assert spec.patch == (16, 16, 16)
    assert json.dumps(spec.to_dict())


def test_the_sidecar_and_its_folder_open_as_well(tmp_path):
    path = write_safetensors(tmp_path / "weights.safetensors", unet().state_dict())
    described = {"architecture": {"name": "UNet", "arguments": UNET}, "weights": "weights.safetensors"}
    sidecar = describe(tmp_path / "model.json", **described)
    assert [radcnn.open_model(p).files[0].path for p in (sidecar, tmp_path, path)] == [path] * 3


def test_an_archive_is_unpacked_once(tmp_path):
    path = zipped(write_bundle(tmp_path / "bundle"), tmp_path / "a.zip")
    first, second = (radcnn.open_model(path).files[0].path for _ in range(2))
    assert first == second
    assert first.is_file()


# -- safetensors and ONNX ------------------------------------------------------------------------------------------


def _header(path: Path, header: object, data: bytes = b"") -> Path:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    ("header", "data", "told"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234", "file not fully covered"),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"12345678", "invalid shape"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, bytes(16), "invalid offset for tensor `a`"),
        ({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, bytes(8), "invalid value: integer `-2`"),
        ({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}}, bytes(8), "overflow"),
        ({"a": {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 8]}}, bytes(8), "unknown variant `PICKLE`"),
        (
            {"a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}},
            bytes(8),
            "an unsupported type (C64)",
        ),
        ({"a": {"dtype": "\n".join("abcdefgh") * 99, "shape": [1], "data_offsets": [0, 8]}}, bytes(8), "`a b c d"),
        ({"a": {"dtype": "F32"}}, bytes(8), "missing field `shape`"),
        (
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
            bytes(8),
            "invalid offset",
        ),
        (b'{"a":' + b"[" * 100_000, b"", "recursion limit"),
        ({}, b"", "contains no tensors"),
        (b"{not json", b"", "invalid JSON in header"),
    ],
)
def test_the_header_of_safetensors_is_checked(tmp_path, header, data, told):
    describe(tmp_path / "a.json", architecture={"name": "UNet", "arguments": UNET})
    text = _refusal(_header(tmp_path / "a.safetensors", header, data))
    assert text.startswith("a.safetensors: ")
    assert told in text
    assert len(text.splitlines()) == 1
    assert len(text) < 300


def test_weights_of_torch_under_the_name_of_safetensors_are_refused(tmp_path):
    describe(tmp_path / "a.json", architecture={"name": "UNet", "arguments": UNET})
    torch.save(unet().state_dict(), tmp_path / "a.safetensors")
    assert "rename it to .pt" in _refusal(tmp_path / "a.safetensors")


@pytest.mark.parametrize("place", ["../weights.bin", "/etc/passwd", "weights.bin", "a/../../b"])
def test_onnx_with_weights_elsewhere_is_refused(tmp_path, place):
    describe(tmp_path / "net.json")
    path = write_onnx(tmp_path / "net.onnx", np.eye(3, 1), np.zeros(3), (16, 16, 16), external=place)
    text = _refusal(path)
    assert place in text
    assert ("outside its folder" in text) == (place != "weights.bin")


def test_onnx_must_fit_its_description(tmp_path):
    describe(tmp_path / "net.json")
    path = write_onnx(tmp_path / "net.onnx", np.eye(3, 2), np.zeros(3), (16, 16, 16))
    assert "expects input of shape 1 x 2 x 16 x 16 x 16" in _refusal(path)


# -- bundles that do not add up ------------------------------------------------------------------------------------


def test_weights_of_another_network_are_refused(tmp_path):
    text = _refusal(write_bundle(tmp_path / "bundle", unet(out_channels=4)))
    assert text.startswith("model.pt: the weights do not match the network 'UNet'")
    assert "[4] instead of [3]" in text
    other = _refusal(write_bundle(tmp_path / "other", torch.nn.Conv3d(1, 3, 1)))
    assert "unexpected: bias, weight" in other
    assert "missing: model.0" in other


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"network_def": {"_target_": "UNet", **UNET, "in_channels": 2}}, "2 channels of inputs"),
        ({"network_def": {"_target_": "UNet", **UNET, "typo": 2}}, "typo"),
        ({"network_def": {"_target_": "UNet", "spatial_dims": 3}}, "'in_channels'"),
        ({"network_def": {"_target_": "UNet", **UNET, "channels": "$@nothing"}}, "@nothing"),
        ({"network_def": 3, "network": "@network_def"}, "does not describe a network"),
        (
            {"preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "RandMagicd", "keys": "image"}]}},
            "RandMagicd",
        ),
        (
            {"preprocessing": [{"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1, 1], "mode": "$@x"}]},
            "mode='$@x' is not supported",
        ),
        ({"preprocessing": [{"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1, 1], "typo": 1}]}, "'typo'"),
        ({"preprocessing": [{"_target_": "Orientationd", "keys": "$x", "axcodes": "RAS"}]}, "are not names"),
        ({"preprocessing": [{"_target_": "Orientationd", "keys": "image", "axcodes": "RAX"}]}, "not an orientation"),
        ({"inferer": {"_target_": "SlidingWindowInferer", "roi_size": [0, 4, 4]}}, "roi_size"),
        ({"inferer": {"_target_": "SlidingWindowInferer", "roi_size": 8, "overlap": 1.5}}, "overlap"),
        ({"inferer": {"_target_": "MagicInferer"}}, "MagicInferer"),
        ({"a": "@b", "b": "@a", "inferer": "@a"}, "does not describe an inferer"),
    ],
)
def test_bundles_that_do_not_add_up_are_refused(tmp_path, change, told):
    text = _refusal(write_bundle(tmp_path / "bundle", unet(), **change))
    assert text.startswith(("bundle: ", "model.pt: "))
    assert told in text


def test_a_bundle_without_weights_or_configuration_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "models" / "model.pt").unlink()
    assert "no weights" in _refusal(bundle)
    (bundle / "configs" / "inference.json").unlink()
    assert "inference.json" in _refusal(bundle)


def test_yaml_and_arithmetic_on_literals_are_read(tmp_path):
    import yaml

    config = inference_config(
        size=[8, 16, 24],
        roi="$[@size[1], @size#1 * 1, int(@size[2] / 2) + 4]",
        network_def={"_target_": "monai.networks.nets.UNet", **UNET},
    )
    config["inferer"]["roi_size"] = "@roi"
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "configs" / "inference.json").unlink()
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump(config))
    assert radcnn.open_model(bundle).patch == (16, 16, 16)


def test_yaml_that_unfolds_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "configs" / "inference.json").unlink()
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (bundle / "configs" / "inference.yaml").write_text("\n".join(lines))
    assert "too large" in _refusal(bundle)


def test_a_link_out_of_the_bundle_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "models" / "model.pt").rename(tmp_path / "elsewhere.pt")
    (bundle / "models" / "model.pt").symlink_to(tmp_path / "elsewhere.pt")
    assert "points outside the bundle" in _refusal(bundle)


def test_overlapping_classes_get_labels_from_one(tmp_path):
    metadata = json.loads(json.dumps(METADATA))
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "core", "1": "whole", "2": "enhancing"}
    post = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
    ]
    spec = radcnn.open_model(write_bundle(tmp_path / "bundle", metadata=metadata, postprocessing=post))
    assert {value: label.name for value, label in spec.labels.items()} == {1: "core", 2: "whole", 3: "enhancing"}
