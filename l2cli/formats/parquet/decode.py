"""The rows of one array in one row group, a window at a time.

The pages of a column may be plain up to some row or from some row on: writers begin with a
dictionary and give it up when it is full. pyarrow decodes the rows before and after those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from l2cli.arrays import ITEM_SIZES
from l2cli.formats.parquet.dense.decode import PlainChunk
from l2cli.formats.parquet.footer import ElementField
from l2cli.formats.parquet.pages import check_pages
from l2cli.formats.parquet.schema import ELEMENT_TYPES
from l2cli.formats.tabular.lists import list_array
from l2cli.formats.tabular.structs import inside_structs, window_of
from l2cli.formats.tabular.types import storage_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.formats.parquet.columns import Columns
    from l2cli.formats.parquet.footer import Chunk, Footer, RowGroup
    from l2cli.formats.tabular.rows import Window


@dataclass(frozen=True)
class Section:
    """One array in one row group.

    Attributes
    ----------
    columns
        The array.
    number
        Of the row group.
    group
        The row group.
    first_row
        The number of its first row.
    window_rows
        Rows of each window but the last.
    """

    columns: Columns
    number: int
    group: RowGroup
    first_row: int
    window_rows: int

    @property
    def chunks(self) -> list[Chunk]:
        """The column chunks that hold it."""
        return [chunk for chunk in self.group.chunks if chunk.leaf in self.columns.leaves]


def decode(section: Section, footer: Footer, file: BinaryIO, parquet_file: Any) -> Iterator[Window]:
    """Yield the rows of a section.

    Parameters
    ----------
    file, parquet_file
        The file as it is, and as pyarrow has it open.

    Raises
    ------
    ValueError, OSError, pyarrow.ArrowException
        Where the file is damaged.
    """
    start = stop = section.group.num_rows
    plain = _plain_chunk(section, footer, file)
    if plain is None:
        for chunk in section.chunks:
            check_pages(file, chunk)
    else:
        num_windows = -(-plain.first_row() // section.window_rows)
        start = min(stop, num_windows * section.window_rows)
    yield from _by_pyarrow(section, parquet_file, 0, start)
    if plain is not None:
        fields = section.columns.places[0].fields
        for rows in plain.read(start, section.window_rows):
            lists = list_array(rows, storage_type(fields[-1].type))
            yield window_of([inside_structs(lists, fields)], section.columns.path_inside)
            start += len(rows)
        yield from _by_pyarrow(section, parquet_file, start, stop)


def _plain_chunk(section: Section, footer: Footer, file: BinaryIO) -> PlainChunk | None:
    """Return the chunk of a list column whose values can be taken as they are stored."""
    spec = section.columns.spec
    if section.columns.is_wide or spec.dtype not in ELEMENT_TYPES:
        return None
    (chunk,) = section.chunks
    leaf = footer.leaves[chunk.leaf]
    if leaf.levels[1] != 1:
        return None
    stored_type = footer.elements[leaf.element].get(ElementField.TYPE)
    plain = PlainChunk(file, chunk, section.group.num_rows, spec.dtype, leaf.levels[0])
    is_of_type = stored_type == ELEMENT_TYPES[spec.dtype][ElementField.TYPE]
    is_of_size = spec.row_bytes in (0, plain.length * ITEM_SIZES[spec.dtype])
    window_rows = min(section.window_rows, section.group.num_rows)
    fits_offsets = window_rows * plain.length < 2**31
    return plain if is_of_type and is_of_size and fits_offsets else None


def _by_pyarrow(section: Section, parquet_file: Any, start: int, stop: int) -> Iterator[Window]:
    """Yield the rows from ``start`` to ``stop``, for which all before must be decoded too."""
    if start == stop:
        return
    # Its public sibling knows columns by name, and names may hold dots or come twice.
    record_batches = parquet_file.reader.iter_batches(
        section.window_rows,
        row_groups=[section.number],
        column_indices=list(section.columns.leaves),
        use_threads=section.columns.is_wide,
    )
    row = 0
    for record_batch in record_batches:
        if row >= start:
            yield _window(record_batch, section.columns)
        row += record_batch.num_rows
        if row >= stop:
            return


def _window(record_batch: Any, columns: Columns) -> Window:
    return window_of(record_batch.columns, columns.path_inside, is_wide=columns.is_wide)
