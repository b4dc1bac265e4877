"""Whether this process is a fork of one in which a backend had started.

JAX and TensorFlow run threads, and a forked child has none of them: a call into the backend that
it inherited waits for ever, or aborts. Importing the backend again may wait for ever as well, if
a thread of the parent held the import lock. ``import l2cli`` imports this module, so that every
fork after it is noticed. Whoever is about to use a backend asks here; the module knows the names
of a few attributes of JAX and TensorFlow, and imports neither.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from l2cli.errors import BackendError

_ADVICE = (
    "start it with multiprocessing's 'spawn' or 'forkserver' instead, or have it call "
    "l2cli.normalize, which works in a fork"
)


class _History:
    has_started = False
    is_forked = False


def note_start() -> None:
    """Note that a backend is about to start in this process."""
    _History.has_started = True


def is_forked() -> bool:
    """Whether no backend can be used in this process, because it inherited one."""
    return _History.is_forked


def check_not_forked(what: str) -> None:
    """Refuse to do ``what`` where it would wait for ever.

    Raises
    ------
    BackendError
        Where no backend can be used in this process.
    """
    if is_forked():
        raise BackendError(
            f"{what} can't be used in a process that was forked after a backend had started; "
            f"{_ADVICE}"
        )


def _note_fork() -> None:
    started = _History.has_started or _has_started_jax() or _has_started_tensorflow()
    _History.has_started = False
    _History.is_forked |= started


def _has_started_jax() -> bool:
    return bool(_attribute("jax._src.xla_bridge", "_backends"))


def _has_started_tensorflow() -> bool:
    context = _attribute("tensorflow.python.eager.context", "_context")
    return bool(getattr(context, "_initialized", context is not None))


def _attribute(module: str, name: str) -> Any:
    """Return an attribute of a module, if that is loaded; ``True`` if it has no such attribute."""
    loaded = sys.modules.get(module)
    return None if loaded is None else getattr(loaded, name, True)


os.register_at_fork(after_in_child=_note_fork)
