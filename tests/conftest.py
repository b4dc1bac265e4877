"""Fixtures for all tests, and how Hypothesis searches.

The suite tries the same examples each time. ``--hypothesis-profile explore`` tries others, and
more of them: that is for long runs, ``python -m pytest -m slow --hypothesis-profile explore``.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from l2cli.runtime.backends import BACKENDS
from tests.support.scheduling import ByBackend
from tests.support.workers import BackendProcess, KeptGraphsProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

settings.register_profile("suite", derandomize=True, database=None, deadline=None)
settings.register_profile(
    "explore", derandomize=False, max_examples=2_000, deadline=None, print_blob=True
)
settings.load_profile("suite")

_FOLDERS = ("TMPDIR", "XDG_CACHE_HOME", "KERAS_HOME", "HF_HOME")
"""Where programs keep what outlives them, and find what others left."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByBackend:
    """Tell xdist which tests belong together. Its own marks do nothing since pytest 9.2."""
    return ByBackend(config, log)


@pytest.fixture(scope="session", autouse=True)
def _temporary_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let tests, and the commands they run, see folders of these tests alone.

    Graphs are shared by the workers of one run, so that each is made once.
    """
    base = tmp_path_factory.getbasetemp()
    graphs = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "graphs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("L2NORM_CACHE_DIR", str(graphs))
        for name in _FOLDERS:
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        patch.setattr(tempfile, "tempdir", None)  # It is read from TMPDIR again.
        yield


@pytest.fixture(scope="session")
def backend_processes() -> Iterator[Callable[[str], BackendProcess]]:
    """Return what starts, once, a process in which Keras runs on the backend of a name."""
    start = cache(BackendProcess)
    yield start
    for name in BACKENDS:
        start(name).close()


@pytest.fixture(params=["jax"])  # As a parameter it is in the ids of tests.
def jax_process(
    request: pytest.FixtureRequest, backend_processes: Callable[[str], BackendProcess]
) -> BackendProcess:
    return backend_processes(request.param)


@pytest.fixture(params=["tensorflow"])
def tensorflow_process(
    request: pytest.FixtureRequest, backend_processes: Callable[[str], BackendProcess]
) -> BackendProcess:
    return backend_processes(request.param)


@pytest.fixture(scope="session")
def kept_graphs_process() -> Iterator[KeptGraphsProcess]:
    """Return what runs graphs by JAX's runtime alone."""
    process = KeptGraphsProcess()
    yield process
    process.close()


@pytest.fixture(params=list(BACKENDS))
def backend(
    request: pytest.FixtureRequest, backend_processes: Callable[[str], BackendProcess]
) -> BackendProcess:
    return backend_processes(request.param)
