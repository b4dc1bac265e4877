"""What a user may ask: of the numbers, of the files, and of a store.

Each of the three is one object, made and validated once, and handed on whole. On which of the
numbers no byte of a result depends is said at the field.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal

from l2cli.arguments import is_finite, is_integer
from l2cli.dtypes import FLOAT_DTYPES
from l2cli.errors import NoArrayError, OptionError, SourceError
from l2cli.runtime.backends import BACKEND_CHOICES

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.arrays import ArraySpec

_CHOICES = {
    "backend": BACKEND_CHOICES,
    "dtype": ("same", *FLOAT_DTYPES),
    "zero_rows": ("keep", "error"),
    "nonfinite": ("error", "keep", "zero"),
}


_SAME_BYTES = {"affects_bytes": False}
"""Marks a field on which no byte of a result depends."""


@dataclass(frozen=True)
class OpenOptions:
    """How a source is opened.

    Attributes
    ----------
    allow_external
        Whether HDF5 data that lies in other files may be read.
    assume_bfloat16
        Whether an npy dtype of two bytes without a type is bfloat16.
    """

    allow_external: bool = False
    assume_bfloat16: bool = False


@dataclass(frozen=True)
class FileOptions:
    """What may happen to files.

    Attributes
    ----------
    in_place
        Replace the source, in one step.
    overwrite
        Replace a destination that exists.
    dry_run
        Choose and check only.
    source_format
        The source's format, by its name; ``None`` to go by the first bytes.
    destination_format
        The format to write, by its name; ``None`` to go by the destination's suffix, else by
        the source's format.
    norms
        Where the norms that the rows had go: an ``.npy``, or for a store a folder with one for
        each shard; ``None`` for nowhere.
    """

    in_place: bool = False
    overwrite: bool = False
    dry_run: bool = False
    source_format: str | None = None
    destination_format: str | None = None
    norms: Path | None = None


@dataclass(frozen=True)
class StoreOptions(FileOptions):
    """What may happen to the files of a store.

    Attributes
    ----------
    include, exclude
        Globs of paths in the store; see :func:`l2cli.filesystem.walk.list_folder`.
    only_arrays
        Leave out the files that hold no array to normalize; else they are copied.
    fail_fast
        Stop at the first shard that fails.
    jobs
        How many worker processes; ``None`` to choose by the work and the machine.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_arrays: bool = False
    fail_fast: bool = False
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.in_place and self.destination_format:
            raise OptionError(
                "`in_place` keeps the format of each shard, so it takes no `destination_format`"
            )
        if self.jobs is not None and self.jobs < 1:
            raise OptionError(f"`jobs` is {self.jobs}, expected 1 or more")


@dataclass(frozen=True)
class NormalizeOptions:
    """How to normalize one source. Validated when made.

    Attributes
    ----------
    select
        Names or globs of the arrays to take; empty to choose by name and kind.
    axis
        The axes that one vector lies along; ``None`` for the last, unless the array's axes are
        stored in reverse order.
    epsilon
        Lower bound on the sum of squares.
    batch_size
        Rows of one batch; ``None`` to choose by bytes.
    backend, device
        As for :func:`l2cli.graph.backends.load.load_backend`.
    dtype
        Of the result; ``same`` keeps that of the source.
    truncate_dim
        Keep the first so many components, then normalize; ``None`` keeps all.
    zero_rows
        ``keep`` zero rows as they are, or take one for an ``error``.
    nonfinite
        Take a row with a NaN or an Inf for an ``error``, ``keep`` it as it was, or write
        ``zero`` rows for it.
    allow_external
        Read HDF5 data that lies in other files.
    norms_name
        What the norms that the rows had are called in the destination, where they are kept in it:
        a Parquet column, HDF5 dataset or npz member. Of several arrays, each one's name comes
        before it.
    if_needed
        Copy the file as it is, or leave it, if every row is a unit row already.
    verify
        Read the destination back and check it, before it appears.
    """

    select: tuple[str, ...] = ()
    axis: tuple[int, ...] | None = None
    epsilon: float = 1e-12
    batch_size: int | None = field(default=None, metadata=_SAME_BYTES)
    backend: str = "auto"
    device: str = field(default="auto", metadata=_SAME_BYTES)
    dtype: Literal["same", "float16", "bfloat16", "float32", "float64"] = "same"
    truncate_dim: int | None = None
    zero_rows: Literal["keep", "error"] = "keep"
    nonfinite: Literal["error", "keep", "zero"] = "error"
    allow_external: bool = False
    norms_name: str | None = None
    if_needed: bool = False
    verify: bool = field(default=False, metadata=_SAME_BYTES)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if not (isinstance(value, str) and value in choices):
                raise OptionError(f"{name} is {value!r}, expected {', '.join(choices)}")
        for name in ("select", "axis"):
            if not isinstance(getattr(self, name) or (), tuple):
                raise OptionError(f"{name} is {getattr(self, name)!r}, expected a tuple")
        self._check_axis()
        if not is_finite(self.epsilon) or self.epsilon < 0:
            raise OptionError(f"epsilon is {self.epsilon}, expected a finite number, 0 or more")
        for name in ("batch_size", "truncate_dim"):
            value = getattr(self, name)
            if value is not None and not (is_integer(value) and value >= 1):
                raise OptionError(f"{name} is {value!r}, expected an integer, 1 or more")
        if not isinstance(self.device, str):
            raise OptionError(f"device is {self.device!r}, expected auto, cpu, gpu or gpu:N")
        if self.norms_name == "":
            raise OptionError("norms_name is empty; name a column, dataset or member")
        if self.truncate_dim is not None and len(self.axis or ()) > 1:
            raise OptionError("truncate_dim keeps components along one axis; give one axis")

    def _check_axis(self) -> None:
        if self.axis is None:
            return
        if not self.axis:
            raise OptionError("axis: none given, expected at least one")
        for axis in self.axis:
            if not is_integer(axis):
                raise OptionError(f"axis is {axis!r}, expected an integer, or several")
        if len(set(self.axis)) < len(self.axis):
            raise OptionError(f"axis is {_listed(self.axis)}, which names one axis twice")

    @property
    def opening(self) -> OpenOptions:
        """How a source is opened under these options."""
        return OpenOptions(self.allow_external, assume_bfloat16=self.dtype == "bfloat16")

    def affecting_bytes(self) -> dict[str, object]:
        """Return the options on which the bytes of a result depend."""
        return {
            option.name: getattr(self, option.name)
            for option in fields(self)
            if option.metadata.get("affects_bytes", True)
        }

    def output(self, array: ArraySpec) -> ArraySpec:
        """Return what ``array`` is to become, or refuse it.

        Raises
        ------
        SourceError
            Where its integers would have to become floats unasked, or it has fewer
            components than ``truncate_dim`` keeps.
        """
        dtype = array.dtype if self.dtype == "same" else self.dtype
        if dtype not in FLOAT_DTYPES:
            # An array without a name was not asked for by name: its file holds none to take.
            raise (SourceError if array.name else NoArrayError)(
                f"{array.label} is {dtype}, and unit vectors need a float type; "
                "choose one, such as --dtype float32"
            )
        return replace(array, dtype=dtype, shape=self._truncated(array))

    def axes(self, array: ArraySpec) -> tuple[int, ...]:
        """Return ``axis`` for one array, counted from 0, sorted.

        Raises
        ------
        SourceError
            Where the array has no such axis, one is named twice, or it isn't known which axis
            is meant.
        """
        if self.axis is None and array.reversed_by:
            raise SourceError(_axis_question(array))
        axes, rank = self.axis or (-1,), len(array.shape)
        for axis in axes:
            if not -rank <= axis < rank:
                raise SourceError(
                    f"{array.label} has rank {rank}, so axis {axis} is out of range; "
                    f"expected {-rank} to {rank - 1}"
                )
        counted = sorted({operator.index(axis) % rank for axis in axes})
        if len(counted) < len(axes):
            raise SourceError(
                f"axis is {_listed(axes)}, which names one axis of {array.label} twice: it has "
                f"rank {rank}"
            )
        return tuple(counted)

    def _truncated(self, array: ArraySpec) -> tuple[int | None, ...]:
        keep, shape = self.truncate_dim, array.shape
        if keep is None:
            return shape
        axes = self.axes(array)
        if axes != (len(shape) - 1,) or len(shape) < 2:
            raise SourceError(
                "--truncate-dim keeps the first components of rows, along the last axis; "
                f"{array.label} has rank {len(shape)} and --axis is {(self.axis or axes)[0]}"
            )
        if shape[-1] is not None and shape[-1] < keep:
            raise SourceError(
                f"--truncate-dim {keep}: {array.label} has only {shape[-1]} components a row"
            )
        return (*shape[:-1], keep)


def _axis_question(array: ArraySpec) -> str:
    """Return the error about an array whose axes were stored in reverse order."""
    there, here = (" × ".join(map(str, shape)) for shape in (array.shape[::-1], array.shape))
    last = len(array.shape) - 1
    if last == 1:
        choice = "--axis 0 if its rows there are the vectors, --axis 1 if its columns are"
    else:
        choice = f"--axis 0 if a vector lies along the last axis there, --axis {last} if the first"
    return (
        f"{array.label} was stored by {array.reversed_by}, with its axes in reverse order: "
        f"{there} there is {here} here; choose {choice}"
    )


def _listed(axes: tuple[int, ...]) -> str:
    return ",".join(map(str, axes))
