"""Masked arrays in ``l2cli.normalize``, and what else may be given for an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import l2cli
from l2cli.errors import OptionError, RowError, SourceError

ROWS = np.random.default_rng(0).standard_normal((6, 4))
WHOLE = np.zeros((6, 4), bool)
WHOLE[[1, 4]] = True
PARTIAL = WHOLE.copy()
PARTIAL[3, 2] = True


def _unit(rows: Any, axis: Any = -1) -> Any:
    wide = rows.astype("f8")
    return wide / np.sqrt((wide**2).sum(axis, keepdims=True))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("hidden", [7.0, np.nan, np.inf, 0.0])
def test_masked_rows_stay_as_they_are(dtype: str, hidden: float) -> None:
    rows = np.where(WHOLE, hidden, ROWS).astype(dtype)
    array = np.ma.MaskedArray(rows, WHOLE, fill_value=5)
    result: Any = l2cli.normalize(array, zero_rows="error")
    assert isinstance(result, np.ma.MaskedArray)
    assert (result.dtype, result.fill_value) == (array.dtype, array.fill_value)
    np.testing.assert_array_equal(result.mask, WHOLE)
    np.testing.assert_array_equal(result.data[WHOLE], rows[WHOLE])
    kept = ~WHOLE.any(axis=1)
    np.testing.assert_allclose(result.data[kept], _unit(rows[kept]), rtol=1e-3)
    np.testing.assert_array_equal(rows, np.where(WHOLE, hidden, ROWS).astype(dtype))


def test_rows_that_are_not_masked_have_the_bits_of_a_plain_array() -> None:
    rows = ROWS.astype("f4")
    kept = ~WHOLE.any(axis=1)
    result: Any = l2cli.normalize(np.ma.MaskedArray(rows, WHOLE))
    assert result.data[kept].tobytes() == l2cli.normalize(rows)[kept].tobytes()


def test_a_row_that_is_masked_in_part_is_an_error() -> None:
    array = np.ma.MaskedArray(ROWS, PARTIAL)
    with pytest.raises(RowError, match=r"index \[3, :\] holds a masked component; fill it, or"):
        l2cli.normalize(array)
    with pytest.raises(RowError, match=r"index \[:, 0\] holds a masked component"):
        l2cli.normalize(np.ma.MaskedArray(ROWS, WHOLE), axis=0)


@pytest.mark.parametrize("choice", ["keep", "zero"])
def test_or_it_passes_as_a_row_that_is_not_finite(choice: Any) -> None:
    result: Any = l2cli.normalize(np.ma.MaskedArray(ROWS, PARTIAL), nonfinite=choice)
    np.testing.assert_array_equal(result.mask, PARTIAL)
    np.testing.assert_array_equal(result.data[PARTIAL], ROWS[PARTIAL])
    expected = ROWS[3] if choice == "keep" else np.array([0, 0, ROWS[3, 2], 0])
    np.testing.assert_array_equal(result.data[3], expected)
    np.testing.assert_allclose(result.data[[0, 2, 5]], _unit(ROWS[[0, 2, 5]]), rtol=1e-15)


@pytest.mark.parametrize("axis", [0, (1, 2), (0, 2), -1])
def test_masked_vectors_along_any_axes(axis: Any) -> None:
    rows = np.random.default_rng(1).standard_normal((4, 3, 2)).astype("f4")
    vectors = np.random.default_rng(2).random((4, 3, 2)).any(axis=axis, keepdims=True)
    vectors = np.random.default_rng(3).random(vectors.shape) < 0.5
    mask = np.broadcast_to(vectors, rows.shape).copy()
    result: Any = l2cli.normalize(np.ma.MaskedArray(rows, mask), axis=axis)
    np.testing.assert_array_equal(result.data[mask], rows[mask])
    np.testing.assert_allclose(result.data[~mask], _unit(rows, axis)[~mask], rtol=1e-6)


def test_options_and_integers_go_by_the_mask_too() -> None:
    rows = np.arange(1, 25).reshape(6, 4)
    array = np.ma.MaskedArray(rows, PARTIAL)
    with pytest.raises(SourceError, match="unit vectors need a float type"):
        l2cli.normalize(array)
    result: Any = l2cli.normalize(array, dtype="float32", truncate_dim=2)
    assert (result.shape, result.dtype) == ((6, 2), np.float32)
    np.testing.assert_array_equal(result.mask, PARTIAL[:, :2])
    np.testing.assert_array_equal(result.data[1], rows[1, :2])
    np.testing.assert_allclose(result.data[3], _unit(rows[3:4, :2])[0], rtol=1e-6)


@pytest.mark.parametrize("mask", [np.ma.nomask, False])
def test_nothing_masked(mask: Any) -> None:
    result: Any = l2cli.normalize(np.ma.MaskedArray(ROWS, mask))
    assert isinstance(result, np.ma.MaskedArray)
    assert (result.mask is np.ma.nomask) == (mask is np.ma.nomask)
    np.testing.assert_allclose(result.data, _unit(ROWS), rtol=1e-15)


def test_a_list_of_masked_rows_keeps_its_mask() -> None:
    rows = list(np.ma.MaskedArray(ROWS, WHOLE))
    result: Any = l2cli.normalize(rows)
    np.testing.assert_array_equal(result.mask, WHOLE)
    np.testing.assert_array_equal(result.data[WHOLE], ROWS[WHOLE])


@pytest.mark.parametrize(
    "array",
    [
        np.ma.masked,
        np.ma.MaskedArray([object()], [True]),
        np.ma.MaskedArray([(1.0,)], [True], dtype=[("a", "f4")]),
        [[1.0, 2.0], [3.0]],
        [[1.0, None]],
        np.array([[1.0], [2.0, 3.0]], object),
        "words",
        None,
        {"emb": ROWS},
    ],
)
def test_what_is_no_array_of_numbers_is_one_clear_error(array: Any) -> None:
    with pytest.raises(SourceError, match=r"array is [^\n]*$"):
        l2cli.normalize(array)


def test_other_types_of_arrays_become_plain_ones() -> None:
    class Subclass(np.ndarray):
        pass

    for array in (ROWS.tolist(), ROWS.view(np.matrix), ROWS.view(Subclass), tuple(ROWS)):
        result: Any = l2cli.normalize(array)
        assert type(result) is np.ndarray
        np.testing.assert_allclose(result, _unit(ROWS), rtol=1e-15)


def test_a_tensor_has_no_mask() -> None:
    with pytest.raises(TypeError, match=r"a masked array, .*; l2cli\.normalize takes it"):
        l2cli.l2_normalize(np.ma.MaskedArray(ROWS, WHOLE))
    with pytest.raises(OptionError, match="axis"):
        l2cli.normalize(np.ma.MaskedArray(ROWS, WHOLE), axis=())
