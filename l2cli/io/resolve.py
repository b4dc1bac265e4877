"""From which source to which destination, and in which format: told from names and first bytes."""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from l2cli.errors import FormatError, OptionError
from l2cli.filesystem.streams import is_stream
from l2cli.formats.hints import compressed, foreign
from l2cli.formats.registry import Format, by_name, by_suffix, detect
from l2cli.io.destination import (
    Destination,
    FileDestination,
    NamedStreamDestination,
    StreamDestination,
)
from l2cli.io.source import Source, find_source

if TYPE_CHECKING:
    from l2cli.filesystem.buffered_stream import Readable


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
    return source if kind is None or kind.name == source.name else kind


def converted_name(name: str, kind: Format) -> str:
    """Return what a file called ``name`` is called when it has become ``kind``.

    The suffix of another format is replaced; any other may be part of the name.
    """
    before = by_suffix(Path(name))
    if before and before.name == kind.name:
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
        A file, or an unbuffered stream that is read once; a named pipe and its like are streams.
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
    source_kind = by_name(source_format) if source_format else None
    kind = by_name(destination_format) if destination_format else None
    is_default = destination is None
    origin = find_source(source, source_kind)
    wanted = wanted_kind(kind, origin.kind)
    if origin.path is not None:
        destination = _resolve(origin.path, origin.kind, destination, kind, in_place=in_place)
    if destination is None or (in_place and origin.path is None):
        raise OptionError("a stream can't be replaced and has no name; name a destination")
    target: Destination
    if not isinstance(destination, Path):
        target = StreamDestination(destination)
    elif is_stream(destination):
        target = NamedStreamDestination(destination)
    else:
        target = FileDestination(destination, overwrite=overwrite or in_place)
    named = target.kind
    if in_place or _keeps_form(source, destination, origin.kind):
        named = origin.kind
    elif is_default:
        named = wanted
    if kind is not None and named is not None and named.name != kind.name:
        raise OptionError(
            f"{target.label} is {'' if in_place else 'named like '}{named.title}, "
            f"but {kind.title} is to be written; name it *{kind.suffixes[0]}"
        )
    if isinstance(destination, Path) and (program := compressed(destination)):
        raise OptionError(
            f"{destination} is named like a file of {program}, and nothing is compressed here; "
            f"put a pipe behind it: -o - | {program} > {shlex.quote(str(destination))}"
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
    if not isinstance(destination, Path) or not kind.matches_suffix(destination):
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
    target.check(by_name("npy"))
    return target


def _resolve(
    source: Path,
    source_kind: Format,
    destination: Path | IO[bytes] | None,
    asked: Format | None,
    *,
    in_place: bool,
) -> Path | IO[bytes]:
    if in_place:
        if destination is not None:
            raise OptionError("--in-place replaces the source, so it takes no -o")
        check_name(source, source_kind)
        return source
    target = _default(source, source_kind, asked) if destination is None else destination
    if isinstance(target, Path) and os.path.exists(target) and target.samefile(source):
        raise OptionError(f"{target} is the source itself; to replace it, say --in-place")
    return target


def _default(source: Path, source_kind: Format, asked: Format | None) -> Path:
    """Return the default destination. Its name never promises another format than it is of."""
    what = misnamed(source, source_kind)
    if what and asked is None:
        target = default_destination(_renamed(source, source_kind))
        raise OptionError(f"{source} is {what}; name the result: -o {_quoted(target)}")
    wanted = wanted_kind(asked, source_kind)
    if what:
        return default_destination(_renamed(source, wanted))
    return default_destination(source, None if wanted is source_kind else wanted)


def check_name(source: Path, kind: Format) -> None:
    """Refuse a source that is to keep its name, and whose suffix is that of another format.

    Raises
    ------
    OptionError
        With what to type to give it the right name.
    """
    if what := misnamed(source, kind):
        old, new = _quoted(source), _quoted(_renamed(source, kind))
        raise OptionError(f"{source} is {what}; rename it first: mv {old} {new}")


def misnamed(source: Path, kind: Format) -> str:
    """Return what a source is and what its suffix says; empty where the two agree.

    Empty too where it isn't of ``kind`` either, which its reader says better.
    """
    named = by_suffix(source)
    other = foreign(source) or (f"a file of {compressed(source)}" if compressed(source) else "")
    if named is not None:
        other = "" if named.name == kind.name else named.title
    with contextlib.suppress(FormatError):
        if other and detect(source) is kind:
            return f"{kind.title} inside, but named like {other}"
    return ""


def _renamed(source: Path, kind: Format) -> Path:
    """Return what a source whose suffix is wrong had better be called."""
    right = source.with_suffix("")
    return right if kind.matches_suffix(right) else source.with_suffix(kind.suffixes[0])


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
