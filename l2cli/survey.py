"""What is to be normalized in a store: decided once, from some shards of each family.

A family is the files that are named alike but for their numbers. What the shards of the store
are called that hold the vectors, and how long their rows are, decides for all of it: the rest is
a bystander. A shard that lacks what its family holds is an error, not a bystander.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from l2cli.array_names import mentions_embedding
from l2cli.arrays import FLOAT_DTYPES, INTEGER_DTYPES
from l2cli.errors import L2NormError, NoArrayError, OtherArraysError, SelectionError
from l2cli.formats import detect
from l2cli.report import shape_text
from l2cli.selection import is_embedding_named, is_weak, row_length, select
from l2cli.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from l2cli.arrays import ArraySpec
    from l2cli.formats import Format
    from l2cli.formats.base import Reader
    from l2cli.options import NormalizeOptions

    Surveyed = tuple[str, Sequence["FoundArray"]]

_MAX_FAMILIES = 200
"""Of more, files in one folder are one family whatever they are called."""
_ANY = "*"
"""Stands for the names of such a family's files."""
_NUMBERED = re.compile("arr_[0-9]+")
"""What ``numpy.savez`` calls an array that nobody named."""
_SAMPLED = 5
"""How many files of a family are looked into before anything is written."""
_NAMED, _UNNAMED, _WEAK = range(3)
"""How sure it is that an array holds embeddings: by its name, by its shape, or hardly."""


@dataclass(frozen=True, slots=True)
class FoundArray:
    """An array that would be taken from a shard, were that shard alone.

    Attributes
    ----------
    name
        Empty where its file is the array.
    row_length
        Components of a row; ``None`` where that is not known.
    doubt
        How little is known that it holds embeddings: 0, 1 or 2.
    """

    name: str
    row_length: int | None
    doubt: int


@dataclass(frozen=True, slots=True)
class ShardChoice:
    """What is normalized in one shard of a store.

    Attributes
    ----------
    expected
        The names of the arrays of which it must hold one, since others of its family do: an
        empty string where the file is the array. None where it need hold none.
    names, row_lengths
        As for :class:`StoreChoice`.
    """

    expected: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    row_lengths: tuple[int, ...] = ()

    def select(self, reader: Reader, options: NormalizeOptions) -> list[ArraySpec]:
        """Return the arrays to normalize.

        Raises
        ------
        NoArrayError
            Where the shard holds none and need not.
        OtherArraysError
            Where it holds arrays that are none of the store's.
        SelectionError
            Where it should hold one, or may, and what it holds can't be used.
        """
        try:
            chosen = self._by_name(reader, options) or _alone(reader, options)
        except NoArrayError as exc:
            if self.expected or _looks_like(reader, self.row_lengths):
                others = f"hold {self._expected_text}" if any(self.expected) else "do"
                raise SelectionError(f"{exc}; others of the store's files {others}") from exc
            raise
        if options.select or any(array.name in self.expected for array in chosen):
            return chosen
        if self.expected:
            raise SelectionError(
                f"{reader.path} holds no array {self._expected_text}, which others of the store's "
                f"files named like it hold; it holds {_described(chosen)}"
            )
        if not self._fits(chosen):
            raise OtherArraysError(
                f"{reader.path} holds {_described(chosen)}, and the store others"
            )
        return chosen

    @property
    def _expected_text(self) -> str:
        return " or ".join(f"'{name}'" for name in self.expected)

    def _by_name(self, reader: Reader, options: NormalizeOptions) -> list[ArraySpec]:
        """Return the arrays that are called as the store's are."""
        names = set(filter(None, self.expected or self.names))
        if options.select or not names:
            return []
        called = [array for array in reader.arrays() if names & set(array.names)]
        found = [array for array in called if self.expected or self._may_be_meant(array)]
        for array in found:
            if array.refusal or array.dtype not in FLOAT_DTYPES:
                reason = array.refusal or "others of the store's files hold floats"
                raise SelectionError(
                    f"{reader.path}: {_described([array])} can't be used: {reason}"
                )
        return found

    def _may_be_meant(self, array: ArraySpec) -> bool:
        """Whether an array, called as one of the store's is, may be one in a file of other files.

        A name such as ``arr_0`` or ``data`` says nothing, so that its rows have to be as long.
        """
        if any(map(mentions_embedding, array.names)):
            return True
        if array.refusal:
            return True  # It can't be used, so nothing is known of its rows.
        if array.dtype not in FLOAT_DTYPES:
            return len(array.shape) > 1
        return array.shape[-1] is None or array.shape[-1] in self.row_lengths

    def _fits(self, chosen: list[ArraySpec]) -> bool:
        """Whether arrays of a file that need hold none are the store's all the same."""
        if any(array.name for array in chosen):
            meant = filter(self._may_be_meant, chosen)
            # Of very many files named without a rule only a few were looked into.
            return any(a.name in self.names or is_embedding_named(a) for a in meant)
        return {row_length(array) for array in chosen} <= set(self.row_lengths)


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """What is normalized in a store.

    Attributes
    ----------
    families
        The names of the arrays that the files of a family hold, by family.
    row_lengths
        How many components the rows have of all these, as far as that is known.
    """

    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    row_lengths: tuple[int, ...] = ()

    def of(self, family: str) -> ShardChoice:
        """Return what is normalized in a file of ``family``."""
        names = sorted({name for names in self.families.values() for name in names})
        # Files that have little in common but their folder need not hold the same.
        expected = () if _ANY in family else self.families.get(family, ())
        return ShardChoice(expected, tuple(names), self.row_lengths)

    def as_dict(self) -> dict[str, Any]:
        """Return the choice as JSON can hold it."""
        families = {family: list(names) for family, names in self.families.items()}
        return {"families": families, "row_lengths": list(self.row_lengths)}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> StoreChoice:
        """Return the choice that :meth:`as_dict` wrote down."""
        families = {family: tuple(names) for family, names in held["families"].items()}
        return cls(families, tuple(held["row_lengths"]))


def families_of(names: Sequence[str]) -> list[str]:
    """Return the family of each file, given their paths in the store.

    Files of one family differ in the numbers in their paths only: ``a/part-0.npy`` and
    ``a/part-17.npy``. Where that makes very many, those of one folder and suffix are one family.
    """
    alike = list(map(_pattern, names))
    if len(set(alike)) > _MAX_FAMILIES:
        alike = [re.sub(r"[^/]*(\.[^./]*)$", rf"{_ANY}\1", pattern) for pattern in alike]
    if len(set(alike)) > _MAX_FAMILIES:
        alike = [re.sub(r".*/", "", pattern) for pattern in alike]
    return alike


def sampled(families: Sequence[str]) -> list[tuple[str, int]]:
    """Return the files to look into, by family and number: a few of each family, spread over it."""
    members: dict[str, list[int]] = {}
    for index, family in enumerate(families):
        members.setdefault(family, []).append(index)
    return [(family, indexes[i]) for family, indexes in members.items() for i in _spread(indexes)]


def _spread(indexes: list[int]) -> list[int]:
    last = len(indexes) - 1
    if last < _SAMPLED:
        return list(range(len(indexes)))
    return [number * last // (_SAMPLED - 1) for number in range(_SAMPLED)]


def survey_shard(reader: Reader, options: NormalizeOptions) -> tuple[FoundArray, ...]:
    """Return what would be taken from a shard, were it alone.

    Raises
    ------
    SelectionError
        As :func:`~l2cli.selection.select` does.
    """
    return tuple(
        FoundArray(array.name, row_length(array), _doubt(array, reader.path))
        for array in _alone(reader, options)
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
    families
        The family of each of ``paths``.
    source_format
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
        with open_source(path, source_format or detect(path), options) as reader:
            return survey_shard(reader, options)
    except L2NormError:
        return ()  # Whatever is wrong with it is said when it is read.


def choose(surveyed: Iterable[Surveyed], families: Sequence[str], *, named: bool) -> StoreChoice:
    """Return what is to be normalized in a store.

    Parameters
    ----------
    surveyed
        The family of each file that was looked into, and what was found in it.
    families
        The family of every file.
    named
        Whether the user named the arrays: then all that was found is meant.
    """
    found = [(family, arrays) for family, arrays in surveyed if arrays]
    best = min((_least_doubt(arrays) for _, arrays in found), default=_NAMED)
    taken = [pair for pair in found if named or _least_doubt(pair[1]) == best]
    if best != _NAMED and not named:
        taken = _most(taken, Counter(families))
    lengths = {array.row_length for _, arrays in taken for array in arrays} - {None}
    if not named:
        # A file that is one array is taken by its rows, or where most files are like it.
        sure = [pair for pair in found if _least_doubt(pair[1]) != _WEAK]
        lone = [pair for pair in found if _is_lone(pair[1]) and pair[1][0].row_length in lengths]
        taken += lone + [pair for pair in _most(sure, Counter(families)) if _is_lone(pair[1])]
        lengths |= {array.row_length for _, arrays in taken for array in arrays} - {None}
    names: dict[str, set[str]] = {}
    for family, arrays in taken:
        names.setdefault(family, set()).update(array.name for array in arrays)
    return StoreChoice(
        {family: tuple(sorted(held)) for family, held in sorted(names.items())},
        tuple(sorted(filter(None, lengths))),
    )


def _most(found: list[Surveyed], sizes: Counter[str]) -> list[Surveyed]:
    """Return what most files hold: arrays of the same names, or without one, as long rows."""
    votes: Counter[str] = Counter()
    for family, key in {(family, _key(arrays)) for family, arrays in found}:
        votes[key] += sizes[family]
    most = max(votes, key=lambda key: (votes[key], key), default="")
    return [(family, arrays) for family, arrays in found if _key(arrays) == most]


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


def _least_doubt(arrays: Sequence[FoundArray]) -> int:
    return min(array.doubt for array in arrays)


def _pattern(name: str) -> str:
    """Return a path without what tells the files of a family apart: numbers and hashes."""
    return re.sub(r"(?<![a-z])[0-9a-f]{8,}(?![a-z])|[0-9]+", "#", name)


def _doubt(array: ArraySpec, path: Path) -> int:
    """Return how little is known that ``array``, which would be taken, holds embeddings."""
    names = array.names if array.name else (path.stem, path.parent.name)
    if any(map(mentions_embedding, names)) and len(array.shape) > 1:
        return _NAMED
    return _WEAK if is_weak(array) else _UNNAMED


def _looks_like(reader: Reader, row_lengths: tuple[int, ...]) -> bool:
    """Whether a file that is one array of integers has rows as long as the store's vectors."""
    arrays = reader.arrays()
    if len(arrays) != 1 or arrays[0].name or len(arrays[0].shape) < 2:
        return False
    return arrays[0].dtype in INTEGER_DTYPES and arrays[0].shape[-1] in row_lengths


def _described(arrays: list[ArraySpec]) -> str:
    return ", ".join(f"{a.label} ({shape_text(a.shape)} {a.dtype})" for a in arrays[:3])


def _alone(reader: Reader, options: NormalizeOptions) -> list[ArraySpec]:
    """Return what would be taken from a shard that is alone."""
    arrays = select(reader, options.select)
    for array in arrays:
        if array.dtype not in FLOAT_DTYPES and (options.dtype == "same" or len(array.shape) < 2):
            raise NoArrayError(f"{reader.path} holds {array.label} of {array.dtype}")
    return arrays
