"""What was done, printed: of one file and of a store alike.

Used by ``normalize``, of files and of stores. It writes no texts of its own about rows: those are
the report's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from l2cli.cli.errors import with_flags, with_flags_in_json
from l2cli.cli.terminal import print_json, say

if TYPE_CHECKING:
    from l2cli.cli.options import Output


class Summary(Protocol):
    """A report of a file or a store."""

    destination: str
    notes: list[str]
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""


def print_report(report: Summary, output: Output, *, key: str = "", norms: str = "") -> None:
    """Print a report on standard error, or as JSON on standard output.

    Parameters
    ----------
    key : str
        Of the JSON object that the report is the only value of; empty for none.
    norms : str
        Where norms were written.
    """
    if output.as_json:
        record = with_flags_in_json(report.as_dict())
        print_json({key: record} if key else record)
    elif output.quiet:
        for warning in report.warnings:
            say(f"l2norm: {report.destination}: {with_flags(warning)}")
    else:
        say(str(report))
        if norms:
            say(f"norms → {norms}")
        for note in report.notes:
            say(f"note: {with_flags(note)}")
