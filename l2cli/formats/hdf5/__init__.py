"""HDF5: datasets read in windows, and written over in a copy of their file.

The writer copies the source byte for byte and overwrites the chosen datasets in the copy. All
that this package doesn't know about is kept that way: links, attributes, references, creation
order, the user block.

Rows are read and written in the fastest way that their storage allows: as a range of bytes of
the file, or as chunks that are decoded and encoded here (both in ``direct``), or by HDF5 itself
(``storage``). ``replace`` makes a new dataset where one of another dtype or length was.
"""

from l2cli.formats.hdf5.reader import Hdf5Reader
from l2cli.formats.hdf5.writer import Hdf5Writer

__all__ = ["Hdf5Reader", "Hdf5Writer"]
