"""A backend in a process of its own, for a process that can't load one: a forked child.

JAX and TensorFlow don't survive a fork (:mod:`l2cli.runtime.forking`). So a forked child sends its
arrays to :mod:`l2cli.graph.backends.server`, which a new process runs, and reads the results back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any

from l2cli.errors import BackendError
from l2cli.graph.backends.base import Backend

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import numpy as np

    from l2cli.graph.backends.base import Graph
    from l2cli.graph.spec import GraphSpec

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from l2cli.graph.backends.server import main; "
    "main({descriptor}, {name!r}, {device!r})"
)


class ProcessBackend(Backend):
    """A backend in a process of its own, which ends when this process does.

    Parameters
    ----------
    name, device
        As for :func:`l2cli.graph.backends.load.load_backend`.
    """

    def __init__(self, name: str, device: str) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._connection, remote = Pipe()
        with remote:
            code = _PROGRAM.format(
                path=sys.path, descriptor=remote.fileno(), name=name, device=device
            )
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(remote.fileno(),),
                # The process that this one was forked from uses memory of the GPU too.
                env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ},
            )
        weakref.finalize(self, _end, os.getpid(), process, self._connection)
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


def _end(owner: int, process: subprocess.Popen[bytes], connection: Connection[Any, Any]) -> None:
    """End ``process``, unless this process is a fork of the ``owner`` that started it."""
    connection.close()
    if os.getpid() == owner:
        process.kill()
        process.wait()
