"""The public function that normalizes one file or stream.

It only resolves, prepares and executes; see :mod:`l2cli.normalization.job`.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from l2cli.io.resolve import resolve
from l2cli.normalization.job import prepare

if TYPE_CHECKING:
    import os

    from l2cli.filesystem.buffered_stream import Readable
    from l2cli.normalization.execution import Progress
    from l2cli.options import FileOptions, NormalizeOptions
    from l2cli.report import Report


def normalize_file(
    source: str | os.PathLike[str] | Readable,
    destination: str | os.PathLike[str] | IO[bytes] | None = None,
    options: NormalizeOptions | None = None,
    files: FileOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Report:
    """Normalize the vectors in one file or stream; everything else in it stays as it was.

    What ``l2norm normalize`` does. It prints nothing, and may be called from any thread and
    where an event loop runs.

    Parameters
    ----------
    source : path or binary stream
        A file, or an unbuffered stream that is read once.
    destination : path, binary stream or None
        A file, a folder (which exists, or whose name ends in ``/``) for a file of the source's
        name, or a stream with a file descriptor; ``None`` for ``NAME.normalized.SUFFIX`` beside
        the source. A suffix of another format converts.
    options : NormalizeOptions or None
        How to normalize; ``None`` for the defaults.
    files : FileOptions or None
        What may happen to files; ``None`` for the defaults.
    progress : callable or None
        Called in the caller's thread after every batch, and before the destination appears, with
        the bytes read so far and the bytes to read in all. What it raises ends the run; nothing is
        left then.

    Returns
    -------
    Report
        What became of each array, and how many rows of which class it holds.

    Raises
    ------
    OptionError
        Where the parameters contradict each other, or the backend or device isn't there.
    SourceError
        Where the source can't be used, or a row may not be normalized.
    DestinationError
        Where the destination can't be written. Nothing of a file is left.

    Examples
    --------
    >>> import l2cli
    >>> report = l2cli.normalize_file("vectors.npy", "unit.npy")  # doctest: +SKIP
    """
    with prepare(resolve(source, destination, files), options) as job:
        return job.execute(progress)
