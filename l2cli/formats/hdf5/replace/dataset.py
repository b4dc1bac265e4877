"""Replacing a dataset by one of another dtype or shape, in a file that otherwise stays as it was.

HDF5 can't change a dataset's type. So a new dataset is made with the properties of the old one,
the links are made again to lead to it, and attributes and dimension scales are moved.
The writer is the only caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from h5py import h5, h5a, h5d, h5g, h5i, h5l, h5o, h5p, h5s, h5t, h5z

from l2cli.errors import DestinationError
from l2cli.formats.hdf5.declarations import is_of_dataset_type
from l2cli.formats.hdf5.links import Link, address_of, links, relink, to_path, unlink
from l2cli.formats.hdf5.plugins import filters
from l2cli.formats.hdf5.replace.references import (
    DATASETS_OF_SCALE,
    SCALES_OF_DATASET,
    ScaleTable,
    datasets_of,
    holder_of_reference,
    holds_references,
    scales_of,
)
from l2cli.formats.hdf5.types import stored_type

if TYPE_CHECKING:
    import h5py

    from l2cli.arrays import ArraySpec

_MOST_COMPACT_BYTES = 64_000
"""A compact dataset lies in its object header, which ends at 64 KiB."""

_BITSHUFFLE = 32008


def replace(file: h5py.File, output: ArraySpec, foreign: h5d.DatasetID | None = None) -> None:
    """Put an empty dataset of the dtype and shape of ``output`` where ``output.name`` is.

    Parameters
    ----------
    foreign : h5py.h5d.DatasetID or None
        The dataset in another file that ``output.name`` is a link to, if it is one.

    Raises
    ------
    DestinationError
        If the file holds references to the old dataset: they would lead nowhere.
    """
    path = to_path(output.name)
    old = h5d.open(file.id, path) if foreign is None else foreign
    recipe = _recipe(old, output, is_foreign=foreign is not None)
    attributes = _attributes(old, recipe.stored, keep_references=foreign is None)
    if foreign is None:
        _refuse_references(file, output, address_of(old))
        scales, scaled = scales_of(old), datasets_of(old)
        taken = [link for link in links(file) if _leads_to(link, address_of(old))]
    else:
        scales, scaled = ScaleTable(), ScaleTable()
        taken = [link for link in links(file) if link.path == path]
    scales.detach(old)
    scaled.detach(old)
    # The old storage is freed before the new one is made, so that no hole is left in the file.
    locations = unlink(file, taken)
    if foreign is None:
        old.close()
    new = _create(file, recipe)
    for location in locations:
        relink(file, location, new)
    for attribute in attributes:
        if attribute.name == SCALES_OF_DATASET:
            scales.attach(new)
        elif attribute.name == DATASETS_OF_SCALE:
            scaled.attach(new)
        else:
            attribute.write_to(new)


@dataclass
class _Attribute:
    """One attribute, its values as bytes that HDF5 alone interprets."""

    name: bytes
    stored: h5t.TypeID
    space: h5s.SpaceID
    values: np.ndarray[Any, Any] | None

    def write_to(self, dataset: h5d.DatasetID) -> None:
        made = h5a.create(dataset, self.name, self.stored, self.space)
        if self.values is not None:
            made.write(self.values, self.stored)


class _Recipe(NamedTuple):
    """What a new dataset is made of."""

    stored: h5t.TypeID
    space: h5s.SpaceID
    properties: h5p.PropDCID
    comment: bytes


def _leads_to(link: Link, address: int) -> bool:
    return bool(link.link_type == h5l.TYPE_HARD and link.address == address)


def _refuse_references(file: h5py.File, output: ArraySpec, address: int) -> None:
    if holder := holder_of_reference(file, address):
        raise DestinationError(
            f"{output.label} can't be stored anew: {holder} holds references to it, which would"
            " break; leave out `dtype` and `truncate_dim`, and normalize a dataset that is"
            " neither virtual nor stored outside the file"
        )


def _recipe(old: h5d.DatasetID, output: ArraySpec, *, is_foreign: bool) -> _Recipe:
    old_type = old.get_type()
    new_type = stored_type(output, old_type.copy() if is_foreign else old_type)
    shape = tuple(length or 0 for length in output.shape[: old.rank])
    properties = old.get_create_plist()
    if properties.get_layout() == h5d.VIRTUAL or properties.get_external_count():
        space = h5s.create_simple(shape)
        properties = _without_storage(old)
    else:
        space = h5s.create_simple(shape, _longest(old, shape))
    if properties.get_layout() == h5d.CHUNKED:
        _drop_integer_packing(properties, old_type, new_type)
        _restart_bitshuffle(properties)
        *outer, inner = properties.get_chunk()
        properties.set_chunk((*outer, min(inner, max(1, shape[-1]))))
    elif math.prod(shape) * new_type.get_size() > _MOST_COMPACT_BYTES:
        properties.set_layout(h5d.CONTIGUOUS)
    return _Recipe(new_type, space, properties, _comment(old))


def _comment(dataset: h5d.DatasetID) -> bytes:
    # Not h5o.get_comment: where there is no comment, that returns what lay in memory.
    root = h5g.open(h5i.get_file_id(dataset), b"/")
    try:
        comment: bytes = root.get_comment(h5i.get_name(dataset))
    except RuntimeError:  # A soft link led to it, out of a file that has another root.
        return b""
    return comment


def _restart_bitshuffle(properties: h5p.PropDCID) -> None:
    """Leave bitshuffle the values that a user gave: it adds its own, of the dtype, anew."""
    if _BITSHUFFLE not in filters(properties):
        return
    pipeline = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    for code, flags, values, _name in pipeline:
        properties.remove_filter(code)
        properties.set_filter(code, flags, values[3:] if code == _BITSHUFFLE else values)


def _drop_integer_packing(
    properties: h5p.PropDCID, old_type: h5t.TypeID, new_type: h5t.TypeID
) -> None:
    """Take scaleoffset out where integers become floats: it would round those to integers."""
    packed = h5z.FILTER_SCALEOFFSET in filters(properties)
    if packed and old_type.get_class() == h5t.INTEGER and new_type.get_class() == h5t.FLOAT:
        properties.remove_filter(h5z.FILTER_SCALEOFFSET)


def _create(file: h5py.File, recipe: _Recipe) -> h5d.DatasetID:
    """Create the dataset; nothing leads to it yet."""
    new = h5d.create(file.id, None, recipe.stored, recipe.space, recipe.properties)
    if recipe.comment:
        h5o.set_comment(new, recipe.comment)
    return new


def _longest(old: h5d.DatasetID, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return how far the dataset may grow: as far as the old one, but for a new last length."""
    limits = list(old.get_space().get_simple_extent_dims(maxdims=True))
    fixed = limits[-1] == old.shape[-1]
    if fixed or h5s.UNLIMITED != limits[-1] < shape[-1]:
        limits[-1] = shape[-1]
    return tuple(limits)


def _without_storage(old: h5d.DatasetID) -> h5p.PropDCID:
    """Return the properties of a virtual or external dataset that aren't about its storage."""
    source, properties = old.get_create_plist(), h5p.create(h5p.DATASET_CREATE)
    properties.set_attr_creation_order(source.get_attr_creation_order())
    properties.set_attr_phase_change(*source.get_attr_phase_change())
    properties.set_obj_track_times(source.get_obj_track_times())
    properties.set_fill_time(source.get_fill_time())
    if source.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
        fill = np.zeros((), old.dtype)
        source.get_fill_value(fill)
        properties.set_fill_value(fill)
    return properties


def _attributes(
    dataset: h5d.DatasetID, new_type: h5t.TypeID, *, keep_references: bool
) -> list[_Attribute]:
    """Return the attributes, oldest first where the dataset knows.

    Parameters
    ----------
    new_type : h5py.h5t.TypeID
        That the dataset gets. Attributes that have to be of its type get it too.
    """
    tracked = dataset.get_create_plist().get_attr_creation_order() & h5p.CRT_ORDER_TRACKED
    order = h5.INDEX_CRT_ORDER if tracked else h5.INDEX_NAME
    attributes = []
    for index in range(h5a.get_num_attrs(dataset)):
        attribute = h5a.open(dataset, index=index, index_type=order)
        stored = attribute.get_type()
        if not keep_references and holds_references(stored):
            continue
        if is_of_dataset_type(attribute) and not new_type.equal(dataset.get_type()):
            stored = new_type
        # A named type can only be used in the file that it is in.
        attributes.append(_read_attribute(attribute, stored if keep_references else stored.copy()))
    return attributes


def _read_attribute(attribute: h5a.AttrID, stored: h5t.TypeID) -> _Attribute:
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return _Attribute(attribute.name, stored, space, None)
    values = np.zeros(attribute.shape, f"V{stored.get_size()}")
    attribute.read(values, stored)
    return _Attribute(attribute.name, stored, space, values)
