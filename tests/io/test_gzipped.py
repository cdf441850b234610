"""Gzip, against Python's own module."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from napari_radcnn.io.gzipped import GZIP_ERROR, GzipStream, gzip_writer

DATA = np.random.default_rng(2).integers(0, 9, 3_000_001, dtype=np.uint8).tobytes()


def test_several_members_and_padding_are_one_stream():
    packed = gzip.compress(DATA[:1_000_000]) + gzip.compress(b"") + gzip.compress(DATA[1_000_000:], 9) + bytes(700)
    stream = GzipStream(io.BytesIO(packed))
    assert stream.read(17) == DATA[:17]
    assert stream.read(len(DATA)) == DATA[17:]
    assert stream.read(5) == b""


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda packed: packed[:-9], EOFError),
        (lambda packed: packed[:-8] + bytes(8), GZIP_ERROR),
        (lambda packed: packed[:-4] + bytes(4), GZIP_ERROR),
        (lambda packed: packed[:2000] + bytes(200) + packed[2200:], GZIP_ERROR),
        (lambda packed: packed + b"the rest of a file", GZIP_ERROR),
    ],
    ids=["cut off", "checksum", "length", "middle", "rest"],
)
def test_damage_is_noticed(damage, error):
    with pytest.raises(error):
        GzipStream(io.BytesIO(damage(gzip.compress(DATA)))).read(len(DATA) + 1)


def test_what_is_written_is_read_by_others_and_is_the_same_each_time(tmp_path):
    for name in ("of-a-patient.gz", "other.gz"):
        with gzip_writer(tmp_path / name) as file:
            file.write(DATA[:1000])
            file.write(DATA[1000:])
    packed = (tmp_path / "other.gz").read_bytes()
    assert gzip.decompress(packed) == DATA
    assert len(packed) < 1.1 * len(gzip.compress(DATA, 1))
    assert (tmp_path / "of-a-patient.gz").read_bytes() == packed
    assert packed[:8] == b"\x1f\x8b\x08\x00" + bytes(4)  # RFC 1952: no name, no time
