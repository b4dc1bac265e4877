"""The numbers that design promises, on both backends, against 80-bit arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from l2cli.errors import RowError
from tests.support.reference import BFLOAT16, rows_of_all_sizes, true_quotient, worst_ulp

if TYPE_CHECKING:
    from tests.support.workers import BackendProcess

DTYPES = ["float16", BFLOAT16, "float32", "float64"]
NARROW = DTYPES[:3]
LIMITS = {"float64": (4.0, 2.0**-110)}
NARROW_LIMIT = (0.501, 2.0**-70)


def _assert_exact(result: Any, rows: Any, epsilon: float) -> None:
    limit, negligible = LIMITS.get(result.dtype.name, NARROW_LIMIT)
    assert result.dtype == rows.dtype
    assert worst_ulp(result, rows, epsilon, negligible) <= limit


@pytest.mark.parametrize("epsilon", [0.0, 1e-12])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_of_all_sizes_are_exact(backend: BackendProcess, dtype: Any, epsilon: float) -> None:
    rows = rows_of_all_sizes(dtype, 6000, 24)
    result, counts = backend.run(rows, epsilon=epsilon)
    _assert_exact(result, rows, epsilon)
    assert counts.num_rows == 6000
    wide = rows.astype(np.longdouble)
    assert counts.zero == int((wide == 0).all(axis=1).sum())
    sums = (wide**2).sum(axis=1)
    assert counts.floored == int(((sums < epsilon) & (sums > 0)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_million_rows_are_exact(backend: BackendProcess, dtype: Any) -> None:
    for seed in range(10):
        rows = rows_of_all_sizes(dtype, 100_000, 24, seed)
        for epsilon in (0.0, 1e-12):
            result, _ = backend.run(rows, epsilon=epsilon)
            _assert_exact(result, rows, epsilon)


@pytest.mark.parametrize("dim", [1, 2, 3, 50, 101, 768, 4097])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_ordinary_rows_of_any_length_are_exact(
    backend: BackendProcess, dtype: Any, dim: int
) -> None:
    rows = np.random.default_rng(1).standard_normal((200, dim)).astype(dtype)
    _assert_exact(backend.run(rows)[0], rows, 1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_zero_rows_stay_zero(backend: BackendProcess, dtype: Any) -> None:
    rows = np.array([[0, -0.0, 0], [3, 4, 0], [0, 0, 0]], dtype)
    for epsilon in (0.0, 1e-12):
        result, counts = backend.run(rows, epsilon=epsilon)
        assert result[0].tobytes() == rows[0].tobytes()
        assert counts.zero == 2
        np.testing.assert_allclose(result[1].astype(float), [0.6, 0.8, 0], rtol=0.01)
    with pytest.raises(RowError, match="row 0 is all zeros"):
        backend.run(rows, zero_rows="error")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nonfinite_rows_follow_the_option(backend: BackendProcess, dtype: Any, bad: float) -> None:
    rows = np.array([[3, 4], [bad, 1], [6, 8]], dtype)
    with pytest.raises(RowError, match="row 1 holds NaN or Inf"):
        backend.run(rows, batch_size=1)
    kept, counts = backend.run(rows, nonfinite="keep")
    assert counts.nonfinite == 1
    assert kept[1].tobytes() == rows[1].tobytes()
    zeroed, _ = backend.run(rows, nonfinite="zero")
    np.testing.assert_array_equal(zeroed[1], [0, 0])
    np.testing.assert_array_equal(zeroed[[0, 2]], kept[[0, 2]])


def test_largest_float64_rows_do_not_overflow(backend: BackendProcess) -> None:
    rows = np.array([[1e308, 1e308], [5e-324, 0], [1e300, 1e-300], [1e-170, 1e-170]])
    result, _ = backend.run(rows, epsilon=0.0)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(result, [[half, half], [1, 0], [1, 0], [half, half]], rtol=1e-15)


@pytest.mark.parametrize("axis", [(0,), (1,), (2,), (-1, -2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_axis(backend: BackendProcess, dtype: Any, axis: tuple[int, ...]) -> None:
    rows = np.random.default_rng(4).standard_normal((30, 5, 8)).astype(dtype)
    result, counts = backend.run(rows, axis=axis, batch_size=7)
    axes = sorted(a % 3 for a in axis)
    free = [a for a in range(3) if a not in axes]
    vectors = rows.transpose(*free, *axes).reshape(*[rows.shape[a] for a in free], -1)
    expected = result.transpose(*free, *axes).reshape(vectors.shape)
    _assert_exact(expected, vectors, 1e-12)
    assert counts.num_rows == vectors[..., 0].size
    assert backend.run(rows, axis=axis, batch_size=30)[0].tobytes() == result.tobytes()


def test_axis_0_is_exact_at_any_size(backend: BackendProcess) -> None:
    columns = rows_of_all_sizes("float64", 300, 40, seed=5)
    result, counts = backend.run(columns.T.copy(), axis=(0,), epsilon=0.0, batch_size=7)
    _assert_exact(result.T, columns, 0.0)
    assert counts.num_rows == 300


def test_axis_0_names_the_column(backend: BackendProcess) -> None:
    columns = np.ones((4, 3), "float32")
    columns[2, 1] = np.nan
    with pytest.raises(RowError, match=r"index \[:, 1\] holds NaN"):
        backend.run(columns, axis=(0,))
    kept, _ = backend.run(columns, axis=(0,), nonfinite="keep")
    np.testing.assert_array_equal(kept[:, 1], columns[:, 1])
    np.testing.assert_array_equal(kept[:, 0], [0.5] * 4)


def test_one_vector_alone(backend: BackendProcess) -> None:
    vector = np.arange(1, 1001, dtype="float32")
    result, counts = backend.run(vector, batch_size=7)
    _assert_exact(result, vector, 1e-12)
    assert counts.num_rows == 1


@pytest.mark.parametrize("target", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("source", [*DTYPES, "int8", "uint16", "int64"], ids=str)
def test_dtype_rounds_once(backend: BackendProcess, source: Any, target: str) -> None:
    rng = np.random.default_rng(6)
    rows = (rng.standard_normal((500, 33)) * 50).astype(source)
    result, _ = backend.run(rows, dtype=target)
    assert result.dtype.name == target
    limit, negligible = LIMITS.get(target, NARROW_LIMIT)
    assert worst_ulp(result, rows, 1e-12, negligible) <= limit


def test_truncation_comes_first(backend: BackendProcess) -> None:
    rows = np.random.default_rng(7).standard_normal((100, 64)).astype("float32")
    result, _ = backend.run(rows, truncate_dim=16)
    assert result.shape == (100, 16)
    _assert_exact(result, rows[:, :16], 1e-12)


@pytest.mark.parametrize(
    ("shape", "axis", "num_rows"),
    [((5, 0), (-1,), 5), ((5, 0), (0,), 0), ((5, 0), (0, 1), 1), ((2, 3, 0), (2,), 6)],
)
def test_rows_without_components_are_zero_rows(
    jax_process: BackendProcess, shape: tuple[int, ...], axis: tuple[int, ...], num_rows: int
) -> None:
    result, counts = jax_process.run(np.empty(shape, "float32"), axis=axis)
    assert result.shape == shape
    assert (counts.num_rows, counts.zero) == (num_rows, num_rows)


def test_float64_out_of_narrower_rows_keeps_their_smallest_components(
    backend: BackendProcess,
) -> None:
    for dtype in ("float32", BFLOAT16):
        rows = np.full((1, 64), 1e-7, dtype)
        rows[0, 0] = 5e-39
        for epsilon in (0.0, 1e-12):
            result, _ = backend.run(rows, dtype="float64", epsilon=epsilon)
            assert worst_ulp(result, rows, epsilon, 2.0**-110) <= 4


@pytest.mark.parametrize("epsilon", [1e76, 1e78, 1e100])
def test_a_large_epsilon_is_no_zero(backend: BackendProcess, epsilon: float) -> None:
    rows = np.full((1, 2), 2.0**115, BFLOAT16)
    _assert_exact(backend.run(rows, epsilon=epsilon)[0], rows, epsilon)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_batch_size_changes_no_bit_along_axis_0(backend: BackendProcess, dtype: Any) -> None:
    rows = np.random.default_rng(8).standard_normal((200, 64)).astype(dtype)
    whole = backend.run(rows, axis=(0,))[0].tobytes()
    for batch_size in (1, 7, 100):
        assert backend.run(rows, axis=(0,), batch_size=batch_size)[0].tobytes() == whole


def test_the_reference_is_wider_than_what_it_checks() -> None:
    assert np.finfo(np.longdouble).nmant >= 63
    assert true_quotient(np.array([[3.0, 4.0]]))[0, 0] == np.longdouble(3) / 5
