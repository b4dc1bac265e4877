"""What is to be normalized in a store: decided once, from some shards of each family.

A family is the files that are named alike but for their numbers. What the shards of the store
are called that hold the vectors, and how long their rows are, decides for all of it: the rest is
a bystander. A shard that lacks what its family holds is an error, not a bystander.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from l2cli.arrays import FLOAT_DTYPES, INTEGER_DTYPES
from l2cli.errors import L2NormError, NoArrayError, OtherArraysError, SelectionError
from l2cli.formats.registry import detect
from l2cli.io.array_names import means_embedding, means_other, mentions_embedding
from l2cli.io.selection import is_embedding_named, is_weak, leave_others, quoted, select
from l2cli.io.source import open_source
from l2cli.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader
    from l2cli.formats.registry import Format
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
_MOST_BESIDE = 100
"""How many arrays beside the vectors are kept in mind."""
_NAMED, _NAMED_ROW, _UNNAMED, _WEAK = range(4)
"""How sure it is that an array holds embeddings: by its name, by the name of a file that is one
row, by its shape, or hardly."""


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
        How little is known that it holds embeddings: from 0 to 3.
    beside
        What the other arrays of its file are called.
    """

    name: str
    row_length: int | None
    doubt: int
    beside: tuple[str, ...] = ()


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
    rival
        What other files of the store hold, and could be meant as well; empty for nothing.
    beside
        What files in the same folder hold beside an array that is taken: where a file holds just
        that, the array is missing in it.
    """

    expected: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    row_lengths: tuple[int, ...] = ()
    rival: str = ""
    beside: tuple[tuple[str, ...], ...] = ()

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
            chosen = self._by_name(reader, options) or _alone(reader, options, self.expected)
        except NoArrayError as exc:
            if self.expected or self._lacks_one(reader) or _looks_like(reader, self.row_lengths):
                others = f"hold {self._expected_text}" if any(self.expected) else "do"
                raise SelectionError(f"{exc}; others of the store's files {others}") from exc
            raise
        if options.select:
            return chosen
        if self.rival:
            raise SelectionError(
                f"{reader.path} holds {_described(chosen)}; other files of the store hold "
                f"{self.rival}, which may be meant as well; {_choose_with(chosen, self.rival)}"
            )
        if any(array.name in self.expected for array in chosen):
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
        if found:
            leave_others(reader, found)
        return found

    def _lacks_one(self, reader: Reader) -> bool:
        """Whether a file holds all that others in its folder hold, but for their vectors."""
        return bool(self.beside) and _names(reader.arrays()) in self.beside

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
            # Of very many files named without a rule only a few were looked into.
            named = any(map(means_embedding, self.names))
            meant = filter(self._may_be_meant, chosen)
            return any(a.name in self.names or (named and is_embedding_named(a)) for a in meant)
        return set(map(_length, chosen)) <= set(self.row_lengths)


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """What is normalized in a store.

    Attributes
    ----------
    families
        The names of the arrays that the files of a family hold, by family.
    row_lengths
        How many components the rows have of all these, as far as that is known; none where it
        isn't known of any.
    rivals
        What could be meant as well as the arrays of a family, by family.
    beside
        What files hold beside the arrays that are taken, by folder.
    """

    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    row_lengths: tuple[int, ...] = ()
    rivals: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    def of(self, family: str) -> ShardChoice:
        """Return what is normalized in a file of ``family``."""
        names = sorted({name for names in self.families.values() for name in names})
        # Files that have little in common but their folder need not hold the same.
        expected = () if _ANY in family else self.families.get(family, ())
        rival = self.rivals.get(family, "")
        beside = self.beside.get(_folder(family), ())
        return ShardChoice(expected, tuple(names), self.row_lengths, rival, beside)

    def as_dict(self) -> dict[str, Any]:
        """Return the choice as JSON can hold it."""
        families = {family: list(names) for family, names in self.families.items()}
        return {
            "families": families,
            "row_lengths": list(self.row_lengths),
            "rivals": dict(self.rivals),
            "beside": {folder: [*map(list, held)] for folder, held in self.beside.items()},
        }

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> StoreChoice:
        """Return the choice that :meth:`as_dict` wrote down."""
        families = {family: tuple(names) for family, names in held["families"].items()}
        beside = {folder: tuple(map(tuple, found)) for folder, found in held["beside"].items()}
        return cls(families, tuple(held["row_lengths"]), held["rivals"], beside)


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
        As :func:`~l2cli.io.selection.select` does.
    """
    taken = _alone(reader, options)
    names = {array.name for array in taken}
    beside = _names(array for array in reader.arrays() if array.name not in names)
    return tuple(
        FoundArray(array.name, _length(array), _doubt(array, reader.path), beside)
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
    surveyed = list(surveyed)
    found = [(family, arrays) for family, arrays in surveyed if arrays]
    if named:
        return _choice(found)
    looked, sizes = Counter(family for family, _ in surveyed), Counter(families)
    weights = {family: Fraction(sizes[family], number) for family, number in looked.items()}
    by_name = _of_doubt(found, _NAMED)
    # One row beside other files may be anything that its folder holds: several are vectors.
    rows = _of_doubt(found, _NAMED_ROW)
    votes = _votes(rows, weights)
    rows = [pair for pair in rows if votes[_key(pair[1])] > 1]
    most = _most(by_name + rows + _of_doubt(found, _UNNAMED) or found, weights)
    all_most = [pair for group in most for pair in group]
    taken = by_name or rows or all_most
    if taken is all_most and len(most) > 1:
        return replace(_choice(taken), rivals=_rivals(most, most))
    if by_name and len(most) == 1 and not _are_alike(most[0], by_name):
        # What most files hold isn't passed over for what few are named like.
        return replace(_choice(taken + all_most), rivals=_rivals(most, [by_name, *most]))
    lengths = _lengths(taken)
    sure = [pair for pair in found if _is_lone(pair[1]) and pair[1][0].doubt != _WEAK]
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
            beside.setdefault(_folder(family), set()).add(arrays[0].beside)
    return StoreChoice(
        {family: tuple(sorted(held)) for family, held in sorted(names.items())},
        tuple(sorted(_lengths(taken))),
        beside={folder: tuple(sorted(held)) for folder, held in sorted(beside.items())},
    )


def _folder(family: str) -> str:
    return family.rpartition("/")[0]


def _names(arrays: Iterable[ArraySpec]) -> tuple[str, ...]:
    """Return what arrays are called; of very many, nothing."""
    names = sorted(array.name for array in arrays)
    return tuple(names) if len(names) <= _MOST_BESIDE else ()


def _of_doubt(found: list[Surveyed], doubt: int) -> list[Surveyed]:
    return [pair for pair in found if min(array.doubt for array in pair[1]) == doubt]


def _are_alike(most: list[Surveyed], by_name: list[Surveyed]) -> bool:
    """Whether what most files hold is no rival of what is named like an embedding."""
    return any(_is_lone(arrays) for _, arrays in most + by_name) or most[0] in by_name


def _lengths(taken: list[Surveyed]) -> set[int]:
    return {array.row_length for _, arrays in taken for array in arrays if array.row_length}


def _votes(found: list[Surveyed], weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Return how many files hold the same, judged by those of a family that were looked into."""
    votes: dict[str, Fraction] = defaultdict(Fraction)
    for family, arrays in found:
        votes[_key(arrays)] += weights[family]
    return votes


def _most(found: list[Surveyed], weights: Mapping[str, Fraction]) -> list[list[Surveyed]]:
    """Return what most files hold: arrays of the same names, or without one, as long rows.

    More than one group where as many files hold one as the other.
    """
    votes = _votes(found, weights)
    most = max(votes.values(), default=0)
    tied = sorted(key for key in votes if votes[key] == most)
    return [[pair for pair in found if _key(pair[1]) == key] for key in tied]


def _rivals(groups: list[list[Surveyed]], meant: list[list[Surveyed]]) -> dict[str, str]:
    """Return what else could be meant, by the families of ``groups``."""
    rivals: dict[str, str] = {}
    for group in groups:
        other = next(each[0][1][0] for each in meant if each is not group)
        what = quoted(other.name) if other.name else f"rows of {other.row_length or '?'} numbers"
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


def _pattern(name: str) -> str:
    """Return a path without what tells the files of a family apart: numbers and hashes."""
    return re.sub(r"(?<![a-z])[0-9a-f]{8,}(?![a-z])|[0-9]+", "#", name)


def _length(array: ArraySpec) -> int | None:
    """Return the components of a row; ``None`` where the file's metadata doesn't tell."""
    return array.shape[-1] if array.shape else None


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


def _looks_like(reader: Reader, row_lengths: tuple[int, ...]) -> bool:
    """Whether a file that is one array of integers has rows as long as the store's vectors."""
    arrays = reader.arrays()
    if len(arrays) != 1 or arrays[0].name or len(arrays[0].shape) < 2:
        return False
    return arrays[0].dtype in INTEGER_DTYPES and arrays[0].shape[-1] in row_lengths


def _choose_with(chosen: list[ArraySpec], rival: str) -> str:
    if not chosen[0].name:
        return "-s '*' takes all, --include and --exclude choose files"
    return (
        f"choose with -s {quoted(chosen[0].name)} or -s {rival}; -s may be given more than once"
        if rival.startswith("'")
        else f"choose with -s {quoted(chosen[0].name)}, or take all with -s '*'"
    )


def _described(arrays: list[ArraySpec]) -> str:
    return ", ".join(f"{a.label} ({shape_text(a.shape)} {a.dtype})" for a in arrays[:3])


def _alone(
    reader: Reader, options: NormalizeOptions, expected: Sequence[str] = ()
) -> list[ArraySpec]:
    """Return what would be taken from a shard that is alone.

    Of several names that the user gave, a shard need hold one, and those that are ``expected``.
    """
    arrays = _select_each(reader, options.select, expected) or select(reader, options.select)
    for array in arrays:
        if array.dtype not in FLOAT_DTYPES and (options.dtype == "same" or len(array.shape) < 2):
            raise NoArrayError(f"{reader.path} holds {array.label} of {array.dtype}")
    return arrays


def _select_each(
    reader: Reader, patterns: Sequence[str], expected: Sequence[str]
) -> list[ArraySpec]:
    """Return what any of several names stands for; nothing where no name does."""
    held = []
    for pattern in patterns:
        try:
            select(reader, (pattern,))
        except NoArrayError:
            if pattern in expected:
                raise
        else:
            held.append(pattern)
    return select(reader, held) if held else []
