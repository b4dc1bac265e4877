"""What is to be normalized in a store, decided once, from a look into a few files of each family.

What the files are called that hold the vectors, and how long their rows are, decides for the
whole store; files that hold other arrays are copied. A file that lacks what its family holds is
an error. Used by stores, checks and inspection; it writes nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from l2cli.errors import L2NormError
from l2cli.formats.registry import detect
from l2cli.io.array_names import means_embedding, means_other, mentions_embedding
from l2cli.io.candidates import is_weak
from l2cli.io.families import sampled
from l2cli.io.source import open_source
from l2cli.io.store_choice import StoreChoice, array_names, folder_of, row_length, select_alone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
    from l2cli.options import NormalizeOptions

    Surveyed = tuple[str, Sequence["FoundArray"]]

_NUMBERED = re.compile("arr_[0-9]+")
"""What ``numpy.savez`` calls an array that nobody named."""
_NAMED, _NAMED_ROW, _UNNAMED, _WEAK = range(4)
"""How sure it is that an array holds embeddings: by its name, by the name of a file that is one
row, by its shape, or hardly."""


@dataclass(frozen=True, slots=True)
class FoundArray:
    """An array that would be taken from a shard, were that shard alone.

    Attributes
    ----------
    name : str
        Empty where its file is the array.
    row_length : int or None
        Components of a row; ``None`` where that is not known.
    doubt : int
        How little is known that it holds embeddings: from 0 to 3.
    beside : tuple of str
        What the other arrays of its file are called.
    """

    name: str
    row_length: int | None
    doubt: int
    beside: tuple[str, ...] = ()


def survey_shard(reader: Reader, options: NormalizeOptions) -> tuple[FoundArray, ...]:
    """Return the arrays that would be taken from a shard, were it alone.

    Raises
    ------
    SelectionError
        As :func:`~l2cli.io.selection.select` does.
    """
    taken = select_alone(reader, options)
    names = {array.name for array in taken}
    beside = array_names(array for array in reader.arrays() if array.name not in names)
    return tuple(
        FoundArray(array.name, row_length(array), _doubt(array, reader.path), beside)
        for array in taken
    )


def survey_files(
    paths: Sequence[Path],
    families: Sequence[str],
    options: NormalizeOptions,
    source_format: Format | None = None,
) -> StoreChoice:
    """Return what is normalized in a store, from a look into some of its files in this process.

    Parameters
    ----------
    paths, families : sequence
        The files of the store, and the family of each.
    options : NormalizeOptions
        What the user named, and how files are opened.
    source_format : Format or None
        The format of all; ``None`` to tell each by its first bytes.
    """
    surveyed = [
        (family, _survey_file(paths[index], options, source_format))
        for family, index in sampled(families)
    ]
    return choose(surveyed, families, named=bool(options.select))


def _survey_file(
    path: Path, options: NormalizeOptions, source_format: Format | None
) -> tuple[FoundArray, ...]:
    try:
        with open_source(path, source_format or detect(path), options.opening) as reader:
            return survey_shard(reader, options)
    except L2NormError:
        return ()  # Whatever is wrong with it is said when it is read.


def choose(surveyed: Iterable[Surveyed], families: Sequence[str], *, named: bool) -> StoreChoice:
    """Return what is to be normalized in a store.

    Parameters
    ----------
    surveyed : iterable of (str, sequence of FoundArray)
        The family of each file that was looked into, and the arrays that it would give.
    families : sequence of str
        The family of every file.
    named : bool
        Whether the user named the arrays: then all of them are meant.
    """
    surveyed = list(surveyed)
    shards = [(family, arrays) for family, arrays in surveyed if arrays]
    if named:
        return _choice(shards)
    samples, sizes = Counter(family for family, _ in surveyed), Counter(families)
    weights = {family: Fraction(sizes[family], number) for family, number in samples.items()}
    by_name = _of_doubt(shards, _NAMED)
    # One row beside other files may be anything that its folder holds: several are vectors.
    rows = _of_doubt(shards, _NAMED_ROW)
    votes = _votes(rows, weights)
    rows = [pair for pair in rows if votes[_key(pair[1])] > 1]
    most = _most(by_name + rows + _of_doubt(shards, _UNNAMED) or shards, weights)
    all_most = [pair for group in most for pair in group]
    taken = by_name or rows or all_most
    if taken is all_most and len(most) > 1:
        return replace(_choice(taken), rivals=_rivals(most, most))
    if by_name and len(most) == 1 and not _are_alike(most[0], by_name):
        # What most files hold isn't passed over for what few are named like.
        return replace(_choice(taken + all_most), rivals=_rivals(most, [by_name, *most]))
    lengths = _lengths(taken)
    sure = [pair for pair in shards if _is_lone(pair[1]) and pair[1][0].doubt != _WEAK]
    lone = [pair for pair in sure if pair[1][0].row_length in lengths]
    # A file that is one array is taken by its rows, or where most files are like it.
    if by_name and (len(most) == 1 or not lengths):
        lone += [pair for pair in all_most if _is_lone(pair[1])]
    return _choice(taken + lone)


def _choice(taken: list[Surveyed]) -> StoreChoice:
    names: dict[str, set[str]] = {}
    beside: dict[str, set[tuple[str, ...]]] = {}
    for family, arrays in taken:
        names.setdefault(family, set()).update(array.name for array in arrays)
        if arrays[0].beside:
            beside.setdefault(folder_of(family), set()).add(arrays[0].beside)
    return StoreChoice(
        {family: tuple(sorted(arrays)) for family, arrays in sorted(names.items())},
        tuple(sorted(_lengths(taken))),
        beside={folder: tuple(sorted(lists)) for folder, lists in sorted(beside.items())},
    )


def _of_doubt(shards: list[Surveyed], doubt: int) -> list[Surveyed]:
    return [pair for pair in shards if min(array.doubt for array in pair[1]) == doubt]


def _are_alike(most: list[Surveyed], by_name: list[Surveyed]) -> bool:
    """Whether what most files hold is no rival of what is named like an embedding."""
    return any(_is_lone(arrays) for _, arrays in most + by_name) or most[0] in by_name


def _lengths(taken: list[Surveyed]) -> set[int]:
    return {array.row_length for _, arrays in taken for array in arrays if array.row_length}


def _votes(shards: list[Surveyed], weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Return how many files hold the same, judged by those of a family that were looked into."""
    votes: dict[str, Fraction] = defaultdict(Fraction)
    for family, arrays in shards:
        votes[_key(arrays)] += weights[family]
    return votes


def _most(shards: list[Surveyed], weights: Mapping[str, Fraction]) -> list[list[Surveyed]]:
    """Return what most files hold: arrays of the same names, or without one, as long rows.

    More than one group where as many files hold one as the other.
    """
    votes = _votes(shards, weights)
    most = max(votes.values(), default=0)
    tied = sorted(key for key in votes if votes[key] == most)
    return [[pair for pair in shards if _key(pair[1]) == key] for key in tied]


def _rivals(groups: list[list[Surveyed]], meant: list[list[Surveyed]]) -> dict[str, str]:
    """Return what else could be meant, by the families of ``groups``."""
    rivals: dict[str, str] = {}
    for group in groups:
        rival = next(shards[0][1][0] for shards in meant if shards is not group)
        what = repr(rival.name) if rival.name else f"rows of {rival.row_length or '?'} numbers"
        rivals |= {family: what for family, _ in group}
    return rivals


def _key(arrays: Sequence[FoundArray]) -> str:
    return "/".join(sorted(map(_called, arrays)))


def _called(array: FoundArray) -> str:
    """Return the name of an array, with the length of its rows where NumPy gave it the name."""
    if array.name and not _NUMBERED.fullmatch(array.name):
        return array.name
    return f"{array.name}{array.row_length:010}" if array.row_length else array.name


def _is_lone(arrays: Sequence[FoundArray]) -> bool:
    """Whether the file that they are of is one array."""
    return not arrays[0].name


def _doubt(array: ArraySpec, path: Path) -> int:
    """Return how little is known that ``array``, which would be taken, holds embeddings."""
    has_name = bool(array.name) and not _NUMBERED.fullmatch(array.name)
    names = array.names if has_name else (path.stem, path.parent.name)
    if any(map(mentions_embedding, names)) and len(array.shape) > 1:
        return _NAMED
    if not is_weak(array):
        return _WEAK if not has_name and means_other(path.parent.name) else _UNNAMED
    is_row = not array.name and len(array.shape) == 1
    return _NAMED_ROW if is_row and any(map(means_embedding, names)) else _WEAK
