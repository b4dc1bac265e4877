"""What the user sees while a command runs, and what the user is spared.

Most modules of the command print by it. It knows nothing of commands, files or vectors.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
import warnings
from typing import Any, TextIO

from l2cli.errors import DestinationError, reason
from l2cli.text import printable

_closed: set[int] = set()
_is_own_process = False


def silence_libraries() -> None:
    """Send what C libraries write to file descriptor 2 nowhere; ``sys.stderr`` still works.

    TensorFlow's and XLA's first lines come before any of their settings is read. A process that
    is not the command's own, such as that of a test, keeps its streams.
    """
    if not _is_own_process:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    with contextlib.suppress(OSError):
        terminal = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = _open_text(_StandardError(terminal, "w"), "utf-8")


def say(text: str) -> None:
    """Write a line to standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def print_json(record: dict[str, Any]) -> None:
    """Write a line of JSON to standard output."""
    import json

    print(json.dumps(record), flush=True)


def open_streams() -> None:
    """Have all that is written to the standard streams obey one rule, whoever writes it.

    Standard output that can't be written is an error that says so, and a reader that has gone
    a ``BrokenPipeError``. Standard error that can't be written is no error. What the caller
    closed is open on nothing, so that no file is mistaken for a stream.
    """
    global _is_own_process
    _is_own_process = True
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        _closed.add(descriptor)
    os.close(descriptor)
    out, err = (getattr(stream, "encoding", "utf-8") for stream in (sys.stdout, sys.stderr))
    sys.stdout = _open_text(_StandardOutput(1, "w", closefd=False), out)
    sys.stderr = _open_text(_StandardError(2, "w", closefd=False), err)


def is_closed(descriptor: int) -> bool:
    """Whether the caller had closed a standard stream."""
    return descriptor in _closed


class _StandardStream(io.FileIO):
    """A standard stream. What comes after an error of the system goes nowhere."""

    _failed = False

    def write(self, content: Any, /) -> int:
        if self._failed:
            return len(content)
        try:
            return self._write_all(memoryview(content).cast("B"))
        except OSError as exc:
            self._failed = True
            self._fail(exc)
        return len(content)

    def _write_all(self, content: memoryview) -> int:
        if is_closed(self.fileno()):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        start = 0
        while start < len(content):
            count = super().write(content[start:])
            if count is None:  # The stream doesn't wait, so that we have to.
                select.select([], [self], [])
            start += count or 0
        return start

    def _fail(self, error: OSError) -> None:
        """Deal with the first error."""


class _StandardOutput(_StandardStream):
    """Standard output, where results go: they get there, or the command fails."""

    def _fail(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise error
        raise DestinationError(f"standard output can't be written: {reason(error)}") from error


class _StandardError(_StandardStream):
    """Standard error, which need not be read by anybody."""


def _open_text(stream: _StandardStream, encoding: str) -> TextIO:
    # No name of a file, and no sign of ours, may be one that the encoding lacks.
    return io.TextIOWrapper(
        io.BufferedWriter(stream), encoding, "backslashreplace", line_buffering=stream.isatty()
    )
