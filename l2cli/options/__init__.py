"""What a user may ask: of the numbers, of the files, of a store, and of a check.

Each of them is one object, made and validated once, and handed on whole. A field carries all
that is known of an option: its type, its default, the text that explains it, and whether the
bytes of a result depend on it. The command derives its options from that. Nothing here knows a
format, a backend or the command line.
"""

from l2cli.options.files import FileOptions, OpenOptions, StoreOptions
from l2cli.options.normalization import CheckOptions, NormalizeOptions, described

__all__ = [
    "CheckOptions",
    "FileOptions",
    "NormalizeOptions",
    "OpenOptions",
    "StoreOptions",
    "described",
]
