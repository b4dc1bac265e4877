"""From which source to which destination, and in which format: told from names and first bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from l2cli.destinations import Destination, FileDestination, StreamDestination
from l2cli.errors import OptionError
from l2cli.formats import Format, by_suffix, by_word, foreign
from l2cli.sources import FileSource, Source, StreamSource

if TYPE_CHECKING:
    from l2cli.inlet import Readable


@dataclass(frozen=True)
class Route:
    """What is read, and what is written in which format. Made by :func:`find_route`.

    Attributes
    ----------
    in_place
        Whether the destination is to replace the source.
    norms
        Where the norms go that the rows had; ``None`` for nowhere.
    """

    source: Source
    destination: Destination
    kind: Format
    in_place: bool = False
    norms: FileDestination | None = None


def default_destination(source: Path, kind: Format | None = None) -> Path:
    """Return where the result goes where nothing else is said: ``NAME.normalized.SUFFIX``.

    Parameters
    ----------
    kind
        The format to convert to.
    """
    name = f"{source.stem}.normalized{source.suffix}"
    return source.with_name(converted_name(name, kind) if kind else name)


def wanted_kind(kind: Format | None, source: Format) -> Format:
    """Return what a source becomes where ``kind`` is asked for: Arrow stays in its form."""
    return source if kind is None or kind.word == source.word else kind


def converted_name(name: str, kind: Format) -> str:
    """Return what a file called ``name`` is called when it has become ``kind``.

    The suffix of another format is replaced; any other may be part of the name.
    """
    before = by_suffix(Path(name))
    if before and before.word == kind.word:
        return name
    return (os.path.splitext(name)[0] if before else name) + kind.suffixes[0]


def find_route(
    source: Path | Readable,
    destination: Path | IO[bytes] | None = None,
    *,
    source_format: str | None = None,
    destination_format: str | None = None,
    in_place: bool = False,
    overwrite: bool = False,
    norms: Path | None = None,
) -> Route:
    """Return the route from ``source`` to ``destination``; nothing is written yet.

    Parameters
    ----------
    source
        A file, or an unbuffered stream that is read once.
    destination
        A file, or a stream with a file descriptor; ``None`` for :func:`default_destination`. A
        suffix of another format converts.
    source_format, destination_format
        ``npy``, ``npz``, ``hdf5``, ``parquet`` or ``arrow``; ``None`` to tell the one by the
        first bytes, the other by the suffix.
    in_place
        Replace the source, in one step.
    overwrite
        Replace a destination that exists.
    norms
        The ``.npy`` for the norms that the rows had.

    Raises
    ------
    OptionError
        Where the parameters contradict each other.
    SourceError
        Where the source can't be read or is of no known format.
    DestinationError
        Where the destination can't be written.
    """
    source_kind = by_word(source_format) if source_format else None
    kind = by_word(destination_format) if destination_format else None
    is_default = destination is None
    origin: Source
    if isinstance(source, Path):
        origin = FileSource(source, source_kind)
    else:
        origin = StreamSource(source, source_kind)
    wanted = wanted_kind(kind, origin.kind)
    if isinstance(source, Path):
        destination = _resolve(source, origin.kind, destination, wanted, in_place=in_place)
    if destination is None or (in_place and origin.path is None):
        raise OptionError("a stream can't be replaced and has no name; name a destination")
    if isinstance(destination, Path):
        target: Destination = FileDestination(destination, overwrite=overwrite or in_place)
    else:
        target = StreamDestination(destination)
    named = target.kind
    if in_place or _keeps_form(source, destination, origin.kind):
        named = origin.kind
    elif is_default:
        # A source that is named like another format is not converted unasked.
        named = wanted
    if kind is not None and named is not None and named.word != kind.word:
        raise OptionError(
            f"{target.label} is {'' if in_place else 'named like '}{named.name}, "
            f"but {kind.name} is to be written; name it *{kind.suffixes[0]}"
        )
    if kind is named is None and isinstance(destination, Path) and (what := foreign(destination)):
        raise OptionError(
            f"{destination} is named like {what}, which is not written; "
            f"name it *{wanted.suffixes[0]}, or name the format with --to"
        )
    kind = named or wanted
    target.check(kind)
    return Route(origin, target, kind, in_place, _norms(norms, source, destination, overwrite))


def _keeps_form(source: object, destination: object, kind: Format) -> bool:
    """Whether a destination's suffix may stand for the very form of the source.

    ``.arrow`` may for a stream too, but not beside a source that says ``.arrows``.
    """
    if not isinstance(destination, Path) or not kind.names(destination):
        return False
    own = isinstance(source, Path) and source.suffix.lower() == kind.suffixes[0]
    return destination.suffix.lower() == kind.suffixes[0] or not own


def _norms(
    norms: Path | None, source: object, destination: object, overwrite: bool
) -> FileDestination | None:
    if norms is None:
        return None
    if norms.suffix.lower() != ".npy":
        raise OptionError(f"norms are written as npy; name {norms} *.npy")
    others = [each for each in (source, destination) if isinstance(each, Path)]
    if os.path.realpath(norms) in map(os.path.realpath, others):
        raise OptionError(f"{norms} holds the vectors; name another file for their norms")
    target = FileDestination(norms, overwrite=overwrite)
    target.check(by_word("npy"))
    return target


def _resolve(
    source: Path,
    source_kind: Format,
    destination: Path | IO[bytes] | None,
    wanted: Format,
    *,
    in_place: bool,
) -> Path | IO[bytes]:
    if in_place:
        if destination is not None:
            raise OptionError("--in-place replaces the source, so it takes no -o")
        return source
    target = destination
    if target is None:
        target = default_destination(source, None if wanted is source_kind else wanted)
    if isinstance(target, Path) and os.path.exists(target) and target.samefile(source):
        raise OptionError(f"{target} is the source itself; to replace it, say --in-place")
    return target
