"""What is installed: the versions of distributions, and the plug-ins that some of them offer.

``importlib.metadata`` tells the same, and takes longer to be imported than all the folders take to
be listed. :mod:`l2cli.graph` asks here before it imports a backend.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from functools import cache
from pathlib import Path

_SUFFIXES = (".dist-info", ".egg-info")


def version_of(name: str) -> str:
    """Return the version of a distribution; empty where none of that name is installed."""
    folder = _folders().get(_normalized(name))
    if folder is not None and (told := folder.stem.partition("-")[2]):
        return told
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:  # A nightly build goes by another name.
        return ""


def has_entry_points(group: str) -> bool:
    """Return whether a distribution offers something to who asks for entry points of ``group``."""
    heading = f"[{group}]".encode()
    for folder in _folders().values():
        with contextlib.suppress(OSError):
            if heading in (folder / "entry_points.txt").read_bytes():
                return True
    return False


@cache
def _folders() -> dict[str, Path]:
    """Return where each distribution is described, by its normalized name."""
    folders: dict[str, Path] = {}
    for place in sys.path:
        with contextlib.suppress(OSError, TypeError):  # A program may put anything there.
            for name in os.listdir(place or "."):
                if name.endswith(_SUFFIXES):
                    distribution = _normalized(name.partition("-")[0])
                    folders.setdefault(distribution, Path(place, name))
    return folders


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
