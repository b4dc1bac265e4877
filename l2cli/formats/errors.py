"""What is raised while a source is opened or read, turned into an error of that source.

Each format stands on a library, and a damaged file may make a library raise anything. This is
the one place that says so; what is raised while a destination is written never comes here.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from l2cli.errors import FormatError, L2NormError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_CHARACTERS = 200
"""How much is repeated of what a library says."""


@contextlib.contextmanager
def reading(label: object) -> Iterator[None]:
    """Raise whatever is raised inside the block as an error of the source called ``label``.

    An error of ours gets the name if it lacks it. Too little memory and a library that isn't
    installed are no fault of the source, and pass.
    """
    try:
        with naming(label):
            yield
    except (L2NormError, MemoryError, ImportError):
        raise
    except Exception as exc:
        raise _source_error(label, exc) from exc


@contextlib.contextmanager
def naming(label: object, alias: str = "") -> Iterator[None]:
    """Name the source in every error about one that is raised inside the block.

    Parameters
    ----------
    label : object
        What messages call it.
    alias : str
        What the error may call it instead: the name of a temporary file.
    """
    try:
        yield
    except SourceError as exc:
        name = str(label)
        message = str(exc).replace(alias, name) if alias else str(exc)
        if name not in message:
            message = f"{name}: {message}"
        if message == str(exc):
            raise
        raise type(exc)(message) from exc


def one_line(exc: BaseException) -> str:
    """Return what ``exc`` says, shortened to one line."""
    text = str(exc.args[0] if isinstance(exc, KeyError) and exc.args else exc)
    line = " ".join(text.split()).rstrip(".") or type(exc).__name__
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]} …"


def _source_error(label: object, exc: Exception) -> SourceError:
    """Return what to raise for an error that isn't ours.

    An ``OSError`` with a number is the system's (no such file, a broken disk); by one without,
    libraries say that the bytes make no sense.
    """
    if isinstance(exc, OSError) and exc.errno is not None:
        return SourceError(f"{label} can't be read: {exc.strerror or one_line(exc)}")
    if isinstance(exc, NotImplementedError):
        return FormatError(
            f"{label} is damaged, or holds what can't be read: {one_line(exc)}; copy it again, or "
            "write it in another way"
        )
    return FormatError(
        f"{label} is damaged or not what it claims to be: {one_line(exc)}; copy it again"
    )
