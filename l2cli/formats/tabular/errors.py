"""Errors of pyarrow, and of the modules that parse its formats, as errors of this library.

``arrow`` and ``parquet`` run all reading of a source inside :func:`as_format_error`.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from l2cli.errors import FormatError
from l2cli.formats.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RAISED = (
    pa.ArrowException,
    ValueError,
    TypeError,
    LookupError,
    MemoryError,
    ArithmeticError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    struct.error,
)


@contextmanager
def as_format_error(path: Path, where: str = "") -> Iterator[None]:
    """Raise :class:`~l2cli.errors.FormatError` with the path for whatever damage makes raise.

    A plain ``ValueError`` is how the modules of the formats say themselves what is wrong; any
    other error gets a verdict. An ``OSError`` that bears an errno is the system's and passes
    (no such file, disk full); one without is how Arrow says that the bytes make no sense.

    Parameters
    ----------
    where : str
        Which part of the file is read, for the message: ``record batch 3``.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno is not None:
            raise
        raise FormatError(f"{path} {_verdict(exc, where)}") from exc
    except _RAISED as exc:
        if type(exc) is ValueError:
            raise FormatError(f"{path}: {exc}") from exc
        raise FormatError(f"{path} {_verdict(exc, where)}") from exc


def _verdict(exc: Exception, where: str) -> str:
    line = _text(exc)
    words = f"{where}: {line}" if where else line
    if isinstance(exc, NotImplementedError):
        return (
            f"holds what pyarrow {pa.__version__} can't read, or is damaged ({words}); "
            "update pyarrow, or write it in another way"
        )
    if isinstance(exc, MemoryError):
        return f"asks for more memory than there is ({words}); it is damaged or too large"
    return f"is damaged ({words}); copy it again, or write it anew"


def _text(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return f"a text in its metadata isn't UTF-8: {exc.object[:20]!r}"
    return one_line(exc)
