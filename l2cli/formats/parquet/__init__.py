"""Parquet: list columns of numbers, and tables with a column per component.

pyarrow decodes and encodes the pages of the columns that change, but for *plain* ones, of rows of
one length in which nothing is null: those are read and made here, three times as fast. All else
is surgery on bytes: the other columns are copied as they are, and the footer is the source's with
the few numbers that moved. So what isn't selected comes through to the byte, and memory holds a
window of rows, not a row group.
"""

from l2cli.formats.parquet.reader import ParquetReader
from l2cli.formats.parquet.writer import ParquetWriter

__all__ = ["ParquetReader", "ParquetWriter"]
