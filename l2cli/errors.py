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
    """Base of every error that ``l2cli`` raises on purpose.

    Examples
    --------
    >>> import l2cli
    >>> try:
    ...     l2cli.normalize_file("no.npy")
    ... except l2cli.L2NormError as error:
    ...     print(error)
    no.npy can't be read: No such file or directory
    """


class OptionError(L2NormError):
    """The options contradict each other, or this machine can't honour them.

    Examples
    --------
    >>> import l2cli
    >>> try:
    ...     l2cli.NormalizeOptions(truncate_dim=0)
    ... except l2cli.OptionError as error:
    ...     print(error)
    `truncate_dim` is 0, expected an integer, 1 or more
    """


class BackendError(OptionError):
    """The backend can't be loaded, or has no such device.

    Examples
    --------
    >>> import l2cli
    >>> issubclass(l2cli.BackendError, l2cli.OptionError)
    True
    """


class SourceError(L2NormError):
    """A source could not be used.

    Examples
    --------
    >>> import l2cli
    >>> try:
    ...     l2cli.inspect_file("no.npy")
    ... except l2cli.SourceError as error:
    ...     print(error)
    no.npy can't be read: No such file or directory
    """


class FormatError(SourceError):
    """A source isn't what it claims to be, is damaged, or is cut off.

    Examples
    --------
    >>> import l2cli
    >>> with open("text.npy", "w") as file:
    ...     _ = file.write("no numbers")
    >>> try:
    ...     l2cli.inspect_file("text.npy")
    ... except l2cli.FormatError:
    ...     print("not an npy")
    not an npy
    """


class SelectionError(SourceError):
    """A source holds no array that could be taken, or several and no way to tell which.

    Examples
    --------
    >>> import l2cli
    >>> issubclass(l2cli.SelectionError, l2cli.SourceError)
    True
    """


class NoArrayError(SelectionError):
    """A source is sound, and holds no array that could be taken.

    Examples
    --------
    >>> import l2cli
    >>> issubclass(l2cli.NoArrayError, l2cli.SelectionError)
    True
    """


class OtherArraysError(NoArrayError):
    """A source is sound, and holds floating arrays, but none that is taken unless it is named.

    Examples
    --------
    >>> import l2cli
    >>> issubclass(l2cli.OtherArraysError, l2cli.NoArrayError)
    True
    """


class RowError(SourceError):
    """A row may not be normalized under the options given.

    Examples
    --------
    >>> import l2cli
    >>> try:
    ...     l2cli.normalize([[0.0, 0.0]], zero_rows="error")
    ... except l2cli.RowError:
    ...     print("a zero row")
    a zero row
    """


class DestinationError(L2NormError):
    """A destination could not be written. Nothing of it is left behind.

    Examples
    --------
    >>> import l2cli
    >>> issubclass(l2cli.DestinationError, l2cli.L2NormError)
    True
    """


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
    """Return one line for people about any error."""
    if isinstance(error, L2NormError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {reason(error)}"
    if isinstance(error, ModuleNotFoundError):
        return missing_module(error)
    return f"unexpected {type(error).__name__}: {error}"


def missing_module(error: ModuleNotFoundError) -> str:
    """Return what to say of a library that is not installed."""
    name = str(error.name).partition(".")[0]
    return f"{name} is not installed: pip install {name}"
