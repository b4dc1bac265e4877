"""Fixtures for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workers import BackendProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep graphs for these tests alone, and leave the user's be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("L2NORM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def jax_process() -> Iterator[BackendProcess]:
    process = BackendProcess("jax")
    yield process
    process.close()


@pytest.fixture(scope="session")
def tensorflow_process() -> Iterator[BackendProcess]:
    process = BackendProcess("tensorflow")
    yield process
    process.close()


@pytest.fixture(params=["jax", "tensorflow"])
def backend(request: pytest.FixtureRequest) -> BackendProcess:
    process: BackendProcess = request.getfixturevalue(f"{request.param}_process")
    return process
