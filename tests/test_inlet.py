"""A stream that is looked at before it is read."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path

import pytest

from l2cli.errors import SourceError
from l2cli.filesystem.buffered_stream import Inlet, spooled
from l2cli.io.source import StreamSource


class _Trickle(io.RawIOBase):
    """Gives three bytes at a time, as a slow pipe may."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._stream.readinto(buffer[:3])


CONTENT = bytes(range(100))


def test_what_was_peeked_at_is_read_all_the_same() -> None:
    inlet = Inlet(_Trickle(CONTENT))
    assert inlet.peek(64) == CONTENT[:64]
    assert inlet.read(10) == CONTENT[:10]
    inlet.settle()
    assert inlet.read(70) == CONTENT[10:80]
    assert not inlet.ended
    assert inlet.read(50) == CONTENT[80:]
    assert inlet.ended


class _Broken(io.RawIOBase):
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_what_the_system_can_not_read_is_an_error_of_the_source() -> None:
    with pytest.raises(SourceError, match=r"^standard input: can't be read: Input/output error$"):
        StreamSource(_Broken())


def test_a_stream_shorter_than_the_peek() -> None:
    inlet = Inlet(_Trickle(b"ab"))
    assert inlet.peek(64) == b"ab"
    assert inlet.read() == b"ab"


@pytest.mark.parametrize("named", [False, True])
def test_a_spool_holds_all_and_is_gone_after(named: bool) -> None:
    before = set(os.listdir(tempfile.gettempdir()))
    inlet = Inlet(_Trickle(CONTENT))
    inlet.read(17)
    with spooled(inlet, named=named) as path:
        assert path.read_bytes() == CONTENT
        assert path.stat().st_size == len(CONTENT)
        if not named and Path("/proc/self/fd").is_dir():
            assert path.stat().st_nlink == 0
    assert not path.exists()
    left = set(os.listdir(tempfile.gettempdir())) - before
    assert not [name for name in left if name.startswith(f".l2norm-{os.getpid()}-")]
