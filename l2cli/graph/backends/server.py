"""The other end of :mod:`l2cli.graph.backends.remote`: it computes for a forked child.

It runs in a process of its own, reads specs and arrays from a socket, and ends with the process
that asked.
"""

from __future__ import annotations

import signal
import warnings
from multiprocessing.connection import Connection
from typing import Any

from l2cli.errors import BackendError, L2NormError
from l2cli.graph.backends.load import load_backend


def main(descriptor: int, name: str, device: str) -> None:
    """Serve the process at the other end of the socket ``descriptor``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The other process decides what Ctrl-C means.
    warnings.simplefilter("ignore")
    connection: Connection[Any, Any] = Connection(descriptor)
    try:
        backend = load_backend(name, device)
        connection.send((backend.name, backend.device))
        while True:
            spec, arrays = connection.recv()
            connection.send(backend.compile(spec)(*arrays))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except L2NormError as exc:
        connection.send(exc)
    except Exception as exc:  # Of a class that the other process might not be able to unpickle.
        connection.send(BackendError(f"{name} failed with {type(exc).__name__}: {exc}"))
