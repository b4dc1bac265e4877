"""What is in a file or a folder, what would be normalized, and why the rest would not.

Public, and used by ``l2norm inspect``. Files are opened and selected in as a job does it; no rows
are read and no backend is loaded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.errors import L2NormError, NoArrayError, SelectionError
from l2cli.filesystem.walk import list_folder
from l2cli.formats.registry import by_suffix
from l2cli.formats.unread import full_suffix
from l2cli.io.candidates import why_not
from l2cli.io.families import families_of
from l2cli.io.resolve import find_source
from l2cli.io.selection import Selection, select
from l2cli.io.source import as_path
from l2cli.io.survey import survey_files
from l2cli.options import NormalizeOptions

if TYPE_CHECKING:
    import os

    from l2cli.formats.base import Reader
    from l2cli.io.store_choice import ShardChoice
    from l2cli.options import OpenOptions


@dataclass(frozen=True)
class ArrayInspection:
    """One array.

    Attributes
    ----------
    chosen : bool
        Whether ``l2norm normalize`` takes it if no array is named.
    reason : str
        Why it isn't chosen; empty where it is.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    layout: str
    chosen: bool
    reason: str


@dataclass(frozen=True)
class Inspection:
    """The arrays of one file, and which of them would be normalized.

    Attributes
    ----------
    source : str
        The file.
    format : str
        What people call its format; empty where it could not be recognized.
    arrays : list of ArrayInspection
        Every array in it.
    notes : list of str
        What the user should know but needn't act on.
    error : str
        Why it could not be looked into, or why nothing is taken from it though it may hold
        vectors; empty where all is well.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.inspect_file("vectors.npy").arrays[0].shape  # doctest: +SKIP
    (10000, 50)
    """

    source: str
    format: str
    arrays: list[ArrayInspection]
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the inspection as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class FamilyInspection:
    """The files of a folder that are named alike but for their numbers.

    Attributes
    ----------
    files : str
        Their paths, with ``#`` for what differs.
    example : Inspection
        The first of them.
    """

    files: str
    num_files: int
    example: Inspection


@dataclass(frozen=True)
class StoreInspection:
    """One folder.

    Attributes
    ----------
    not_read : dict
        How many files there are of each suffix that stands for no format that is read.
    """

    source: str
    families: list[FamilyInspection]
    not_read: dict[str, int]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the inspection as JSON can hold it."""
        return asdict(self)


def inspect_file(source: str | os.PathLike[str], options: OpenOptions | None = None) -> Inspection:
    """List the arrays of one file. No backend is loaded and no numbers are read.

    Parameters
    ----------
    source : path
        A file, or a path that stands for a stream.
    options : OpenOptions or None
        How it is opened; ``None`` for the defaults.

    Returns
    -------
    Inspection
        Its arrays, and which of them would be normalized.

    Raises
    ------
    SourceError
        Where the file can't be read, or is of no known format.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.inspect_file("vectors.npy").arrays[0].chosen  # doctest: +SKIP
    True
    """
    return _inspect(as_path(source), _reading(options), None)


def inspect_folder(
    source: str | os.PathLike[str], options: OpenOptions | None = None
) -> StoreInspection:
    """List what is in the files of a folder, an example of each family of files.

    Parameters
    ----------
    source : path
        A folder.
    options : OpenOptions or None
        How its files are opened; ``None`` for the defaults.

    Returns
    -------
    StoreInspection
        The families, and what would be normalized in each.

    Raises
    ------
    SourceError
        Where the folder holds no file.
    """
    folder, reading = as_path(source), _reading(options)
    listing = list_folder(str(folder))
    known = [file.name for file in listing.files if by_suffix(Path(file.name)) is not None]
    unknown = [file.name for file in listing.files if by_suffix(Path(file.name)) is None]
    if not listing.files:
        raise NoArrayError(f"{folder} holds no files")
    families = families_of(known)
    choice = survey_files([folder / name for name in known], families, reading)
    examples = dict(zip(reversed(families), reversed(known), strict=True))
    sizes = Counter(families)
    return StoreInspection(
        str(folder),
        [
            FamilyInspection(
                family,
                sizes[family],
                _inspect_shard(folder / examples[family], reading, choice.of(family)),
            )
            for family in sizes
        ],
        dict(Counter(map(full_suffix, unknown))),
        [*listing.notes, *(f"{folder / name} {why}" for name, why in listing.failures)],
    )


def _reading(opening: OpenOptions | None) -> NormalizeOptions:
    """Return the options under which a file is normalized that is opened so."""
    return NormalizeOptions(allow_external=bool(opening and opening.allow_external))


def _inspect_shard(path: Path, options: NormalizeOptions, choice: ShardChoice) -> Inspection:
    try:
        return _inspect(path, options, choice)
    except L2NormError as exc:
        return Inspection(str(path), "", [], error=str(exc))


def _inspect(path: Path, options: NormalizeOptions, choice: ShardChoice | None) -> Inspection:
    source = find_source(path)
    with source.opened(options, lambda reader: True) as reader:
        selection, error = _select(reader, options, choice)
        chosen = {array.name for array in selection if array.dtype in FLOAT_DTYPES}
        arrays = _inspect_arrays(reader, chosen)
        notes = [*reader.notes, *selection.notes] if choice is None else []
    return Inspection(str(path), source.file_format.title, arrays, notes, error)


def _select(
    reader: Reader, options: NormalizeOptions, choice: ShardChoice | None
) -> tuple[Selection, str]:
    """Return the arrays that are taken, and why none is where that is an error."""
    try:
        return (choice.select(reader, options) if choice else select(reader, ())), ""
    except NoArrayError:
        return Selection(()), ""
    except SelectionError as exc:
        return Selection(()), str(exc)


def _inspect_arrays(reader: Reader, chosen: set[str]) -> list[ArrayInspection]:
    arrays = reader.arrays()
    reasons = [why_not(array, arrays, reader.path.stem) for array in arrays]
    is_ambiguous = not chosen and reasons.count("") > 1
    otherwise = "another is meant by its name" if chosen else "not taken unless named"
    if is_ambiguous:
        otherwise = "ambiguous; name it with `select`"
    return [
        ArrayInspection(
            array.name,
            array.shape,
            array.dtype,
            array.layout,
            array.name in chosen,
            "" if array.name in chosen else reason or otherwise,
        )
        for array, reason in zip(arrays, reasons, strict=True)
    ]
