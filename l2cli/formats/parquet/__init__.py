"""Parquet: list columns of numbers, and tables with a column for each component.

pyarrow decodes and encodes the pages of the columns that change, except those of dense rows (of
one length, without nulls): ``dense`` does these three times as fast. The columns that are not
selected are copied as bytes, and the footer is that of the source with the few numbers that
changed. So memory holds a window of rows, not a row group.

Rows come in these units, from the largest to the smallest::

    file
    └─ row group            as the file has them
       └─ Section           one array in one row group: its column chunks
          └─ Window         as many rows as are decoded, and encoded, at once
             └─ Part        the rows of a window that have one length
                └─ Piece    as many rows of a part as a batch takes
                   └─ Batch the same rows, with the piece as its context

The size of a window depends on the file alone, so that the bytes written do not depend on the
size of a batch. Pages are the units of a column chunk in the file. Their limits and those of
windows have nothing to do with each other: a window may take rows of several pages, and a page
may hold rows of several windows.
"""

from l2cli.formats.parquet.reader import ParquetReader
from l2cli.formats.parquet.writer import ParquetWriter

__all__ = ["ParquetReader", "ParquetWriter"]
