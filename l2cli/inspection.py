"""What is in a file, what would be normalized, and why the rest would not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2cli.arrays import FLOAT_DTYPES
from l2cli.errors import SelectionError
from l2cli.formats import detect
from l2cli.options import NormalizeOptions
from l2cli.selection import select, why_not
from l2cli.sources import open_source

if TYPE_CHECKING:
    import os

    from l2cli.formats.base import Reader


@dataclass(frozen=True)
class ArrayInspection:
    """One array.

    Attributes
    ----------
    chosen
        Whether ``l2norm normalize`` takes it if no array is named.
    reason
        Why it isn't chosen; empty where it is.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    layout: str
    chosen: bool
    reason: str


@dataclass(frozen=True)
class Inspection:
    """One file."""

    source: str
    format: str
    arrays: list[ArrayInspection]
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the inspection as JSON can hold it."""
        return asdict(self)


def inspect_file(source: str | os.PathLike[str], *, allow_external: bool = False) -> Inspection:
    """List the arrays of one file. No backend is loaded and no numbers are read.

    Parameters
    ----------
    allow_external
        Look into other files that HDF5 points to.

    Raises
    ------
    SourceError
        Where the file can't be read, or is of no known format.
    """
    source = Path(source)
    kind = detect(source)
    options = NormalizeOptions(allow_external=allow_external)
    with open_source(source, kind, options) as reader:
        notes = list(reader.notes)
        return Inspection(str(source), kind.name, _inspect_arrays(reader), notes)


def _inspect_arrays(reader: Reader) -> list[ArrayInspection]:
    arrays = reader.arrays()
    try:
        chosen = [array.name for array in select(reader, ()) if array.dtype in FLOAT_DTYPES]
        otherwise = "another has the telling name"
    except SelectionError:
        chosen = []
        otherwise = "ambiguous; name it with -s"
    return [
        ArrayInspection(
            array.name,
            array.shape,
            array.dtype,
            array.layout,
            array.name in chosen,
            "" if array.name in chosen else why_not(array, arrays, reader.path.stem) or otherwise,
        )
        for array in arrays
    ]
