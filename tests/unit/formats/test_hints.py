"""What is said of files that are no arrays: by evidence, and with what to type."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2cli.errors import FormatError
from l2cli.filesystem.buffered_stream import BufferedStream
from l2cli.formats.hints import describe
from l2cli.formats.registry import detect, detect_stream

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.random.default_rng(0).standard_normal((30, 384)).astype("f4")


def _message(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"^[^\n]+$") as caught:
        detect(path)
    return str(caught.value)


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, ROWS)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("suffix", "compress", "command"),
    [
        (".gz", gzip.compress, "gzip -dc"),
        (".bz2", bz2.compress, "bzip2 -dc"),
        (".xz", lzma.compress, "xz -dc"),
        (".zst", lambda content: b"\x28\xb5\x2f\xfd" + content, "zstd -dc"),
        (".lz4", lambda content: b"\x04\x22\x4d\x18" + content, "lz4 -dc"),
    ],
)
@pytest.mark.parametrize("name", ["x.npy", "x.arrow", "a b.npy", "x"])
def test_what_is_compressed_comes_with_the_pipe_to_type(
    tmp_path: Path, suffix: str, compress: Any, command: str, name: str
) -> None:
    path = tmp_path / f"{name}{suffix}"
    quote = "'" if " " in name else ""
    expected = f"{command} {quote}{path}{quote} | l2norm normalize -o {quote}{tmp_path / name}"
    assert _message(path, compress(_npy())).endswith(expected + quote)


def test_the_pipe_to_type_works(tmp_path: Path) -> None:
    message = _message(tmp_path / "a b.npy.gz", gzip.compress(_npy()))
    line = message.partition("in a pipe: ")[2].replace("l2norm", f"{sys.executable} -m l2cli")
    subprocess.run(line, shell=True, check=True, capture_output=True)
    norms = np.linalg.norm(np.load(tmp_path / "a b.npy").astype("f8"), axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)


def test_what_is_compressed_under_another_name_is_not_overwritten(tmp_path: Path) -> None:
    message = _message(tmp_path / "x.npy", gzip.compress(_npy()))
    assert message.startswith(f"{tmp_path}/x.npy is named like npy, but compressed with gzip")
    assert message.endswith(f"-o {tmp_path / 'x.normalized.npy'}")


def test_a_stream_that_is_compressed_says_what_to_put_before(tmp_path: Path) -> None:
    stream = BufferedStream(io.BytesIO(gzip.compress(_npy())))
    with pytest.raises(FormatError, match="is compressed with gzip; put gzip -dc before it"):
        detect_stream(stream, "standard input")


@pytest.mark.parametrize(
    "start", [b"\x80", b"\x1f\x8b", b"<", b"{", b"[", b"BZh", b"\x80\x04", b"(dp"]
)
def test_raw_numbers_are_not_taken_for_something_by_their_first_bytes(
    tmp_path: Path, start: bytes
) -> None:
    content = start + ROWS.tobytes()[len(start) :]
    message = _message(tmp_path / "x.npy", content)
    assert "seems to be raw numbers without a header (a memmap), 46,080 bytes" in message
    assert "(30, 384)" in message


@given(st.binary(min_size=64, max_size=64))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_random_bytes_after_a_first_one_are_nothing(content: bytes) -> None:
    if not content.isascii():
        for first in (b"\x80", b"\x1f", b"<", b"{"):
            assert "HTML" not in describe(first + b"\0" + content)
            assert describe(first + b"\0" + content) == ""


def test_the_header_to_give_works(tmp_path: Path) -> None:
    message = _message(tmp_path / "it's raw.npy", ROWS.tobytes())
    line = message.partition("of its rows: ")[2].replace("DIM", "384")
    line = line.replace("python", sys.executable, 1)
    subprocess.run(line, shell=True, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "it's raw.header.npy"), ROWS)


@pytest.mark.parametrize(
    ("num_bytes", "expected"),
    [(4 * 7 * 11, "308 bytes; give"), (1001, "1,001 bytes; give"), (400, "400 bytes, as float32")],
)
def test_shapes_are_told_where_they_fit(tmp_path: Path, num_bytes: int, expected: str) -> None:
    assert expected in _message(tmp_path / "x.npy", bytes(num_bytes))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "content", [{"emb": ROWS}, ROWS, [1, 2], "x" * 1000, 7, {"a": [None, 1.5]}]
)
def test_pickles_are_told(tmp_path: Path, content: Any, protocol: int) -> None:
    message = _message(tmp_path / "x.npy", pickle.dumps(content, protocol))
    assert "a Python pickle, which l2norm never loads" in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>", "an HTML or XML page"),
        (b"\n<html lang='en'>", "an HTML or XML page"),
        (b'<?xml version="1.0"?><Error>', "an HTML or XML page"),
        (json.dumps({"error": "not found", "код": 404}).encode(), "JSON text"),
        (json.dumps([[1.0, 2.0]] * 50).encode(), "JSON text"),
        (b'\xef\xbb\xbf{\n  "a": 1}', "JSON text"),
        (b"0.1,0.2,0.3\n" * 20, "text; convert it to Parquet or .npy"),
        ("größe;länge\n".encode() * 20, "text; convert it"),
        (b"\x92NUMPY\x01\x00v\x00{'descr'", "its beginning is damaged"),
        (b"\xef\xbf\xbdNUMPY\x01\x00v\x00{'descr'", "its beginning is damaged"),
        (bytes(20), "of no known format (it begins with"),
    ],
)
def test_other_things_named_npy_are_told(tmp_path: Path, content: bytes, what: str) -> None:
    assert f"named like npy, but {what}" in _message(tmp_path / "x.npy", content)
