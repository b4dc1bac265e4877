"""Processes that have imported what ``l2norm`` needs, and run each command in a fork of themselves.

A command is a process of its own all the same, from the parsing of its arguments to its exit code.
Only the imports are shared, which take most of the time of a small one. Keras runs on one backend
in a process, so there is a process for each backend, which has not started in it.
:func:`tests.support.commands.l2norm` uses them; what is about imports, or about variables that
libraries read while they are imported, must not.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import selectors
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import NoReturn

from l2cli.graph.backends.importing import import_keras
from tests.support.coverage import measure_this_process

IMPORTED = ("numpy", "h5py", "pyarrow.parquet", "jax", "l2cli.normalization.file", "l2cli.bench")


def run_prepared(
    arguments: list[str], folder: str, environ: dict[str, str], backend: str
) -> tuple[int, str, str]:
    """Return the exit code of ``l2norm``, what it printed, and its errors."""
    process = _prepared_process(backend)
    return process.submit(_run_in_fork, arguments, folder, environ).result(300)


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


def _run_in_fork(
    arguments: list[str], folder: str, environ: dict[str, str]
) -> tuple[int, str, str]:
    pipes = [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        for number, (_, writer) in enumerate(pipes, start=1):
            os.dup2(writer, number)
        try:
            _become(arguments, folder, environ)
        finally:
            os._exit(70)  # Never back into what this process does otherwise.
    for _, writer in pipes:
        os.close(writer)
    out, err = _read_all([reader for reader, _ in pipes])
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, out.decode(), err.decode()


def _become(arguments: list[str], folder: str, environ: dict[str, str]) -> NoReturn:
    """Be the command, to the end of this process."""
    from l2cli.cli import main

    os.closerange(3, 256)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None  # It is read from TMPDIR again.
    os.chdir(folder)
    sys.argv = ["l2norm", *arguments]
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
