"""A dataset as an ArraySpec: its dtype, how it is stored, and why it can't be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from h5py import h5d, h5o, h5s, h5z

from l2cli.arrays import ArraySpec
from l2cli.formats.hdf5.attributes import packing
from l2cli.formats.hdf5.elements import Element
from l2cli.formats.hdf5.lossy import lossy_filter
from l2cli.formats.hdf5.plugins import FILTER_NAMES, filter_refusal, filters
from l2cli.formats.hdf5.references import leads_nowhere
from l2cli.formats.hdf5.types import dtype_of, may_hold_vectors

if TYPE_CHECKING:
    from h5py import h5p

_MOST_NESTED = 8
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
    name
        The dataset's.
    allow_external
        Whether rows may come from other files than ``path``.
    element
        The part of its elements that is meant, where they have several.
    """
    properties = dataset.get_create_plist()
    element = element or Element(dataset.get_type())
    dtype, refusal = dtype_of(element.numbers)
    extent = dataset.get_space().shape or ()
    is_lost = leads_nowhere(dataset)
    refusal = (
        (_LOST if is_lost else refusal)
        or _extent_refusal(dataset)
        or _foreign_refusal(dataset, path, allow_external=allow_external)
        or filter_refusal(properties)
        or _size_refusal(dataset, properties, path)
    )
    packed = packing(dataset, dtype)
    may_be_vectors = bool(refusal or packed) and may_hold_vectors(element.stored, extent)
    lossy = ["lossy"] if lossy_filter(dataset) else []
    layout = [_storage(properties), *lossy, *element.layout]
    return ArraySpec(
        name + element.suffix,
        extent + element.shape,
        dtype,
        ", ".join(layout),
        refusal or packed,
        may_be_vectors=is_lost or may_be_vectors,
    )


def external_refusal(file_name: str) -> str:
    """Return the refusal of rows that lie in another file."""
    return f"it lies in another file ({file_name}); --allow-external reads it"


def _storage(properties: h5p.PropDCID) -> str:
    layout = properties.get_layout()
    if layout == h5d.VIRTUAL:
        return f"virtual, {properties.get_virtual_count()} sources"
    if layout == h5d.CHUNKED:
        chunks = "chunks " + "×".join(map(str, properties.get_chunk()))
        words = [_filter_word(*one) for one in filters(properties).items()]
        return f"{chunks}, {'+'.join(words)}" if words else chunks
    if properties.get_external_count():
        return "raw, in another file"
    return "compact" if layout == h5d.COMPACT else "contiguous"


def _filter_word(code: int, values: tuple[int, ...]) -> str:
    if code == h5z.FILTER_DEFLATE:
        return f"gzip {values[0]}" if values else "gzip"
    return FILTER_NAMES.get(code, f"filter {code}")


def _extent_refusal(dataset: h5d.DatasetID) -> str:
    kind = dataset.get_space().get_simple_extent_type()
    if kind == h5s.NULL:
        return "it has no value (a null dataspace)"
    if kind == h5s.SCALAR:
        return "a single value, not rows"
    return ""


def _foreign_refusal(dataset: h5d.DatasetID, path: Path, *, allow_external: bool) -> str:
    for name in _foreign_files(dataset, path):
        if not allow_external:
            return external_refusal(name)
        # HDF5 itself reads a missing source as fill values, without a word.
        if "%" not in name and not any(
            place.exists() for place in (path.parent / name, Path(name))
        ):
            return f"the file that it lies in is missing ({name})"
    return ""


def _foreign_files(dataset: h5d.DatasetID, path: Path, depth: int = 0) -> list[str]:
    """Return the names of the other files that rows of ``dataset`` come from."""
    properties = dataset.get_create_plist()
    raw = range(properties.get_external_count())
    names = [properties.get_external(index)[0].decode(errors="replace") for index in raw]
    if properties.get_layout() == h5d.VIRTUAL and depth < _MOST_NESTED:
        for index in range(properties.get_virtual_count()):
            names += _files_of_source(dataset, properties, index, path, depth)
    return list(dict.fromkeys(names))


def _files_of_source(
    dataset: h5d.DatasetID, properties: h5p.PropDCID, index: int, path: Path, depth: int
) -> list[str]:
    name: str = properties.get_virtual_filename(index)
    if name != "." and (path.parent / name).resolve() != path.resolve():
        return [name]
    # A source in the same file may be a link out of it, or lie outside itself.
    inner = properties.get_virtual_dsetname(index)
    try:
        source = h5o.open(dataset, b"/" + inner.encode().lstrip(b"/"))
    except (KeyError, RuntimeError, OSError):
        return []
    if not isinstance(source, h5d.DatasetID):
        return []
    if h5o.get_info(source).fileno != h5o.get_info(dataset).fileno:
        return [inner]
    return _foreign_files(source, path, depth + 1)


def _size_refusal(dataset: h5d.DatasetID, properties: h5p.PropDCID, path: Path) -> str:
    """Refuse a dataset whose one block of bytes reaches beyond the end of its file."""
    if properties.get_layout() != h5d.CONTIGUOUS or properties.get_external_count():
        return ""
    offset, claimed, held = dataset.get_offset(), dataset.get_storage_size(), path.stat().st_size
    if offset is not None and offset + claimed > held:
        return f"it claims {claimed} bytes from {offset} on, the file holds {held}"
    return ""
