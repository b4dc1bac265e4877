"""Summary files: ``_metadata`` and ``_common_metadata``, beside the Parquet files of a data set.

Dask, fastparquet and old Spark write them. ``_common_metadata`` is a Parquet file of a schema
alone. ``_metadata`` has the row groups of all files too, and each column chunk says in which file
it is. Both become false when the files change, and are written anew from their footers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.columns import Columns, single_columns
from l2cli.formats.parquet.footer import (
    MAGIC,
    ChunkField,
    FileField,
    Footer,
    GroupField,
    footer_bytes,
    integer,
    raw_footer,
    values,
)
from l2cli.formats.parquet.schema import changed_metadata
from l2cli.formats.parquet.thrift import BINARY, I64, LIST, STRUCT, Items, Struct
from l2cli.formats.tabular.columns import places_of
from l2cli.formats.tabular.errors import as_format_error
from l2cli.formats.tabular.schema import Change
from l2cli.formats.tabular.types import NUMBERS, is_list, list_depth, storage_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from l2cli.formats.tabular.types import ArrowType

    Types = dict[str, ArrowType]


def named_files(path: Path) -> list[str]:
    """Return the paths of the files, from the folder of a summary, that it has row groups of."""
    with as_format_error(path):
        return list(dict.fromkeys(map(_file_name, _groups(_read(path)))))


def rewrite_summary(source: Path, target: Path, files: Sequence[Path]) -> None:
    """Write a summary anew, as :func:`l2cli.formats.summaries.rewrite_summary` has it done.

    ``files`` are those of :func:`named_files`, in their order, or, of a summary without row
    groups, all that it describes.
    """
    with as_format_error(source):
        struct = _read(source)
        names = list(dict.fromkeys(map(_file_name, _groups(struct))))
        metadata = _with_types(struct, files)
        if names:
            footers = dict(zip(names, map(_footer, files), strict=True))
            groups = [_located(*pair) for pair in _new_groups(struct, footers)]
            metadata[FileField.ROW_GROUPS] = LIST, Items(STRUCT, groups)
            metadata[FileField.NUM_ROWS] = struct[FileField.NUM_ROWS]
        target.write_bytes(MAGIC + footer_bytes(dict(sorted(metadata.items()))))


def _read(path: Path) -> Struct:
    with path.open("rb") as file:
        return thrift.decode(raw_footer(file)[0])[0]


def _footer(path: Path) -> Footer:
    with path.open("rb") as file, as_format_error(path):
        return Footer.read(file)


def _groups(struct: Struct) -> list[Struct]:
    groups: list[Struct] = values(struct, FileField.ROW_GROUPS, STRUCT)
    return groups


def _file_name(group: Struct) -> str:
    """Return the path of the file that a row group is in, from the folder of the summary."""
    names = {
        column.get(ChunkField.PATH, (BINARY, b""))[1]
        for column in values(group, GroupField.COLUMNS, STRUCT)
    }
    name = names.pop().decode() if len(names) == 1 else ""
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError("a row group is in no file, in several, or in one outside of the folder")
    return name


def _new_groups(struct: Struct, footers: dict[str, Footer]) -> Iterator[tuple[Struct, str]]:
    """Yield the row groups as they are now, and the file of each, in the summary's order."""
    taken = dict.fromkeys(footers, 0)
    for group in _groups(struct):
        name = _file_name(group)
        now = _groups(footers[name].struct)[taken[name] :][:1]
        if not now or integer(now[0], GroupField.NUM_ROWS) != integer(group, GroupField.NUM_ROWS):
            raise ValueError(f"its row groups aren't those of {name}; write it anew")
        taken[name] += 1
        yield now[0], name


def _located(group: Struct, name: str) -> Struct:
    """Return a row group whose column chunks say in which file they are."""
    columns = [
        dict(sorted({**column, ChunkField.PATH: (BINARY, name.encode())}.items()))
        for column in values(group, GroupField.COLUMNS, STRUCT)
    ]
    return {**group, GroupField.COLUMNS: (LIST, Items(STRUCT, columns))}


def _with_types(struct: Struct, files: Sequence[Path]) -> Struct:
    """Return the metadata without row groups, with the types that the columns have in files."""
    rest = {i: value for i, value in struct.items() if i != FileField.ROW_GROUPS}
    bare = {**rest, FileField.NUM_ROWS: (I64, 0), FileField.ROW_GROUPS: (LIST, Items(STRUCT, []))}
    footer = Footer(dict(sorted(bare.items())), 0, len(MAGIC))
    schema = pq.read_schema(pa.BufferReader(MAGIC + footer_bytes(footer.struct)))
    columns = single_columns(footer, schema)
    types = _common_types(files, [column.spec.name for column in columns])
    changes = [
        _change(column, types[column.spec.name]) for column in columns if column.spec.name in types
    ]
    return dict(changed_metadata(footer, [change for change in changes if change is not None]))


def _common_types(files: Sequence[Path], names: Sequence[str]) -> Types:
    """Return the types of columns, which all files have to agree on."""
    types: Types = {}
    for path in files:
        with as_format_error(path):
            places = places_of(pq.read_schema(path))
        file_types = {place.name: place.field.type for place in places}
        for name in set(names).intersection(file_types):
            file_type = file_types[name]
            if types.setdefault(name, file_type) != file_type:
                raise ValueError(f"'{name}' is {file_type} in {path} and {types[name]} in others")
    return types


def _change(columns: Columns, new: ArrowType) -> Change[Columns] | None:
    """Return what became of a column, given its type now; ``None`` where nothing did."""
    old, new = storage_type(columns.places[0].field.type), storage_type(new)
    if old == new or not (_dtype(old) and _dtype(new)) or list_depth(old) != list_depth(new):
        return None
    sizes: list[Any] = [getattr(arrow_type, "list_size", None) for arrow_type in (old, new)]
    return Change(columns, _dtype(new), sizes[1] if sizes[0] != sizes[1] else None)


def _dtype(arrow_type: ArrowType) -> str:
    while is_list(arrow_type):
        arrow_type = arrow_type.value_type
    return NUMBERS.get(arrow_type, "")
