"""What every format promises. A format's test class subclasses the contract in a few lines.

It says how files of the format are named, and how its own library writes and reads them. What is
right is computed by NumPy alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from l2cli.errors import L2NormError, RowError
from l2cli.formats.registry import by_suffix, detect
from l2cli.normalization.file import normalize_file
from l2cli.options import FileOptions, NormalizeOptions
from tests.support.reference import worst_ulp

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]

NAME = "embedding"
ROWS = np.random.default_rng(0).standard_normal((23, 6))
NUM_OFFSETS = 40


class FormatContract(ABC):
    """The tests of one format."""

    suffix: ClassVar[str]
    holds_several: ClassVar[bool] = True
    """Whether a file may hold more than one array."""

    @abstractmethod
    def save(self, path: Path, arrays: dict[str, Array]) -> None:
        """Write a file with the format's own library; all arrays have equally many rows."""

    @abstractmethod
    def load(self, path: Path) -> dict[str, Array]:
        """Return all arrays of a file by the format's own library, in their order."""

    @pytest.mark.parametrize(("dtype", "most_ulp"), [("f2", 0.501), ("f4", 0.501), ("f8", 4)])
    def test_rows_become_unit_rows(self, tmp_path: Path, dtype: str, most_ulp: float) -> None:
        rows = ROWS.astype(dtype)
        result = self.normalized(tmp_path, rows)
        assert result.dtype == rows.dtype
        assert worst_ulp(result, rows) <= most_ulp

    def test_it_is_known_by_its_suffix_and_by_its_first_bytes(self, tmp_path: Path) -> None:
        source = self.source(tmp_path, ROWS)
        file_format = detect(source)
        assert file_format.matches_suffix(source)
        named = by_suffix(source)
        assert named is not None
        assert named.name == file_format.name

    def test_everything_else_survives(self, tmp_path: Path) -> None:
        source, destination = self.source(tmp_path, ROWS), tmp_path / f"y{self.suffix}"
        normalize_file(source, destination)
        before, after = self.load(source), self.load(destination)
        assert list(after) == list(before)
        for name in before.keys() - {NAME}:
            np.testing.assert_array_equal(after[name], before[name], strict=True)

    def test_the_size_of_batches_changes_nothing(self, tmp_path: Path) -> None:
        results = [self.normalized(tmp_path, ROWS, batch_size=size) for size in (None, 1, 7)]
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0], strict=True)

    @pytest.mark.parametrize("dtype", ["float16", "float32"])
    def test_another_dtype(self, tmp_path: Path, dtype: Any) -> None:
        result = self.normalized(tmp_path, ROWS, dtype=dtype)
        assert result.dtype == np.dtype(dtype)
        assert worst_ulp(result, ROWS) <= 0.501

    def test_fewer_components(self, tmp_path: Path) -> None:
        result = self.normalized(tmp_path, ROWS, truncate_dim=4)
        assert result.shape == (len(ROWS), 4)
        assert worst_ulp(result, ROWS[:, :4].copy()) <= 4

    def test_zero_rows_stay_zero(self, tmp_path: Path) -> None:
        rows = np.where(np.arange(len(ROWS))[:, None] % 3, ROWS, 0)
        result = self.normalized(tmp_path, rows)
        np.testing.assert_array_equal(result[::3], 0)
        assert worst_ulp(result, rows) <= 4

    def test_a_row_with_nan_is_named_and_nothing_written(self, tmp_path: Path) -> None:
        rows = ROWS.copy()
        rows[5, 2] = np.nan
        with pytest.raises(RowError, match="row 5 holds NaN or Inf"):
            self.normalized(tmp_path, rows)
        assert list(tmp_path.iterdir()) == [tmp_path / f"x{self.suffix}"]
        result = self.normalized(tmp_path, rows, nonfinite="keep")
        np.testing.assert_array_equal(result[5], rows[5])

    @pytest.mark.parametrize("num_rows", [0, 1])
    def test_no_row_and_one(self, tmp_path: Path, num_rows: int) -> None:
        result = self.normalized(tmp_path, ROWS[:num_rows])
        assert result.shape == (num_rows, ROWS.shape[1])
        if num_rows:
            assert worst_ulp(result, ROWS[:num_rows]) <= 4

    def test_it_becomes_every_other_format(self, tmp_path: Path) -> None:
        rows = ROWS.astype("f4")
        source = self.source(tmp_path, rows)
        for contract in FormatContract.__subclasses__():
            target = contract()
            destination = tmp_path / f"y{target.suffix}"
            normalize_file(source, destination, NormalizeOptions(batch_size=7))
            result = target.load(destination)[NAME]
            assert result.dtype == rows.dtype
            assert worst_ulp(result, rows) <= 0.501, target.suffix

    def test_a_file_that_is_cut_off_is_refused_in_one_line(self, tmp_path: Path) -> None:
        content = self.source(tmp_path, ROWS).read_bytes()
        for stop in np.linspace(0, len(content) - 1, NUM_OFFSETS, dtype=int):
            assert self.refusal_of(tmp_path, content[:stop]), f"{stop} bytes of {len(content)}"

    def test_damage_is_refused_in_one_line_or_harmless(self, tmp_path: Path) -> None:
        content = self.source(tmp_path, ROWS).read_bytes()
        for offset in np.linspace(0, len(content) - 1, NUM_OFFSETS, dtype=int):
            flipped = bytes([content[offset] ^ 0x55])
            self.refusal_of(tmp_path, content[:offset] + flipped + content[offset + 1 :])

    def source(self, folder: Path, rows: Array) -> Path:
        """Write a file of ``rows`` and of something beside them."""
        path = folder / f"x{self.suffix}"
        arrays = {"id": np.arange(len(rows)), NAME: rows} if self.holds_several else {NAME: rows}
        self.save(path, arrays)
        return path

    def normalized(self, folder: Path, rows: Array, **options: Any) -> Array:
        """Return what becomes of ``rows`` in a file."""
        source, destination = self.source(folder, rows), folder / f"y{self.suffix}"
        normalize_file(
            source, destination, NormalizeOptions(**options), files=FileOptions(overwrite=True)
        )
        return self.load(destination)[NAME]

    def refusal_of(self, folder: Path, content: bytes) -> str:
        """Return the one line with which a file is refused; empty where it is taken."""
        source, destination = folder / f"x{self.suffix}", folder / f"y{self.suffix}"
        source.write_bytes(content)
        try:
            normalize_file(source, destination)
        except L2NormError as exc:
            refusal = str(exc)
        else:
            refusal = ""
            destination.unlink()
        assert list(folder.iterdir()) == [source]
        assert "\n" not in refusal
        assert not refusal or str(source) in refusal
        return refusal
