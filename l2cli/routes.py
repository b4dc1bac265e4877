"""From which source to which destination, and in which format: told from names and first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from l2cli.destinations import Destination, FileDestination, StreamDestination
from l2cli.errors import OptionError
from l2cli.formats import Format, by_word
from l2cli.sources import FileSource, Source, StreamSource

if TYPE_CHECKING:
    from l2cli.inlet import Readable


@dataclass(frozen=True)
class Route:
    """What is read, and what is written in which format. Made by :func:`find_route`."""

    source: Source
    destination: Destination
    kind: Format


def default_destination(source: Path, kind: Format | None = None) -> Path:
    """Return where the result goes where nothing else is said: ``NAME.normalized.SUFFIX``.

    Parameters
    ----------
    kind
        The format to convert to.
    """
    suffix = kind.suffixes[0] if kind else source.suffix
    return source.with_name(f"{source.stem}.normalized{suffix}")


def find_route(
    source: Path | Readable,
    destination: Path | IO[bytes] | None = None,
    *,
    source_format: str | None = None,
    destination_format: str | None = None,
    in_place: bool = False,
    overwrite: bool = False,
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
    if isinstance(source, Path):
        origin: Source = FileSource(source, source_kind)
        destination = _resolve(source, origin.kind, destination, kind, in_place=in_place)
    else:
        origin = StreamSource(source, source_kind)
    if destination is None or (in_place and origin.path is None):
        raise OptionError("a stream can't be replaced and has no name; name a destination")
    if isinstance(destination, Path):
        target: Destination = FileDestination(destination, overwrite=overwrite or in_place)
    else:
        target = StreamDestination(destination)
    named = target.kind
    if in_place:
        named = origin.kind
    elif is_default:
        # A source that is named like another format is not converted unasked.
        named = kind or origin.kind
    if kind is not None and named not in (None, kind):
        raise OptionError(
            f"{target.label} is {'' if in_place else 'named like '}{named.name if named else ''}, "
            f"but {kind.name} is to be written; name it *{kind.suffixes[0]}"
        )
    kind = kind or named or origin.kind
    target.check(kind)
    return Route(origin, target, kind)


def _resolve(
    source: Path,
    source_kind: Format,
    destination: Path | IO[bytes] | None,
    kind: Format | None,
    *,
    in_place: bool,
) -> Path | IO[bytes]:
    if in_place:
        if destination is not None:
            raise OptionError("--in-place replaces the source, so it takes no -o")
        return source
    target = destination
    if target is None:
        target = default_destination(source, None if kind is source_kind else kind)
    if isinstance(target, Path) and target.exists() and target.samefile(source):
        raise OptionError(f"{target} is the source itself; to replace it, say --in-place")
    return target
