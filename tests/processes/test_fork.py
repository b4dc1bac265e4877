"""A fork of a process in which a backend had started: it works, or says at once why it can't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.reference import true_quotient

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]

_BEGIN = """
import json, os, signal, sys, threading
import numpy as np
import l2cli

backend = sys.argv[1]
os.environ["KERAS_BACKEND"] = backend
rows = np.random.default_rng(0).standard_normal((20, 8)).astype("f4")
wide = np.random.default_rng(1).standard_normal((20, 11)).astype("f4")

def fork(work):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(240)
        try:
            answer = work()
        except Exception as exc:
            answer = f"{type(exc).__name__}: {exc}"
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = stream.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(answer) if status == 0 else f"died with {status}"

"""


def _run(code: str, *arguments: str | Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _BEGIN + code, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _unit(seed: int, dim: int) -> Array:
    rows = np.random.default_rng(seed).standard_normal((20, dim)).astype("f4")
    return true_quotient(rows).astype("f4")


_LOCKED = """
from l2cli.graph.backends import load

def work():
    return l2cli.normalize(wide).tobytes().hex()

is_held, may_end = threading.Event(), threading.Event()
def hold():
    with load._loading:
        is_held.set()
        may_end.wait()
thread = threading.Thread(target=hold)
thread.start()
is_held.wait()
found = fork(work)
may_end.set()
print(json.dumps(found))
"""


def test_a_lock_that_another_thread_held_does_not_stop_a_fork() -> None:
    assert bytes.fromhex(_run(_LOCKED, "jax")) == _unit(1, 11).tobytes()


_POOL = """
import multiprocessing
import jax.numpy as jnp

jnp.ones(3) + 1  # The program's own use of JAX, before l2cli has used any.

def helpers(dim):
    own = l2cli.normalize(wide[:, :dim])
    from l2cli.runtime import forking
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    inner = fork(lambda: l2cli.normalize(wide[:, :dim]).tobytes() == own.tobytes())
    return own.tobytes().hex(), forking.is_forked(), inner, children

with multiprocessing.get_context("fork").Pool(1) as pool:
    found = pool.map(helpers, [11])[0]
    alive = [os.path.exists(f"/proc/{pid}") for pid in found[3]]
pool.join()
print(json.dumps([*found, alive]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_pool_works_and_its_helpers_end_with_it() -> None:
    content, is_forked, inner, children, alive = _run(_POOL, "jax")
    assert bytes.fromhex(content) == _unit(1, 11).tobytes()
    assert is_forked
    assert inner is True
    assert alive == [True]
    for _ in range(100):
        if not os.path.exists(f"/proc/{children[0]}/fd"):
            break
        subprocess.run(["sleep", "0.1"], check=True)
    assert not os.path.exists(f"/proc/{children[0]}")


_EARLY = """
import keras
from l2cli.graph.backends import load
from l2cli.runtime import forking

def work():
    result = l2cli.normalize(wide)
    return [forking.is_forked(), type(load.load_backend()).__name__, result.tobytes().hex()]

print(json.dumps(fork(work)))
"""


def test_a_fork_before_a_backend_has_started_has_its_own() -> None:
    is_forked, class_name, content = _run(_EARLY, "jax")
    assert (is_forked, class_name) == (False, "JaxBackend")
    assert bytes.fromhex(content) == _unit(1, 11).tobytes()
