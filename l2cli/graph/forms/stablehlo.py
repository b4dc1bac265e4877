"""StableHLO as JAX serializes it, for every kind of device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l2cli.dtypes import numpy_dtype
from l2cli.errors import BackendError
from l2cli.filesystem.atomic import replacing
from l2cli.graph.forms.base import Form
from l2cli.graph.jax_settings import ordinary_settings

if TYPE_CHECKING:
    from pathlib import Path

_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


class StableHlo(Form):
    """JAX's serialized export."""

    def write(self, model: Any, destination: Path, *, overwrite: bool) -> None:
        """Write ``model``; the file appears whole or not at all."""
        import jax
        from jax import export

        def l2_normalize(rows: Any) -> Any:
            return model(rows)

        with ordinary_settings():
            _, *shape = model.input_shape
            rows = jax.ShapeDtypeStruct(
                (*export.symbolic_shape("batch"), *shape), numpy_dtype(model.inputs[0].dtype)
            )
            exported = export.export(jax.jit(l2_normalize), platforms=_PLATFORMS)(rows)
        try:
            content = exported.serialize()
        except ImportError as exc:
            raise BackendError("jax writes StableHLO with flatbuffers: pip install it") from exc
        with replacing(destination, like=None, overwrite=overwrite) as sibling:
            sibling.write_bytes(content)
