"""Whether a folder is a store that a run wrote, and whether that run came to its end.

The manifest itself is read and written by :mod:`l2cli.store.manifest`; whoever only wants to know
what to think of a folder asks here.
"""

from __future__ import annotations

import json
import os

from l2cli.filesystem.siblings import TOOL_PREFIX

FILE_NAME = f"{TOOL_PREFIX}.jsonl"
"""The manifest of a store, in its folder."""


def has_manifest(folder: str) -> bool:
    """Whether a manifest with a header stands in ``folder``."""
    try:
        with open(os.path.join(folder, FILE_NAME), "rb") as file:
            return "l2norm" in json.loads(file.readline())
    except (OSError, ValueError, TypeError):
        return False


def unfinished(folder: str) -> str:
    """Return why not all of a store is in ``folder``; empty where it is, or no run wrote there."""
    if not has_manifest(folder):
        return ""
    with open(os.path.join(folder, FILE_NAME), "rb") as file:
        *_, last = file
    try:
        num_failed = json.loads(last)["failed"]
    except (ValueError, KeyError, TypeError):
        return "the run that writes it has not come to its end"
    files = "file" if num_failed == 1 else "files"
    return f"{num_failed:,} {files} failed in the run that wrote it" if num_failed else ""
