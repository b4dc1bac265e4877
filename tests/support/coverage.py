"""Coverage of the processes that the tests share."""

from __future__ import annotations

import os


def measure_this_process() -> None:
    """Measure coverage from here on, where ``.ci/run`` measures it."""
    if os.environ.get("COVERAGE_PROCESS_START"):
        import coverage

        coverage.process_startup()
