"""Each backend against the contract."""

from __future__ import annotations

from typing import ClassVar

from l2cli.runtime.backends import BACKENDS
from tests.contracts.backends import BackendContract


class TestJax(BackendContract):
    """JAX."""

    name = "jax"
    refusals: ClassVar = {
        "gpu:77": "`device='gpu",
        "cpu:77": "`device='cpu:77'`: jax sees 1 such devices",
    }


class TestTensorFlow(BackendContract):
    """TensorFlow."""

    name = "tensorflow"
    refusals: ClassVar = {
        "gpu:77": "`device='gpu:77'`: tensorflow sees",
        "cpu:77": "`device='cpu:77'`: tensorflow sees 1 such devices, numbered from 0",
    }


def test_every_backend_has_a_contract() -> None:
    assert {contract.name for contract in BackendContract.__subclasses__()} == set(BACKENDS)
