"""Everything that the library raises on purpose, in one tree.

::

    L2NormError
    ├── OptionError         the request itself can't be carried out
    │   └── BackendError        the backend or the device isn't there
    ├── SourceError         a source could not be used
    │   ├── FormatError         not the format it claims, damaged, or cut off
    │   ├── SelectionError      no array to take, or too many
    │   │   └── NoArrayError        no array to take
    │   │       └── OtherArraysError    floating arrays, but no embedding as far as one can tell
    │   └── RowError            a row that may not be normalized (zero, NaN, Inf)
    └── DestinationError    a destination could not be written; nothing of it is left

Catch ``L2NormError`` broadly and recover from one of its kinds. A message is one line (a
selection error lists the arrays under it): what happened, what was found against what was
expected, and what to do.
"""

from __future__ import annotations

import errno
import os

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class L2NormError(Exception):
    """Base of every error that ``l2cli`` raises on purpose."""


class OptionError(L2NormError):
    """The options contradict each other, or this machine can't honour them."""


class BackendError(OptionError):
    """The backend can't be loaded, or has no such device."""


class SourceError(L2NormError):
    """A source could not be used."""


class FormatError(SourceError):
    """A source isn't what it claims to be, is damaged, or is cut off."""


class SelectionError(SourceError):
    """A source holds no array that could be taken, or several and no way to tell which."""


class NoArrayError(SelectionError):
    """A source is sound, and holds no array that could be taken."""


class OtherArraysError(NoArrayError):
    """A source is sound, and holds floating arrays, but none that is taken unless it is named."""


class RowError(SourceError):
    """A row may not be normalized under the options given."""


class DestinationError(L2NormError):
    """A destination could not be written. Nothing of it is left behind."""


def reason(error: OSError) -> str:
    """Return why the system refused: in its own words, without those of a library around them."""
    return os.strerror(error.errno) if error.errno else str(error)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether the system refused to write for want of room, or because of a quota.

    Then nothing else that is written to the same place fares better.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        error = error.__cause__
    return False


def message_of(error: BaseException) -> str:
    """Return what to say of an error to people, in one line."""
    if isinstance(error, L2NormError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {reason(error)}"
    if isinstance(error, ModuleNotFoundError):
        return missing_module(error)
    return f"unexpected {type(error).__name__}: {error}; --debug shows where"


def missing_module(error: ModuleNotFoundError) -> str:
    """Return what to say of a library that is not installed."""
    name = str(error.name).partition(".")[0]
    return f"{name} is not installed: pip install {name}"
