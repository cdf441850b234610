import json

from napari_radcnn.models import shipped


def test_the_hash_of_shipped_weights_is_read_from_the_file_beside_them(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    assert shipped.shipped_weights("net") == ()
    (tmp_path / "weights").mkdir()
    described = tmp_path / "weights" / "net.json"
    described.write_text(json.dumps({"sha256": "ab" * 32, "architecture": {}}))
    (file,) = shipped.shipped_weights("net")
    assert (file.package, file.path, file.sha256) == (
        "napari_radcnn",
        "napari_radcnn/weights/net.safetensors",
        "ab" * 32,
    )
    for damaged in ("{", "[]", '{"sha256": 3}', "{}"):
        described.write_text(damaged)
        assert shipped.shipped_weights("net") == (), damaged
