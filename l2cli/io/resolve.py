"""From names and first bytes to a source, a destination, and the format to write.

Used by whoever normalizes one source: :func:`resolve` refuses what can be refused without opening
the source or writing anything. It knows the options about files, not those about numbers.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from l2cli.errors import FormatError, OptionError
from l2cli.filesystem.streams import is_stream
from l2cli.formats.registry import Format, by_name, by_suffix, detect
from l2cli.io.destination import Destination, FileDestination
from l2cli.io.source import STANDARD_INPUT, FileSource, Source, as_source
from l2cli.options import FileOptions
from l2cli.text import shell_quoted

if TYPE_CHECKING:
    from l2cli.filesystem.buffered_stream import Readable


@dataclass(frozen=True)
class Resolution:
    """What is read, what is written, and in which format. Made by :func:`resolve`.

    Attributes
    ----------
    source : Source
        What is read.
    destination : Destination
        What is written.
    file_format : Format
        The format that is written.
    files : FileOptions
        What may happen to files.
    norms : FileDestination or None
        Where the norms go that the rows had; ``None`` for nowhere.
    """

    source: Source
    destination: Destination
    file_format: Format
    files: FileOptions
    norms: FileDestination | None = None


def resolve(
    source: str | os.PathLike[str] | Readable,
    destination: str | os.PathLike[str] | IO[bytes] | None = None,
    files: FileOptions | None = None,
) -> Resolution:
    """Return what is read and written where; nothing is written yet.

    Parameters
    ----------
    source : path or binary stream
        A file, or an unbuffered stream that is read once; a named pipe and its like are streams.
    destination : path, binary stream or None
        A file, a folder (which exists, or whose name ends in ``/``) for a file of the source's
        name, or a stream with a file descriptor; ``None`` for :func:`default_destination`. A
        suffix of another format converts.
    files : FileOptions or None
        What may happen to files; ``None`` for the defaults.

    Returns
    -------
    Resolution
        With a destination that can be written, as far as one can tell before.

    Raises
    ------
    OptionError
        Where the parameters contradict each other.
    SourceError
        Where the source can't be read or is of no known format.
    DestinationError
        Where the destination can't be written.
    """
    files = files or FileOptions()
    readable = as_source(source)
    asked = by_name(files.destination_format) if files.destination_format else None
    named = _with_name(destination, readable, asked)
    if _as_file(readable) is None and (named is None or files.in_place):  # Before it is opened.
        raise OptionError("a stream can't be replaced and has no name; name a `destination`")
    origin = find_source(readable, by_name(files.source_format) if files.source_format else None)
    target = _target(origin, named, asked, in_place=files.in_place)
    output = _open_later(target, overwrite=files.overwrite or files.in_place)
    suffix_format = output.file_format
    if files.in_place or _keeps_form(readable, target, origin.file_format):
        suffix_format = origin.file_format
    elif named is None:
        suffix_format = output_format(asked, origin.file_format)
    _check_agreement(output, target, suffix_format, asked, origin, in_place=files.in_place)
    file_format = suffix_format or output_format(asked, origin.file_format)
    output.check(file_format)
    norms = _norms_destination(files, readable, target)
    return Resolution(origin, output, file_format, files, norms)


def find_source(source: Path | Readable, file_format: Format | None = None) -> Source:
    """Return a file, a stream, or a path that stands for a stream, as a source.

    Parameters
    ----------
    source : Path or Readable
        What is to be read.
    file_format : Format or None
        Its format, ``None`` to go by its first bytes.

    Raises
    ------
    SourceError
        Where it can't be read or is of no known format.
    """
    path = _as_file(source)
    if path is not None:
        return FileSource(path, file_format)
    from l2cli.io.streams import open_stream

    return open_stream(source, file_format)


def default_destination(source: Path, file_format: Format | None = None) -> Path:
    """Return where the result goes where nothing else is said: ``NAME.normalized.SUFFIX``.

    Parameters
    ----------
    source : Path
        A file or folder.
    file_format : Format or None
        The format to convert to.
    """
    name = f"{source.stem}.normalized{source.suffix}"
    return source.with_name(converted_name(name, file_format) if file_format else name)


def output_format(asked: Format | None, source_format: Format) -> Format:
    """Return what a source becomes where ``asked`` is wanted: Arrow stays in its form."""
    keeps = asked is None or asked.name == source_format.name
    return source_format if keeps else cast("Format", asked)


def converted_name(name: str, file_format: Format) -> str:
    """Return what a file called ``name`` is called when it has become ``file_format``.

    The suffix of another format is replaced; any other may be part of the name.
    """
    before = by_suffix(Path(name))
    if before and before.name == file_format.name:
        return name
    return (os.path.splitext(name)[0] if before else name) + file_format.suffixes[0]


def check_name(source: Path, file_format: Format) -> None:
    """Refuse a source that is to keep its name, and whose suffix is that of another format.

    Raises
    ------
    OptionError
        With what to type to give it the right name.
    """
    if what := misnamed(source, file_format):
        old, new = shell_quoted(source), shell_quoted(_renamed(source, file_format))
        raise OptionError(f"{source} is {what}; rename it first: mv {old} {new}")


def misnamed(source: Path, file_format: Format) -> str:
    """Return what a source is and what its suffix says; empty where the two agree.

    Empty too where it isn't of ``file_format`` either, which its reader says better.
    """
    suffix_format = by_suffix(source)
    if suffix_format is not None:
        what = "" if suffix_format.name == file_format.name else suffix_format.title
    else:
        what = _by_foreign_suffix(source)
    with contextlib.suppress(FormatError):
        if what and detect(source) is file_format:
            return f"{file_format.title} inside, but named like {what}"
    return ""


def _by_foreign_suffix(source: Path) -> str:
    """Return what a suffix that is of no format stands for; empty where it says nothing."""
    from l2cli.formats.hints import compressed, foreign

    program = compressed(source)
    return foreign(source) or (f"a file of {program}" if program else "")


def _as_file(source: Path | Readable) -> Path | None:
    """Return the path of a source, ``None`` for a stream or a path that stands for one."""
    return source if isinstance(source, Path) and not is_stream(source) else None


def _with_name(
    destination: str | os.PathLike[str] | IO[bytes] | None,
    source: Path | Readable,
    asked: Format | None,
) -> Path | IO[bytes] | None:
    """Return the destination; of a folder, the file in it that has the source's name."""
    if destination is None:
        return None
    if not isinstance(destination, (str, os.PathLike)):
        if not hasattr(destination, "write"):
            raise OptionError(f"`destination` is {destination!r}, expected a path or a stream")
        return destination
    name = os.fspath(destination)
    if not name:
        raise OptionError("`destination` is empty; name a file")
    if not name.endswith("/") and not os.path.isdir(name):
        return Path(name)
    path = _as_file(source)
    if path is None:
        label = source if isinstance(source, Path) else STANDARD_INPUT
        raise OptionError(f"`destination={name!r}` is a folder; name a file for {label}")
    return Path(name, converted_name(path.name, asked) if asked else path.name)


def _target(
    source: Source, destination: Path | IO[bytes] | None, asked: Format | None, *, in_place: bool
) -> Path | IO[bytes]:
    """Return what is written: the source itself, the default, or what was named."""
    if source.path is None:
        return cast("Path | IO[bytes]", destination)
    if in_place:
        if destination is not None:
            raise OptionError("`in_place` replaces the source, so it takes no `destination`")
        check_name(source.path, source.file_format)
        return source.path
    target = (
        _default(source.path, source.file_format, asked) if destination is None else destination
    )
    if isinstance(target, Path) and os.path.exists(target) and target.samefile(source.path):
        raise OptionError(f"{target} is the source itself; to replace it, say `in_place=True`")
    return target


def _default(source: Path, source_format: Format, asked: Format | None) -> Path:
    """Return the default destination. Its name never promises another format than it is of."""
    what = misnamed(source, source_format)
    if what and asked is None:
        target = str(default_destination(_renamed(source, source_format)))
        raise OptionError(f"{source} is {what}; name the result: `destination={target!r}`")
    written = output_format(asked, source_format)
    if what:
        return default_destination(_renamed(source, written))
    return default_destination(source, None if written is source_format else written)


def _open_later(target: Path | IO[bytes], *, overwrite: bool) -> Destination:
    if isinstance(target, Path) and not is_stream(target):
        return FileDestination(target, overwrite=overwrite)
    from l2cli.io.streams import NamedStreamDestination, StreamDestination

    return NamedStreamDestination(target) if isinstance(target, Path) else StreamDestination(target)


def _keeps_form(source: object, target: object, source_format: Format) -> bool:
    """Whether a destination's suffix may stand for the very form of the source.

    ``.arrow`` may for a stream too, but not beside a source that says ``.arrows``.
    """
    if not isinstance(target, Path) or not source_format.matches_suffix(target):
        return False
    first = source_format.suffixes[0]
    is_explicit = isinstance(source, Path) and source.suffix.lower() == first
    return target.suffix.lower() == first or not is_explicit


def _check_agreement(
    destination: Destination,
    target: Path | IO[bytes],
    suffix_format: Format | None,
    asked: Format | None,
    source: Source,
    *,
    in_place: bool,
) -> None:
    """Refuse a destination whose name says something else than what would be written."""
    if asked is not None and suffix_format is not None and suffix_format.name != asked.name:
        raise OptionError(
            f"{destination.label} is {'' if in_place else 'named like '}{suffix_format.title}, "
            f"but {asked.title} is to be written; name it *{asked.suffixes[0]}"
        )
    if suffix_format is not None or not isinstance(target, Path):
        return
    from l2cli.formats.hints import compressed, foreign

    if program := compressed(target):
        raise OptionError(
            f"{target} is named like a file of {program}, and nothing is compressed here; put a "
            f"pipe behind it: `destination='-'` | {program} > {shell_quoted(target)}"
        )
    if asked is None and (what := foreign(target)):
        suffix = source.file_format.suffixes[0]
        raise OptionError(
            f"{target} is named like {what}, which is not written; "
            f"name it *{suffix}, or name the format with `destination_format`"
        )


def _norms_destination(files: FileOptions, source: Any, target: Any) -> FileDestination | None:
    if files.norms is None:
        return None
    norms = Path(files.norms)
    if norms.suffix.lower() != ".npy":
        raise OptionError(f"norms are written as npy; name {norms} *.npy")
    paths = [path for path in (source, target) if isinstance(path, Path)]
    if os.path.realpath(norms) in map(os.path.realpath, paths):
        raise OptionError(f"{norms} holds the vectors; name another file for their norms")
    destination = FileDestination(norms, overwrite=files.overwrite)
    destination.check(by_name("npy"))
    return destination


def _renamed(source: Path, file_format: Format) -> Path:
    """Return what a source whose suffix is wrong had better be called."""
    right = source.with_suffix("")
    return (
        right if file_format.matches_suffix(right) else source.with_suffix(file_format.suffixes[0])
    )
