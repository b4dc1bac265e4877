"""Processes that have imported what ``l2norm`` needs, and run each command in a fork of themselves.

A command is a process of its own all the same, from the parsing of its arguments to its exit code.
Only the imports are shared, which take most of the time of a small one. Keras runs on one backend
in a process, so there is a process for each backend, which has not started in it.
:func:`tests.support.commands.l2norm` uses them; what is about imports, or about variables that
libraries read while they are imported, must not.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import selectors
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from l2cli.graph.backends.importing import import_keras
from tests.support.coverage import measure_this_process

if TYPE_CHECKING:
    from collections.abc import Mapping

IMPORTED = ("numpy", "h5py", "pyarrow.parquet", "jax", "l2cli.normalization.file", "l2cli.bench")


@dataclass(frozen=True)
class Call:
    """What a command starts with.

    Attributes
    ----------
    content
        What comes through a pipe as standard input; nothing if there is none.
    streams
        Of standard output (1) and standard error (2), those that go to a file, by its name, or
        that are closed, by an empty one.
    """

    arguments: list[str]
    folder: str
    environ: dict[str, str]
    content: bytes | None = None
    streams: Mapping[int, str] = field(default_factory=dict)


def run_prepared(call: Call, backend: str) -> tuple[int, bytes, bytes]:
    """Return the exit code of ``l2norm``, what it printed, and its errors."""
    return _prepared_process(backend).submit(_run_in_fork, call).result(300)


@cache
def _prepared_process(backend: str) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare, (backend,))


def _prepare(backend: str) -> None:
    measure_this_process()
    from l2cli.cli import cli
    from l2cli.runtime.tuning import tune_process

    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")  # As a command does.
    tune_process()
    for name in (*IMPORTED, *(f"l2cli.cli.commands.{command}" for command in cli.names)):
        importlib.import_module(name)
    import_keras(backend)
    importlib.import_module("l2cli.graph.models")


def _run_in_fork(call: Call) -> tuple[int, bytes, bytes]:
    pipes = [os.pipe(), os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        try:
            for number, (reader, writer) in enumerate(pipes):
                os.dup2(writer if number else reader, number)
            _become(call)
        finally:
            os._exit(70)  # Never back into what this process does otherwise.
    (inbox, feed), *printed = pipes
    os.close(inbox)
    for _, writer in printed:
        os.close(writer)
    feeding = threading.Thread(target=_feed, args=(feed, call.content or b""))
    feeding.start()
    out, err = _read_all([reader for reader, _ in printed])
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    feeding.join()
    return code, out, err


def _feed(descriptor: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
        pipe.write(content)


def _become(call: Call) -> NoReturn:
    """Be the command, to the end of this process."""
    from l2cli.cli import main

    os.closerange(3, 256)
    if call.content is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in call.streams.items():
        if name:
            os.dup2(os.open(name, os.O_WRONLY), number)
        else:
            os.close(number)
            setattr(sys, ("stdout", "stderr")[number - 1], None)  # As Python finds it closed.
    os.closerange(3, 256)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(call.environ)
    tempfile.tempdir = None  # It is read from TMPDIR again.
    os.chdir(call.folder)
    sys.argv = ["l2norm", *call.arguments]
    main()


def _read_all(descriptors: list[int]) -> list[bytes]:
    """Return what comes through pipes until all their writers have gone."""
    contents = {descriptor: b"" for descriptor in descriptors}
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                descriptor = key.fd
                chunk = os.read(descriptor, 65536)
                contents[descriptor] += chunk
                if not chunk:
                    selector.unregister(descriptor)
                    os.close(descriptor)
    return list(contents.values())
