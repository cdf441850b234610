"""Damage files of every format in every way we can think of, and read them: each must open or be refused by name.

    python tests/fuzz/fuzz_readers.py --count 20000 --seed 1

Each input is read in a process of its own limits (4 GiB of address space, 10 s). Whatever is neither opened nor
refused by an error of ours that names the file is bad: it is kept in ``fuzz-findings`` with its number.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series, write_htj2k
from napari_radcnn.errors import RadcnnError
from napari_radcnn.phantom import head, oblique_geometry

MEMORY_BYTES = 4 << 30
SECONDS = 10.0
_SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "big-endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
}
_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".ome.zarr")
#: Numbers that break things where a length or a size is expected.
_LENGTHS = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def make_sources(folder: Path) -> list[Path]:
    """Write one sound example of everything; each is a file, or a folder whose files are one image."""
    sources = []
    for name, syntax in _SYNTAXES.items():
        size = (64, 66) if name == "jpeg-2000" else (20, 24)
        single = head(oblique_geometry((1, *size)))
        (path,) = write_dicom_series(folder / name, single, transfer_syntax=syntax)
        sources.append(path.rename(folder / f"{name}.dcm"))
    htj2k = write_htj2k(folder / "htj2k", "1.2.840.10008.1.2.4.201")
    sources.append(htj2k.rename(folder / "htj2k.dcm"))
    write_dicom_series(folder / "series", head(oblique_geometry((3, 8, 9))))
    sources.append(folder / "series")
    write_dicom_series(folder / "gap", head(oblique_geometry((6, 8, 9))))[2].unlink()
    sources.append(folder / "gap")
    scan = head(oblique_geometry((3, 8, 9)))
    for suffix in _SUFFIXES:
        target = folder / f"pair{suffix}"
        if suffix == ".mhd":  # two files
            (folder / "pair").mkdir()
            target = folder / "pair" / "scan.mhd"
        radcnn.write(scan, target)
        sources.append(target.parent if suffix == ".mhd" else target)
    sources.append(Path(shutil.make_archive(str(folder / "export"), "zip", folder / "series")))
    return sources


# -- damage -----------------------------------------------------------------------------------------------------------


def flip_bits(data: bytearray, rng: random.Random) -> bytearray:
    """Flip up to 20 bits, mostly in the header."""
    for _ in range(rng.randint(1, 20)):
        at = rng.randrange(len(data) if rng.random() < 0.3 else min(len(data), 1200))
        data[at] ^= 1 << rng.randrange(8)
    return data


def truncate(data: bytearray, rng: random.Random) -> bytearray:
    """Cut the end off."""
    return data[: rng.randrange(len(data))]


def edit_length(data: bytearray, rng: random.Random) -> bytearray:
    """Put a number where a length may stand."""
    size = rng.choice((2, 4, 8))
    if len(data) <= size:
        return data
    at = rng.randrange(min(len(data) - size, 2000))
    value = rng.choice(_LENGTHS) % (1 << (8 * size))
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))
    return data


def drop(data: bytearray, rng: random.Random) -> bytearray:
    """Leave a piece out."""
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 64)]
    return data


def repeat(data: bytearray, rng: random.Random) -> bytearray:
    """Have a piece twice."""
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randint(1, 64)]
    return data[:at] + piece * rng.randint(2, 4) + data[at + len(piece) :]


def edit_number(data: bytearray, rng: random.Random) -> bytearray:
    """Change a number that is written as text."""
    places = [n for n, byte in enumerate(data[:3000]) if 48 <= byte <= 57]
    if not places:
        return flip_bits(data, rng)
    at = rng.choice(places)
    word = rng.choice((b"0", b"-1", b"9", b"99999999", b"nan", b"inf", b"1e308", b"", b",", b"\\", b"\0", b"\xff"))
    return data[:at] + word + data[at + 1 :]


def fill(data: bytearray, rng: random.Random) -> bytearray:
    """Overwrite a stretch with one byte, or with noise."""
    at = rng.randrange(len(data))
    n = min(rng.randint(1, 200), len(data) - at)
    data[at : at + n] = rng.choice((bytes(n), b"\xff" * n, rng.randbytes(n)))
    return data


def change_tags(data: bytearray, rng: random.Random) -> bytearray:
    """Drop, double or empty an element of a DICOM file, by its own lengths; anything else gets flipped bits."""
    elements = _explicit_elements(data)
    if not elements:
        return flip_bits(data, rng)
    start, end = rng.choice(elements)
    kind = rng.randrange(4)
    if kind == 0:
        return data[:start] + data[end:]
    if kind == 1:
        return data[:end] + data[start:]
    if kind == 2 and end - start > 8:
        return data[: start + 6] + b"\0\0" + data[end:]
    other_start, other_end = rng.choice(elements)
    return data[: start + 6] + data[other_start + 6 : other_end] + data[end:]


def _explicit_elements(data: bytearray) -> list[tuple[int, int]]:
    if data[128:132] != b"DICM":
        return []
    found = []
    at = 132
    while at + 8 <= len(data) and data[at + 4 : at + 6].isalpha():
        is_long = bytes(data[at + 4 : at + 6]) in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"OD")
        width = 4 if is_long else 2
        begin = at + (12 if is_long else 8)
        end = begin + int.from_bytes(data[begin - width : begin], "little")
        if end > len(data):
            break
        found.append((at, end))
        at = end
    return found


_DAMAGE: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    flip_bits,
    truncate,
    edit_length,
    drop,
    repeat,
    edit_number,
    fill,
    change_tags,
)


def make_input(sources: list[Path], target: Path, number: int, seed: int) -> Path:
    """Copy a source to `target` and damage it; the same number and seed give the same input."""
    rng = random.Random(f"{seed}:{number}")
    source = rng.choice(sources)
    path = target / source.name
    if source.is_dir():
        shutil.copytree(source, path)
        file = rng.choice(sorted(found for found in path.rglob("*") if found.is_file()))
    else:
        file = Path(shutil.copy(source, path))
    file.write_bytes(damaged(bytearray(file.read_bytes()), rng))
    return path


def damaged(data: bytearray, rng: random.Random) -> bytearray:
    """Damage the bytes of a file once to three times."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            data = rng.choice(_DAMAGE)(data, rng)
    return data


# -- reading ----------------------------------------------------------------------------------------------------------


def judge(path: Path) -> str:
    """Read an input; return ``"opened"``, ``"refused"``, or what is bad about it.

    A series with gaps is refused; it is then resampled, and split, too.
    """
    verdict, is_irregular = _judge(path)
    if not is_irregular:
        return verdict
    others = [_judge(path, on_irregular)[0] for on_irregular in ("resample", "split")]
    return next((other for other in others if other.startswith("bad")), others[0])


def _judge(path: Path, on_irregular: Any = "refuse") -> tuple[str, bool]:
    """Return the verdict, and whether it is for slices that are not evenly spaced."""
    names = {path.name, *(inner.name for inner in path.rglob("*"))} if path.is_dir() else {path.name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for volume in radcnn.read(path, on_irregular=on_irregular):
                array = np.asarray(volume.array)
                if not np.isfinite(volume.geometry.affine).all() or array.shape[:3] != volume.geometry.shape:
                    return "bad: an impossible grid", False
        except RadcnnError as error:
            text = str(error)
            is_named = any(name in text for name in names)
            return "refused" if is_named else f"bad: names no file: {text}", "on_irregular='resample'" in text
        except (Exception, RecursionError) as error:  # noqa: BLE001  finding these is what this is for
            return f"bad: {type(error).__name__}: {error}", False
    return "opened", False


def _work(pipe: Connection, judging: Callable[[Path], str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    while (path := pipe.recv()) is not None:
        pipe.send(judging(path))


class Worker:
    """A process that reads inputs, and is replaced when one kills it or takes too long."""

    def __init__(self, judging: Callable[[Path], str] = judge) -> None:
        self._judging = judging
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_work, args=(other, self._judging), daemon=True)
        self._process.start()
        other.close()
        self._is_new = True

    def judge(self, path: Path) -> str:
        """Return the verdict of one input."""
        self._pipe.send(path)
        limit = SECONDS + (60 if self._is_new else 0)  # a new process imports first
        self._is_new = False
        try:
            if self._pipe.poll(limit):
                return str(self._pipe.recv())
            verdict = f"bad: longer than {SECONDS:g} s"
        except EOFError:
            self._process.join()
            verdict = f"bad: the process died ({self._process.exitcode})"
        self._process.kill()
        self._process.join()
        self._start()
        return verdict

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(10)


def run(count: int, seed: int, findings: Path, first: int = 0, *, verbose: bool = True) -> Counter[str]:
    """Read `count` inputs; return how many were opened, refused and bad; keep the bad ones."""
    counts: Counter[str] = Counter()
    worker = Worker()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        sources = make_sources(Path(folder))
        for number in range(first, first + count):
            with tempfile.TemporaryDirectory(prefix="input-") as target:
                path = make_input(sources, Path(target), number, seed)
                verdict = worker.judge(path)
                counts[verdict.partition(":")[0]] += 1
                if verdict.startswith("bad"):
                    kept = findings / f"{seed}-{number}"
                    kept.mkdir(parents=True, exist_ok=True)
                    copy: Any = shutil.copytree if path.is_dir() else shutil.copy
                    copy(path, kept / path.name, **({"dirs_exist_ok": True} if path.is_dir() else {}))
                    _say(f"{number} {path.name}: {verdict[:300]}")
            if verbose and (number + 1 - first) % 500 == 0:
                _say(f"{number + 1 - first} of {count}: {dict(counts)}, {time.monotonic() - started:.0f} s")
    worker.close()
    return counts


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input, to repeat one")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    arguments = parser.parse_args()
    counts = run(arguments.count, arguments.seed, arguments.findings, arguments.first)
    _say(f"opened {counts['opened']}, refused {counts['refused']}, bad {counts['bad']}")
    return 1 if counts["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
