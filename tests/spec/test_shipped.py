import json

from napari_radcnn.spec import shipped


def test_the_hash_of_shipped_weights_is_read_from_the_file_beside_them(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    assert shipped.shipped_weights("models/net/net") == ()
    (tmp_path / "models" / "net").mkdir(parents=True)
    described = tmp_path / "models" / "net" / "net.json"
    described.write_text(json.dumps({"sha256": "ab" * 32, "architecture": {}}))
    (file,) = shipped.shipped_weights("models/net/net")
    assert (file.package, file.path, file.sha256) == (
        "napari_radcnn",
        "napari_radcnn/models/net/net.safetensors",
        "ab" * 32,
    )
    for damaged in ("{", "[]", '{"sha256": 3}', "{}"):
        described.write_text(damaged)
        assert shipped.shipped_weights("models/net/net") == (), damaged
