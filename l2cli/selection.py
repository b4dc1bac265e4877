"""Which arrays of a container are normalized: the ones named, or the one that must be meant."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from l2cli.arrays import FLOAT_DTYPES
from l2cli.errors import NoArrayError, SelectionError
from l2cli.report import shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader

PREFERRED = ("embedding", "embeddings", "emb", "vector", "vectors")
NEVER = ("neighbors", "distances", "knns", "dists")
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
        return [array for array in candidates if array.name in ("train", "test")] or candidates
    if len(candidates) > 1:
        candidates = _preferred(candidates)
    if len(candidates) > 1:
        names = " or ".join(f"-s '{array.name}'" for array in candidates[:4])
        raise SelectionError(
            f"{reader.path} holds {len(candidates)} arrays that could be meant; choose with "
            f"{names}{' …' if len(candidates) > 4 else ''}, or all with -s '*'"
        )
    return candidates


def why_not(array: ArraySpec, min_rank: int) -> str:
    """Return why ``array`` isn't taken unless it is named; empty where it is a candidate."""
    if array.refusal:
        return array.refusal
    if array.dtype not in FLOAT_DTYPES:
        return "integers, unless named" if array.name else "integers; choose a --dtype"
    if _last(array.name) in NEVER:
        return "a search result, unless named"
    if len(array.shape) < min_rank:
        return "one number a row, unless named"
    return ""


def is_ann_benchmarks(arrays: Sequence[ArraySpec]) -> bool:
    """Whether the container has the layout of ann-benchmarks, with the true neighbors in it."""
    return {array.name for array in arrays} >= _ANN_BENCHMARKS


def _named(reader: Reader, arrays: list[ArraySpec], patterns: Sequence[str]) -> list[ArraySpec]:
    chosen: list[ArraySpec] = []
    for pattern in patterns:
        found = [array for array in arrays if _matches(array.name, pattern)]
        usable = [array for array in found if not array.refusal]
        if not any(array.name == pattern.removeprefix("/") for array in found):
            # A glob reaches for vectors; what is none of them has to be named in full.
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


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.removeprefix("/")
    return fnmatchcase(name, pattern) or ("/" not in pattern and fnmatchcase(_last(name), pattern))


def _preferred(candidates: list[ArraySpec]) -> list[ArraySpec]:
    names = [(_last(array.name).lower(), array) for array in candidates]
    exact = [array for name, array in names if name in PREFERRED]
    containing = [array for name, array in names if any(word in name for word in PREFERRED)]
    return exact or containing or candidates


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _listing(message: str, reader: Reader, arrays: list[ArraySpec]) -> str:
    if not arrays:
        return f"{message}; it is empty"
    held = [
        f"{array.name or 'array'} ({shape_text(array.shape)} {array.dtype}"
        + (f": {why})" if (why := why_not(array, reader.min_rank)) else ")")
        for array in arrays[:5]
    ]
    return f"{message}; it holds {', '.join(held)}" + (" …" if len(arrays) > 5 else "")
