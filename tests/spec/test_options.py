from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import pytest

from napari_radcnn.errors import ExitStatus, OptionError
from napari_radcnn.models import describe, make_options, models
from napari_radcnn.spec.options import CheckedOptions, option


@dataclass(frozen=True)
class _Options(CheckedOptions):
    radius_voxels: int = option(2, title="Radius", help="how far", low=1, high=5, unit="voxels")
    size: float = option(1.5, title="Size", help="how large", low=0.0, unit="mm")
    fill: bool = option(True, title="Fill", help="whether")
    mode: str = option("a", title="Mode", help="which", choices=("a", "b"))


def test_a_setting_is_described_once():
    radius, size, fill, mode = describe(_Options)
    assert (radius.name, radius.kind, radius.default, radius.high, radius.unit) == (
        "radius_voxels",
        int,
        2,
        5,
        "voxels",
    )
    assert (size.kind, size.low, size.high) == (float, 0.0, None)
    assert fill.kind is bool
    assert mode.choices == ("a", "b")


def test_defaults_mappings_and_instances():
    assert make_options(_Options, None) == _Options()
    assert make_options(_Options, {"size": 2}) == _Options(size=2.0)
    ready = _Options(mode="b")
    assert make_options(_Options, ready) is ready


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"radius_voxels": 9}, "between 1 and 5 voxels, got 9"),
        ({"radius_voxels": 2.5}, "type int"),
        ({"radius_voxels": True}, "type int"),
        ({"size": float("nan")}, "between 0 and inf mm, got nan"),
        ({"size": "2"}, "type float"),
        ({"fill": 1}, "type bool"),
        ({"mode": "c"}, "one of a, b"),
        ({"raduis": 2}, "Unknown option 'raduis'.*radius_voxels"),
        (["size"], "mapping"),
    ],
)
def test_what_is_wrong_is_said(values, match):
    with pytest.raises(OptionError, match=match) as caught:
        make_options(_Options, values)
    assert caught.value.exit_status == ExitStatus.USAGE


def test_options_cannot_change_after_they_were_checked():
    with pytest.raises(FrozenInstanceError):
        _Options().size = 3.0


@pytest.mark.parametrize("spec", models(), ids=lambda spec: spec.name)
def test_every_model_describes_its_options_in_full(spec):
    for entry in describe(spec.options):
        assert entry.title
        assert entry.help
        assert entry.check(entry.default) == entry.default
        if entry.kind in (int, float):
            assert entry.low is not None
            assert entry.high is not None
