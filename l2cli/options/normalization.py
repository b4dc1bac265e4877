"""How vectors are normalized and checked, and what that means for one array.

Made by users of the library and by the command, and handed on whole. It knows nothing of formats
and of backends but their names.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from l2cli.dtypes import FLOAT_DTYPES
from l2cli.errors import NoArrayError, OptionError, SourceError
from l2cli.options.fields import (
    check_axis,
    check_fields,
    counted_axes,
    epsilon_problem,
    is_finite,
    option,
)
from l2cli.options.files import OpenOptions
from l2cli.runtime.backends import BACKEND_CHOICES

if TYPE_CHECKING:
    from l2cli.arrays import ArraySpec

_BACKEND_TEXT = "What Keras runs on; auto heeds KERAS_BACKEND, then takes JAX."


@dataclass(frozen=True)
class NormalizeOptions:
    """How to normalize the vectors of a source. Validated when made.

    Parameters
    ----------
    select : tuple of str, default ()
        Names or globs of the arrays to take. By default names and dtypes decide.
    axis : tuple of int, optional
        The axes that one vector lies along. By default the last, unless the array's axes are
        stored in reverse order, which is asked about.
    epsilon : float, default 1e-12
        Lower bound on the sum of squares.
    dtype : {'same', 'float16', 'bfloat16', 'float32', 'float64'}
        Of the result; ``same`` keeps that of the source.
    truncate_dim : int, optional
        Keep the first so many components, then normalize. By default all.
    zero_rows : {'keep', 'error'}
        Keep rows of zeros as they are, or raise :class:`RowError`.
    nonfinite : {'error', 'keep', 'zero'}
        Raise :class:`RowError` for a row with NaN or Inf, keep it as it was, or write zeros.
    norms_name : str, optional
        Keep the norms that the rows had in the destination under this name: a Parquet column,
        HDF5 dataset or npz member. Of several arrays, each one's name comes before it.
    if_needed : bool, default False
        Copy the file as it is, or leave it, if every row is a unit row already.
    verify : bool, default False
        Read the destination back and check it, before it appears.
    batch_size : int, optional
        Rows of one batch. By default chosen by bytes. The result does not depend on it.
    backend : {'auto', 'jax', 'tensorflow'}
        What Keras runs on; ``auto`` heeds ``KERAS_BACKEND``, then takes JAX.
    device : str, default 'auto'
        ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
    allow_external : bool, default False
        Read HDF5 data that lies in other files.

    Raises
    ------
    OptionError
        If one is of another type or out of range.

    Examples
    --------
    >>> import l2cli
    >>> options = l2cli.NormalizeOptions(dtype="float16", truncate_dim=256)
    >>> options.epsilon
    1e-12
    >>> l2cli.NormalizeOptions(epsilon=-1)
    Traceback (most recent call last):
        ...
    l2cli.errors.OptionError: `epsilon` is -1, expected a finite number, 0 or more
    """

    select: tuple[str, ...] = option(
        (),
        "The array to take: an npz member, HDF5 dataset or table column. Repeatable; takes globs.",
        metavar="NAME",
        default_text="the only float array, or the one called embedding, emb, vector …",
    )
    axis: tuple[int, ...] | None = option(
        None,
        "The axis, or axes, that one vector lies along.",
        metavar="INT[,INT…]",
        default_text="-1",
    )
    epsilon: float = option(
        1e-12,
        "Lower bound on the sum of squares: by default rows shorter than 1e-6 don't become unit; "
        "0 makes every finite non-zero row unit.",
    )
    dtype: Literal["same", "float16", "bfloat16", "float32", "float64"] = option(
        "same", "The dtype to write."
    )
    truncate_dim: int | None = option(
        None, "Keep the first N components of each row, then normalize.", metavar="N"
    )
    zero_rows: Literal["keep", "error"] = option("keep", "What to do with a row of zeros.")
    nonfinite: Literal["error", "keep", "zero"] = option(
        "error", "What to do with a row that holds NaN or Inf."
    )
    norms_name: str | None = option(
        None,
        "Keep the norms that the rows had in the destination: a Parquet column, HDF5 dataset or "
        "npz member.",
        metavar="NAME",
    )
    if_needed: bool = option(
        False,
        "Copy a file as it is, or with `in_place` leave it, if all rows are unit already.",
    )
    verify: bool = option(
        False, "Read the destination back and check it, before it appears.", affects_bytes=False
    )
    batch_size: int | None = option(
        None,
        "Rows at a time; the result does not depend on it.",
        metavar="ROWS",
        default_text="by bytes",
        affects_bytes=False,
    )
    backend: str = option(
        "auto",
        _BACKEND_TEXT,
        choices=BACKEND_CHOICES,
    )
    device: str = option(
        "auto",
        "Where the graph runs; auto takes a GPU where there is one.",
        metavar="auto|cpu|gpu|gpu:N",
        affects_bytes=False,
    )
    allow_external: bool = option(False, "Read HDF5 data that lies in other files.")

    def __post_init__(self) -> None:
        check_fields(self)
        check_axis(self.axis)
        if problem := epsilon_problem(self.epsilon):
            raise OptionError(problem)
        if not isinstance(self.device, str):
            raise OptionError(f"`device` is {self.device!r}, expected auto, cpu, gpu or gpu:N")
        if self.norms_name == "":
            raise OptionError("`norms_name` is empty; name a column, dataset or member")
        if self.truncate_dim is not None and len(self.axis or ()) > 1:
            raise OptionError("`truncate_dim` keeps components along one axis; give one axis")

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
                "choose one, such as `dtype='float32'`"
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
        try:
            return counted_axes(self.axis or (-1,), len(array.shape), array.label)
        except ValueError as exc:
            raise SourceError(str(exc)) from exc

    def _truncated(self, array: ArraySpec) -> tuple[int | None, ...]:
        keep, shape = self.truncate_dim, array.shape
        if keep is None:
            return shape
        axes = self.axes(array)
        if axes != (len(shape) - 1,) or len(shape) < 2:
            raise SourceError(
                "`truncate_dim` keeps the first components of rows, along the last axis; "
                f"{array.label} has rank {len(shape)} and `axis` is {(self.axis or axes)[0]}"
            )
        if shape[-1] is not None and shape[-1] < keep:
            raise SourceError(
                f"`truncate_dim={keep}`: {array.label} has only {shape[-1]} components a row"
            )
        return (*shape[:-1], keep)


@dataclass(frozen=True)
class CheckOptions:
    """How to check whether rows are unit rows. Validated when made.

    Parameters
    ----------
    select : tuple of str, default ()
    axis : tuple of int, optional
    batch_size : int, optional
    backend : {'auto', 'jax', 'tensorflow'}
    device : str, default 'auto'
    allow_external : bool, default False
        As for :class:`NormalizeOptions`.
    tolerance : float, optional
        How far from 1 the norm of a unit row may be, and how far, in radians, a row may have
        been turned. By default that of the array's dtype: float16 1e-3, bfloat16 8e-3,
        float32 1e-6, float64 1e-12.
    zero_rows : {'allow', 'forbid'}
        Whether there may be rows of zeros and null rows, which have no direction.

    Raises
    ------
    OptionError
        If one is of another type or out of range.

    Examples
    --------
    >>> import l2cli
    >>> l2cli.CheckOptions(tolerance=1e-3).zero_rows
    'allow'
    """

    select: tuple[str, ...] = ()
    axis: tuple[int, ...] | None = None
    tolerance: float | None = option(
        None,
        "How far from 1 a norm may be.",
        default_text="float16 1e-3, bfloat16 8e-3, float32 1e-6, float64 1e-12",
    )
    zero_rows: Literal["allow", "forbid"] = option(
        "allow", "Whether there may be rows of zeros, and null rows."
    )
    batch_size: int | None = None
    backend: str = option("auto", _BACKEND_TEXT, choices=BACKEND_CHOICES)
    device: str = "auto"
    allow_external: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.tolerance is not None and not (is_finite(self.tolerance) and self.tolerance >= 0):
            raise OptionError(
                f"`tolerance` is {self.tolerance}, expected a finite number, 0 or more"
            )
        _ = self.reading

    @property
    def allow_zero(self) -> bool:
        """Whether zero and null rows may be there."""
        return self.zero_rows == "allow"

    @property
    def opening(self) -> OpenOptions:
        """How a source is opened: an npy dtype of two bytes without a type is read as bfloat16."""
        return OpenOptions(self.allow_external, assume_bfloat16=True)

    @property
    def reading(self) -> NormalizeOptions:
        """The options that say which arrays are read, and how, as when they are normalized."""
        return NormalizeOptions(
            self.select,
            self.axis,
            batch_size=self.batch_size,
            backend=self.backend,
            device=self.device,
            allow_external=self.allow_external,
        )


def described(options: Any) -> dict[str, Field[Any]]:
    """Return the fields of a class of options, each with the text that explains it.

    A field of :class:`CheckOptions` without one means what it means in :class:`NormalizeOptions`.
    """
    shared = {option.name: option for option in fields(NormalizeOptions)}
    return {
        option.name: option if option.metadata else shared[option.name]
        for option in fields(options)
    }


def _axis_question(array: ArraySpec) -> str:
    """Return the error about an array whose axes were stored in reverse order."""
    there, here = (" × ".join(map(str, shape)) for shape in (array.shape[::-1], array.shape))
    last = len(array.shape) - 1
    if last == 1:
        choice = "`axis=0` if its rows there are the vectors, `axis=1` if its columns are"
    else:
        choice = f"`axis=0` if a vector lies along the last axis there, `axis={last}` if the first"
    return (
        f"{array.label} was stored by {array.reversed_by}, with its axes in reverse order: "
        f"{there} there is {here} here; choose {choice}"
    )
