"""Which worker of xdist does which test: all that asks one backend is done by one worker.

A backend takes seconds to start, and longer to compile what it was asked before in another
process. What a test asks is in its id, by its parameter, its fixture or its class.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from l2cli.runtime.backends import BACKENDS


class ByBackend(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out the tests of each backend together, at first, and then all others one by one."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the backend that a test is about, the last if several; else the test alone."""
        mentioned = (name for name in reversed(BACKENDS) if name in nodeid.lower())
        return next(mentioned, nodeid)
