"""The histogram of norms, against NumPy over all of them."""

from __future__ import annotations

import numpy as np
import pytest

from l2cli.checking.bars import bars_of, norm_label
from l2cli.checking.histogram import NormHistogram

RNG = np.random.default_rng(0)
SAMPLES = {
    "rounding errors": 1 + RNG.normal(0, 3e-8, 10_001),
    "lengths": np.exp(RNG.normal(2, 0.5, 10_001)),
    "a spike and a tail": np.concatenate([np.ones(10_000), np.exp(RNG.uniform(-9, 9, 101))]),
    "every size": np.exp(RNG.uniform(-744, 709.7, 10_001)),
    "one": np.array([1 + 2.0**-52]),
    "the ends of float64": np.array([5e-324, 1.7976931348623157e308, 1.7976931348623157e308]),
}


def of(norms: np.ndarray) -> NormHistogram:
    distribution = NormHistogram()
    for part in np.array_split(norms, 3):
        distribution.add(part)
    return distribution


@pytest.mark.parametrize("name", SAMPLES)
def test_ends_are_exact_and_the_median_as_good_as_is_said(name: str) -> None:
    norms = SAMPLES[name]
    histogram = of(norms)
    assert histogram.num_rows == len(norms)
    assert (histogram.smallest, histogram.largest) == (norms.min(), norms.max())
    assert histogram.farthest == np.abs(norms - 1).max()
    median = np.sort(norms)[(len(norms) - 1) // 2]
    assert abs(np.log(histogram.median) - np.log(median)) <= 0.001 * abs(np.log(median))


@pytest.mark.parametrize("name", SAMPLES)
def test_bars_hold_every_row_where_it_belongs(name: str) -> None:
    norms = SAMPLES[name]
    bars = bars_of(of(norms), NormHistogram(), NormHistogram())
    assert sum(bars.unit) == len(norms)
    assert bars.num_bars <= 62
    middles = np.rint(np.log(norms) / bars.width).astype(int) - bars.first
    truth = np.bincount(middles, minlength=bars.num_bars)
    moved = np.abs(np.cumsum(truth) - np.cumsum(bars.unit)).max()
    assert moved <= 0.02 * len(norms)


def test_a_spike_and_a_tail_are_told_apart() -> None:
    unit, not_unit = of(np.ones(1000)), of(np.array([1.001, 30.0]))
    bars = bars_of(unit, not_unit, NormHistogram())
    assert bars.unit_bar is not None
    assert bars.unit[bars.unit_bar] == 1000
    assert bars.not_unit[-1] == 1
    assert bars.highest == 1000


def test_one_is_shown_where_it_is_near() -> None:
    near = bars_of(NormHistogram(), of(np.array([5.0, 30.0])), NormHistogram())
    far = bars_of(NormHistogram(), of(np.array([1e9, 1.1e9])), NormHistogram())
    assert near.unit_bar == 0
    assert far.unit_bar is None


def test_sums_of_distributions() -> None:
    total = of(SAMPLES["lengths"]) + NormHistogram()
    total += of(SAMPLES["every size"])
    both = np.concatenate([SAMPLES["lengths"], SAMPLES["every size"]])
    assert total.num_rows == len(both)
    assert (total.smallest, total.largest) == (both.min(), both.max())
    assert total.median == of(both).median


@pytest.mark.parametrize(
    ("norm", "label"),
    [(1.0, "1"), (1 + 1.2e-7, "1+1.2e-07"), (0.9999, "1-0.0001"), (10.13, "10.1"), (1e-9, "1e-09")],
)
def test_labels(norm: float, label: str) -> None:
    assert norm_label(float(np.log(norm))) == label
