"""What may happen to files: how a source is opened, where the result goes, what is replaced.

Made by users of the library and by the command, and handed on whole. It opens no files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003

from l2cli.errors import OptionError
from l2cli.options.fields import check_fields, option


@dataclass(frozen=True)
class OpenOptions:
    """How a source is opened.

    Parameters
    ----------
    allow_external : bool, default False
        Whether HDF5 data that lies in other files may be read.
    assume_bfloat16 : bool, default False
        Whether an npy dtype of two bytes without a type is bfloat16.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.OpenOptions(allow_external=True).assume_bfloat16
    False
    """

    allow_external: bool = False
    assume_bfloat16: bool = False


@dataclass(frozen=True)
class FileOptions:
    """What may happen to files.

    Parameters
    ----------
    norms : Path, optional
        Where the norms that the rows had go, in float64: an ``.npy``, or for a store a folder
        with one for each shard.
    in_place : bool, default False
        Replace the source, in one step.
    overwrite : bool, default False
        Replace a destination that exists.
    dry_run : bool, default False
        Choose and check only. Nothing is written and no backend is loaded.
    source_format : str, optional
        The source's format, by its name: ``npy``, ``npz``, ``hdf5``, ``parquet`` or ``arrow``.
        By default its first bytes tell.
    destination_format : str, optional
        The format to write, by its name. By default the destination's suffix tells, else it is
        the source's.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.FileOptions(overwrite=True).dry_run
    False
    """

    norms: Path | None = option(
        None,
        "Write the norms that the rows had to an .npy; of a folder, to a folder of such.",
        metavar="PATH",
    )
    in_place: bool = option(False, "Replace the source, in one step.")
    overwrite: bool = option(False, "Replace a destination that exists.")
    dry_run: bool = option(False, "Say what would be done, and do nothing.")
    source_format: str | None = option(
        None,
        "The source's format; of a folder, that of files without the suffix of one.",
        default_text="by the first bytes",
    )
    destination_format: str | None = option(
        None,
        "The format to write; of a folder, for every shard.",
        default_text="by the destination's suffix, else the source's",
    )


@dataclass(frozen=True)
class StoreOptions(FileOptions):
    """What may happen to the files of a store: all of :class:`FileOptions`, and more.

    Parameters
    ----------
    norms : Path, optional
    in_place, overwrite, dry_run : bool, default False
    source_format, destination_format : str, optional
        As for :class:`FileOptions`.
    include, exclude : tuple of str, default ()
        Globs of paths in the store: of the files to take, and of those to leave out.
    only_arrays : bool, default False
        Leave out the files that hold no array to normalize, which else are copied.
    fail_fast : bool, default False
        Stop at the first shard that fails.
    jobs : int, optional
        How many worker processes. By default the work and the machine decide.

    Raises
    ------
    OptionError
        If they contradict each other.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.StoreOptions(exclude=("drafts/*",), jobs=2).exclude
    ('drafts/*',)
    """

    include: tuple[str, ...] = option(
        (), "Of a folder, take only files whose path in it matches. Repeatable.", metavar="GLOB"
    )
    exclude: tuple[str, ...] = option(
        (), "Of a folder, leave out files whose path in it matches. Repeatable.", metavar="GLOB"
    )
    only_arrays: bool = option(False, "Of a folder, leave out files that hold no array.")
    fail_fast: bool = option(False, "Stop at the first shard that fails.")
    jobs: int | None = option(
        None,
        "Worker processes for a folder.",
        metavar="N",
        default_text="by its size and the processors",
    )

    def __post_init__(self) -> None:
        if self.in_place and self.destination_format:
            raise OptionError(
                "`in_place` keeps the format of each shard, so it takes no `destination_format`"
            )
        check_fields(self)
