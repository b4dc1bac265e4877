"""Each backend against the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from l2cli.runtime.backends import BACKENDS
from tests.contracts.backends import BackendContract, device_of

if TYPE_CHECKING:
    from tests.support.workers import BackendProcess


class TestJax(BackendContract):
    """JAX."""

    name = "jax"
    refusals: ClassVar = {
        "gpu:77": "`device='gpu",
        "cpu:77": "`device='cpu:77'`: jax sees 1 such devices",
    }


class TestJaxWithKeptGraphs(BackendContract):
    """JAX's runtime alone, with graphs that an earlier run kept."""

    name = "jax"

    @pytest.fixture
    def backend_process(self, kept_graphs_process: BackendProcess) -> BackendProcess:
        return kept_graphs_process

    def test_devices_have_names_and_refusals(self, backend_process: BackendProcess) -> None:
        for device in ("cpu", "cpu:0", "auto"):
            assert backend_process.call(device_of, self.name, device) == "cpu"


class TestTensorFlow(BackendContract):
    """TensorFlow."""

    name = "tensorflow"
    refusals: ClassVar = {
        "gpu:77": "`device='gpu:77'`: tensorflow sees",
        "cpu:77": "`device='cpu:77'`: tensorflow sees 1 such devices, numbered from 0",
    }


def test_every_backend_has_a_contract() -> None:
    assert {contract.name for contract in BackendContract.__subclasses__()} == set(BACKENDS)
