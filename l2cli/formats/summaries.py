"""Files that describe the files of a format in a folder: which they are, and how they are written.

A store comes here for the files that become false when its shards change. What is in them, only
the package of the format knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2cli.formats.registry import FORMATS, START_BYTES, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from l2cli.formats.registry import Format


def summary_format(path: Path) -> Format | None:
    """Return the format whose files a file describes, by its name and first bytes, if any."""
    for file_format in FORMATS:
        if file_format.summary is not None and path.name in file_format.summary.names:
            with path.open("rb") as file:
                if file_format.matches(file.read(START_BYTES), file):
                    return file_format
    return None


def described_files(path: Path, file_format: Format) -> list[str]:
    """Return the paths that a summary of files of a format names, from its own folder."""
    if file_format.summary is None:
        return []
    names: list[str] = load(file_format.summary.described)(path)
    return names


def rewrite_summary(source: Path, target: Path, file_format: Format, files: Sequence[Path]) -> None:
    """Write a summary anew.

    Parameters
    ----------
    source : Path
        The summary as it was.
    target : Path
        Where to write.
    file_format : Format
        What the files are that it describes.
    files : Sequence[Path]
        Those files as they are now: what :func:`described_files` names, in that order, or, of a
        summary that names none, all that it describes.

    Raises
    ------
    FormatError
        Where they can't be those that the summary describes.
    """
    if file_format.summary is not None:
        load(file_format.summary.rewrite)(source, target, files)
