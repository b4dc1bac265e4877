"""The rows of one array in one row group, a window at a time.

Dense rows are read in ``dense``, all others by pyarrow. The pages of one column may be dense up
to some row, or from some row on: writers begin with a dictionary and stop using it when it is
full. pyarrow then decodes the rows before and after. The reader is the only caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from l2cli.formats.parquet.dense.decode import dense_windows
from l2cli.formats.parquet.pages import check_pages
from l2cli.formats.tabular.structs import window_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2cli.formats.parquet.footer import Footer
    from l2cli.formats.parquet.section import Section
    from l2cli.formats.tabular.rows import Window


def decode(
    section: Section, footer: Footer, file: BinaryIO, parquet_file: Any, *, dense: bool
) -> Iterator[Window]:
    """Yield the rows of a section.

    Parameters
    ----------
    section : Section
        The rows to read.
    footer : Footer
        The metadata of the file.
    file, parquet_file : BinaryIO, pyarrow.parquet.ParquetFile
        The file itself, and as pyarrow has it open.
    dense : bool
        Whether to read dense rows without pyarrow.

    Raises
    ------
    ValueError, OSError, pyarrow.ArrowException
        Where the file is damaged.
    """
    num_rows = section.group.num_rows
    dense_part = dense_windows(section, footer, file) if dense else None
    if dense_part is None:
        for chunk in section.chunks:
            check_pages(file, chunk)
        yield from _by_pyarrow(section, parquet_file, 0, num_rows)
        return
    row, windows = dense_part
    yield from _by_pyarrow(section, parquet_file, 0, row)
    for window in windows:
        yield window
        row += window.num_rows
    yield from _by_pyarrow(section, parquet_file, row, num_rows)


def _by_pyarrow(section: Section, parquet_file: Any, start: int, stop: int) -> Iterator[Window]:
    """Yield the windows from ``start`` to ``stop``; pyarrow decodes all rows before them too."""
    if start == stop:
        return
    # The public `iter_batches` takes names of columns, which may hold dots or come twice.
    record_batches = parquet_file.reader.iter_batches(
        section.window_rows,
        row_groups=[section.number],
        column_indices=list(section.columns.leaves),
        use_threads=section.columns.is_wide,
    )
    row = 0
    for record_batch in record_batches:
        if row >= start:
            columns = section.columns
            yield window_of(record_batch.columns, columns.path_inside, is_wide=columns.is_wide)
        row += record_batch.num_rows
        if row >= stop:
            return
