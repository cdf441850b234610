import re
from xml.etree import ElementTree

import pytest

from napari_radcnn.errors import ReadError
from napari_radcnn.training.curve import draw_curve, read_log

SVG = "{http://www.w3.org/2000/svg}"


def test_every_column_is_a_panel_and_points_lie_where_they_belong(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("minutes,steps,loss,held <out>,skipped\n0,0,4,,0\n1,10,3,0.25,0\n4,40,0,0.75,0\n5,50,1\n")
    assert read_log(log)["loss"] == [4, 3, 0]  # the last line was cut short
    root = ElementTree.fromstring(draw_curve(log, tmp_path / "log.svg").read_text())
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == 2
    first, second = ([tuple(map(float, p.split(","))) for p in line.get("points").split()] for line in lines)
    (x0, top), (x1, quarter), (x2, bottom) = first
    assert (x1 - x0) / (x2 - x0) == pytest.approx(1 / 4, abs=1e-3)
    assert top < quarter < bottom
    assert (quarter - top) / (bottom - top) == pytest.approx(1 / 4, abs=0.01)
    assert len(second) == 2  # a line without a value is no point
    assert second[0][0] == pytest.approx(x1)
    told = " ".join(text.text for text in root.findall(f"{SVG}text"))
    assert "held <out>, last 0.75" in told
    assert re.search(r"loss, last 0\b", told)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "minutes,loss\n"])
def test_what_is_no_log_is_refused(tmp_path, text):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ReadError, match=r"log\.csv"):
        draw_curve(tmp_path / "log.csv", tmp_path / "log.svg")
    with pytest.raises(ReadError, match=r"none\.csv"):
        read_log(tmp_path / "none.csv")
