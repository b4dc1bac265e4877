"""A group whose list of members is damaged: nobody knows what is missing then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from l2cli.errors import FormatError
from l2cli.io.inspection import inspect_file
from l2cli.normalization.file import normalize_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("signature", [b"TREE", b"HEAP", b"SNOD"])
def test_a_group_that_can_not_be_listed_is_no_empty_group(tmp_path: Path, signature: bytes) -> None:
    """HDF5 opens it all the same, and a conversion would lose what is in it without a word."""
    source = tmp_path / "x.h5"
    with h5py.File(source, "w") as file:
        file["embedding"] = np.ones((5, 4), "f4")
        file.create_group("group")["more"] = np.ones((5, 4), "f4")
    content = source.read_bytes()
    assert content.count(signature) == 2  # The root's, and the group's behind it.
    at = content.rindex(signature)
    source.write_bytes(content[:at] + b"????" + content[at + 4 :])
    message = r"x\.h5: the group '/group': it is damaged"
    with pytest.raises(FormatError, match=message):
        normalize_file(source, tmp_path / "y.npz")
    with pytest.raises(FormatError, match=message):
        inspect_file(source)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
