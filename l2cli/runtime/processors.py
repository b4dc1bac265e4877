"""The processors of this machine."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_FEATURES = frozenset(("flags", "Features"))
"""What Linux calls the features of a processor, on x86 and on Arm."""
_X86_MODEL = ("vendor_id", "cpu family", "model", "model name", "stepping")
_ARM_MODEL = ("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision")


def num_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_identity() -> str:
    """Return what tells this machine from one that may not run what was compiled here.

    That is the system, the kind of machine, and the model and features of its processors; empty
    where the system doesn't tell these.
    """
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as file:
            # The first processor stands for all: Linux offers no program what one of them lacks.
            pairs = [line.partition(":") for line in takewhile(str.strip, file)]
    except OSError:
        return ""
    told = {name.strip(): value.strip() for name, _, value in pairs}
    if not told.keys() & _FEATURES:
        return ""
    names = sorted(told.keys() & _FEATURES.union(_X86_MODEL, _ARM_MODEL))
    system = os.uname()
    return "\n".join([system.sysname, system.machine, *(f"{name}: {told[name]}" for name in names)])
