"""Click's options, made of the fields of the library's options, and those of output.

A new field in :mod:`l2cli.options` is a new option of each command that is decorated with its
class; nothing of it is written down here, unless it is spelt otherwise on the command line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

import click

from l2cli.formats.registry import NAMES, titles
from l2cli.options import described
from l2cli.options.fields import choices_of, types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import Field

    T = TypeVar("T")
    Function = TypeVar("Function", bound=Callable[..., Any])

PATH = click.Path(path_type=Path, readable=False)
"""One that can't be read is no misuse: who reads it says what is wrong with it."""

_SPELLINGS = {
    "select": ("-s", "--select", "--column", "--dataset"),
    "source_format": ("--from",),
    "destination_format": ("--to",),
    "jobs": ("-j", "--jobs"),
}
"""Of the options that are not called as the field is; the first is what messages say."""
_CHOICES = {"source_format": NAMES, "destination_format": NAMES}


@dataclass(frozen=True)
class Output:
    """What a command prints, and where."""

    quiet: bool = False
    progress: bool | None = None
    as_json: bool = False
    debug: bool = False

    @property
    def show_progress(self) -> bool | None:
        """Whether to show progress; ``None`` if standard error decides."""
        return False if self.quiet else self.progress


def parse_integers(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Return the integers of ``INT[,INT…]``, as a callback of an option."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as exc:
        raise click.BadParameter(f"'{value}' is not INT or INT,INT…") from exc


def with_formats(command: Function) -> Function:
    """Name the formats where the docstring of a command, which is its help, has ``{formats}``."""
    command.__doc__ = (command.__doc__ or "").replace("{formats}", titles())
    return command


def option_of(options: Any, name: str, text: str = "") -> Callable[[Function], Function]:
    """Return the option of one field.

    Parameters
    ----------
    options : type
        A class of :mod:`l2cli.options`.
    name : str
        Of the field.
    text : str
        What ``--help`` says of it, instead of the field's own text.
    """
    field = described(options)[name]
    annotation = types_of(options)[name]
    shown = "" if annotation is bool or field.default in (None, ()) else str(field.default)
    default = field.metadata["default_text"] or shown
    ending = f"  [default: {default}]" if default else ""
    return click.option(
        *_spelling(name),
        name,
        default=None if get_origin(annotation) is tuple else field.default,
        help=_with_names(text or field.metadata["text"]) + ending,
        **_typed(field, annotation),
    )


def options_of(options: Any, **texts: str) -> Callable[[Function], Function]:
    """Return a decorator that gives a command an option for each field of a class.

    Parameters
    ----------
    options : type
        A class of :mod:`l2cli.options`.
    **texts : str
        What ``--help`` says of some fields, instead of their own texts.
    """

    def decorate(command: Function) -> Function:
        for field in reversed(fields(options)):
            command = option_of(options, field.name, texts.get(field.name, ""))(command)
        return command

    return decorate


def made(options: type[T], parameters: Mapping[str, Any]) -> T:
    """Return an object of options of those of a command's parameters that are its fields."""
    names = {field.name for field in fields(options)}  # type: ignore[arg-type]
    return options(**{name: parameters[name] for name in names & parameters.keys()})


def output_options(
    quiet: str = "No summary, notes or progress bar; warnings remain.",
) -> Callable[[Function], Function]:
    """Return a decorator for the options of :class:`Output`, with the text of ``--quiet``."""

    def decorate(command: Function) -> Function:
        for option in (debug_option, json_option, progress_option):
            command = option(command)
        return click.option("-q", "--quiet", is_flag=True, help=quiet)(command)

    return decorate


progress_option = click.option(
    "--progress/--no-progress",
    default=None,
    help="Show a progress bar.  [default: on a terminal]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
debug_option = click.option(
    "--debug", is_flag=True, help="Add the traceback to an error, and how graphs were run."
)


def _typed(field: Field[Any], annotation: Any) -> dict[str, Any]:
    """Return what click has to know of the type of a field."""
    metavar = field.metadata["metavar"] or None
    choices = choices_of(field, annotation) or _CHOICES.get(field.name)
    if annotation is bool:
        return {"is_flag": True}
    if choices:
        return {"type": click.Choice(choices)}
    if annotation == tuple[str, ...]:
        return {"multiple": True, "metavar": metavar}
    if annotation == tuple[int, ...] | None:
        return {"callback": parse_integers, "metavar": metavar}
    types = {int | None: click.IntRange(min=1), Path | None: PATH, str: str, str | None: str}
    if annotation in types:
        return {"type": types[annotation], "metavar": metavar}
    return {"type": float, "metavar": "FLOAT"}


def _spelling(name: str) -> tuple[str, ...]:
    return _SPELLINGS.get(name, (f"--{name.replace('_', '-')}",))


def _with_names(text: str) -> str:
    """Return a text with options in place of the parameters in backquotes."""
    return re.sub(r"`(\w+)`", lambda match: _spelling(match[1])[0], text)
