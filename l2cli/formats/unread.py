"""Files of formats that are not read: how they are counted, and whether they may hold vectors.

Stores, ``check`` and ``inspect`` say by these what they did not look at. Only names and sizes
count here: no file is opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from l2cli.formats.registry import by_suffix

_HARMLESS_SUFFIXES = (
    ".bib .cfg .crc .css .gif .gitattributes .htm .html .ini .ipynb .jpeg .jpg .js .lock .log .md "
    ".md5 .mp3 .mp4 .pdf .png .py .rst .sh .sha256 .sql .svg .tex .toml .wav .webp .xml .yaml .yml"
)
"""Of files that hold no vectors, however large they are."""
_TEXT_SUFFIXES = frozenset(("", ".json", ".txt"))
"""Of files that hold no vectors as long as they are small."""
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".lz4", ".br")
_SMALL_BYTES = 2**20


def full_suffix(name: str) -> str:
    """Return the suffix of a file's name, that of a compressed one whole: ``.npy.gz``."""
    stem, suffix = os.path.splitext(name.lower())
    inner = os.path.splitext(stem)[1] if suffix in _COMPRESSED else ""
    return (inner if by_suffix(Path(f"x{inner}")) else "") + suffix


def may_hold_vectors(name: str, num_bytes: int) -> bool:
    """Whether a file of a format that is not read may hold vectors, by its name and size."""
    suffix = os.path.splitext(name.lower())[1]
    if not num_bytes or suffix in _HARMLESS_SUFFIXES.split(" "):
        return False
    return suffix not in _TEXT_SUFFIXES or num_bytes >= _SMALL_BYTES
