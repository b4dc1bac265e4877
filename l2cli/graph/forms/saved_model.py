"""The folder of a TensorFlow SavedModel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l2cli.filesystem.atomic_folder import check_folder, replacing_folder
from l2cli.graph.forms.base import Form

if TYPE_CHECKING:
    from pathlib import Path

_MARKER = "saved_model.pb"
"""The file by which a folder is known to be a SavedModel: no other folder is replaced."""


class SavedModel(Form):
    """A TensorFlow SavedModel."""

    def check(self, destination: Path, *, overwrite: bool) -> None:
        """Raise ``DestinationError`` where the folder can't be written."""
        check_folder(destination, marker=_MARKER, overwrite=overwrite)

    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        """Write ``model``; the folder appears whole or not at all."""
        with replacing_folder(destination, marker=_MARKER, overwrite=overwrite) as folder:
            try:
                model.export(str(folder), format="tf_saved_model", verbose=False)
            except Exception as exc:
                if not type(exc).__module__.startswith("tensorflow"):
                    raise
                # Where the system refuses, TensorFlow raises classes of its own, with messages
                # such as "PATH; No space left on device [Op:NAME]".
                raise OSError(str(exc).rpartition("; ")[2].partition(" [Op")[0]) from exc
