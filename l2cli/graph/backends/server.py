"""A backend in a child process, for a process that was forked and can't have its own.

:class:`~l2cli.graph.backends.remote.ProcessBackend` starts it and sends it arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l2cli.errors import BackendError, L2NormError
from l2cli.graph.backends.load import load_backend

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def main(connection: Connection[Any, Any], name: str, device: str) -> None:
    """Serve the process at the other end of ``connection``."""
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
    except Exception as exc:  # As it came, it might not survive the way.
        connection.send(BackendError(f"{name} failed with {type(exc).__name__}: {exc}"))
