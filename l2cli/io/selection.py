"""Which arrays of one container are normalized: the ones named, or the one that must be meant.

What is not an embedding is never taken for one unasked. Where an array that is named like an
embedding can't be used, or where another may hold the vectors but can't be read, nothing is
taken in its place. Used wherever a file is normalized, checked or inspected; it knows no options
but the names that a user gave, reads no rows and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from l2cli.arrays import FLOAT_DTYPES, ITEM_SIZES
from l2cli.errors import NoArrayError, OtherArraysError, SelectionError
from l2cli.filesystem.siblings import TOOL_PREFIX
from l2cli.io.array_names import (
    is_exact,
    means_embedding,
    means_other,
    means_search_result,
    means_text,
    mentions_embedding,
)
from l2cli.text import brief, shape_text, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NoReturn

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader

_LISTED = 5
"""How many groups of arrays a message lists."""
_FEW_COMPONENTS = 4
"""Rows of fewer are more often places or colours than embeddings."""
_LONG_ROW = 2**16
"""A lone row of more components is more often a column of numbers than a vector."""
_ANN_BENCHMARKS = {"train", "test", "neighbors", "distances"}
ANN_NOTE = "'distances' was computed from the vectors as they were, and stayed as it was"


@dataclass(frozen=True)
class Selection:
    """The arrays of one container that were chosen.

    Attributes
    ----------
    arrays : tuple of ArraySpec
        In the container's order; iterating over the selection yields them.
    notes : tuple of str
        What the user should know of the choice: what else could be meant, and was not taken.
    """

    arrays: tuple[ArraySpec, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[ArraySpec]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    @property
    def names(self) -> set[str]:
        """All names that lead to the arrays."""
        return {name for array in self.arrays for name in array.names}


def select(reader: Reader, patterns: Sequence[str]) -> Selection:
    """Return the arrays to normalize.

    Parameters
    ----------
    reader : Reader
        Of the container. Only its arrays are looked at, no rows.
    patterns : sequence of str
        Names or globs that the user gave; empty to decide by type, shape and name.

    Raises
    ------
    NoArrayError
        Where the container is sound, and holds nothing to take.
    OtherArraysError
        Where it holds floating arrays, and none that is an embedding as far as one can tell.
    SelectionError
        Where there are several and no way to tell which, or where what holds the vectors, or
        may hold them, can't be used.
    """
    arrays = reader.arrays()
    if patterns:
        return Selection(_named(reader, arrays, patterns))
    reasons = [(array, why_not(array, arrays, reader.path.stem)) for array in arrays]
    candidates = _with_numbers([array for array, reason in reasons if not reason])
    if is_ann_benchmarks(arrays):
        taken = [array for array in candidates if {"train", "test"} & set(array.names)]
        return Selection(tuple(taken or candidates or _refuse_all(reader, arrays)))
    if len(arrays) == 1 and _is_integer(arrays[0]) and not arrays[0].name:
        return Selection(tuple(arrays))  # The file's only array: a dtype makes floats of it.
    preferred = _preferred(candidates)
    notes = _refuse_in_place_of(reader, reasons, preferred)
    if not candidates:
        _refuse_all(reader, arrays)
    if len(preferred) > 1:
        raise _could_be_meant(reader, preferred)
    notes += _left_notes([array for array in candidates if array not in preferred])
    return Selection(tuple(preferred), tuple(notes))


def other_candidates(reader: Reader, chosen: Sequence[ArraySpec]) -> tuple[str, ...]:
    """Return notes of what else could be meant beside ``chosen``, and stays as it was.

    Raises
    ------
    SelectionError
        Where its name says as much as theirs that it is an embedding.
    """
    arrays = reader.arrays()
    candidates = [array for array in arrays if not why_not(array, arrays, reader.path.stem)]
    others = [array for array in _with_numbers(candidates) if array not in chosen]
    best = min(map(_rank, chosen), default=2)
    rivals = [array for array in others if _rank(array) <= best and is_embedding_named(array)]
    if rivals and not is_ann_benchmarks(arrays):
        raise _could_be_meant(reader, [*chosen, *rivals])
    return tuple(_left_notes(others))


def why_not(array: ArraySpec, arrays: Sequence[ArraySpec], file_stem: str) -> str:
    """Return why ``array`` isn't taken unless it is named; empty where it is a candidate.

    Parameters
    ----------
    arrays
        All arrays of its container.
    file_stem
        What to go by where the array has no name: that of its file, without the suffix.
    """
    if array.refusal:
        return array.refusal
    if array.dtype not in FLOAT_DTYPES:
        return "integers, unless named" if array.name else "integers; choose a `dtype`"
    return _doubt(array, arrays, file_stem)


def is_embedding_named(array: ArraySpec) -> bool:
    """Whether one of the names of ``array`` is that of an embedding."""
    return any(is_exact(name) or means_embedding(name) for name in array.names)


def is_ann_benchmarks(arrays: Sequence[ArraySpec]) -> bool:
    """Whether the container has the layout of ann-benchmarks, with the true neighbors in it."""
    return {name for array in arrays for name in array.names} >= _ANN_BENCHMARKS


def ann_notes(arrays: Sequence[ArraySpec], selection: Selection) -> list[str]:
    """Return a note where vectors change that the distances in their container were made of."""
    is_taken = bool(selection.names & {"train", "test"}) and is_ann_benchmarks(arrays)
    return [ANN_NOTE] if is_taken else []


def is_weak(array: ArraySpec) -> bool:
    """Whether the shape of ``array`` makes one doubt that it holds embeddings."""
    return len(array.shape) == 1 or 0 < (row_length(array) or 0) < _FEW_COMPONENTS


def row_length(array: ArraySpec) -> int | None:
    """Return the components of a row, on average where they differ; ``None`` if not known."""
    length = array.shape[-1] if array.shape else None
    if length is not None or not (array.num_rows and array.approximate_bytes):
        return length
    # Null rows count as rows of one number in it, so it tells nothing of an embedding's.
    return max(1, array.num_bytes // array.num_rows // ITEM_SIZES[array.dtype])


def selector(array: ArraySpec) -> str:
    """Return the parameter that names ``array``, for a message."""
    return f"`select={array.name or '*'!r}`"


def _doubt(array: ArraySpec, arrays: Sequence[ArraySpec], file_stem: str) -> str:
    """Return what a careful person would ask about before they normalize ``array``."""
    if array.doubt:
        return f"{array.doubt}, unless named"
    if any(means_search_result(name) for name in array.names):
        return "a search result, unless named"
    if array.shape[-1:] == (1,) or (row_length(array) == 1 and not is_embedding_named(array)):
        return "rows of one number, unless named"
    named_by = "" if file_stem.startswith(TOOL_PREFIX) else file_stem  # Our temporary file.
    if word := means_other(array.name or named_by):
        return f"named like something else ({word}), unless named"
    is_alone = not any(_is_numeric(sibling) for sibling in arrays if sibling is not array)
    if is_weak(array) and not is_alone and not is_embedding_named(array):
        few = f"{row_length(array)} components" if len(array.shape) > 1 else "one number"
        return f"{few} a row, unless named"
    if len(array.shape) == 1 and array.num_rows > _LONG_ROW:
        return f"one row of {array.num_rows:,} numbers, unless named"
    return ""


def _is_numeric(array: ArraySpec) -> bool:
    return array.dtype in ITEM_SIZES and bool(array.shape)


def _is_integer(array: ArraySpec) -> bool:
    return not array.refusal and array.dtype not in FLOAT_DTYPES


def _with_numbers(candidates: list[ArraySpec]) -> list[ArraySpec]:
    """Return the candidates that hold numbers, unless none does: the rest need no choice."""
    return [array for array in candidates if 0 not in array.shape] or candidates


def _preferred(candidates: list[ArraySpec]) -> list[ArraySpec]:
    best = min((_rank(array) for array in candidates), default=0)
    return [array for array in candidates if _rank(array) == best]


def _rank(array: ArraySpec) -> int:
    """Return how well its name says that ``array`` is an embedding: 0 best, 2 not at all."""
    if any(map(is_exact, array.names)):
        return 0
    return 1 if any(map(mentions_embedding, array.names)) else 2


def _refuse_in_place_of(
    reader: Reader, reasons: list[tuple[ArraySpec, str]], preferred: list[ArraySpec]
) -> list[str]:
    """Refuse to pass over an array that may hold the vectors, but can't be used.

    Returns notes of those that only may be meant.
    """
    notes = []
    best = min((_rank(array) for array in preferred), default=2)
    for array, reason in reasons:
        if not reason or not _may_hold_vectors(array, reader.path.stem, alone=not preferred):
            continue
        if _rank(array) > best:
            notes.append(f"{array.label} may hold vectors too, and stayed as it was: {reason}")
            continue
        why = "is named like an embedding" if is_embedding_named(array) else "may hold the vectors"
        instead = f"; to take another array, name it: {selector(preferred[0])}" if preferred else ""
        raise SelectionError(
            f"{reader.path}: {array.label} ({shape_text(array.shape)} {array.dtype}) {why}, and "
            f"can't be used: {reason.removesuffix(', unless named')}{_way_out(array)}{instead}"
        )
    return notes


def _may_hold_vectors(array: ArraySpec, file_stem: str, *, alone: bool) -> bool:
    if array.name and is_embedding_named(array):
        return True
    if array.dtype == "object" and means_text(array.name or file_stem):
        return False
    # Objects are most often words, so they stand in nothing's way that can be used.
    return array.may_be_vectors and (alone or array.dtype != "object")


def _way_out(array: ArraySpec) -> str:
    if array.refusal or not array.name:
        return ""
    if array.dtype in FLOAT_DTYPES:
        return f"; {selector(array)} takes it all the same"
    return f"; {selector(array)} with `dtype='float32'` makes floats of it"


def _refuse_all(reader: Reader, arrays: list[ArraySpec]) -> NoReturn:
    message = _listing(f"{reader.path} holds no array to normalize", reader, arrays)
    others = _other_arrays(arrays)
    if not others:
        raise NoArrayError(message)
    are_alike = len(others) > 1 and len({array.shape for array in others}) == 1
    every = "; `select='*'` takes all of them" if are_alike else ""
    raise OtherArraysError(f"{message}; to take one, name it: {selector(others[0])}{every}")


def _other_arrays(arrays: list[ArraySpec]) -> list[ArraySpec]:
    return [array for array in arrays if not array.refusal and array.dtype in FLOAT_DTYPES]


def _left_notes(arrays: list[ArraySpec]) -> list[str]:
    if not arrays:
        return []
    names = brief([f"'{array.name}'" for array in arrays])
    if len(arrays) == 1:
        return [f"{names} stayed as it was; `select` takes it too"]
    return [f"{names} stayed as they were; `select` takes them too"]


def _could_be_meant(reader: Reader, arrays: list[ArraySpec]) -> SelectionError:
    names = " or ".join(map(selector, arrays[:4]))
    return SelectionError(
        f"{reader.path} holds {len(arrays)} arrays that could be meant; choose with "
        f"{names}{' …' if len(arrays) > 4 else ''}; `select` takes several names, "
        "and `select='*'` takes all"
    )


def _named(
    reader: Reader, arrays: list[ArraySpec], patterns: Sequence[str]
) -> tuple[ArraySpec, ...]:
    chosen: dict[str, ArraySpec] = {}
    for pattern in patterns:
        # A name in full is meant to the letter, whatever else it could match as a glob.
        exact = [array for array in arrays if pattern.removeprefix("/") in array.names]
        matching = exact or [array for array in arrays if _matches(array, pattern)]
        usable = [array for array in matching if not array.refusal]
        if not exact and _is_glob(pattern):
            usable = [array for array in usable if _is_taken_by_glob(array)]
        group = None if usable else reader.group(pattern)
        if group is not None:
            usable = [group]
        if matching and not usable:
            raise SelectionError(f"{reader.path}, {matching[0].label}: {_reason(matching[0])}")
        if not usable:
            meant = suggestion(pattern, [array.name for array in arrays])
            missing = f"{reader.path} holds no array '{pattern}'{f'; {meant}' if meant else ''}"
            message = _listing(missing, reader, arrays)
            raise (OtherArraysError if _other_arrays(arrays) else NoArrayError)(message)
        chosen |= {array.name: array for array in usable}
    order = {array.name: index for index, array in enumerate(arrays)}
    return tuple(sorted(chosen.values(), key=lambda array: order.get(array.name, -1)))


def _is_taken_by_glob(array: ArraySpec) -> bool:
    """Whether a glob means ``array`` too: not integers, results of searches or bookkeeping."""
    if array.doubt or any(means_search_result(name) for name in array.names):
        return False
    return array.dtype in FLOAT_DTYPES or not array.name


def _reason(array: ArraySpec) -> str:
    return array.refusal or "integers and the like are taken by their full name only"


def _matches(array: ArraySpec, pattern: str) -> bool:
    """Whether a glob matches a name of ``array``: the last part alone where it has no slash."""
    names = array.names if "/" in pattern else [*array.names, *map(_last, array.names)]
    return any(fnmatchcase(name, pattern.removeprefix("/")) for name in names)


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _listing(message: str, reader: Reader, arrays: list[ArraySpec]) -> str:
    if not arrays:
        return f"{message}; it is empty"
    alike: dict[str, list[str]] = {}
    for array in sorted(arrays, key=lambda array: bool(array.doubt)):
        why = why_not(array, arrays, reader.path.stem)
        what = f"{shape_text(array.shape)} {array.dtype}" + (f": {why}" if why else "")
        alike.setdefault(what, []).append(array.name or "array")
    listed = [f"{brief(names)} ({what})" for what, names in list(alike.items())[:_LISTED]]
    return f"{message}; it holds {', '.join(listed)}" + (" …" if len(alike) > _LISTED else "")
