"""A destination that is a folder, and appears whole or not at all.

Graphs that are exported as a folder use it. It knows nothing of what the folder holds.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import DestinationError
from l2cli.filesystem.atomic import check_parent, flush, flush_folder
from l2cli.filesystem.siblings import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def replacing_folder(destination: Path, *, marker: str, overwrite: bool) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes ``destination`` when the block ends.

    All that is in it is flushed to disk, and then it is renamed. One that it replaces steps
    aside first and is removed last, so that for a moment there is none. If the block raises,
    whatever it raises, all is as it was.

    Parameters
    ----------
    marker : str
        A file that every folder of this kind has. No folder without it is replaced, but for
        an empty one.
    overwrite : bool
        Whether a destination that exists may be replaced.

    Raises
    ------
    DestinationError
        Where it exists already, isn't such a folder, or its parent can't be written to.
    """
    target = Path(os.path.realpath(destination))
    check_folder(destination, marker=marker, overwrite=overwrite)
    with temporary_folder(target.parent) as temporary:
        made, aside = temporary / "made", temporary / "aside"
        made.mkdir()
        yield made
        check_folder(destination, marker=marker, overwrite=overwrite)
        for path in (*made.rglob("*"), made):
            flush_folder(path) if path.is_dir() else flush(path)
        try:
            if target.exists():
                target.rename(aside)
            made.rename(target)
        except BaseException:
            if aside.exists() and not target.exists():
                aside.rename(target)
            raise
        flush_folder(target.parent)


def check_folder(destination: Path, *, marker: str, overwrite: bool) -> None:
    """Raise ``DestinationError`` where :func:`replacing_folder` would, without writing anything."""
    target = Path(os.path.realpath(destination))
    if os.path.lexists(target) and not target.is_dir():
        raise DestinationError(f"{destination} is a file, expected a folder; name another")
    if target.is_dir() and any(target.iterdir()):
        if not (target / marker).is_file():
            raise DestinationError(
                f"{destination} is a folder of other things (it has no {marker}); name another"
            )
        if not overwrite:
            raise DestinationError(
                f"{destination} exists; replace it with `overwrite=True`, or name another"
            )
    check_parent(target, destination)
