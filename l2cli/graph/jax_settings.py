"""JAX's settings as our graphs want them, for a while and in one thread; the user's stay."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def ordinary_settings() -> Iterator[None]:
    """Let JAX have 64-bit types in the block, and none of the settings that are for debugging.

    They come from the environment, or from the program that calls us: compilation switched off,
    a ban on transfers of arrays, a search for NaN and Inf, a log of what is compiled.
    """
    import jax

    settings = (
        jax.enable_x64(True),
        jax.disable_jit(False),
        jax.transfer_guard("allow"),
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.log_compiles(False),
        jax.explain_cache_misses(False),
    )
    with contextlib.ExitStack() as stack:
        for setting in settings:
            stack.enter_context(setting)
        yield
