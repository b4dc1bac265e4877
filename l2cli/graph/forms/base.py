"""What every form of an export does: refuse a destination early, build a model, write it.

Each form is a subclass in a module of its own, which the table names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from l2cli.filesystem.atomic import check_destination

if TYPE_CHECKING:
    from pathlib import Path

    from l2cli.graph.arguments import Axis


class Form(ABC):
    """A form that a model is written in."""

    def check(self, destination: Path, *, overwrite: bool) -> None:
        """Raise ``DestinationError`` where the destination can't be written."""
        check_destination(destination, overwrite=overwrite)

    def build(self, shape: tuple[int, ...], axis: Axis, epsilon: float, dtype: str) -> Any:
        """Return the model that is written. Keras has been imported."""
        from l2cli.graph.models import build_model

        return build_model(shape, axis, epsilon, dtype)

    @abstractmethod
    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        """Write ``model``; the destination appears whole or not at all."""
