"""What is normalized in a store, and in one shard of it, as a survey decided.

A :class:`StoreChoice` is written into the manifest of a store; a :class:`ShardChoice` goes with
each shard's task and selects in it. They are made by :mod:`l2cli.io.survey`; they know no
destinations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from l2cli.dtypes import FLOAT_DTYPES, INTEGER_DTYPES
from l2cli.errors import NoArrayError, OtherArraysError, SelectionError
from l2cli.io.array_names import means_embedding, mentions_embedding
from l2cli.io.candidates import is_embedding_named
from l2cli.io.families import ANY
from l2cli.io.selection import Selection, other_candidates, select
from l2cli.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from l2cli.arrays import ArraySpec
    from l2cli.formats.base import Reader
    from l2cli.options import NormalizeOptions

_MOST_BESIDE = 100
"""How many arrays beside the vectors are kept in mind."""


@dataclass(frozen=True, slots=True)
class ShardChoice:
    """What is normalized in one shard of a store.

    Attributes
    ----------
    expected : tuple of str
        The names of the arrays of which it must hold one, since others of its family do: an
        empty string where the file is the array. None where it need hold none.
    names : tuple of str
        The names of the arrays that any file of the store holds.
    row_lengths : tuple of int
        As for :class:`StoreChoice`.
    rival : str
        What other files of the store hold, and could be meant as well; empty for nothing.
    beside : tuple of tuple of str
        What files in the same folder hold beside an array that is taken: where a file holds just
        that, the array is missing in it.
    """

    expected: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    row_lengths: tuple[int, ...] = ()
    rival: str = ""
    beside: tuple[tuple[str, ...], ...] = ()

    def select(self, reader: Reader, options: NormalizeOptions) -> Selection:
        """Return the arrays to normalize, as :func:`~l2cli.io.selection.select` does.

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
            chosen = self._by_name(reader, options) or select_alone(reader, options, self.expected)
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

    def _by_name(self, reader: Reader, options: NormalizeOptions) -> Selection:
        """Return the arrays that are called as the store's are."""
        names = set(filter(None, self.expected or self.names))
        if options.select or not names:
            return Selection(())
        called = [array for array in reader.arrays() if names & set(array.names)]
        chosen = [array for array in called if self.expected or self._may_be_meant(array)]
        for array in chosen:
            if array.refusal or array.dtype not in FLOAT_DTYPES:
                reason = array.refusal or "others of the store's files hold floats"
                raise SelectionError(
                    f"{reader.path}: {_described([array])} can't be used: {reason}"
                )
        return Selection(tuple(chosen), other_candidates(reader, chosen) if chosen else ())

    def _lacks_one(self, reader: Reader) -> bool:
        """Whether a file holds all that others in its folder hold, but for their vectors."""
        return bool(self.beside) and array_names(reader.arrays()) in self.beside

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

    def _fits(self, chosen: Iterable[ArraySpec]) -> bool:
        """Whether arrays of a file that need hold none are the store's all the same."""
        if any(array.name for array in chosen):
            # Of very many files named without a rule only a few were looked into.
            named = any(map(means_embedding, self.names))
            meant = filter(self._may_be_meant, chosen)
            return any(a.name in self.names or (named and is_embedding_named(a)) for a in meant)
        return set(map(row_length, chosen)) <= set(self.row_lengths)


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """What is normalized in a store.

    Attributes
    ----------
    families : mapping
        The names of the arrays that the files of a family hold, by family.
    row_lengths : tuple of int
        How many components the rows have of all these, as far as that is known; none where it
        isn't known of any.
    rivals : mapping
        What could be meant as well as the arrays of a family, by family.
    beside : mapping
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
        expected = () if ANY in family else self.families.get(family, ())
        rival = self.rivals.get(family, "")
        beside = self.beside.get(folder_of(family), ())
        return ShardChoice(expected, tuple(names), self.row_lengths, rival, beside)

    def as_dict(self) -> dict[str, Any]:
        """Return the choice as JSON can hold it."""
        families = {family: list(names) for family, names in self.families.items()}
        return {
            "families": families,
            "row_lengths": list(self.row_lengths),
            "rivals": dict(self.rivals),
            "beside": {folder: [*map(list, names)] for folder, names in self.beside.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> StoreChoice:
        """Return the choice that :meth:`as_dict` wrote down."""
        families = {family: tuple(names) for family, names in record["families"].items()}
        beside = {folder: tuple(map(tuple, names)) for folder, names in record["beside"].items()}
        return cls(families, tuple(record["row_lengths"]), record["rivals"], beside)


def select_alone(
    reader: Reader, options: NormalizeOptions, expected: Sequence[str] = ()
) -> Selection:
    """Return what would be taken from a shard, were it alone.

    Of several names that the user gave, a shard need hold one, and those that are ``expected``.

    Raises
    ------
    SelectionError
        As :func:`~l2cli.io.selection.select` does.
    """
    patterns = _matching_patterns(reader, options.select, expected)
    selection = select(reader, patterns or options.select)
    for array in selection:
        if array.dtype not in FLOAT_DTYPES and (options.dtype == "same" or len(array.shape) < 2):
            raise NoArrayError(f"{reader.path} holds {array.label} of {array.dtype}")
    return selection


def _matching_patterns(
    reader: Reader, patterns: Sequence[str], expected: Sequence[str]
) -> tuple[str, ...]:
    """Return those of several names that stand for an array of the file."""
    matching = []
    for pattern in patterns:
        try:
            select(reader, (pattern,))
        except NoArrayError:
            if pattern in expected:
                raise
        else:
            matching.append(pattern)
    return tuple(matching)


def array_names(arrays: Iterable[ArraySpec]) -> tuple[str, ...]:
    """Return what arrays are called; of very many, nothing."""
    names = sorted(array.name for array in arrays)
    return tuple(names) if len(names) <= _MOST_BESIDE else ()


def folder_of(family: str) -> str:
    """Return the folder that the files of ``family`` lie in."""
    return family.rpartition("/")[0]


def row_length(array: ArraySpec) -> int | None:
    """Return the components of a row; ``None`` where the file's metadata doesn't tell."""
    return array.shape[-1] if array.shape else None


def _looks_like(reader: Reader, row_lengths: tuple[int, ...]) -> bool:
    """Whether a file that is one array of integers has rows as long as the store's vectors."""
    arrays = reader.arrays()
    if len(arrays) != 1 or arrays[0].name or len(arrays[0].shape) < 2:
        return False
    return arrays[0].dtype in INTEGER_DTYPES and arrays[0].shape[-1] in row_lengths


def _choose_with(chosen: Selection, rival: str) -> str:
    name = chosen.arrays[0].name
    if not name:
        return "`select='*'` takes all, `include` and `exclude` choose files"
    if rival[0] in "'\"":
        return f"choose with `select={name!r}` or `select={rival}`; `select` takes several names"
    return f"choose with `select={name!r}`, or take all with `select='*'`"


def _described(arrays: Iterable[ArraySpec]) -> str:
    first = list(arrays)[:3]
    return ", ".join(f"{a.label} ({shape_text(a.shape)} {a.dtype})" for a in first)
