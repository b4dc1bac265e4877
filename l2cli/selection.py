"""Which arrays of a container are normalized: the ones named, or the one that must be meant."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from l2cli.arrays import FLOAT_DTYPES
from l2cli.errors import NoArrayError, SelectionError
from l2cli.report import brief, shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader

PREFERRED = ("embedding", "embeddings", "emb", "vector", "vectors")
NEVER = ("neighbors", "distances", "knns", "dists")
_LISTED = 5
"""How many kinds of arrays a message lists."""
_ANN_BENCHMARKS = {"train", "test", "neighbors", "distances"}
ANN_NOTE = "'distances' was computed from the vectors as they were, and stayed as it was"


def select(reader: Reader, patterns: Sequence[str]) -> list[ArraySpec]:
    """Return the arrays to normalize, in the container's order.

    Parameters
    ----------
    patterns
        Names or globs that the user gave; empty to decide by kind and name.

    Raises
    ------
    SelectionError
        Where there is nothing to take, or several and no way to tell which.
    """
    arrays = reader.arrays()
    if patterns:
        return _named(reader, arrays, patterns)
    if [(array.name, array.refusal) for array in arrays] == [("", "")]:
        return arrays  # An array without a name is named by its file.
    candidates = [array for array in arrays if not why_not(array, reader.min_rank)]
    if not candidates:
        raise NoArrayError(_listing(f"{reader.path} holds no array to normalize", reader, arrays))
    if is_ann_benchmarks(arrays):
        taken = [array for array in candidates if {"train", "test"} & set(array.names)]
        return taken or candidates
    preferred = _preferred(candidates)
    if len(preferred) > 1:
        names = " or ".join(f"-s '{array.name}'" for array in preferred[:4])
        raise SelectionError(
            f"{reader.path} holds {len(preferred)} arrays that could be meant; choose with "
            f"{names}{' …' if len(preferred) > 4 else ''}; -s may be given more than once"
        )
    left = [f"'{array.name}'" for array in candidates if array not in preferred]
    note = f"{brief(left)} stayed as it was; -s takes it too"
    if left and note not in reader.notes:
        reader.notes.append(note)
    return preferred


def why_not(array: ArraySpec, min_rank: int) -> str:
    """Return why ``array`` isn't taken unless it is named; empty where it is a candidate."""
    if array.refusal:
        return array.refusal
    if array.dtype not in FLOAT_DTYPES:
        return "integers, unless named" if array.name else "integers; choose a --dtype"
    if any(_last(name) in NEVER for name in array.names):
        return "a search result, unless named"
    if len(array.shape) < min_rank:
        return "one number a row, unless named"
    return ""


def is_ann_benchmarks(arrays: Sequence[ArraySpec]) -> bool:
    """Whether the container has the layout of ann-benchmarks, with the true neighbors in it."""
    return {name for array in arrays for name in array.names} >= _ANN_BENCHMARKS


def _named(reader: Reader, arrays: list[ArraySpec], patterns: Sequence[str]) -> list[ArraySpec]:
    chosen: list[ArraySpec] = []
    for pattern in patterns:
        # A name in full is meant to the letter, whatever else it could match as a glob.
        exact = [array for array in arrays if pattern.removeprefix("/") in array.names]
        found = exact or [array for array in arrays if _matches(array, pattern)]
        usable = [array for array in found if not array.refusal]
        if not exact and _is_glob(pattern):
            usable = [array for array in usable if not why_not(array, min_rank=1)]
        group = None if usable else reader.group(pattern)
        if group is not None:
            usable = [group]
        if found and not usable:
            raise SelectionError(f"{reader.path}, {found[0].label}: {found[0].refusal}")
        if not usable:
            message = f"{reader.path} holds no array '{pattern}'"
            raise NoArrayError(_listing(message, reader, arrays))
        chosen += [array for array in usable if array not in chosen]
    return sorted(chosen, key=lambda array: arrays.index(array) if array in arrays else -1)


def _matches(array: ArraySpec, pattern: str) -> bool:
    """Whether a glob matches a name of ``array``: the last part alone where it has no slash."""
    names = array.names if "/" in pattern else [*array.names, *map(_last, array.names)]
    return any(fnmatchcase(name, pattern.removeprefix("/")) for name in names)


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _preferred(candidates: list[ArraySpec]) -> list[ArraySpec]:
    names = [(array, [_last(name).lower() for name in array.names]) for array in candidates]
    exact = [array for array, lasts in names if any(last in PREFERRED for last in lasts)]
    containing = [
        array for array, lasts in names if any(word in last for last in lasts for word in PREFERRED)
    ]
    return exact or containing or candidates


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _listing(message: str, reader: Reader, arrays: list[ArraySpec]) -> str:
    if not arrays:
        return f"{message}; it is empty"
    alike: dict[str, list[str]] = {}
    for array in arrays:
        why = why_not(array, reader.min_rank)
        what = f"{shape_text(array.shape)} {array.dtype}" + (f": {why}" if why else "")
        alike.setdefault(what, []).append(array.name or "array")
    held = [f"{brief(names)} ({what})" for what, names in list(alike.items())[:_LISTED]]
    return f"{message}; it holds {', '.join(held)}" + (" …" if len(alike) > _LISTED else "")
