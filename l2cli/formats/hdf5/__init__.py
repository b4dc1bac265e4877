"""HDF5: datasets read in windows, and put back into a copy of their file.

A writer copies the source byte for byte and overwrites the chosen datasets in the copy.
Whatever this package doesn't know about is thereby kept: links, attributes, references, order,
the user block.

Rows go the quickest way that their storage allows: as a run of bytes of the file (``extent``),
as chunks that are decoded and encoded here (``chunks``), or through HDF5 itself (``storage``).
"""

from l2cli.formats.hdf5.reader import Hdf5Reader
from l2cli.formats.hdf5.writer import Hdf5Writer

__all__ = ["Hdf5Reader", "Hdf5Writer"]
