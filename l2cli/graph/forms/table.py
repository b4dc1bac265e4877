"""The forms of an export, as data.

The export and the command's choices read this table; nothing is imported to read it. A new form
is a module in this package and an entry here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormInfo:
    """One form.

    Attributes
    ----------
    name : str
        What the parameter ``to`` calls it.
    title : str
        What people call it.
    suffix : str
        Of its destinations; empty for a folder.
    home : str
        ``module:class`` of its :class:`~l2cli.graph.forms.base.Form`, inside this package.
    backend : str
        The backend that makes it; ``auto`` where any does.
    """

    name: str
    title: str
    suffix: str
    home: str
    backend: str = "auto"


_ALL = (
    FormInfo("keras", "Keras model", ".keras", "keras_file:KerasFile"),
    FormInfo("savedmodel", "TensorFlow SavedModel", "", "saved_model:SavedModel", "tensorflow"),
    FormInfo("stablehlo", "StableHLO", ".stablehlo", "stablehlo:StableHlo", "jax"),
)
EXPORTS = {info.name: info for info in _ALL}
"""By name."""
