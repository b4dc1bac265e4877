"""Adding a column of norms to a file: its pages replace the footer, and a new footer follows.

pyarrow writes the column into a separate file, in row groups of the same lengths; its chunks are
then copied over. The rest of the file is not touched. ``formats/registry.py`` is the only caller.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from l2cli.errors import DestinationError
from l2cli.filesystem.atomic import temporary_file
from l2cli.formats.parquet.footer import (
    ElementField,
    FileField,
    Footer,
    GroupField,
    footer_bytes,
    integer,
    values,
    with_key_values,
)
from l2cli.formats.parquet.pages import copy_chunk
from l2cli.formats.parquet.relocate import moved_chunk, with_columns
from l2cli.formats.parquet.schema import ARROW_SCHEMA
from l2cli.formats.parquet.thrift import I32, LIST, STRUCT, Items, Struct
from l2cli.formats.tabular.errors import as_format_error

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, Any]

_MOST_ROWS = 2**26
"""The most rows of one row group that pyarrow writes."""
_COLUMN_ORDERS = 7
"""The field of FileMetaData with one order for each column."""


def add_column(path: Path, name: str, norms: Array) -> None:
    """Add ``norms``, ``(num_rows,)``, as a float64 column in which NaN is null."""
    with path.open("r+b") as file, as_format_error(path):
        footer = Footer.read(file)
        if name.encode() in _column_names(footer.elements):
            raise DestinationError(f"{path} holds a column '{name}' already; choose another name")
        if norms.shape != (footer.num_rows,):
            raise DestinationError(
                f"{path} has {footer.num_rows:,} rows, and the norms are "
                f"{' × '.join(map(str, norms.shape))}; keep them in a file, `norms='FILE.npy'`"
            )
        if max((group.num_rows for group in footer.row_groups), default=0) > _MOST_ROWS:
            raise DestinationError(
                f"{path} has a row group of more than {_MOST_ROWS:,} rows, which gets no column; "
                "keep the norms in a file, `norms='FILE.npy'`"
            )
        with temporary_file() as column:
            _write_column(column, name, norms, [group.num_rows for group in footer.row_groups])
            with column.open("rb") as source:
                _append(file, footer, source, name)


def _column_names(elements: list[Struct]) -> set[bytes]:
    """Return the names of the top-level columns: of the root's children, not of theirs."""
    names, number = set(), 1
    while number < len(elements):
        names.add(elements[number][ElementField.NAME][1])
        number = _next_sibling(elements, number)
    return names


def _next_sibling(elements: list[Struct], number: int) -> int:
    following = number + 1
    for _ in range(integer(elements[number], ElementField.NUM_CHILDREN, 0)):
        following = _next_sibling(elements, following)
    return following


def _write_column(path: Path, name: str, norms: Array, lengths: list[int]) -> None:
    schema = pa.schema([pa.field(name, pa.float64())])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        start = 0
        for length in lengths:
            part = np.asarray(norms[start : start + length])
            writer.write_table(
                pa.table([pa.array(part, mask=np.isnan(part))], schema), max(1, length)
            )
            start += length


def _append(file: BinaryIO, footer: Footer, source: BinaryIO, name: str) -> None:
    column = Footer.read(source)
    file.seek(footer.body_bytes)
    chunks = []
    for group in column.row_groups:
        start = file.tell()
        copy_chunk(source, group.chunks[0], file)
        chunks.append(moved_chunk(group.chunks[0], start))
    file.write(footer_bytes(_extended(footer, column, chunks, name)))
    file.truncate()


def _extended(footer: Footer, column: Footer, chunks: list[Struct], name: str) -> Struct:
    """Return the FileMetaData with one column more."""
    root = dict(footer.elements[0])
    root[ElementField.NUM_CHILDREN] = I32, integer(root, ElementField.NUM_CHILDREN, 0) + 1
    elements = [root, *footer.elements[1:], column.elements[1]]
    groups = [
        with_columns(group, [*values(group, GroupField.COLUMNS, STRUCT), chunk], [({}, chunk)])
        for group, chunk in zip(
            values(footer.struct, FileField.ROW_GROUPS, STRUCT), chunks, strict=True
        )
    ]
    metadata = {
        **footer.struct,
        FileField.SCHEMA: (LIST, Items(STRUCT, elements)),
        FileField.ROW_GROUPS: (LIST, Items(STRUCT, groups)),
    }
    if orders := values(footer.struct, _COLUMN_ORDERS, STRUCT):
        orders = [*orders, *values(column.struct, _COLUMN_ORDERS, STRUCT)]
        metadata[_COLUMN_ORDERS] = LIST, Items(STRUCT, orders)
    if ARROW_SCHEMA in footer.key_values:
        changed = {ARROW_SCHEMA: _extended_schema(footer.key_values[ARROW_SCHEMA], name)}
        metadata[FileField.KEY_VALUES] = LIST, with_key_values(footer, changed)
    return metadata


def _extended_schema(stored: bytes, name: str) -> bytes:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    return base64.b64encode(schema.append(pa.field(name, pa.float64())).serialize())
