"""Interactive engines: how many clicks a good mask takes, how long a click takes, whether the viewer goes on.

    python -m benchmarks.interactive --data DIR --engines region promptable-3d
    python -m benchmarks.interactive --data DIR --engines region --scans example_ct --objects 3 --clicks 3
    python -m benchmarks.interactive --data DIR --latency --event-loop

Without ``--latency`` and ``--event-loop``, and with ``--accuracy``, a simulated user plays the scans of `scans.py` that
are in DIR. Every object is written into the JSON file as it is done: run again with the same file, it goes on where it
stopped (``--fresh`` begins anew). The tables are written beside it, as ``.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, machine
from benchmarks.interactive.clicks import CAP, identity, play_scan
from benchmarks.interactive.scans import SCANS, Scan, trained_on
from benchmarks.interactive.summary import summarize, text
from napari_radcnn.errors import RadcnnError
from napari_radcnn.files import atomic_path
from napari_radcnn.inference.settings import RunSettings

_RESULT = RESULTS / "interactive.json"


def main() -> None:
    """Measure what was asked for, print it and keep it."""
    parsed = _arguments()
    kept: dict[str, Any] = {}
    if parsed.json.exists() and not parsed.fresh:
        kept = json.loads(parsed.json.read_text(encoding="utf-8"))
    parts = {"accuracy": _accuracy, "latency": _latency, "event_loop": _event_loop}
    asked = [name for name in parts if getattr(parsed, name)] or ["accuracy"]
    for name in asked:
        parts[name](parsed, kept)
        kept["machine"] = machine()
        _write(parsed.json, kept)
    told = report(kept)
    print(told)
    with atomic_path(parsed.json.with_suffix(".md"), overwrite=True) as path:
        path.write_text(told + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interactive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = os.environ.get("RADCNN_DATA")
    parser.add_argument("--data", type=Path, default=data, help="folder of the scans (default: RADCNN_DATA)")
    parser.add_argument("--engines", nargs="+", default=["region", "promptable-3d"])
    parser.add_argument("--scans", nargs="+", choices=[scan.name for scan in SCANS], help="only these")
    parser.add_argument("--objects", type=int, help="only so many of each scan, evenly from its list")
    parser.add_argument("--clicks", type=int, default=CAP, help=f"at most so many an object (default: {CAP})")
    parser.add_argument("--direct", action="store_true", help="ask the engines without a session")
    parser.add_argument("--weights", type=Path, help="of promptable-3d, where it is not the package's; JSON beside it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--accuracy", action="store_true", help="clicks of a simulated user (what is done by default)")
    parser.add_argument("--latency", action="store_true", help="seconds from click to mask in a CT of 256x512x512")
    parser.add_argument("--event-loop", action="store_true", help="gaps between events of the viewer; needs a display")
    parser.add_argument("--json", type=Path, default=_RESULT, help=f"where results are kept (default: {_RESULT.name})")
    parser.add_argument("--fresh", action="store_true", help="forget what the JSON file holds")
    parsed = parser.parse_args()
    if parsed.data is None or not parsed.data.is_dir():
        parser.error(f"--data must be a folder, got {parsed.data}; or set RADCNN_DATA")
    if not 1 <= parsed.clicks <= CAP:
        parser.error(f"--clicks must be 1 to {CAP}, got {parsed.clicks}")
    return parsed


def _accuracy(parsed: argparse.Namespace, kept: dict[str, Any]) -> None:
    """Play what is not yet in `kept`, and write after each object."""
    records, engines = kept.setdefault("records", []), kept.setdefault("engines", {})
    settings = RunSettings(device=parsed.device, precision=parsed.precision)
    kept["trained_on"] = trained_on(parsed.weights and parsed.weights.with_suffix(".json"))
    for engine in parsed.engines:
        own = {**identity(engine, settings, parsed.weights), "clicks": parsed.clicks, "direct": parsed.direct}
        if engine in engines and engines[engine] != own:
            print(f"{engine}: weights or settings changed, its results are made anew", file=sys.stderr)
            records[:] = [record for record in records if record["engine"] != engine]
        engines[engine] = own
        for scan in _present(parsed):
            done = [r["object"] for r in records if r["engine"] == engine and r["scan"] == scan.name]
            kept.setdefault("failures", {}).pop(f"{engine}, {scan.name}", None)
            try:
                for record in play_scan(
                    scan,
                    parsed.data,
                    engine,
                    settings,
                    done=done,
                    clicks=parsed.clicks,
                    n_objects=parsed.objects,
                    is_direct=parsed.direct,
                    weights=parsed.weights,
                ):
                    records.append(record)
                    _write(parsed.json, kept)
            except RadcnnError as error:
                print(f"{engine}, {scan.name}: {error}", file=sys.stderr)
                kept["failures"][f"{engine}, {scan.name}"] = str(error)
    kept["summary"] = summarize(records, kept["trained_on"])


def _present(parsed: argparse.Namespace) -> list[Scan]:
    wanted = [scan for scan in SCANS if parsed.scans is None or scan.name in parsed.scans]
    missing = [scan.name for scan in wanted if not (parsed.data / scan.path).exists()]
    if missing:
        print(f"not in {parsed.data}: {', '.join(missing)}", file=sys.stderr)
    return [scan for scan in wanted if scan.name not in missing]


def _latency(parsed: argparse.Namespace, kept: dict[str, Any]) -> None:
    from benchmarks.interactive.latency import measure

    kept["latency"] = measure(parsed.data, parsed.engines, RunSettings(device=parsed.device), parsed.weights)


def _event_loop(parsed: argparse.Namespace, kept: dict[str, Any]) -> None:
    from benchmarks.interactive.loop import measure

    kept["event_loop"] = measure(parsed.data, parsed.engines)


def report(kept: dict[str, Any]) -> str:
    """Return everything that was kept as Markdown."""
    parts = ["# Interactive segmentation", "Written by `make benchmark-interactive`; not edited by hand."]
    parts.append(f"Measured on: {kept['machine']}.")
    if "summary" in kept:
        parts += ["## Clicks", text(kept["summary"])]
    if kept.get("failures"):
        parts.append("\n".join(f"* {where}: {why}" for where, why in kept["failures"].items()))
    if "latency" in kept:
        from benchmarks.interactive.latency import text as latency_text

        parts += ["## From the click to the mask", latency_text(kept["latency"])]
    if "event_loop" in kept:
        from benchmarks.interactive.loop import text as loop_text

        parts += ["## The viewer meanwhile", loop_text(kept["event_loop"])]
    return "\n\n".join(parts)


def _write(path: Path, kept: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept["written"] = time.strftime("%Y-%m-%d %H:%M")
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
