"""HDF5: datasets read in windows, and put back into a copy of their file.

A writer copies the source byte for byte and overwrites the chosen datasets in the copy.
Whatever this package doesn't know about is thereby kept: links, attributes, references, order,
the user block.
"""

from l2cli.formats.hdf5.reader import Hdf5Reader
from l2cli.formats.hdf5.writer import Hdf5Writer

__all__ = ["Hdf5Reader", "Hdf5Writer"]
