"""Graphs that are kept between runs, in the user's cache folder.

The JAX backend keeps here what Keras made of a spec, and beside it the executables that XLA made
of that, under the keys of :mod:`l2cli.graph.keys`; the command shows and clears them. What is
missing, damaged or owned by somebody else is made again without a warning; a folder that can't be
written is not an error. The names of the files tell of which versions they are, and their times
when a run used them last, so that what is of no more use goes by itself. The content of a file is
bytes to this module, whatever made them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_AGE_DAYS = 90
"""How long a graph is kept that no run uses."""
MAX_BYTES = 64_000_000
"""How much is kept: some thousand graphs."""

_DIGEST_BYTES = 32
_NAME = re.compile(r"((?:[^_]+_)*)[0-9a-f]{64}\.(?:stablehlo|executable)")
_UNFINISHED = ".l2norm-graph-"
_SECONDS_TO_FINISH = 3600
_SECONDS_A_DAY = 86400


@dataclass(frozen=True)
class KeptGraph:
    """One file of the cache.

    Attributes
    ----------
    path : Path
        Where it lies.
    versions : str
        Of the packages that made it: ``jax 0.10.2, keras 3.12.0``; empty where that isn't known.
    num_bytes : int
        Its size.
    last_use : float
        When a run used it last, in seconds since the epoch.
    """

    path: Path
    versions: str
    num_bytes: int
    last_use: float


def load_graph(key: str, suffix: str = ".stablehlo") -> bytes | None:
    """Return what was saved under ``key``; ``None`` where that is nothing, or damaged."""
    try:
        with _path(key, suffix).open("rb") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
            with contextlib.suppress(OSError):
                os.utime(file.fileno())  # Its last use.
    except OSError:
        return None
    return content if digest == _digest(key, content) else None


def save_graph(key: str, content: bytes, suffix: str = ".stablehlo") -> None:
    """Save ``content`` under ``key``, in one step, if the folder can be written.

    What is of no more use is removed from the folder: graphs that no run used for
    :data:`MAX_AGE_DAYS`, and of more than :data:`MAX_BYTES` those that were used least recently.
    """
    import tempfile

    path = _path(key, suffix)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(key, content) + content)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        _prune()


def kept_graphs() -> list[KeptGraph]:
    """Return what the cache holds, what was used last in front. Other files are passed over."""
    graphs = []
    with contextlib.suppress(OSError), os.scandir(cache_folder()) as entries:
        for entry in entries:
            if (match := _NAME.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False):
                versions = match[1].removesuffix("_").replace("-", " ").replace("_", ", ")
                status = entry.stat(follow_symlinks=False)
                graphs.append(
                    KeptGraph(Path(entry.path), versions, status.st_size, status.st_mtime)
                )
    return sorted(graphs, key=lambda graph: -graph.last_use)


def remove_graphs(graphs: Iterable[KeptGraph]) -> int:
    """Remove ``graphs`` from the cache, and return how many of them could be."""
    removed = 0
    for graph in graphs:
        with contextlib.suppress(OSError):
            graph.path.unlink()
            removed += 1
    return removed


def remove_executables(used_since: float) -> int:
    """Remove the executables that were used after a time, and return how many there were.

    To be called where a process crashed that was started then: one of them may be the cause, and
    the next run does without it.

    Parameters
    ----------
    used_since : float
        In seconds since the epoch.
    """
    return remove_graphs(
        graph
        for graph in kept_graphs()
        # The clock of the file system may be a tick behind.
        if graph.path.suffix == ".executable" and graph.last_use >= used_since - 1
    )


def cache_folder() -> Path:
    """Return the folder where graphs are kept; it need not exist."""
    folder = os.environ.get("L2NORM_CACHE_DIR")
    if not folder:
        from platformdirs import user_cache_dir

        folder = user_cache_dir("l2norm")
        if not os.path.isabs(folder):  # "~" stays as it is for a user without a home.
            folder = os.devnull
    return Path(folder)


def _path(key: str, suffix: str) -> Path:
    return cache_folder() / f"{key}{suffix}"


def _prune() -> None:
    """Remove what is of no more use, and what a killed run didn't finish."""
    now, num_bytes, stale = time.time(), 0, []
    for graph in kept_graphs():
        num_bytes += graph.num_bytes
        if num_bytes > MAX_BYTES or graph.last_use < now - MAX_AGE_DAYS * _SECONDS_A_DAY:
            stale.append(graph)
    remove_graphs(stale)
    for path in cache_folder().glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < now - _SECONDS_TO_FINISH:
                path.unlink()


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
