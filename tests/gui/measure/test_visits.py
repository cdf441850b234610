"""Target lesions at two visits, each a study with a patient space of its own: drawn, summed, written and read again."""

from __future__ import annotations

import numpy as np
import pytest

import napari_radcnn as radcnn
from dciodvfy import errors_in
from dicom_factory import write_dicom_series
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.io.dicom_results import read_ruler_report
from napari_radcnn.measure import read_rulers
from napari_radcnn.phantom import oblique_geometry, world_field
from reading_room import Reading
from screens import pump

pytestmark = pytest.mark.gui
GRID = oblique_geometry((16, 24, 20))
#: Day of the study -> half lengths of the rulers, in parts of the scan's.
VISITS = {"20260105": (0.8, 0.5), "20260301": (0.5, 0.3)}


@pytest.fixture
def opened(tmp_path, make_napari_viewer, qtbot):
    scan = world_field(GRID)
    scan = scan.with_array(np.round(scan.array).astype(np.int16), units="HU")
    read = []
    for n, day in enumerate(VISITS):
        space = f"2.25.77{n}"
        write_dicom_series(
            tmp_path / day,
            scan,
            modality="CT",
            study_uid=f"2.25.33{n}",
            frame_of_reference_uid=space,
            StudyDate=day,
            SeriesDescription=f"CT {day}",
        )
        read += radcnn.read(tmp_path / day)
    reading = Reading(make_napari_viewer, qtbot, read[0])
    add_to_viewer(reading.viewer, layer_data(read[1]))
    _, dock = reading.viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    reading.viewer.reset_view()
    return reading, dock.rulers


def test_two_visits(opened, tmp_path):
    reading, section = opened
    viewer, book = reading.viewer, section.book
    scans = [layer for layer in viewer.layers if layer in section._scan_combo.layers]
    section.tools["distance"].click()
    for scan, parts in zip(scans, VISITS.values(), strict=True):
        for other in scans:
            other.visible = other == scan
        viewer.layers.selection.active = scan
        pump()
        low, high = (np.array(corner)[-3:] for corner in np.asarray(scan.extent.world))
        middle, half = (low + high) / 2, (high - low)[2] / 2
        for n, part in enumerate(parts, 1):
            z, y, x = float(viewer.dims.point[0]), middle[1] + 4.0 * n, middle[2]
            reading.drag([reading.pixel((x + side * part * half, y, z)) for side in (-1, 1)])
            book.change(len(book.rulers) - 1, name=f"lesion {n}", is_target=True)
    assert [ruler.frame_of_reference_uid for ruler in book.rulers] == ["2.25.770"] * 2 + ["2.25.771"] * 2
    first, second = (sum(ruler.diameter for ruler in book.rulers[n : n + 2]) for n in (0, 2))
    told = section.sum_label.text()
    change = 100 * (second - first) / first
    assert -45 < change < -35  # 0.8 of 1.3, up to what a hand is exact to
    assert told.splitlines()[0].endswith(f": sum {first:.1f} mm")
    assert f"sum {second:.1f} mm, {change:+.0f} % from baseline" in told
    assert told.endswith("PR")
    # rulers of the other visit are listed in gray, and not drawn
    assert len(section.shown.layer.data) == 2
    # a table holds both visits; a report those of its study, and a line says so
    section.save(tmp_path / "all.csv")
    assert read_rulers(tmp_path / "all.csv") == list(book.rulers)
    assert not book.is_unsaved
    for scan, day in zip(scans, VISITS, strict=True):
        viewer.layers.selection.active = scan
        pump()
        report = tmp_path / f"{day}.sr.dcm"
        section.save(report)
        assert "2 rulers of other scans not written" in section.message_label.text()
        assert errors_in(report) == set()
        assert [ruler.name for ruler in read_ruler_report(report)] == ["lesion 1", "lesion 2"]
    book.delete(range(4))
    assert section.sum_label.text() == ""
    for day in VISITS:
        section.open(tmp_path / f"{day}.sr.dcm")
    assert section.sum_label.text() == told
    # of a third scan none of them is
    viewer.layers.selection.active = None
    add_to_viewer(viewer, layer_data(world_field(GRID).with_metadata(name="other", frame_of_reference_uid="2.25.9")))
    viewer.layers.selection.active = viewer.layers["other"]
    pump()
    section.save(tmp_path / "none.sr.dcm")
    assert "No ruler lies in the patient space of 'other'" in section.message_label.text()
    assert not (tmp_path / "none.sr.dcm").exists()
