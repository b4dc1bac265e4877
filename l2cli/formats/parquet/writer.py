"""Writing a Parquet file like another one, except for the rows of some columns.

The writer goes through the source row group by row group and, in it, chunk by chunk as they
lie in the file. A batch moves it forward to the chunk that the batch belongs to; what lies
before is copied. The columns of a wide table come interleaved and lie one after the other, so
their pages wait in a temporary file until the row group's other columns are in place.
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
from l2cli.formats.parquet import thrift
from l2cli.formats.parquet.dense.encode import encode_rows, is_plain
from l2cli.formats.parquet.encode import ChunkMetadata, Style, encode
from l2cli.formats.parquet.footer import MAGIC, Chunk, FileField, Footer, RowGroup
from l2cli.formats.parquet.pages import copy_bytes, copy_chunk
from l2cli.formats.parquet.relocate import Annexes, moved_chunk, moved_group, replaced_chunk
from l2cli.formats.parquet.schema import changed_metadata
from l2cli.formats.parquet.thrift import LIST, STRUCT, Items, Struct
from l2cli.formats.tabular.errors import as_format_error
from l2cli.formats.tabular.schema import change_to
from l2cli.formats.tabular.structs import inside_structs, window_of
from l2cli.formats.tabular.types import storage_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from l2cli.arrays import ArraySpec, Batch
    from l2cli.formats.parquet.columns import Columns
    from l2cli.formats.parquet.encode import Encoded
    from l2cli.formats.tabular.rows import Piece, Window
    from l2cli.formats.tabular.schema import Change

Array = np.ndarray[Any, Any]


@dataclass
class _NewChunk:
    """A column chunk being encoded: where it begins, its metadata and rows, where pages wait."""

    start: int
    metadata: ChunkMetadata = field(default_factory=ChunkMetadata)
    num_rows: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)


class ParquetWriter(Writer):
    """A Parquet file being written.

    Parameters
    ----------
    source
        The file that it is to be like.
    footer
        The metadata of that.
    path
        Where to write.
    outputs
        The columns whose rows will come, and what they are to become.

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
    ) -> None:
        changes = [change_to(columns, output, "Parquet") for columns, output in outputs]
        self._source_path = source
        self._footer = footer
        self._changes = {change.columns.spec.name: change for change in changes}
        self._by_leaf = {leaf: change for change in changes for leaf in change.columns.leaves}
        with ExitStack() as stack, as_format_error(source):
            self._metadata = changed_metadata(footer, changes)
            # A handle of its own: the reader may be reading in another thread.
            self._source: BinaryIO = stack.enter_context(source.open("rb"))
            self._file: BinaryIO = stack.enter_context(path.open("wb"))
            self._spool: Any = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
            self._file.write(MAGIC)
            self._resources = stack.pop_all()
        self._groups: list[Struct] = []
        self._indexes = Annexes()
        self._results: list[Array] = []
        self._start_group()

    def write(self, batch: Batch) -> None:
        number, piece = batch.context
        rows = batch.rows.reshape(len(batch.rows), math.prod(batch.rows.shape[1:]))
        change = self._changes[batch.array.name]
        self._collect(piece, rows, change.dtype)
        if piece.is_last:
            leaves = change.columns.leaves
            while (len(self._groups), self._chunk.leaf in leaves) != (number, True):
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
        raw = thrift.encode({**self._metadata, FileField.ROW_GROUPS: groups})
        self._file.write(raw + len(raw).to_bytes(4, "little") + MAGIC)
        self.close()

    def close(self) -> None:
        """Close the files. A file that is not finished is no Parquet file."""
        self._resources.close()

    @property
    def _group(self) -> RowGroup:
        return self._footer.row_groups[len(self._groups)]

    @property
    def _chunk(self) -> Chunk:
        return self._group.chunks[len(self._moved)]

    def _collect(self, piece: Piece, rows: Array, dtype: str) -> None:
        """Put rows beside the others of their window, which are written together."""
        if piece.start == 0 and piece.stop == len(piece.window.parts[piece.part].index):
            self._results.append(rows)
            return
        if piece.start == 0:
            num_rows = len(piece.window.parts[piece.part].index)
            self._results.append(np.empty((num_rows, rows.shape[1]), dtype))
        self._results[-1][piece.start : piece.stop] = rows

    def _append(self, change: Change[Columns], window: Window, results: list[Array]) -> None:
        """Encode a window and append the pages to the file, or to the spool."""
        output = self._spool if change.columns.is_wide else self._file
        with as_format_error(self._source_path):
            encoded = self._encoded(change, window, results)
        for leaf, part in encoded:
            new = self._new.setdefault(leaf, _NewChunk(output.tell()))
            new.metadata.add(part)
            new.extents.append((output.tell(), part.num_bytes))
            output.writelines(part.pages)
        for leaf in change.columns.leaves:
            self._new[leaf].num_rows += window.num_rows

    def _encoded(
        self, change: Change[Columns], window: Window, results: list[Array]
    ) -> Iterable[tuple[int, Encoded]]:
        """Return the pages of a window and the leaf of each."""
        columns = change.columns
        styles = [self._style(leaf) for leaf in columns.leaves]
        if window.is_dense and is_plain(results[0], styles[0]):
            rows = np.ascontiguousarray(results[0], change.dtype)
            (leaf,) = columns.leaves
            level, _ = self._footer.leaves[leaf].levels
            return ((leaf, page) for page in encode_rows(rows, level, styles[0]))
        arrays = window.rebuild(results, change.dtype, change.length)
        return zip(columns.leaves, encode(arrays, columns.places, styles), strict=True)

    def _style(self, leaf: int) -> Style:
        if leaf not in self._styles:
            chunk = self._footer.chunks_of[leaf][len(self._groups)]
            self._styles[leaf] = Style.of(self._source, chunk)
        return self._styles[leaf]

    def _start_group(self) -> None:
        self._moved: dict[int, Struct] = {}
        self._new: dict[int, _NewChunk] = {}
        self._styles: dict[int, Style] = {}
        self._group_start = self._file.tell()
        self._spool.seek(0)
        self._spool.truncate()

    def _complete_chunk(self) -> None:
        """Bring the next chunk of the row group to its end, and the row group after the last."""
        if self._group.chunks:
            chunk = self._chunk
            change = self._by_leaf.get(chunk.leaf)
            if change is None:
                self._moved[chunk.leaf] = self._copied(chunk)
            else:
                self._moved[chunk.leaf] = self._replaced(chunk, change)
        if len(self._moved) == len(self._group.chunks):
            self._complete_group()

    def _copied(self, chunk: Chunk) -> Struct:
        start = self._file.tell()
        with as_format_error(self._source_path):
            copy_chunk(self._source, chunk, self._file)
            moved = moved_chunk(chunk, start)
            self._indexes.add(chunk, moved, start)
        return moved

    def _replaced(self, chunk: Chunk, change: Change[Columns]) -> Struct:
        if chunk.leaf not in self._new:
            window = _empty_window(change.columns)
            self._append(change, window, [part.rows for part in window.parts])
        new = self._new[chunk.leaf]
        if new.num_rows != self._group.num_rows:
            raise DestinationError(
                f"{new.num_rows} of {self._group.num_rows} rows of "
                f"'{change.columns.spec.name}' came back for row group {len(self._groups)}"
            )
        start = new.start
        if change.columns.is_wide:
            start = self._file.tell()
            for offset, size in new.extents:
                copy_bytes(self._spool, offset, offset + size, self._file)
        with as_format_error(self._source_path):
            replaced = replaced_chunk(chunk, new.metadata.in_place_of(chunk, start), start)
            self._indexes.add_index(replaced, start, new.metadata.indexed)
        return replaced

    def _complete_group(self) -> None:
        group = self._group
        first = next((chunk.start for chunk in group.chunks if chunk.size), self._group_start)
        shift = self._group_start - first
        with as_format_error(self._source_path):
            moved = moved_group(group, self._moved, set(self._by_leaf), shift)
        self._groups.append(moved)
        self._start_group()


def _empty_window(columns: Columns) -> Window:
    arrays = [
        inside_structs(pa.array([], storage_type(place.field.type)), place.fields)
        for place in columns.places
    ]
    return window_of(arrays, columns.path_inside, is_wide=columns.is_wide)
