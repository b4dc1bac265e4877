"""Text for people: shapes, lists that are cut short, quoting for a shell, and proposed names.

Used by every package that writes a message. It knows nothing of arrays, files and options, only
of strings and numbers.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Shape = tuple[int | None, ...]
"""Of an array: ``None`` for a length that is not known, or that differs from row to row."""

_SIMILARITY = 0.7
"""Of 1: how much of two names has to be the same. Names that are less alike aren't proposed."""


def printable(text: str) -> str:
    """Return ``text`` with control characters spelt out: a file's names are not to be trusted."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def shape_text(shape: Shape) -> str:
    """Return a shape for people: ``10,000 × 50``; ``?`` where a length differs by row."""
    return " × ".join("?" if length is None else f"{length:,}" for length in shape) or "scalar"


def suffixes_text(counts: Mapping[str, int], most: int = 6) -> str:
    """Return how many files there are of each suffix: ``4 .fvecs, 2 .csv``, most first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0] or "~"))
    return brief([f"{count:,} {suffix or 'without a suffix'}" for suffix, count in ordered], most)


def brief(names: list[str], most: int = 3) -> str:
    """Return names for people: the first few, ``most`` of them, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def rows_text(number: int) -> str:
    """Return how many rows there are: ``1 row``, ``2,000 rows``."""
    return f"{number:,} row" + ("" if number == 1 else "s")


def shell_quoted(text: object) -> str:
    """Return ``text``, such as a path, as a shell takes it for one word."""
    return shlex.quote(str(text))


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return ``did you mean 'NAME'?`` with the one of ``names`` that is most like ``name``.

    Empty where none is like it. Upper and lower case are no difference.
    """
    import difflib

    folded: dict[str, str] = {}
    for known in names:
        folded.setdefault(known.casefold(), known)
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=_SIMILARITY)
    return f"did you mean '{folded[close[0]]}'?" if close else ""
