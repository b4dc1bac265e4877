"""A command of ``l2norm``: click's, but that it returns its exit code, whatever goes wrong.

The modules of :mod:`l2cli.cli.commands` make theirs of it. It knows nothing of what they do.
"""

from __future__ import annotations

import sys

import click

from l2cli.cli.errors import report_error
from l2cli.runtime import interruption


class Command(click.Command):
    """A command whose function returns an exit code, or ``None`` for 0."""

    def invoke(self, ctx: click.Context) -> int:
        """Run the command to its last byte of output; an error ends in one line and a code."""
        try:
            code: int | None = super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as exc:
            # Python makes a RuntimeError of some interrupts, such as those in class bodies.
            interruption.check()
            return report_error(exc)
        return code or 0
