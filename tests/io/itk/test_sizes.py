"""Sizes that no file can have: one line that names the file."""

from pathlib import Path

import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import ReadError
from napari_radcnn.phantom import oblique_geometry, world_field


@pytest.mark.parametrize("size", ["1e308", "9" * 300, "99999999999999999"])
@pytest.mark.parametrize(("suffix", "key"), [(".nrrd", "sizes"), (".mha", "DimSize")])
def test_a_size_of_hundreds_of_digits_is_refused_in_one_line(tmp_path: Path, suffix: str, key: str, size: str) -> None:
    path = radcnn.write(world_field(oblique_geometry((3, 4, 5))), tmp_path / f"scan{suffix}")
    data = path.read_bytes()
    at = data.index(key.encode()) + len(key)
    end = data.index(b"\n", at)
    separator, _, *rest = data[at:end].replace(b":", b": ").replace(b"=", b"= ").split()
    changed = b" ".join([separator, size.encode(), *rest])
    path.write_bytes(data[:at] + changed + data[end:])
    with pytest.raises(ReadError) as caught:
        radcnn.read(path)
    assert path.name in str(caught.value)
    assert len(str(caught.value)) < 800
