"""What a run over a store says: how far it is, and at the end what became of the store.

:func:`~l2cli.store.run.normalize_store` returns the report, the command and other callers read
it. It knows nothing of how the work is done.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from l2cli.report import Counts
from l2cli.text import suffixes_text

if TYPE_CHECKING:
    from l2cli.io.store_choice import StoreChoice

STATUSES = (
    "done",
    "copied",
    "rewritten",
    "bystander",
    "left out",
    "skipped",
    "failed",
    "not read",
)
"""Of :class:`~l2cli.store.task.ShardReport`, in the order in which they are counted."""
_TEXTS = {
    "bystander": ("bystander", "bystanders"),
    "not read": ("file not read", "files not read"),
}


@dataclass(frozen=True, slots=True)
class StoreProgress:
    """How far a run is.

    Attributes
    ----------
    name : str
        The shard that the news is of.
    done, total : int
        Bytes of source files.
    read : int
        Of the bytes that are done, those that this run dealt with.
    num_done, num_shards, num_failed : int
        How many shards are done, with or without success, are there in all, and failed.
    """

    name: str
    done: int
    total: int
    read: int = 0
    num_done: int = 0
    num_shards: int = 0
    num_failed: int = 0


@dataclass
class StoreReport:
    """What became of a store.

    Attributes
    ----------
    source : str
        The folder, or the files and folders, that were normalized.
    destination : str
        The folder that was written to, or where each file went.
    shards : dict of str to int
        How many files there are of each status of :class:`~l2cli.store.task.ShardReport`.
    not_read : dict of str to int
        How many files there are of each suffix that stands for no format that is read.
    choice : StoreChoice or None
        What is normalized in the store; ``None`` where each file was named.
    counts : Counts
        The rows that were normalized by this run.
    num_bytes : int
        Bytes of the source files that this run dealt with.
    seconds : float
        Wall time of the whole call.
    dry_run : bool
        Whether nothing was written, because that was asked for.
    disk_full : bool
        Whether the run stopped early, because there was no room left.
    notes : list of str
        What the user should know but needn't act on.
    warnings : list of str
        Those of the notes that say what did not become unit, earlier runs included.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.normalize_store("embeddings").shards["failed"]  # doctest: +SKIP
    0
    """

    source: str
    destination: str
    shards: dict[str, int] = field(default_factory=dict)
    not_read: dict[str, int] = field(default_factory=dict)
    choice: StoreChoice | None = None
    counts: Counts = field(default_factory=Counts)
    num_bytes: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    disk_full: bool = False
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """3 where the run stopped early, else 4 where a shard failed, else 0."""
        if self.disk_full:
            return 3
        return 4 if self.shards.get("failed") else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it. On a dry run no rows are counted."""
        choice = None if self.choice is None else self.choice.as_dict()
        counts = {"counts": None} if self.dry_run else {}
        return asdict(replace(self, choice=None)) | {"choice": choice} | counts

    def __str__(self) -> str:
        done = [f"{n:,} {_status_text(status, n)}" for status, n in self.shards.items() if n]
        if self.shards.get("not read"):  # It comes last.
            done[-1] += f": {suffixes_text(self.not_read)}"
        would = "would be: " if self.dry_run else ""
        counts = f" ({self.counts})" if str(self.counts) else ""
        rows = f"; {self.counts.num_rows:,} rows{counts}" if self.counts.num_rows else ""
        return (
            f"{self.source} → {self.destination}: {would}{', '.join(done)}{rows}; "
            f"{self.num_bytes / 1e6:,.1f} MB, {self.seconds:.1f} s"
        )


def _status_text(status: str, count: int) -> str:
    """Return a status for people: ``2 bystanders``, ``1 file not read``."""
    return _TEXTS.get(status, (status, status))[count > 1]
