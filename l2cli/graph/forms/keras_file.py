"""A ``.keras`` file of Keras's own operations, which is loaded where ``l2cli`` isn't."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from l2cli.filesystem.atomic import replacing, temporary_errors
from l2cli.filesystem.siblings import temporary_folder
from l2cli.graph.forms.base import Form

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.graph.arguments import Axis


class KerasFile(Form):
    """A Keras model."""

    def build(self, shape: tuple[int, ...], axis: Axis, epsilon: float, dtype: str) -> Any:
        """Return a model of Keras's own operations alone."""
        from l2cli.graph.models import standalone_model

        return standalone_model(shape, axis, epsilon, dtype)

    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        """Write ``model`` by way of a temporary file: Keras writes to names in .keras only."""
        with (
            replacing(destination, like=None, overwrite=overwrite) as sibling,
            temporary_folder() as folder,
        ):
            path = folder / "model.keras"
            with temporary_errors():
                model.save(path)
            shutil.copyfile(path, sibling)
