"""References and dimension scales: what leads to a dataset without being a link.

``dataset`` moves scales to a new dataset and refuses where references would break.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5ds, h5r, h5t

from l2cli.arrays import windows
from l2cli.formats.hdf5.links import address_of, objects, to_name

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALES_OF_DATASET = b"DIMENSION_LIST"
DATASETS_OF_SCALE = b"REFERENCE_LIST"
_REFERENCES_AT_ONCE = 65536
_MOST_FOLLOWED = 1000
"""References of one dataset, to see whether they lead anywhere."""


@dataclass
class ScaleTable:
    """The dimension scales of one dataset, or the datasets that it is a scale of.

    Attributes
    ----------
    entries : list of tuple
        ``(dataset, axis, scales)`` each; ``None`` stands for the dataset that is being replaced.
    """

    entries: list[tuple[h5d.DatasetID | None, int, list[h5d.DatasetID | None]]] = field(
        default_factory=list
    )

    def detach(self, old: h5d.DatasetID) -> None:
        """Detach all of it from ``old``."""
        for dataset, axis, scales in self.entries:
            for scale in scales:
                h5ds.detach_scale(dataset or old, scale or old, axis)

    def attach(self, new: h5d.DatasetID) -> None:
        """Attach all of it to ``new``, in the order it had."""
        for dataset, axis, scales in self.entries:
            for scale in scales:
                h5ds.attach_scale(dataset or new, scale or new, axis)


def scales_of(dataset: h5d.DatasetID) -> ScaleTable:
    """Return the scales attached to ``dataset``."""
    axes = range(dataset.rank)
    table = [(None, axis, list[h5d.DatasetID | None](_attached(dataset, axis))) for axis in axes]
    return ScaleTable([entry for entry in table if entry[2]])


def datasets_of(scale: h5d.DatasetID) -> ScaleTable:
    """Return the axes that ``scale`` is a dimension scale of, with their other scales."""
    table = ScaleTable()
    address = address_of(scale)
    for dataset in _datasets_listed(scale):
        for axis in range(dataset.rank):
            scales = _attached(dataset, axis)
            if any(address_of(attached) == address for attached in scales):
                entry = [None if address_of(one) == address else one for one in scales]
                table.entries.append((dataset, axis, entry))
    return table


def holder_of_reference(file: h5py.File, address: int) -> str:
    """Return what holds a reference to the object at ``address``; empty where nothing does.

    Dimension scales aren't counted.
    """
    for name, value in _reference_values(file):
        for reference in _references(value):
            if _address_referred_to(file, reference) == address:
                return name
    return ""


def holds_references(stored: h5t.TypeID) -> bool:
    """Return whether a type is a reference or has one inside."""
    return bool(stored.detect_class(h5t.REFERENCE))


def leads_nowhere(dataset: h5d.DatasetID) -> bool:
    """Return whether one of the first references that a dataset is made of leads nowhere."""
    if dataset.get_type().get_class() != h5t.REFERENCE or not dataset.rank:
        return False
    owner = h5py.Dataset(dataset)
    values = owner[: min(len(owner), _MOST_FOLLOWED)] if owner.size else ()
    return any(_address_referred_to(owner.file, one) is None for one in _references(values))


def _attached(dataset: h5d.DatasetID, axis: int) -> list[h5d.DatasetID]:
    scales: list[h5d.DatasetID] = []
    if h5a.exists(dataset, SCALES_OF_DATASET):
        h5ds.iterate(dataset, axis, scales.append)
    return scales


def _datasets_listed(scale: h5d.DatasetID) -> list[h5d.DatasetID]:
    """Return each dataset in the scale's own list once."""
    if not h5a.exists(scale, DATASETS_OF_SCALE):
        return []
    listed = h5py.Dataset(scale).attrs[DATASETS_OF_SCALE.decode()]
    datasets = (h5r.dereference(entry[0], scale) for entry in listed)
    return list({address_of(one): one for one in datasets if one is not None}.values())


def _reference_values(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield every value that holds references, with a name for whom it belongs to."""
    root = file["/"]
    yield from _attribute_values(root, "the root group")
    for link in objects(file):
        name = to_name(link.path)
        owner = file[link.path]
        yield from _attribute_values(owner, f"'{name}'")
        if isinstance(owner, h5py.Dataset) and holds_references(owner.id.get_type()):
            yield from _dataset_values(owner, f"'{name}'")


def _attribute_values(owner: h5py.HLObject, name: str) -> Iterator[tuple[str, Any]]:
    for index in range(h5a.get_num_attrs(owner.id)):
        attribute = h5a.open(owner.id, index=index)
        label = to_name(attribute.name)
        scales = attribute.name in (SCALES_OF_DATASET, DATASETS_OF_SCALE)
        if not scales and holds_references(attribute.get_type()):
            yield f"the attribute '{label}' of {name}", owner.attrs[label]


def _dataset_values(dataset: h5py.Dataset, name: str) -> Iterator[tuple[str, Any]]:
    if not dataset.shape:
        yield name, dataset[()]
        return
    per_row = max(1, dataset.size // max(1, dataset.shape[0]))
    for start, stop in windows(dataset.shape[0], max(1, _REFERENCES_AT_ONCE // per_row)):
        yield name, dataset[start:stop]


def _references(value: Any) -> Iterator[h5r.Reference]:
    """Yield the references anywhere inside a value that h5py read."""
    if isinstance(value, h5r.Reference):
        if value:
            yield value
    elif isinstance(value, (np.ndarray, np.void)) and value.dtype.names:
        for name in value.dtype.names:
            yield from _references(value[name])
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for element in value.flat:
            yield from _references(element)


def _address_referred_to(file: h5py.File, reference: h5r.Reference) -> int | None:
    """Return the address; ``None`` where the reference dangles already."""
    try:
        target = h5r.dereference(reference, file.id)
        return None if target is None else address_of(target)
    except (ValueError, RuntimeError, KeyError, OSError):
        return None
