"""What a choice of arrays tells the user: what there is, what was not taken, and what to name.

Used by :mod:`l2cli.io.selection`. It decides nothing: it is handed the arrays that a message is
about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.errors import NoArrayError, OtherArraysError, SelectionError
from l2cli.io.candidates import why_not
from l2cli.text import brief, shape_text

if TYPE_CHECKING:
    from typing import NoReturn

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader

_LISTED = 5
"""How many groups of arrays a message lists."""


def selector(array: ArraySpec) -> str:
    """Return the parameter that names ``array``, for a message."""
    return f"`select={array.name or '*'!r}`"


def refuse_all(reader: Reader, arrays: list[ArraySpec]) -> NoReturn:
    """Raise the error of a container from which nothing is taken."""
    message = listing(f"{reader.path} holds no array to normalize", reader, arrays)
    others = other_arrays(arrays)
    if not others:
        raise NoArrayError(message)
    are_alike = len(others) > 1 and len({array.shape for array in others}) == 1
    every = "; `select='*'` takes all of them" if are_alike else ""
    raise OtherArraysError(f"{message}; to take one, name it: {selector(others[0])}{every}")


def could_be_meant(reader: Reader, arrays: list[ArraySpec]) -> SelectionError:
    """Return the error of a choice between ``arrays`` that nothing decides."""
    names = " or ".join(map(selector, arrays[:4]))
    return SelectionError(
        f"{reader.path} holds {len(arrays)} arrays that could be meant; choose with "
        f"{names}{' …' if len(arrays) > 4 else ''}; `select` takes several names, "
        "and `select='*'` takes all"
    )


def way_out(array: ArraySpec) -> str:
    """Return how ``array`` is taken all the same; empty where it can't be."""
    if array.refusal or not array.name:
        return ""
    if array.dtype in FLOAT_DTYPES:
        return f"; {selector(array)} takes it all the same"
    return f"; {selector(array)} with `dtype='float32'` makes floats of it"


def left_notes(arrays: list[ArraySpec]) -> list[str]:
    """Return notes of arrays that could be taken too, and stayed as they were."""
    if not arrays:
        return []
    names = brief([f"'{array.name}'" for array in arrays])
    if len(arrays) == 1:
        return [f"{names} stayed as it was; `select` takes it too"]
    return [f"{names} stayed as they were; `select` takes them too"]


def listing(message: str, reader: Reader, arrays: list[ArraySpec]) -> str:
    """Return ``message`` with what ``arrays`` are, alike ones together."""
    if not arrays:
        return f"{message}; it is empty"
    alike: dict[str, list[str]] = {}
    for array in sorted(arrays, key=lambda array: bool(array.doubt)):
        why = why_not(array, arrays, reader.path.stem)
        what = f"{shape_text(array.shape)} {array.dtype}" + (f": {why}" if why else "")
        alike.setdefault(what, []).append(array.name or "array")
    listed = [f"{brief(names)} ({what})" for what, names in list(alike.items())[:_LISTED]]
    return f"{message}; it holds {', '.join(listed)}" + (" …" if len(alike) > _LISTED else "")


def other_arrays(arrays: list[ArraySpec]) -> list[ArraySpec]:
    """Return those of ``arrays`` that are of floats and can be read."""
    return [array for array in arrays if not array.refusal and array.dtype in FLOAT_DTYPES]
