"""A dataset as an ArraySpec: its dtype, how it is stored, and why it can't be read.

The reader calls it for each dataset of a file, and ``outside`` for those of other files.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from h5py import h5d, h5s, h5z

from l2cli.arrays import ArraySpec
from l2cli.formats.hdf5.attributes import packing
from l2cli.formats.hdf5.elements import Element
from l2cli.formats.hdf5.foreign import foreign_refusal
from l2cli.formats.hdf5.lossy import lossy_filter
from l2cli.formats.hdf5.plugins import FILTER_NAMES, filter_refusal, filters
from l2cli.formats.hdf5.replace.references import leads_nowhere
from l2cli.formats.hdf5.types import dtype_of, may_hold_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from h5py import h5p

_MOST_BYTES = 2**50
"""The largest dataset. Even if it was never stored, a larger one takes hours to read."""
_LOST = "it holds references to nowhere: what they led to was deleted, or lies in another file"


def describe(
    dataset: h5d.DatasetID,
    name: str,
    path: Path,
    *,
    allow_external: bool,
    element: Element | None = None,
) -> ArraySpec:
    """Return what ``dataset`` of the file ``path`` looks like.

    Parameters
    ----------
    name : str
        The dataset's.
    allow_external : bool
        Whether rows may come from other files than ``path``.
    element : Element or None
        The part of its elements that is meant, where they have several.
    """
    properties = dataset.get_create_plist()
    element = element or Element(dataset.get_type())
    dtype, refusal = dtype_of(element.numbers)
    lengths = dataset.get_space().shape or ()
    is_lost = leads_nowhere(dataset)
    refusal = (
        (_LOST if is_lost else refusal)
        or _dataspace_refusal(dataset)
        or foreign_refusal(dataset, path, allow_external=allow_external)
        or filter_refusal(properties)
        or _size_refusal(dataset, properties, path)
    )
    packed = "" if refusal else packing(dataset, dtype)
    is_unread = bool(refusal) and may_hold_vectors(element.stored, lengths)
    lossy = ["lossy"] if lossy_filter(dataset) else []
    layout = [_storage(properties), *lossy, *element.layout]
    shape = lengths + element.shape
    return ArraySpec(
        name + element.suffix,
        shape,
        dtype,
        ", ".join(layout),
        refusal or packed,
        may_be_vectors=is_lost or is_unread or (bool(packed) and len(shape) > 1),
    )


def _storage(properties: h5p.PropDCID) -> str:
    layout = properties.get_layout()
    if layout == h5d.VIRTUAL:
        return f"virtual, {properties.get_virtual_count()} sources"
    if layout == h5d.CHUNKED:
        chunks = "chunks " + "×".join(map(str, properties.get_chunk()))
        names = [_filter_name(*pair) for pair in filters(properties).items()]
        return f"{chunks}, {'+'.join(names)}" if names else chunks
    if properties.get_external_count():
        return "raw, in another file"
    return "compact" if layout == h5d.COMPACT else "contiguous"


def _filter_name(code: int, values: tuple[int, ...]) -> str:
    if code == h5z.FILTER_DEFLATE:
        return f"gzip {values[0]}" if values else "gzip"
    return FILTER_NAMES.get(code, f"filter {code}")


def _dataspace_refusal(dataset: h5d.DatasetID) -> str:
    space_class = dataset.get_space().get_simple_extent_type()
    if space_class == h5s.NULL:
        return "it has no value (a null dataspace)"
    if space_class == h5s.SCALAR:
        return "a single value, not rows"
    return ""


def _size_refusal(dataset: h5d.DatasetID, properties: h5p.PropDCID, path: Path) -> str:
    """Refuse a dataset that claims bytes beyond the end of its file, or more than there are."""
    file_bytes = path.stat().st_size
    shape = dataset.get_space().shape or ()
    claimed = math.prod(shape) * dataset.get_type().get_size()
    if claimed > _MOST_BYTES:
        return f"it claims {claimed:,} bytes, the file, which may be damaged, holds {file_bytes:,}"
    if properties.get_layout() != h5d.CONTIGUOUS or properties.get_external_count():
        return ""
    offset, claimed = dataset.get_offset(), dataset.get_storage_size()
    if offset is not None and offset + claimed > file_bytes:
        return f"it claims {claimed} bytes from {offset} on, the file holds {file_bytes}"
    return ""
