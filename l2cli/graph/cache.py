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
import stat
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

STABLEHLO, EXECUTABLE = ".stablehlo", ".executable"
"""What the names of the two forms of a graph end in."""

_DIGEST_BYTES = 32
_NAME = re.compile(r"((?:[a-z]+-[0-9][^_]*_)*)[0-9a-f]{64}\.(?:stablehlo|executable)")
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
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


def load_graph(key: str, suffix: str = STABLEHLO) -> bytes | None:
    """Return what was saved under ``key``; ``None`` where that is nothing, damaged or unsafe.

    It may be machine code, so nobody else may have been able to write it.
    """
    if not key:
        return None
    try:
        # Of a pipe that somebody put there, to open it would wait for its writer.
        descriptor = os.open(graph_path(key, suffix), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            is_own = status.st_uid == os.getuid() and not status.st_mode & _WRITABLE_BY_OTHERS
            if not stat.S_ISREG(status.st_mode) or not is_own:
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
            with contextlib.suppress(OSError):
                os.utime(file.fileno())  # Its last use.
    except OSError:
        return None
    return content if digest == _digest(key, content) else None


def save_graph(key: str, content: bytes, suffix: str = STABLEHLO) -> None:
    """Save ``content`` under ``key``, in one step, if the folder can be written.

    Nothing is saved where the key is empty.

    What is of no more use is removed from the folder: graphs that no run used for
    :data:`MAX_AGE_DAYS`, and of more than :data:`MAX_BYTES` those that were used least recently.
    """
    import tempfile

    if not key:
        return
    path = graph_path(key, suffix)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(key, content) + content)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _prune()


def kept_graphs() -> list[KeptGraph]:
    """Return what the cache holds, what was used last in front. Other files are passed over."""
    graphs = []
    with contextlib.suppress(OSError), os.scandir(cache_folder()) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None:
                continue
            versions = match[1].removesuffix("_").replace("-", " ").replace("_", ", ")
            with contextlib.suppress(OSError):  # Another run may just have removed it.
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
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


def remove_unfinished() -> None:
    """Remove what runs that were killed began to write."""
    for path in cache_folder().glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _SECONDS_TO_FINISH:
                path.unlink()


def cache_folder() -> Path:
    """Return the folder where graphs are kept; it need not exist.

    Of a user without a home it is :data:`os.devnull`, which is none: nothing is kept.
    """
    if folder := os.environ.get("L2NORM_CACHE_DIR"):
        return Path(folder)
    from platformdirs import user_cache_dir

    try:
        folder = user_cache_dir("l2norm")
    except RuntimeError:
        folder = os.devnull
    return Path(folder if os.path.isabs(folder) else os.devnull)


def graph_path(key: str, suffix: str) -> Path:
    """Return where what is called ``key`` is kept."""
    return cache_folder() / f"{key}{suffix}"


def _prune() -> None:
    """Remove what is of no more use, and what killed runs didn't finish."""
    now, num_bytes, stale = time.time(), 0, []
    for graph in kept_graphs():
        num_bytes += graph.num_bytes
        if num_bytes > MAX_BYTES or graph.last_use < now - MAX_AGE_DAYS * _SECONDS_A_DAY:
            stale.append(graph)
    remove_graphs(stale)
    remove_unfinished()


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
