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

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.errors import NoArrayError, OtherArraysError, SelectionError
from l2cli.io.array_names import means_search_result
from l2cli.io.candidates import (
    is_ann_benchmarks,
    is_embedding_named,
    may_hold_vectors,
    rank,
    why_not,
)
from l2cli.io.refusals import (
    could_be_meant,
    left_notes,
    listing,
    other_arrays,
    refuse_all,
    selector,
    way_out,
)
from l2cli.text import shape_text, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader

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
        return Selection(tuple(taken or candidates or refuse_all(reader, arrays)))
    if len(arrays) == 1 and _is_integer(arrays[0]) and not arrays[0].name:
        return Selection(tuple(arrays))  # The file's only array: a dtype makes floats of it.
    preferred = _preferred(candidates)
    notes = _refuse_in_place_of(reader, reasons, preferred)
    if not candidates:
        refuse_all(reader, arrays)
    if len(preferred) > 1:
        raise could_be_meant(reader, preferred)
    notes += left_notes([array for array in candidates if array not in preferred])
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
    best = min(map(rank, chosen), default=2)
    rivals = [array for array in others if rank(array) <= best and is_embedding_named(array)]
    if rivals and not is_ann_benchmarks(arrays):
        raise could_be_meant(reader, [*chosen, *rivals])
    return tuple(left_notes(others))


def ann_notes(arrays: Sequence[ArraySpec], selection: Selection) -> list[str]:
    """Return a note where vectors change that the distances in their container were made of."""
    is_taken = bool(selection.names & {"train", "test"}) and is_ann_benchmarks(arrays)
    return [ANN_NOTE] if is_taken else []


def _is_integer(array: ArraySpec) -> bool:
    return not array.refusal and array.dtype not in FLOAT_DTYPES


def _with_numbers(candidates: list[ArraySpec]) -> list[ArraySpec]:
    """Return the candidates that hold numbers, unless none does: the rest need no choice."""
    return [array for array in candidates if 0 not in array.shape] or candidates


def _preferred(candidates: list[ArraySpec]) -> list[ArraySpec]:
    best = min((rank(array) for array in candidates), default=0)
    return [array for array in candidates if rank(array) == best]


def _refuse_in_place_of(
    reader: Reader, reasons: list[tuple[ArraySpec, str]], preferred: list[ArraySpec]
) -> list[str]:
    """Refuse to pass over an array that may hold the vectors, but can't be used.

    Returns notes of those that only may be meant.
    """
    notes = []
    best = min((rank(array) for array in preferred), default=2)
    for array, reason in reasons:
        if not reason or not may_hold_vectors(array, reader.path.stem, alone=not preferred):
            continue
        if rank(array) > best:
            notes.append(f"{array.label} may hold vectors too, and stayed as it was: {reason}")
            continue
        why = "is named like an embedding" if is_embedding_named(array) else "may hold the vectors"
        instead = f"; to take another array, name it: {selector(preferred[0])}" if preferred else ""
        raise SelectionError(
            f"{reader.path}: {array.label} ({shape_text(array.shape)} {array.dtype}) {why}, and "
            f"can't be used: {reason.removesuffix(', unless named')}{way_out(array)}{instead}"
        )
    return notes


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
            message = listing(missing, reader, arrays)
            raise (OtherArraysError if other_arrays(arrays) else NoArrayError)(message)
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
