"""What NumPy, h5py and pyarrow read of a file: nothing here asks the code under test."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Array = np.ndarray[Any, Any]
Parts = dict[str, Any]
"""Everything in a file, by name. The vectors of an array are a :class:`Rows`."""

_MOST_VALUES = 2**20


@dataclass(frozen=True)
class Rows:
    """An array as rows: ``None`` for a null row. Rows may differ in length."""

    rows: list[Array | None]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, array: Array) -> Rows:
        """Take the rows of an array along its last axis."""
        flat = array.reshape(-1, array.shape[-1]) if array.ndim and array.size else array[:0]
        return cls(list(flat), array.dtype)


@dataclass(frozen=True)
class Unreadable:
    """What the library refuses to read; two of them count as equal."""


def read(path: Path) -> Parts:
    """Return everything in a file. Raises what its library raises."""
    return _READERS[path.suffix](path)


def _attempt(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception:
        return Unreadable()


def _numeric(array: Array) -> Any:
    """Return an array of floats as rows, others as they are."""
    if array.dtype == "V2":
        array = array.view(ml_dtypes.bfloat16)
    is_float = array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16
    return Rows.of(array) if is_float and array.ndim else array


def _npy(path: Path) -> Parts:
    stream = io.BytesIO(path.read_bytes())
    arrays: list[tuple[Any, Array]] = []
    rest = stream.getvalue()
    while not arrays or rest.startswith(np.lib.format.MAGIC_PREFIX):
        stream = io.BytesIO(rest)
        version = np.lib.format.read_magic(stream)
        stream.seek(0)
        arrays.append((version, np.lib.format.read_array(stream, allow_pickle=False)))
        rest = stream.read()
    parts: Parts = {"(behind)": rest}
    for number, (version, array) in enumerate(arrays):
        label = "" if len(arrays) == 1 else f"arr_{number}"
        parts[f"{label}(layout)"] = version, array.shape, array.dtype.str, array.flags.f_contiguous
        parts |= _fields(label, array)
    return parts


def _fields(label: str, array: Array) -> Parts:
    """Return an array, or each field of one of records."""
    if not array.dtype.names:
        return {label: _numeric(array)}
    return {f"{label}.{name}".lstrip("."): _numeric(array[name]) for name in array.dtype.names}


def _npz(path: Path) -> Parts:
    with zipfile.ZipFile(path) as archive:
        parts: Parts = {"(comment)": archive.comment}
        for number, info in enumerate(archive.infolist()):
            name = info.filename.removesuffix(".npy")
            parts[f"({number})"] = info.filename, info.compress_type
            content = _attempt(lambda info=info: archive.read(info))  # type: ignore[misc]
            parts[name] = _member(content) if isinstance(content, bytes) else content
    return parts


def _member(content: bytes) -> Any:
    stream = io.BytesIO(content)
    try:
        return _numeric(np.lib.format.read_array(stream, allow_pickle=False))
    except Exception:
        return content


def _hdf5(path: Path) -> Parts:
    with h5py.File(path) as file:
        parts: Parts = {}
        seen: dict[Any, str] = {file.id: "/"}
        _walk(file, "", parts, seen)
    return parts


def _walk(group: h5py.Group, prefix: str, parts: Parts, seen: dict[Any, str]) -> None:
    parts[f"{prefix}/(attributes)"] = _attempt(lambda: _attributes(group))
    names = _attempt(lambda: list(group))
    parts[f"{prefix}/(names)"] = names
    for name in () if isinstance(names, Unreadable) else names:
        path = f"{prefix}/{name}"
        link = _attempt(lambda name=name: group.get(name, getlink=True))  # type: ignore[misc]
        if not isinstance(link, h5py.HardLink):
            parts[path] = type(link).__name__, getattr(link, "path", "")
            continue
        result = _attempt(lambda name=name: group[name])  # type: ignore[misc]
        if isinstance(result, Unreadable):
            parts[path] = result
        elif result.id in seen:
            parts[path] = "alias", seen[result.id]
        else:
            seen[result.id] = path
            parts[f"{path}/(attributes)"] = _attempt(lambda result=result: _attributes(result))  # type: ignore[misc]
            if isinstance(result, h5py.Group):
                _walk(result, path, parts, seen)
            else:
                parts[path] = _attempt(lambda result=result: _dataset(result))  # type: ignore[misc]
                parts[f"{path}/(layout)"] = _attempt(lambda result=result: _layout(result))  # type: ignore[misc]


def _attributes(result: Any) -> list[tuple[str, Any]]:
    return [(name, _attempt(lambda name=name: result.attrs[name])) for name in result.attrs]  # type: ignore[misc]


def _dataset(dataset: Any) -> Any:
    if dataset.size is None or dataset.size > _MOST_VALUES:
        return Unreadable()
    result = dataset[()]
    return _numeric(result) if isinstance(result, np.ndarray) else result


def _layout(dataset: Any) -> Any:
    if not isinstance(dataset, h5py.Dataset):
        return str(type(dataset))
    names = ("shape", "dtype", "maxshape", "chunks", "compression", "compression_opts")
    return [_attempt(lambda name=name: getattr(dataset, name)) for name in names]  # type: ignore[misc]


def _parquet(path: Path) -> Parts:
    with pq.ParquetFile(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
        groups = [metadata.row_group(entry).num_rows for entry in range(metadata.num_row_groups)]
        parts: Parts = {"(schema)": schema, "(metadata)": schema.metadata, "(groups)": groups}
        for name in schema.names:
            parts[name] = _attempt(lambda name=name: _column(file.read(columns=[name])[name]))  # type: ignore[misc]
    return parts


def _arrow(path: Path) -> Parts:
    with pa.OSFile(str(path)) as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        opened = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file)
        table = opened.read_all()
    table.validate()
    lengths = [len(batch) for batch in table.to_batches()]
    metadata = opened.metadata if is_file else None
    parts: Parts = {"(schema)": table.schema, "(metadata)": (table.schema.metadata, metadata)}
    parts["(batches)"] = [length for length in lengths if length]
    for name, column in zip(table.schema.names, table.columns, strict=True):
        parts[name] = _attempt(lambda column=column: _column(column))  # type: ignore[misc]
    return parts


def _column(column: Any) -> Any:
    column.validate(full=True)
    if column.nbytes > 8 * _MOST_VALUES or len(column) > _MOST_VALUES:
        return Unreadable()
    variant = column.type
    if pa.types.is_floating(variant):
        dtype = np.dtype(variant.to_pandas_dtype())
        values = np.array(
            [np.nan if entry is None else entry for entry in column.to_pylist()], dtype
        )
        return Rows.of(values.reshape(-1, 1))
    is_list = pa.types.is_list(variant) or pa.types.is_large_list(variant)
    if not (is_list or pa.types.is_fixed_size_list(variant)) or not pa.types.is_floating(
        variant.value_type
    ):
        return column
    dtype = np.dtype(variant.value_type.to_pandas_dtype())
    return Rows([_vector(row, dtype) for row in column.to_pylist()], dtype)


def _vector(row: list[float | None] | None, dtype: np.dtype[Any]) -> Array | None:
    """Return a row; one whose components are all null has no vector either."""
    if row is None or (row and all(entry is None for entry in row)):
        return None
    return np.array([np.nan if entry is None else entry for entry in row], dtype)


_READERS: dict[str, Callable[[Path], Parts]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _hdf5,
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".arrows": _arrow,
    ".feather": _arrow,
}
