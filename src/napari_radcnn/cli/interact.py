"""``radcnn interact``: a script of prompts and tools on a scan, without a viewer."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_radcnn.cli.common import (
    Progress,
    add_on_irregular,
    add_options,
    add_pixel_size,
    add_select,
    check_result_target,
    choose,
    keeping,
    read_volumes,
    warn,
)
from napari_radcnn.cli.signals import cancelling
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.specs import SPECS
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import manifest_path
from napari_radcnn.results import LabelMap
from napari_radcnn.tasks import numbers_of
from napari_radcnn.volume import Volume


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    interact = commands.add_parser(
        "interact",
        help="run a script of prompts and correction tools on a scan",
        description="Run a script of prompts (clicks, boxes, scribbles, lassos) and correction tools on a scan, just "
        "as the dock 'Interactive segmentation' applies them. The manifest saved beside an interactive "
        "result is such a script.",
    )
    interact.add_argument("scan", metavar="SCAN", type=Path, help="file or folder")
    interact.add_argument(
        "script", metavar="SCRIPT.json", type=Path, help=("a script, or the manifest (OUT.radcnn.json) of a result")
    )
    interact.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help=("file to write; its suffix sets the format")
    )
    interact.add_argument(
        "--engine",
        metavar="NAME",
        help="engine that answers all prompts, instead of the one named in the script: "
        f"{', '.join(spec.name for spec in SPECS)}, or one from an installed package, see `radcnn models`",
    )
    add_labels(interact)
    add_select(interact)
    add_on_irregular(interact)
    add_pixel_size(interact)
    interact.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    add_options(interact.add_argument_group("device and precision"), RunSettings)
    interact.set_defaults(command=_interact, device=None, precision=None)


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Let the user name the label maps that a script copies from."""
    parser.add_argument(
        "--labels",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a label map that the script copies from, such as a model's result; may be repeated",
    )


def _interact(parsed: argparse.Namespace) -> None:
    from napari_radcnn.interactive.script import read_script
    from napari_radcnn.io import check_source
    from napari_radcnn.play import check_engines, play

    check_result_target(parsed.output, LabelMap, parsed.overwrite, [parsed.scan, parsed.script, *parsed.labels])
    script = read_script(parsed.script, read_label_maps(parsed.labels))
    check_engines(script, parsed.engine)
    given = {key: getattr(parsed, key) for key in ("device", "precision") if getattr(parsed, key) is not None}
    settings = RunSettings(**{**script.settings, **given})
    with cancelling() as cancel, keeping(parsed.output):
        progress = Progress()
        volumes = read_volumes(parsed.scan, progress, cancel, parsed.on_irregular, parsed.pixel_size)
        volume = choose(volumes, parsed.scan, parsed.select)
        check_source(LabelMap, parsed.output, volume)
        warn(volume.warnings)
        try:
            result = play(volume, script, engine=parsed.engine, settings=settings, progress=progress, cancel=cancel)
        finally:
            progress.close()
        warn([text for text in result.warnings if text not in volume.warnings])
        write_with_manifest(result, parsed.output, overwrite=parsed.overwrite)
    for name, value in numbers_of(result, "interactive"):
        print(f"{name}: {value}")
    print(f"written: {parsed.output}")
    print(f"manifest: {manifest_path(parsed.output)}")


def read_label_maps(paths: list[Path]) -> list[LabelMap]:
    """Return the label maps in files, for a script that copies from them."""
    from napari_radcnn.io.dicom_results.write.segmentation import as_label_map

    volumes: list[Volume] = [volume for path in paths for volume in read_volumes(path)]
    return [as_label_map(volume) for volume in volumes]
