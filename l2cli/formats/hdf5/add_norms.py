"""Adding a dataset of norms to a file; ``formats/registry.py`` is the only caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py

from l2cli.errors import DestinationError
from l2cli.formats.hdf5.errors import writing

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


def add_dataset(path: Path, name: str, norms: np.ndarray[Any, Any]) -> None:
    """Add ``norms`` to the file as the dataset ``name``; groups before it are made."""
    with (
        writing(f"can't write {path}: '{name}'"),
        h5py.File(path, "r+") as file,
    ):
        if name in file:
            raise DestinationError(f"{path} holds '{name}' already; choose another name")
        parts = name.strip("/").split("/")
        for end in range(1, len(parts)):
            group = "/".join(parts[:end])
            if group in file and file[group].file.filename != file.filename:
                raise DestinationError(
                    f"{path}: '{group}' leads to another file; choose another name"
                )
        file.create_dataset(name, data=norms)
