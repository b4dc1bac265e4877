"""Writing a Parquet file from a source as its template, with new rows in some columns.

The writer goes through the source row group by row group and, in it, chunk by chunk as they
lie in the file. A batch moves it forward to the chunk that the batch belongs to; the chunks
before are copied. The columns of a wide table come interleaved and have to lie one after the
other, so their pages wait in a temporary file until the row group's other columns are written.
Only the reader makes a writer.
"""

from __future__ import annotations

import math
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from l2cli.errors import DestinationError
from l2cli.formats.base import Writer
from l2cli.formats.parquet.chunk_metadata import ChunkMetadata
from l2cli.formats.parquet.encode import encode
from l2cli.formats.parquet.footer import MAGIC, Chunk, FileField, Footer, RowGroup, footer_bytes
from l2cli.formats.parquet.pages import copy_bytes, copy_chunk
from l2cli.formats.parquet.relocate import ChunkIndexes, moved_chunk, moved_group, replaced_chunk
from l2cli.formats.parquet.schema import changed_metadata
from l2cli.formats.parquet.thrift import LIST, STRUCT, Items, Struct
from l2cli.formats.parquet.writer_properties import WriterProperties
from l2cli.formats.tabular.errors import as_format_error
from l2cli.formats.tabular.schema import change_to
from l2cli.formats.tabular.structs import inside_structs, window_of
from l2cli.formats.tabular.types import storage_type

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.parquet.columns import Columns
    from l2cli.formats.parquet.section import PieceContext
    from l2cli.formats.tabular.rows import Piece, Window
    from l2cli.formats.tabular.schema import Change

Array = np.ndarray[Any, Any]


@dataclass
class _NewChunk:
    """A column chunk that is being encoded.

    Attributes
    ----------
    start : int
        The offset of its first page, in the file or in the temporary one.
    ranges : list of (int, int)
        The offset and the size of each run of its pages.
    """

    start: int
    metadata: ChunkMetadata = field(default_factory=ChunkMetadata)
    num_rows: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _NewGroup:
    """A row group that is being written.

    Attributes
    ----------
    start : int
        Where it begins.
    columns : dict of int to Struct
        The new ColumnChunk of each leaf that is complete.
    chunks : dict of int to _NewChunk
        The chunks that are being encoded, by leaf.
    properties : dict of int to WriterProperties
        How the chunks of the source were written, by leaf.
    """

    start: int
    columns: dict[int, Struct] = field(default_factory=dict)
    chunks: dict[int, _NewChunk] = field(default_factory=dict)
    properties: dict[int, WriterProperties] = field(default_factory=dict)


class ParquetWriter(Writer):
    """A Parquet file being written.

    Parameters
    ----------
    source : Path
        The file that is the template.
    footer : Footer
        The metadata of the source.
    path : Path
        Where to write.
    outputs : sequence of (Columns, ArraySpec)
        The columns whose rows will come, and what they are to become.
    dense : bool, default True
        Whether to encode dense rows without pyarrow.

    Raises
    ------
    DestinationError
        If Parquet can't hold the dtype, or can't cut rows that are spread over columns.
    """

    def __init__(
        self,
        source: Path,
        footer: Footer,
        path: Path,
        outputs: Sequence[tuple[Columns, ArraySpec]],
        *,
        dense: bool = True,
    ) -> None:
        changes = [change_to(columns, output, "Parquet") for columns, output in outputs]
        self._source_path = source
        self._footer = footer
        self._dense = dense
        self._changes = {change.columns.spec.name: change for change in changes}
        self._by_leaf = {leaf: change for change in changes for leaf in change.columns.leaves}
        with ExitStack() as stack, as_format_error(source):
            self._metadata = changed_metadata(footer, changes)
            # Opened again, because the reader may be reading in another thread.
            self._source: BinaryIO = stack.enter_context(source.open("rb"))
            self._file: BinaryIO = stack.enter_context(path.open("wb"))
            self._pages: Any = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
            self._file.write(MAGIC)
            self._resources = stack.pop_all()
        self._groups: list[Struct] = []
        self._indexes = ChunkIndexes()
        self._results: list[Array] = []
        self._new = _NewGroup(self._file.tell())

    def write(self, batch: Batch) -> None:
        """Keep the rows of a batch until their window is complete, then encode and write it."""
        context: PieceContext = batch.context
        piece = context.piece
        rows = batch.rows.reshape(len(batch.rows), math.prod(batch.rows.shape[1:]))
        change = self._changes[batch.array.name]
        self._collect(piece, rows, change.dtype)
        if piece.is_last:
            leaves = change.columns.leaves
            position = context.group_number, True
            while (len(self._groups), self._chunk.leaf in leaves) != position:
                self._complete_chunk()
            self._append(change, piece.window, self._results)
            self._results = []

    def finish(self) -> None:
        """Copy what remains, write the footer and close."""
        while len(self._groups) < len(self._footer.row_groups):
            self._complete_chunk()
        with as_format_error(self._source_path):
            self._indexes.write(self._source, self._file)
        groups = LIST, Items(STRUCT, self._groups)
        self._file.write(footer_bytes({**self._metadata, FileField.ROW_GROUPS: groups}))
        self.close()

    def close(self) -> None:
        """Close the files. A file that is not finished is no Parquet file."""
        self._resources.close()

    @property
    def _group(self) -> RowGroup:
        return self._footer.row_groups[len(self._groups)]

    @property
    def _chunk(self) -> Chunk:
        return self._group.chunks[len(self._new.columns)]

    def _collect(self, piece: Piece, rows: Array, dtype: str) -> None:
        """Put the rows of a piece into the results of its window, which is written as a whole."""
        if piece.start == 0 and piece.stop == len(piece.window.parts[piece.part].index):
            self._results.append(rows)
            return
        if piece.start == 0:
            num_rows = len(piece.window.parts[piece.part].index)
            self._results.append(np.empty((num_rows, rows.shape[1]), dtype))
        self._results[-1][piece.start : piece.stop] = rows

    def _append(self, change: Change[Columns], window: Window, results: list[Array]) -> None:
        """Encode a window and append the pages to the file, or to those that wait."""
        output = self._pages if change.columns.is_wide else self._file
        leaves = change.columns.leaves
        properties = [self._properties_of(leaf) for leaf in leaves]
        with as_format_error(self._source_path):
            encoded = encode(window, results, change, properties, self._footer, dense=self._dense)
        for leaf, pages in encoded:
            new = self._new.chunks.setdefault(leaf, _NewChunk(output.tell()))
            new.metadata.add(pages)
            new.ranges.append((output.tell(), pages.num_bytes))
            output.writelines(pages.pages)
        for leaf in leaves:
            self._new.chunks[leaf].num_rows += window.num_rows

    def _properties_of(self, leaf: int) -> WriterProperties:
        """Return how the chunk of a leaf in this row group of the source was written."""
        properties = self._new.properties
        if leaf not in properties:
            chunk = self._footer.chunks_of[leaf][len(self._groups)]
            properties[leaf] = WriterProperties.of(self._source, chunk)
        return properties[leaf]

    def _complete_chunk(self) -> None:
        """Write what remains of the next chunk; after the last chunk, complete the row group."""
        if self._group.chunks:
            chunk = self._chunk
            change = self._by_leaf.get(chunk.leaf)
            if change is None:
                self._new.columns[chunk.leaf] = self._copied(chunk)
            else:
                self._new.columns[chunk.leaf] = self._replaced(chunk, change)
        if len(self._new.columns) == len(self._group.chunks):
            self._complete_group()

    def _copied(self, chunk: Chunk) -> Struct:
        start = self._file.tell()
        with as_format_error(self._source_path):
            copy_chunk(self._source, chunk, self._file)
            moved = moved_chunk(chunk, start)
            self._indexes.add(chunk, moved, start)
        return moved

    def _replaced(self, chunk: Chunk, change: Change[Columns]) -> Struct:
        if chunk.leaf not in self._new.chunks:
            window = _empty_window(change.columns)
            self._append(change, window, [part.rows for part in window.parts])
        new = self._new.chunks[chunk.leaf]
        if new.num_rows != self._group.num_rows:
            raise DestinationError(
                f"{new.num_rows} of {self._group.num_rows} rows of "
                f"'{change.columns.spec.name}' came back for row group {len(self._groups)}"
            )
        start = new.start
        if change.columns.is_wide:
            start = self._file.tell()
            for offset, size in new.ranges:
                copy_bytes(self._pages, offset, offset + size, self._file)
        with as_format_error(self._source_path):
            replaced = replaced_chunk(chunk, new.metadata.replacing(chunk, start), start)
            self._indexes.add_new(replaced, start, new.metadata.indexed)
        return replaced

    def _complete_group(self) -> None:
        group = self._group
        first = next((chunk.start for chunk in group.chunks if chunk.size), self._new.start)
        shift = self._new.start - first
        with as_format_error(self._source_path):
            moved = moved_group(group, self._new.columns, set(self._by_leaf), shift)
        self._groups.append(moved)
        self._new = _NewGroup(self._file.tell())
        self._pages.seek(0)
        self._pages.truncate()


def _empty_window(columns: Columns) -> Window:
    arrays = [
        inside_structs(pa.array([], storage_type(place.field.type)), place.fields)
        for place in columns.places
    ]
    return window_of(arrays, columns.path_inside, is_wide=columns.is_wide)
