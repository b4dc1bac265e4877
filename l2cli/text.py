"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIKENESS = 0.7
"""Of 1: how much of two names has to be the same. Lower, and other words are proposed."""


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return ``did you mean 'NAME'?`` with the one of ``names`` that is most like ``name``.

    Empty where none is like it. Upper and lower case are no difference.
    """
    import difflib

    folded: dict[str, str] = {}
    for each in names:
        folded.setdefault(each.casefold(), each)
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=_LIKENESS)
    return f"did you mean '{folded[close[0]]}'?" if close else ""
