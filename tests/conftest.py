"""Fixtures for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workers import BackendProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


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
