"""Exporting the graph to a file or folder, to be used where ``l2cli`` isn't installed.

``l2norm export`` and users of the library call :func:`export_model`. How each form is written is a
matter of :mod:`l2cli.graph.forms`; which forms there are stands in its table.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from l2cli.errors import OptionError
from l2cli.filesystem.atomic import write_errors
from l2cli.graph.arguments import axes_of, check_arguments
from l2cli.graph.backends.importing import import_keras
from l2cli.graph.backends.load import load_backend
from l2cli.graph.forms.table import EXPORTS
from l2cli.runtime.forking import check_not_forked

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from l2cli.graph.arguments import Axis
    from l2cli.graph.forms.base import Form
    from l2cli.graph.forms.table import FormInfo


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes
    ----------
    destination : str
        The file or folder.
    format : str
        The form it was written in, as people call it.
    shape : tuple of int
        Of one row.
    dtype : str
        Of the rows, and of the result.
    axes : tuple of int
        The axes that one vector lies along, counted with the batch axis, which is 0.
    epsilon : float
        Lower bound on the sum of squares.
    summary : str
        Keras's summary of the model, a table of several lines.
    """

    destination: str
    format: str
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[int, ...]
    epsilon: float
    summary: str

    def __str__(self) -> str:
        shape = " × ".join(f"{length:,}" for length in self.shape)
        axes = f"axis {self.axes[0]}" if len(self.axes) == 1 else f"axes {self.axes}"
        return (
            f"{self.destination}: {self.format}, rows of {shape} {self.dtype} along {axes}, "
            f"epsilon {self.epsilon:g}"
        )


def export_model(
    destination: str | os.PathLike[str],
    shape: tuple[int, ...],
    axis: Axis = -1,
    epsilon: float = 1e-12,
    dtype: str = "float32",
    *,
    to: str | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write a model that scales rows to Euclidean norm 1, for use where ``l2cli`` isn't installed.

    It takes batches of any number of rows, and gives the bits of :func:`l2cli.l2_normalize`.
    Three forms, told apart by the suffix of the destination:

    ``.keras``
        A model of Keras's own operations: ``keras.saving.load_model(destination)``. JAX has to
        have 64-bit types for the same bits; without them float32 results are within 3 units in
        the last place.
    no suffix, a folder
        A TensorFlow SavedModel: ``tf.saved_model.load(destination).serve(rows)``. Its signature
        is ``serving_default``, from ``rows`` to ``output_0``. Made with TensorFlow.
    ``.stablehlo``
        StableHLO as JAX serializes it, for CPU, CUDA, ROCm and TPU:
        ``jax.export.deserialize(bytearray(content)).call(rows)``. Made with JAX.

    Parameters
    ----------
    destination : str or path-like
        Appears whole or not at all.
    shape : tuple of int
        Of one row.
    axis : int or tuple of int
        The axes that one vector lies along, counted with the batch axis, which is 0 and can't
        be among them.
    epsilon : float
        Lower bound on the sum of squares.
    dtype : str
        ``float16``, ``bfloat16``, ``float32`` or ``float64``: of the rows, and of the result.
    to : str, optional
        ``keras``, ``savedmodel`` or ``stablehlo``, where the suffix doesn't tell.
    overwrite : bool
        Replace a destination that exists. A folder that is no SavedModel is never replaced.

    Returns
    -------
    ExportReport
        What was written.

    Raises
    ------
    OptionError
        Where an argument is out of range.
    BackendError
        Where the backend that the form needs isn't installed, or Keras already runs on another
        in this process.
    DestinationError
        Where the destination can't be written. Nothing of it is left.

    Examples
    --------
    >>> report = export_model("unit.keras", (768,))  # doctest: +SKIP
    >>> print(report)  # doctest: +SKIP
    unit.keras: Keras model, rows of 768 float32 along axis 1, epsilon 1e-12
    """
    destination = Path(destination)
    info = _find_form(destination, to)
    _check(shape, axis, epsilon, dtype)
    form = _load_form(info)
    form.check(destination, overwrite=overwrite)
    check_not_forked("l2cli.export_model")
    import_keras(load_backend(info.backend).name)
    model = form.build(shape, axis, epsilon, dtype)
    with write_errors(str(destination)):
        form.write(model, destination, overwrite=overwrite)
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    axes = axes_of(axis, len(shape) + 1)
    return ExportReport(
        str(destination), info.title, tuple(shape), dtype, axes, epsilon, "\n".join(lines)
    )


def _find_form(destination: Path, to: str | None) -> FormInfo:
    by_suffix = {info.suffix: info for info in EXPORTS.values()}
    named = by_suffix.get(destination.suffix)
    if to is None:
        if named is None:
            raise OptionError(
                f"{destination}: no graph is written as '{destination.suffix}'; name it "
                f"{' or '.join(f'*{suffix}' for suffix in by_suffix if suffix)}, or without a "
                "suffix for a SavedModel folder"
            )
        return named
    info = EXPORTS.get(to)
    if info is None:
        raise OptionError(f"`to` is {to!r}, expected {', '.join(EXPORTS)}")
    if named is not None and named.suffix and named is not info:
        raise OptionError(
            f"{destination} is named like a {named.title}, but {info.title} is to be written; "
            "name it otherwise"
        )
    return info


def _load_form(info: FormInfo) -> Form:
    module, _, member = info.home.partition(":")
    make: Callable[[], Form] = getattr(
        importlib.import_module(f"l2cli.graph.forms.{module}"), member
    )
    return make()


def _check(shape: tuple[int, ...], axis: Axis, epsilon: float, dtype: str) -> None:
    try:
        check_arguments(shape, axis, epsilon, dtype)
    except (TypeError, ValueError) as exc:
        raise OptionError(str(exc)) from exc
    if not all(isinstance(length, int) and length > 0 for length in shape):
        raise OptionError(f"`shape` is {shape}, expected lengths of 1 or more")
