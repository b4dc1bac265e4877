"""The graph itself, in a file or folder that is used where ``l2cli`` isn't."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from l2cli.arguments import axes_of, check_arguments
from l2cli.dtypes import numpy_dtype
from l2cli.errors import BackendError, OptionError
from l2cli.filesystem.atomic import check_destination, replacing, temporary_errors, write_errors
from l2cli.filesystem.atomic_folder import check_folder, replacing_folder
from l2cli.filesystem.siblings import temporary_folder
from l2cli.graph.backends.importing import import_keras
from l2cli.graph.backends.load import load_backend
from l2cli.graph.jax_settings import ordinary_settings
from l2cli.runtime.forking import check_not_forked

if TYPE_CHECKING:
    import os

    from l2cli.arguments import Axis


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes
    ----------
    shape
        Of one row.
    axes
        The axes that one vector lies along, counted with the batch axis, which is 0.
    summary
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
    """Write a model that scales rows to Euclidean norm 1, for use where ``l2cli`` isn't.

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
    destination
        Appears whole or not at all.
    shape
        Of one row.
    axis
        The axes that one vector lies along, counted with the batch axis, which is 0 and can't
        be among them.
    epsilon
        Lower bound on the sum of squares.
    dtype
        ``float16``, ``bfloat16``, ``float32`` or ``float64``: of the rows, and of the result.
    to
        ``keras``, ``savedmodel`` or ``stablehlo``, where the suffix doesn't tell.
    overwrite
        Replace a destination that exists. A folder that is no SavedModel is never replaced.

    Raises
    ------
    OptionError
        Where an argument is out of range.
    BackendError
        Where the backend that the form needs isn't installed, or Keras already runs on another
        in this process.
    DestinationError
        Where the destination can't be written. Nothing of it is left.
    """
    destination = Path(destination)
    form = _find_form(destination, to)
    _check(shape, axis, epsilon, dtype)
    form.check(destination, overwrite=overwrite)
    check_not_forked("l2cli.export_model")
    import_keras(load_backend(form.backend).name)
    model = form.build(shape, axis, epsilon, dtype)
    with write_errors(str(destination)):
        form.write(model, destination, overwrite=overwrite)
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    axes = axes_of(axis, len(shape) + 1)
    return ExportReport(
        str(destination), form.name, tuple(shape), dtype, axes, epsilon, "\n".join(lines)
    )


class _Form(ABC):
    """A form that the model can be written in."""

    word: ClassVar[str]
    name: ClassVar[str]
    suffix: ClassVar[str]
    backend: ClassVar[str] = "auto"

    def check(self, destination: Path, *, overwrite: bool) -> None:
        check_destination(destination, overwrite=overwrite)

    def build(self, shape: tuple[int, ...], axis: Axis, epsilon: float, dtype: str) -> Any:
        from l2cli.graph.models import build_model

        return build_model(shape, axis, epsilon, dtype)

    @abstractmethod
    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        """Write ``model``; the destination appears whole or not at all."""


class _KerasFile(_Form):
    word = "keras"
    name = "Keras model"
    suffix = ".keras"

    def build(self, shape: tuple[int, ...], axis: Axis, epsilon: float, dtype: str) -> Any:
        from l2cli.graph.models import plain_model

        return plain_model(shape, axis, epsilon, dtype)

    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        with (
            replacing(destination, like=None, overwrite=overwrite) as sibling,
            # Keras writes to no file that isn't named .keras.
            temporary_folder() as folder,
        ):
            path = folder / "model.keras"
            with temporary_errors():
                model.save(path)
            shutil.copyfile(path, sibling)


class _SavedModel(_Form):
    word = "savedmodel"
    name = "TensorFlow SavedModel"
    suffix = ""
    backend = "tensorflow"
    _marker = "saved_model.pb"

    def check(self, destination: Path, *, overwrite: bool) -> None:
        check_folder(destination, marker=self._marker, overwrite=overwrite)

    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        with replacing_folder(destination, marker=self._marker, overwrite=overwrite) as folder:
            try:
                model.export(str(folder), format="tf_saved_model", verbose=False)
            except Exception as exc:
                if not type(exc).__module__.startswith("tensorflow"):
                    raise
                # Its own classes for what the system refuses: "CALL; REASON [Op:NAME]".
                raise OSError(str(exc).rpartition("; ")[2].partition(" [Op")[0]) from exc


class _StableHlo(_Form):
    word = "stablehlo"
    name = "StableHLO"
    suffix = ".stablehlo"
    backend = "jax"
    _platforms = ("cpu", "cuda", "rocm", "tpu")

    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        import jax
        from jax import export

        def l2_normalize(rows: Any) -> Any:
            return model(rows)

        with ordinary_settings():
            _, *shape = model.input_shape
            rows = jax.ShapeDtypeStruct(
                (*export.symbolic_shape("batch"), *shape), numpy_dtype(model.inputs[0].dtype)
            )
            exported = export.export(jax.jit(l2_normalize), platforms=self._platforms)(rows)
        try:
            content = exported.serialize()
        except ImportError as exc:
            raise BackendError("jax writes StableHLO with flatbuffers: pip install it") from exc
        with replacing(destination, like=None, overwrite=overwrite) as sibling:
            sibling.write_bytes(content)


_FORMS: tuple[_Form, ...] = (_KerasFile(), _SavedModel(), _StableHlo())
FORM_WORDS = tuple(form.word for form in _FORMS)


def _find_form(destination: Path, to: str | None) -> _Form:
    by_suffix = {form.suffix: form for form in _FORMS}
    by_word = {form.word: form for form in _FORMS}
    named = by_suffix.get(destination.suffix)
    if to is None and named is None:
        raise OptionError(
            f"{destination}: no graph is written as '{destination.suffix}'; name it *.keras or "
            "*.stablehlo, or without a suffix for a SavedModel folder"
        )
    if to is None and named is not None:
        return named
    form = by_word.get(str(to))
    if form is None:
        raise OptionError(f"to is '{to}', expected {', '.join(by_word)}")
    if named is not None and named.suffix and named is not form:
        raise OptionError(
            f"{destination} is named like a {named.name}, but {form.name} is to be written; "
            "name it otherwise"
        )
    return form


def _check(shape: tuple[int, ...], axis: Axis, epsilon: float, dtype: str) -> None:
    try:
        check_arguments(shape, axis, epsilon, dtype)
    except (TypeError, ValueError) as exc:
        raise OptionError(str(exc)) from exc
    if not all(isinstance(length, int) and length > 0 for length in shape):
        raise OptionError(f"shape is {shape}, expected lengths of 1 or more")
