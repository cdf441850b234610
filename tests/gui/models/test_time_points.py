"""What is started on a scan with time points runs on the one that was shown then."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Layer

from aligned import aligned
from napari_radcnn.gui.export.saving import kind_of, result_of
from napari_radcnn.gui.fusion.overlay import fuse
from napari_radcnn.gui.layers.layers import layer_data, show_point, snapshot
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.gui.models.run import ModelRun, can_be_input
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import models
from napari_radcnn.phantom import world_field
from napari_radcnn.volume import Volume, VolumeMetadata


@pytest.fixture
def given():
    field = world_field(aligned("IPL"))
    return [
        Volume(field.array + n, field.geometry, VolumeMetadata(name=f"MR 3 · {n + 1}", source=Path("a")))
        for n in range(4)
    ]


@pytest.fixture
def layer(given):
    (data,) = layers_of(given)
    return Layer.create(*data)


def test_a_run_keeps_its_time_point(given, layer):
    spec = next(one for one in models() if one.name == "nlm-denoise")
    assert can_be_input(spec, layer)
    show_point(layer, 1)
    run = ModelRun(spec, (layer,), None, RunSettings())
    show_point(layer, 3)
    assert np.array_equal(run.volumes()[0].array, given[1].array)
    assert run.scan_name == run.volumes()[0].name == "MR 3 · 2"
    assert run.run_anyway().points == (1,)
    later = ModelRun(spec, (layer,), None, RunSettings())
    assert later.points == (3,)
    assert not run.is_same(later)
    assert run.is_same(replace(run))


def test_export_and_fusion_take_the_one_that_is_shown(given, layer):
    show_point(layer, 2)
    taken = snapshot(layer)
    show_point(layer, 0)
    assert kind_of(taken) == kind_of(layer) == "image"
    assert np.array_equal(result_of(taken).array, given[2].array)
    base = Layer.create(*layer_data(given[0].with_metadata(name="base")))
    fused = fuse(taken, base, {})
    assert fused.data[1]["name"] == "MR 3 · 3 on base"
    array = np.asarray(Layer.create(*fused.data).data)
    assert np.array_equal(np.sort(array.ravel()), np.sort(given[2].array.ravel()))
