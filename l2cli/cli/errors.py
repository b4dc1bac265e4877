"""Errors, notes and warnings of the library, in the words of the command, and its exit codes.

The library names a parameter in backquotes and as Python writes it: ```overwrite=True```, and a
function so too: ```inspect_file```. This module turns those into ``--overwrite`` and ``l2norm
inspect``, and errors into a line and an exit code. The commands are each a :class:`Command`, and
use the rest for every text that they print and did not write themselves. It knows click's commands
and parameters and no list of its own, and nothing of what an error is about.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
import traceback
from typing import Any

import click

import l2cli
from l2cli.cli.terminal import print_json, say
from l2cli.errors import DestinationError, OptionError, message_of
from l2cli.runtime import interruption

EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_BACKQUOTED = re.compile(r"""`((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^`'"])+)`""")
_HIDDEN = (
    (re.compile(r"unexpected [A-Z]\w*: "), "where"),
    (re.compile(r"gave up with exit code \d"), "what it said"),
    (re.compile(r"a library crashed \("), "what the library said"),
)
"""What a message of :mod:`l2cli.errors` begins with, and what ``--debug`` shows of the cause."""
_MESSAGES = frozenset(("error", "notes", "warnings", "reason"))
"""The JSON keys of texts that are for people."""


class Command(click.Command):
    """A command whose function returns an exit code, or ``None`` for 0, whatever goes wrong."""

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


def with_flags(message: str) -> str:
    """Return ``message`` with options in place of parameters, and commands in place of functions.

    Names are those of the own options of the command that runs, else those of ``normalize``:
    ``inspect`` says how to normalize what it lists. What else is in backquotes stays as it is.
    """
    context = click.get_current_context(silent=True)
    if "`" not in message or context is None:
        return message
    parameters, commands = _parameters(context), _commands(context)
    return _BACKQUOTED.sub(
        lambda match: commands.get(match[1]) or _typed(match, parameters), message
    )


def with_flags_in_json(record: Any, *, is_message: bool = False) -> Any:
    """Return a record for JSON with options in its messages; names and numbers stay."""
    if isinstance(record, dict):
        return {
            key: with_flags_in_json(value, is_message=key in _MESSAGES)
            for key, value in record.items()
        }
    if isinstance(record, (list, tuple)):
        return [with_flags_in_json(element, is_message=is_message) for element in record]
    return error_text(record) if is_message and isinstance(record, str) else record


def error_text(message: str) -> str:
    """Return a message of the library in the command's words, with what ``--debug`` would show."""
    hidden = next((what for pattern, what in _HIDDEN if pattern.search(message)), "")
    return with_flags(message) + (f"; --debug shows {hidden}" if hidden else "")


def report_error(error: Exception) -> int:
    """Print an error of the command that runs, with ``--json`` twice, and return its exit code."""
    context = click.get_current_context(silent=True)
    given = context.params if context else {}
    if given.get("debug"):
        traceback.print_exception(error)
    message = error_text(message_of(error))
    say(f"l2norm: {message}")
    if given.get("as_json"):
        _print_error(message)
    return EXIT_USAGE if isinstance(error, OptionError) else EXIT_FAILED


def report_usage(error: click.UsageError) -> int:
    """Print an error of click's in one line, and return its exit code."""
    command = error.ctx.command_path if error.ctx else "l2norm"
    message = error.format_message().rstrip(".")
    see = " See" if message.endswith("?") else "; see"
    say(f"l2norm: {message}{see} {command} --help")
    return EXIT_USAGE


def _print_error(message: str) -> None:
    """Write an error to standard output too, for programs. A second one changes no exit code."""
    try:
        print_json({"error": message})
    except BrokenPipeError:
        pass
    except DestinationError as exc:
        say(f"l2norm: {exc}")


def _parameters(context: click.Context) -> dict[str | None, click.Parameter]:
    """Return the parameters that a message may name, by name."""
    root = context.find_root()
    group = root.command
    shared = group.get_command(root, "normalize") if isinstance(group, click.Group) else None
    commands = [context.command] if shared is None else [shared, context.command]
    return {param.name: param for command in commands for param in command.params}


def _commands(context: click.Context) -> dict[str, str]:
    """Return what to type for the public functions that a message may name, by name.

    A function is called what the command is that does the same, or that and what it is done to.
    """
    root = context.find_root()
    names = root.command.list_commands(root) if isinstance(root.command, click.Group) else []
    first_words = {function: function.partition("_")[0] for function in l2cli.__all__}
    return {
        function: f"{root.info_name} {name}"
        for function, name in first_words.items()
        if name in names
    }


def _typed(match: re.Match[str], parameters: dict[str | None, click.Parameter]) -> str:
    """Return what to type for the parameters in backquotes; the same text if they are none."""
    try:
        call = ast.parse(f"_({match[1]})", mode="eval").body
    except (SyntaxError, ValueError):
        return match[0]
    if not isinstance(call, ast.Call):
        return match[0]
    names = [argument.id for argument in call.args if isinstance(argument, ast.Name)]
    names += [keyword.arg or "" for keyword in call.keywords]
    if len(names) != len(call.args) + len(call.keywords) or not parameters.keys() >= set(names):
        return match[0]
    typed = [_name(parameters[name]) for name in names[: len(call.args)]]
    try:
        for keyword in call.keywords:
            typed += _arguments(parameters[keyword.arg], ast.literal_eval(keyword.value))
    except ValueError:  # A variable, as in an example.
        return match[0]
    return " ".join(typed)


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.get_current_context()).strip("[].")
    return parameter.opts[0]


def _arguments(parameter: click.Parameter, value: Any) -> list[str]:
    """Return the arguments that give ``value`` to an option, each quoted for a shell."""
    name = _name(parameter)
    if isinstance(value, bool):
        return [name if value else (*parameter.secondary_opts, f"no {name}")[0]]
    if not isinstance(value, (list, tuple)):
        values = [str(value)]
    elif parameter.multiple:
        values = list(map(str, value))
    else:
        values = [",".join(map(str, value))]
    option = [] if isinstance(parameter, click.Argument) else [name]
    return [word for text in values for word in (*option, shlex.quote(text))]
