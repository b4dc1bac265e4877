"""Datasets that hold no embeddings: a library's internal ones, and those that describe others.

The reader asks why a dataset isn't to be chosen unless it is named.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import h5py
from h5py import h5a, h5g

from l2cli.formats.hdf5.attributes import text
from l2cli.formats.hdf5.links import to_name, to_path
from l2cli.formats.hdf5.sparse import sparse_parts
from l2cli.formats.sparse import sparse_doubt

if TYPE_CHECKING:
    from h5py import h5d

_PYTABLES = "an index of PyTables"
_CLASSES = {
    "DIMENSION_SCALE": "a dimension scale",
    "IMAGE": "an image",
    "PALETTE": "the palette of an image",
    "CACHEARRAY": _PYTABLES,
    "INDEX": _PYTABLES,
    "INDEXARRAY": _PYTABLES,
    "LASTROWARRAY": _PYTABLES,
    "TINDEX": _PYTABLES,
}
"""What ``CLASS`` says of a dataset, or of a group and all in it."""

_MATLAB = {"#refs#", "#subsystem#"}
_ANNDATA = {
    "obsp": "pairwise numbers of AnnData",
    "varp": "pairwise numbers of AnnData",
    "uns": "unstructured notes of AnnData",
}
_ANNDATA_GROUPS = {"obs", "var", "uns"}
_PANDAS = re.compile(r"axis\d+(_.*)?|block\d+_items(_.*)?|index|meta")
_KERAS = (b"weight_names", b"keras_version", b"layer_names")
_CF = {
    "bounds": "the bounds of",
    "climatology": "the bounds of",
    "coordinates": "a coordinate of",
    "ancillary_variables": "about",
}
"""Attributes by which a netCDF variable names others that belong to it."""


class Bookkeeping:
    """The reasons not to choose datasets of one file unless they are named.

    Attributes
    ----------
    belonging : dict of str to str
        The datasets that the attributes of those given to :meth:`doubt` name, and the relation.
    """

    def __init__(self, file: h5py.File) -> None:
        self.belonging: dict[str, str] = {}
        self._file = file
        self._groups: dict[str, _Group] = {}

    def doubt(self, dataset: h5d.DatasetID, name: str) -> str:
        """Return why ``dataset`` isn't taken unasked; empty where nothing speaks against it."""
        if not h5a.get_num_attrs(dataset):
            return self._doubt_by_path(name)
        folder = name.rpartition("/")[0]
        for attribute, relation in _CF.items():
            for related in text(dataset, attribute).split():
                path = related if related.startswith("/") else f"{folder}/{related}"
                self.belonging[path.strip("/")] = f"{relation} '{name}'"
        return _CLASSES.get(text(dataset, "CLASS"), "") or self._doubt_by_path(name)

    def _doubt_by_path(self, name: str) -> str:
        parts = name.split("/")
        for depth, child in enumerate(parts):
            group = self._group("/".join(parts[:depth]))
            is_last = depth == len(parts) - 1
            if doubt := group.doubt(child, is_root=depth == 0, is_last=is_last):
                return doubt
        return ""

    def _group(self, path: str) -> _Group:
        if path not in self._groups:
            self._groups[path] = _Group(h5g.open(self._file.id, b"/" + to_path(path)))
        return self._groups[path]


class _Group:
    """What a group says of its members."""

    def __init__(self, group: h5g.GroupID) -> None:
        self._group = group

    def doubt(self, child: str, *, is_root: bool, is_last: bool) -> str:
        """Return why nothing is taken from ``child``, or what is below it."""
        if is_root and child in _MATLAB:
            return "bookkeeping of MATLAB"
        if self._is_anndata and child in _ANNDATA:
            return f"{_ANNDATA[child]} ({child})"
        if self._is_pandas and _PANDAS.fullmatch(child):
            return "bookkeeping of pandas"
        if self._is_keras:
            return "a weight of a Keras model"
        if is_last and child in self._sparse_parts:
            return sparse_doubt(self._sparse_parts[child])
        return _CLASSES.get(self._class, "")

    @cached_property
    def _names(self) -> set[str]:
        return {to_name(name) for name in self._group}

    @cached_property
    def _class(self) -> str:
        return text(self._group, "CLASS")

    @cached_property
    def _is_anndata(self) -> bool:
        # Before version 0.8 only the groups show whose file it is.
        return text(self._group, "encoding-type") == "anndata" or self._names >= _ANNDATA_GROUPS

    @cached_property
    def _is_pandas(self) -> bool:
        return bool(h5a.exists(self._group, b"pandas_type"))

    @cached_property
    def _is_keras(self) -> bool:
        if any(h5a.exists(self._group, name) for name in _KERAS):
            return True
        is_vars = to_name(h5py.h5i.get_name(self._group)).endswith("/vars")
        return is_vars and bool(h5a.exists(self._group, b"name"))

    @cached_property
    def _sparse_parts(self) -> dict[str, str]:
        return sparse_parts(self._group, self._names)
