"""What is done in a destination: a header, then one line a shard, appended as they are done.

A line counts only if it is whole, and only as long as source and destination are what it says
they are. So no order of crashes can make a shard pass for done that isn't. Nor does a lost line
do harm: its shard is done again. A run writes it, and the next run, ``check`` and dry runs read
it. What a shard holds it does not know.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from l2cli import __version__
from l2cli.errors import DestinationError, OptionError
from l2cli.io.store_choice import StoreChoice
from l2cli.io.store_state import FILE_NAME
from l2cli.store.fingerprint import digest, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from l2cli.options import NormalizeOptions, StoreOptions
    from l2cli.store.fingerprint import Fingerprint
    from l2cli.store.task import ShardReport, ShardTask, Status

_LAYOUT = 2
_PATIENCE = 4.0
"""Seconds to wait for the workers of a run that was killed."""


@dataclass(frozen=True, slots=True)
class Record:
    """One shard that is done.

    Attributes
    ----------
    source : Fingerprint
        Size and time of change of the source.
    result : Fingerprint or None
        Those of what was written, if anything was.
    digest : str
        Content hash of the source, where there was a doubt about its time of change.
    num_short : int
        How many of its rows were too short to become unit.
    """

    status: Status
    source: Fingerprint
    result: Fingerprint | None
    digest: str = ""
    num_short: int = 0

    def holds(self, task: ShardTask) -> bool:
        """Whether ``task`` is still done."""
        if self.result is not None and fingerprint(task.path_of(self.status)) != self.result:
            return False
        if task.is_staged:
            return self.result is not None or self.source == task.fingerprint
        if self.source == task.fingerprint and not self.digest:
            return True
        # The time of change can't tell: it is new, or it was too young to be trusted.
        same_size = self.source[0] == task.fingerprint[0]
        return same_size and bool(self.digest) and digest(task.source) == self.digest


class Manifest:
    """The manifest of one folder, open and locked.

    Attributes
    ----------
    records : dict of str to Record
        What was done before, by the shard's name, in the order in which it was done.
    """

    def __init__(self, folder: str, header: dict[str, Any]) -> None:
        self.records: dict[str, Record] = {}
        self._folder = folder
        self._header = header
        self._file = os.open(_path(folder), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._file)

    def fileno(self) -> int:
        """Return the descriptor that holds the lock. The lock lasts until all its heirs close."""
        return self._file

    def lock(self) -> None:
        """Keep other runs out of the folder.

        Raises
        ------
        DestinationError
            Where another run is at work in it.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DestinationError(
                        f"{self._folder}: another l2norm is at work in it; wait until it is done"
                    ) from None
                time.sleep(0.05)
            except OSError:
                return  # A file system without locks.
            else:
                return

    def load(self) -> bool:
        """Read what was done, cut off a torn last line, and return whether to go on from there.

        Raises
        ------
        OptionError
            Where it was made with other options, from other sources or by another version.
        """
        size = os.fstat(self._file).st_size
        content = os.pread(self._file, size, 0)
        whole = content.rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._file, whole)
        header, self.records = _parse(content[:whole].splitlines())
        if header is None:
            return False
        if header != self._header and not _binds(self.records):
            return False
        _compare(self._folder, header, self._header)
        return True

    def start(self) -> None:
        """Forget what was done."""
        os.ftruncate(self._file, 0)
        self.records = {}
        self._append(self._header)
        os.fsync(self._file)

    def add(self, task: ShardTask, report: ShardReport, *, flush: bool = False) -> None:
        """Note that ``task`` is done.

        Parameters
        ----------
        flush : bool
            Return only when the note is on the disk.
        """
        num_short = report.report.num_short if report.report else 0
        record = Record(report.status, task.fingerprint, report.result, report.digest, num_short)
        self._append({"shard": task.name, **asdict(record)})
        if flush:
            os.fsync(self._file)

    def finish(self, num_failed: int) -> None:
        """Note that a run came to its end, and how many shards failed in it."""
        self._append({"finished": True, "failed": num_failed})

    def _append(self, line: dict[str, Any]) -> None:
        # One write a line: what a crash leaves is whole lines, and perhaps one that is torn.
        content = json.dumps(line).encode() + b"\n"
        if os.write(self._file, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def make_header(
    options: NormalizeOptions,
    files: StoreOptions,
    sources: Iterable[Path],
    choice: StoreChoice | None,
) -> dict[str, Any]:
    """Return what a run must have in common with the one that it resumes.

    Parameters
    ----------
    options : NormalizeOptions
        What is computed; what has no effect on the bytes is left out.
    files : StoreOptions
        What is read and written.
    sources : iterable of Path
        The sources, as they were given.
    choice : StoreChoice or None
        What is normalized in the store.

    Returns
    -------
    dict
        As it is when it was written as JSON and read again.
    """
    asked = options.affecting_bytes()
    if options.backend == "auto":
        asked["backend"] = os.environ.get("KERAS_BACKEND") or "auto"
    asked |= {
        "only_arrays": files.only_arrays,
        "from": files.source_format,
        "to": files.destination_format,
        "norms": files.norms and str(files.norms),
    }
    header = {
        "l2norm": __version__,
        "layout": _LAYOUT,
        "sources": [os.path.realpath(source) for source in sources],
        "options": asked,
        "choice": choice and choice.as_dict(),
    }
    parsed: dict[str, Any] = json.loads(json.dumps(header))
    return parsed


def recorded_choice(folder: str) -> StoreChoice | None:
    """Return what an earlier run in ``folder``, that this one may go on with, normalizes."""
    try:
        with open(_path(folder), "rb") as file:
            header, records = _parse(file)
    except OSError:
        return None
    if header is None or not header.get("choice") or not _binds(records):
        return None
    return StoreChoice.from_dict(header["choice"])


def peek(folder: str, header: dict[str, Any]) -> dict[str, Record]:
    """Return the records in ``folder`` without locking or writing anything."""
    try:
        with open(_path(folder), "rb") as file:
            recorded, records = _parse(file)
    except OSError:
        recorded, records = None, {}
    if recorded is not None and _binds(records):
        _compare(folder, recorded, header)
    return records


def _binds(records: dict[str, Record]) -> bool:
    """Whether a run went far enough for the next to have to be like it: a shard is done."""
    return any(record.status == "done" for record in records.values())


def _path(folder: str) -> str:
    return os.path.join(folder, FILE_NAME)


def _parse(lines: Iterable[bytes]) -> tuple[dict[str, Any] | None, dict[str, Record]]:
    header: dict[str, Any] | None = None
    records: dict[str, Record] = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
            entry = json.loads(line)
            if "l2norm" in entry:
                header = entry
                continue
            source, result = entry["source"], entry["result"]
            records.pop(entry["shard"], None)  # They stay in the order of what was done last.
            records[entry["shard"]] = Record(
                entry["status"],
                (source[0], source[1]),
                result and (result[0], result[1]),
                entry["digest"],
                entry.get("num_short", 0),
            )
    return header, records if header else {}


def _compare(folder: str, recorded: dict[str, Any], expected: dict[str, Any]) -> None:
    if recorded == expected:
        return
    if recorded.get("sources") != expected["sources"]:
        what = f"from {', '.join(map(str, recorded.get('sources', ['other sources'])))}"
    elif (recorded["l2norm"], recorded.get("layout")) != (expected["l2norm"], expected["layout"]):
        what = f"by l2norm {recorded['l2norm']}, and this is {expected['l2norm']}"
    else:
        before, now = recorded.get("options", {}), expected["options"]
        what = "with other options: " + ", ".join(
            f"{name} {_text(before.get(name))}, now {_text(now[name])}"
            for name in now
            if before.get(name) != now[name]
        )
    raise OptionError(
        f"{folder} was begun {what}; name another with `destination`, or begin anew with "
        "`overwrite=True`"
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return str(value) if value not in (None, "") else "none"
