"""What is to be done with one file of a store, and what became of it.

Everything in :mod:`l2cli.store` speaks in these two: plans make tasks, runners send them to where
:func:`l2cli.store.shard.run_shard` does them, and reports come back. Both are small and can be
pickled. Nothing here reads or writes a file.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from l2cli.errors import is_disk_full

if TYPE_CHECKING:
    from l2cli.io.store_choice import ShardChoice
    from l2cli.io.survey import FoundArray
    from l2cli.options import NormalizeOptions, StoreOptions
    from l2cli.report import Report
    from l2cli.store.fingerprint import Fingerprint

    Action = Literal["normalize", "copy", "link", "survey", "rewrite"]
    Status = Literal[
        "done",
        "copied",
        "rewritten",
        "bystander",
        "not read",
        "skipped",
        "left out",
        "failed",
        "surveyed",
    ]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """What is to be done with one file of a store.

    Attributes
    ----------
    name : str
        Its path in the store.
    source : str
        Where it is.
    destination : str
        Where it goes once it is normalized, or what else becomes of it.
    action : str
        ``normalize`` what is in it (or copy it, if it turns out to hold no array), ``copy`` it,
        make a ``link`` like it, only tell what would be taken from it (``survey``), or
        ``rewrite`` it for the shards that it describes, when they are done.
    fingerprint : Fingerprint
        Size in bytes and time of change in nanoseconds of the source.
    options : NormalizeOptions
        What is computed.
    files : StoreOptions
        What is read and written. Unless the task is ``required``, a file that isn't of
        ``files.source_format`` is copied.
    copy_destination : str
        Where a copy of it goes, under its own name; empty where that is ``destination``.
    root : str
        The real path of the folder outside of which nothing may be written; empty for none.
    link : str
        What a link is to lead to.
    required : bool
        The user named this very file, so it has to hold an array.
    norms : str
        Where the norms go that the rows had, an ``.npy``; empty for nowhere.
    choice : ShardChoice or None
        What is normalized in it; ``None`` to choose as for a file that is alone.
    """

    name: str
    source: str
    destination: str
    action: Action
    fingerprint: Fingerprint
    options: NormalizeOptions
    files: StoreOptions
    copy_destination: str = ""
    root: str = ""
    link: str = ""
    required: bool = False
    norms: str = ""
    choice: ShardChoice | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes of the source."""
        return self.fingerprint[0] if self.action != "link" else 0

    @property
    def is_staged(self) -> bool:
        """Whether to leave the result in a temporary sibling: who runs the store publishes it."""
        return self.files.in_place and not self.required

    @property
    def may_replace(self) -> bool:
        """Whether a destination that exists may be replaced: a run's own folder is its own."""
        return self.files.overwrite or self.files.in_place or bool(self.root)

    def path_of(self, status: Status) -> str:
        """Return where the result is, if the task ended so."""
        return self.destination if status == "done" else self.copy_destination or self.destination


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What became of one file of a store.

    Attributes
    ----------
    status : Status
        ``done`` (normalized), ``rewritten`` (it describes shards that were),
        ``copied`` (it holds no vectors), ``bystander`` (it holds arrays
        that are not the store's vectors), ``not read`` (of a format that is not read),
        ``skipped`` (dealt with by an earlier run), ``left out`` (it holds no vectors, and only
        those are wanted) or ``failed``. A bystander and what is not read are copied, unless only
        arrays are wanted.
    error : str
        Why it failed: one line that names it.
    reason : str
        Why it is a bystander.
    report : Report or None
        Of the normalization, if there was one.
    result : Fingerprint or None
        Size and time of change of what was written.
    digest : str
        Content hash of the source, where its time of change is too young to tell all changes.
    staged : str
        The temporary sibling that holds the result, if it is not published yet.
    arrays : tuple of FoundArray
        What would be taken from it, where that was the task.
    disk_full : bool
        Whether it failed because there is no room left, so that no shard would fare better.
    """

    name: str
    status: Status
    num_bytes: int
    error: str = ""
    report: Report | None = None
    result: Fingerprint | None = None
    digest: str = ""
    staged: str = ""
    traceback: str = ""
    reason: str = ""
    arrays: tuple[FoundArray, ...] = ()
    disk_full: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        record = {"shard": self.name, "status": self.status, "file_bytes": self.num_bytes}
        if self.error:
            record["error"] = self.error
        if self.reason:
            record["reason"] = self.reason
        return record | (self.report.as_dict() if self.report else {})


def failed(task: ShardTask, message: str, cause: BaseException | None = None) -> ShardReport:
    """Return the report of a task that came to nothing.

    Parameters
    ----------
    cause : BaseException or None
        The error that it came to nothing by, if there was one.
    """
    return ShardReport(
        task.name,
        "failed",
        task.num_bytes,
        error=message,
        traceback="".join(traceback.format_exception(cause)) if cause else "",
        disk_full=is_disk_full(cause),
    )
