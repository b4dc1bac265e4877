"""A backend in a process of its own, for a process that can't load one: a forked child.

JAX and TensorFlow don't survive a fork (:mod:`l2cli.runtime.forking`). So a forked child sends its
arrays to :mod:`l2cli.graph.backends.server`, which a new process runs, and reads the results back.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from l2cli.errors import BackendError
from l2cli.graph.backends.base import Backend
from l2cli.runtime.child import SpawnedChild

if TYPE_CHECKING:
    import numpy as np

    from l2cli.graph.backends.base import Graph
    from l2cli.graph.spec import GraphSpec


class ProcessBackend(Backend):
    """A backend in a process of its own, which ends when this process does.

    Parameters
    ----------
    name, device : str
        As for :func:`l2cli.graph.backends.load.load_backend`.
    """

    def __init__(self, name: str, device: str) -> None:
        super().__init__()
        self._lock = threading.Lock()
        # The process that this one was forked from uses memory of the GPU too.
        child = SpawnedChild("l2cli.graph.backends.server", (name, device))
        self._connection = child.connection
        weakref.finalize(self, _end, os.getpid(), child)
        self.name, self.device = self._receive()

    def _compile(self, spec: GraphSpec) -> Graph:
        def graph(*arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
            with self._lock:
                self._connection.send((spec, arrays))
                outputs: list[np.ndarray[Any, Any]] = self._receive()
                return outputs

        return graph

    def _receive(self) -> Any:
        try:
            message = self._connection.recv()
        except (EOFError, OSError) as exc:
            raise BackendError(
                "the process that computes for this one, which was forked, has ended; start "
                "the process afresh, by multiprocessing's 'spawn' or 'forkserver'"
            ) from exc
        if isinstance(message, Exception):
            raise message
        return message


def _end(owner: int, child: SpawnedChild) -> None:
    """End ``child``, unless this process is a fork of the ``owner`` that started it."""
    if os.getpid() == owner:
        child.end()
    else:
        child.connection.close()
