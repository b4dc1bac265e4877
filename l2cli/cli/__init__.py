"""The ``l2norm`` command: parse, call the library once, print.

Nothing that a command needs is imported before the command runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from typing import TYPE_CHECKING, ClassVar, NoReturn

import click

from l2cli import __version__
from l2cli.cli.errors import (
    EXIT_BROKEN_PIPE,
    EXIT_INTERRUPTED,
    report_error,
    report_usage,
)
from l2cli.cli.options import with_formats
from l2cli.cli.terminal import open_streams, say
from l2cli.runtime import interruption
from l2cli.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = "l2norm: interrupted; nothing was left behind"


class _LazyGroup(click.Group):
    """A group whose commands are modules beside this one, imported when they are asked for."""

    names: ClassVar[list[str]] = ["normalize", "check", "inspect", "export", "bench", "cache"]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self.names

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.names and os.path.exists(name):
            raise click.UsageError(
                f"'{name}' is no command; did you mean l2norm normalize {shlex.quote(name)}?", ctx
            )
        if name not in self.names and (hint := suggestion(name, self.names)):
            raise click.UsageError(f"No such command '{name}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.names:
            return None
        module = importlib.import_module(f"l2cli.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(
    cls=_LazyGroup,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 done, 1 check found rows that are not unit, 2 usage, 3 a source or "
    "destination failed, 4 a store is done but for some shards, 130 interrupted.",
)
@click.version_option(__version__, "-V", "--version", prog_name="l2norm")
@click.pass_context
@with_formats
def cli(ctx: click.Context) -> None:
    """Make the vectors in embedding files unit vectors.

    Reads files of any size ({formats}), folders of them, or a pipe, scales each row to
    Euclidean norm 1, and leaves everything else as it was.

    \b
      l2norm normalize vectors.npy      writes vectors.normalized.npy
      l2norm check vectors.npy          are these unit vectors?
      l2norm inspect store.parquet      what is in there, and what would be taken
      l2norm bench                      how fast this machine is
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command on the arguments of this process, which is its own, and exit."""
    open_streams()
    interruption.listen()
    code = run(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # Python's own end would crash a thread that still imports a backend.


def run(argv: Sequence[str]) -> int:
    """Run the command in a process that is not its own, such as that of the tests.

    Signals and the standard streams are left as they are. Errors are one line on standard error.

    Parameters
    ----------
    argv : sequence of str
        The arguments, without the name of the program.

    Returns
    -------
    int
        The exit code.
    """
    try:
        return _run(list(argv))
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE  # The reader has gone, as `head` does.
    except (KeyboardInterrupt, click.Abort):
        say(INTERRUPTED)
        return EXIT_INTERRUPTED
    except click.UsageError as exc:
        return report_usage(exc)
    except Exception as exc:
        return report_error(exc)


def _run(arguments: list[str]) -> int:
    code: int | str | None
    try:
        with cli.make_context("l2norm", arguments) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as exc:
        code = exc.exit_code
    except Exception:
        interruption.check()
        raise
    sys.stdout.flush()
    return int(code or 0)
