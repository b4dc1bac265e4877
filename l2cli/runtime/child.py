"""A supervised child process: of a command, a worker of a store, or a spare backend.

There are two ways to start one. :func:`call_in_fork` forks, which takes about a millisecond as
long as nothing heavy is imported, and calls one function. :class:`SpawnedChild` starts a new
interpreter, which serves requests over a socket. In both, the child ends when its parent does,
what ends without having answered has crashed, and the parent removes what it left. Nothing here
knows what a child computes or writes, and nothing here prints.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from l2cli.runtime.interruption import SIGNALS, Interrupted, check, note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from types import FrameType

    T = TypeVar("T")

_SECONDS_TO_TIDY_UP = 2.0
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from l2cli.runtime.child import serve; "
    "serve({module!r}, {descriptor}, {arguments!r})"
)


class ChildCrashedError(Exception):
    """A child ended without an answer.

    Attributes
    ----------
    exit_code : int
        Negative for a signal, as :class:`subprocess.Popen` has it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"a child process ended with {exit_code}")
        self.exit_code = exit_code


def crash_message(subject: str, exit_code: int, consequence: str = "nothing was written") -> str:
    """Return the message about a process that ended while it read a file.

    Parameters
    ----------
    subject : str
        What it read.
    exit_code : int
        Negative for a signal, as :class:`subprocess.Popen` has it.
    consequence : str
        What that means for the destination.
    """
    if exit_code >= 0:
        flags = os.environ.get("XLA_FLAGS")
        doubt = f"; look at XLA_FLAGS, which is '{flags}'" if flags else ""
        return (
            f"{subject}: the process that worked on it gave up with exit code {exit_code}; "
            f"{consequence}{doubt}"
        )
    name = signal.Signals(-exit_code).name
    if name == "SIGKILL":
        return (
            f"{subject}: the system killed the process that read it, most likely for want of "
            f"memory; {consequence}"
        )
    return (
        f"{subject}: a library crashed ({name}) on it, most likely because it is damaged; "
        f"{consequence}"
    )


def call_in_fork(
    work: Callable[[], T],
    as_error: Callable[[BaseException], BaseException],
    clean_up: Callable[[int], None],
) -> T:
    """Return ``work()``, which runs in a forked child; raise what it raises.

    Signals that ask for an end are passed on to the child.

    Parameters
    ----------
    work : callable
        What the child does.
    as_error : callable
        Called in the child with what ``work`` raised; returns what the parent is to raise, which
        can be pickled.
    clean_up : callable
        Called with the child's process id if it did not end well.

    Raises
    ------
    ChildCrashedError
        Where the child ended without an answer.
    """
    check()
    results, outbox = os.pipe()
    lifeline, alive = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # Until each of the two is ready for them.
    child = os.fork()
    if child == 0:
        os.close(results)
        os.close(alive)
        _be_forked(work, as_error, outbox, lifeline)
    os.close(outbox)
    os.close(lifeline)
    with _forwarding_signals(child), os.fdopen(results, "rb") as stream:
        message = stream.read()
        status = os.waitpid(child, 0)[1]
    os.close(alive)
    try:
        result: T = _unpack(message, os.waitstatus_to_exitcode(status))
    except BaseException:
        clean_up(child)  # A signal may have come just before it would have done so itself.
        raise
    return result


class SpawnedChild:
    """A child that runs ``main(connection, *arguments)`` of a module in a new interpreter.

    Parameters
    ----------
    module : str
        Which module.
    arguments : sequence
        Of ``main``; values that ``repr`` shows as Python.
    keep_open : sequence of int
        Descriptors that stay open as long as the child is alive.

    Attributes
    ----------
    connection : multiprocessing.connection.Connection
        The parent's end of the socket between the two.
    pid : int
        The child's process id.
    """

    def __init__(
        self, module: str, arguments: Sequence[object] = (), keep_open: Sequence[int] = ()
    ) -> None:
        import subprocess
        from multiprocessing import Pipe

        self.connection, remote = Pipe()
        with remote:
            code = _PROGRAM.format(
                path=sys.path,
                module=module,
                descriptor=remote.fileno(),
                arguments=tuple(arguments),
            )
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(remote.fileno(), *keep_open),
                # Several processes share a GPU: none may take all of its memory at once.
                env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ},
            )
        self.pid = self.process.pid

    def end(self) -> int:
        """End the child at once, and return its exit code."""
        self.process.kill()
        code = self.process.wait()
        self.connection.close()
        return code


def serve(module: str, descriptor: int, arguments: tuple[object, ...]) -> None:
    """Be a :class:`SpawnedChild`. Ctrl-C is left to the parent, and SIGTERM interrupts."""
    from importlib import import_module
    from multiprocessing.connection import Connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    warnings.simplefilter("ignore")
    connection: Connection[Any, Any] = Connection(descriptor)
    try:
        import_module(module).main(connection, *arguments)
    except (KeyboardInterrupt, EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)


def receive_all(connection: Connection[Any, Any], take: Callable[[Any], None]) -> None:
    """Hand on what the parent sends, in a thread. When the parent is gone, end this process.

    It is interrupted first, so that it can tidy up, and killed if that takes long.
    """

    def receive() -> None:
        try:
            while True:
                take(connection.recv())
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_SECONDS_TO_TIDY_UP)
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=receive, daemon=True).start()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _be_forked(
    work: Callable[[], Any],
    as_error: Callable[[BaseException], BaseException],
    outbox: int,
    lifeline: int,
) -> NoReturn:
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    try:
        message = _outcome(work, as_error)
    except KeyboardInterrupt:
        message = ("interrupted", None)
    with contextlib.suppress(BrokenPipeError), os.fdopen(outbox, "wb") as stream:
        stream.write(pickle.dumps(message))
    sys.stderr.flush()
    os._exit(0)


def _outcome(
    work: Callable[[], Any], as_error: Callable[[BaseException], BaseException]
) -> tuple[str, Any]:
    """Return what ``work`` returns or raises; only an interrupt is raised, and none after it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        return "result", work()
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        return "error", as_error(exc)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _unpack(message: bytes, exit_code: int) -> Any:
    if not message:
        raise ChildCrashedError(exit_code)
    outcome, value = pickle.loads(message)
    if outcome == "interrupted":
        raise Interrupted
    if outcome == "error":
        raise value
    return value


@contextlib.contextmanager
def _forwarding_signals(child: int) -> Iterator[None]:
    """Pass the signals that ask for an end on to the child while the block runs."""

    def forward(number: int, frame: FrameType | None) -> None:
        note(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    # One that is ignored, as under nohup, asks for no end.
    asking = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in asking}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
