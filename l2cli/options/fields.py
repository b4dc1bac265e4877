"""The field of an option, with all that is known of it, and what values it may have.

The classes of options are made of these fields, and the command derives click's options from
them. What is valid is decided here, for files and graphs alike: the classes raise
:class:`~l2cli.errors.OptionError`, the layers of :mod:`l2cli.graph` what Keras raises. Nothing
here knows which options there are.
"""

from __future__ import annotations

import math
import operator
from dataclasses import Field, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from l2cli.errors import OptionError


def option(
    default: Any,
    text: str,
    *,
    metavar: str = "",
    default_text: str = "",
    affects_bytes: bool = True,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return the field of an option.

    Parameters
    ----------
    text : str
        One or two sentences for people; parameters stand in backquotes.
    metavar : str
        What its value is called, where the type doesn't say it.
    default_text : str
        What happens by default, where the default doesn't say it.
    affects_bytes : bool
        Whether the bytes of a result depend on it.
    choices : tuple of str
        The values it may have, where they come from a table and not from its type.
    """
    metadata = {
        "text": text,
        "metavar": metavar,
        "default_text": default_text,
        "affects_bytes": affects_bytes,
        "choices": choices,
    }
    return field(default=default, metadata=metadata)


@cache
def types_of(options: Any) -> dict[str, Any]:
    """Return the type of each field of a class of options, by name."""
    return get_type_hints(options)


def choices_of(option_field: Field[Any], annotation: Any) -> tuple[str, ...]:
    """Return the values that a field or its type lists; empty if neither lists any."""
    listed = get_args(annotation) if get_origin(annotation) is Literal else ()
    choices: tuple[str, ...] = option_field.metadata.get("choices") or listed
    return choices


def is_integer(value: object) -> bool:
    """Whether ``value`` is an integer of Python's or NumPy's, and no boolean."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Whether ``value`` is a finite real number of Python's or NumPy's, and no boolean."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def epsilon_problem(epsilon: float) -> str:
    """Return why ``epsilon`` is refused; empty if it is a finite number of at least 0."""
    if is_finite(epsilon) and epsilon >= 0:
        return ""
    return f"`epsilon` is {epsilon}, expected a finite number, 0 or more"


def counted_axes(axes: tuple[int, ...], rank: int, subject: str) -> tuple[int, ...]:
    """Return ``axes`` counted from 0, sorted.

    Parameters
    ----------
    axes : tuple of int
        Counted from the end if negative.
    rank : int
        Of what they are axes of.
    subject : str
        What messages call that.

    Raises
    ------
    ValueError
        If there is no such axis, or one is named twice.
    """
    for axis in axes:
        if not -rank <= axis < rank:
            raise ValueError(
                f"{subject} has rank {rank}, so axis {axis} is out of range; "
                f"expected {-rank} to {rank - 1}"
            )
    counted = sorted({operator.index(axis) % rank for axis in axes})
    if len(counted) < len(axes):
        raise ValueError(
            f"`axis={python_axes(axes)}` names one axis of {subject} twice: it has rank {rank}"
        )
    return tuple(counted)


def check_fields(options: Any) -> None:
    """Refuse a value that is none of those its field lists, no tuple, or not a positive integer.

    Raises
    ------
    OptionError
        With the parameter, its value and what was expected.
    """
    types = types_of(options.__class__)
    for option_field in fields(options):
        name = option_field.name
        value, annotation = getattr(options, name), types[name]
        choices = choices_of(option_field, annotation)
        if choices and not (isinstance(value, str) and value in choices):
            raise OptionError(f"`{name}` is {value!r}, expected {', '.join(choices)}")
        if get_origin(annotation) is tuple and not isinstance(value, tuple):
            raise OptionError(f"`{name}` is {value!r}, expected a tuple")
        if annotation == int | None and value is not None and not _is_positive(value):
            raise OptionError(f"`{name}` is {value!r}, expected an integer, 1 or more")


def _is_positive(value: Any) -> bool:
    return is_integer(value) and value >= 1


def check_axis(axes: tuple[int, ...] | None) -> None:
    """Refuse axes that are none, no integers, or named twice."""
    if axes is None:
        return
    if not axes:
        raise OptionError("`axis` is empty, expected at least one axis")
    for axis in axes:
        if not is_integer(axis):
            raise OptionError(f"`axis` is {axis!r}, expected an integer, or several")
    if len(set(axes)) < len(axes):
        raise OptionError(f"`axis={python_axes(axes)}` names one axis twice")


def python_axes(axes: tuple[int, ...]) -> str:
    """Return axes as they are written in Python."""
    return str(axes[0]) if len(axes) == 1 else f"({', '.join(map(str, axes))})"
