"""The one table that tests of tables begin with: ids, vectors, and words beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA = {"made by": "a test"}


def table(
    vectors: Any,
    name: str = "emb",
    *,
    words: Any = None,
    first_id: int = 0,
    metadata: Mapping[str, str] | None = METADATA,
) -> Any:
    """Return a table of three columns: ``id``, the vectors under ``name``, and ``word``.

    Words are a dictionary of three, unless given.
    """
    count = len(vectors)
    if words is None:
        words = pa.array([f"word {i % 3}" for i in range(count)], pa.string()).dictionary_encode()
    ids = pa.array(range(first_id, first_id + count), pa.int64())
    columns = {"id": ids, name: vectors, "word": words}
    return pa.table(columns).replace_schema_metadata(metadata)
