"""What pyarrow and the modules of its formats raise, turned into the errors of ``l2cli``."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from l2cli.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAMAGE = (pa.ArrowException, ValueError, TypeError, MemoryError, OverflowError, struct.error)


@contextmanager
def as_format_error(path: Path) -> Iterator[None]:
    """Raise :class:`~l2cli.errors.FormatError` with the path for whatever damage makes raise.

    An ``OSError`` that bears an errno is the system's and passes (no such file, disk full);
    one without is how Arrow says that the bytes make no sense.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno is not None:
            raise
        raise FormatError(_one_line(path, exc)) from exc
    except (*_DAMAGE, RecursionError) as exc:
        raise FormatError(_one_line(path, exc)) from exc


def _one_line(path: Path, exc: Exception) -> str:
    message = " ".join(str(exc).split()) or type(exc).__name__
    return f"{path}: {message[:300]}"
