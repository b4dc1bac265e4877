"""The files of a store by family: those that are named alike but for their numbers.

Used by surveys, inspection, checks and stores, which look into a few files of each family. It
knows names only, no files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY = "*"
"""Stands for the names of the files of a family that have no rule."""
_MAX_FAMILIES = 200
"""Of more, files in one folder are one family whatever they are called."""
_NUM_SAMPLED = 5
"""How many files of a family are looked into before anything is written."""


def families_of(names: Sequence[str]) -> list[str]:
    """Return the family of each file, given their paths in the store.

    Files of one family differ in the numbers in their paths only: ``a/part-0.npy`` and
    ``a/part-17.npy``. Where that makes very many, those of one folder and suffix are one family.
    """
    alike = list(map(_pattern, names))
    if len(set(alike)) > _MAX_FAMILIES:
        alike = [re.sub(r"[^/]*(\.[^./]*)$", rf"{ANY}\1", pattern) for pattern in alike]
    if len(set(alike)) > _MAX_FAMILIES:
        alike = [re.sub(r".*/", "", pattern) for pattern in alike]
    return alike


def sampled(families: Sequence[str]) -> list[tuple[str, int]]:
    """Return the files to look into, by family and number: a few of each family, spread over it."""
    members: dict[str, list[int]] = {}
    for index, family in enumerate(families):
        members.setdefault(family, []).append(index)
    return [(family, indexes[i]) for family, indexes in members.items() for i in _spread(indexes)]


def _spread(indexes: list[int]) -> list[int]:
    last = len(indexes) - 1
    if last < _NUM_SAMPLED:
        return list(range(len(indexes)))
    return [number * last // (_NUM_SAMPLED - 1) for number in range(_NUM_SAMPLED)]


def _pattern(name: str) -> str:
    """Return a path without what tells the files of a family apart: numbers and hashes."""
    return re.sub(r"(?<![a-z])[0-9a-f]{8,}(?![a-z])|[0-9]+", "#", name)
