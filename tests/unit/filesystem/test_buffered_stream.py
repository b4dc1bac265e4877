"""A stream that is looked at before it is read."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path

import pytest

from l2cli.errors import SourceError
from l2cli.filesystem.buffered_stream import BufferedStream, in_temporary_file
from l2cli.filesystem.siblings import name_prefix
from l2cli.io.streams import StreamSource


class _Trickle(io.RawIOBase):
    """Gives three bytes at a time, as a slow pipe may."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._stream.readinto(buffer[:3])


CONTENT = bytes(range(100))


def test_what_was_peeked_at_is_read_all_the_same() -> None:
    stream = BufferedStream(_Trickle(CONTENT))
    assert stream.peek(64) == CONTENT[:64]
    assert stream.read(10) == CONTENT[:10]
    stream.stop_buffering()
    assert stream.read(70) == CONTENT[10:80]
    assert not stream.ended
    assert stream.read(50) == CONTENT[80:]
    assert stream.ended


class _Broken(io.RawIOBase):
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_what_the_system_can_not_read_is_an_error_of_the_source() -> None:
    with pytest.raises(SourceError, match=r"^standard input: can't be read: Input/output error$"):
        StreamSource(_Broken())


def test_a_stream_shorter_than_the_peek() -> None:
    stream = BufferedStream(_Trickle(b"ab"))
    assert stream.peek(64) == b"ab"
    assert stream.read() == b"ab"


@pytest.mark.parametrize("named", [False, True])
def test_a_spool_holds_all_and_is_gone_after(named: bool) -> None:
    before = set(os.listdir(tempfile.gettempdir()))
    stream = BufferedStream(_Trickle(CONTENT))
    stream.read(17)
    with in_temporary_file(stream, named=named) as path:
        assert path.read_bytes() == CONTENT
        assert path.stat().st_size == len(CONTENT)
        if not named and Path("/proc/self/fd").is_dir():
            assert path.stat().st_nlink == 0
    assert not path.exists()
    left = set(os.listdir(tempfile.gettempdir())) - before
    assert not [name for name in left if name.startswith(name_prefix())]
