"""Files of many frames with several volumes, as each vendor writes them: the right voxels in the right place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcm2niix_oracle import are_the_same, converted
from enhanced_layouts import ENHANCED, Enhanced, write_enhanced_layout
from napari_radcnn.io import read
from vendor_grids import GRIDS, SHAPE
from vendor_series import values


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("layout", ENHANCED, ids=str)
def test_volumes_are_those_of_the_scanner(tmp_path: Path, layout: Enhanced, grid: str) -> None:
    write_enhanced_layout(tmp_path / "in", layout, GRIDS[grid])
    volumes = read(tmp_path / "in")
    names = layout.names or tuple(str(n + 1) for n in range(layout.volumes))
    assert [volume.name.partition(" · ")[2] for volume in volumes] == list(names)
    found = []
    for volume in volumes:
        is_turned = not np.allclose(volume.geometry.affine[:3, 3], GRIDS[grid].affine[:3, 3], atol=1e-3)
        aligned = volume.array[::-1] if is_turned else volume.array
        found.append(int(aligned[0, 0, 0]) // 1000 - 1)
        assert np.array_equal(aligned, values(SHAPE, found[-1]))
        assert "contradict" not in " ".join(volume.warnings)
    order = list(range(layout.volumes))
    assert (found if layout.is_in_order else sorted(found)) == order
    if layout.is_read_by_dcm2niix:
        assert are_the_same(volumes, converted(tmp_path / "in", tmp_path / "out"))
