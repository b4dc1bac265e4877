"""Largest errors over a million random rows of each dtype.

Run it as ``python -m benchmarks.figures.accuracy``. The rows are of all sizes that the
dtype can hold, subnormal rows too, with epsilon 0 and 1e-12.
"""

from __future__ import annotations

import numpy as np

from tests.support.reference import BFLOAT16, rows_of_all_sizes, worst_ulp
from tests.support.workers import BackendProcess

NEGLIGIBLE = {"float64": 2.0**-110}
REPEATS, NUM_ROWS, DIM = 10, 100_000, 24


def main() -> None:
    """Print the table."""
    print("| | jax | tensorflow | rows |\n|---|---|---|---|")
    backends = [BackendProcess("jax"), BackendProcess("tensorflow")]
    for dtype in map(np.dtype, ("float16", BFLOAT16, "float32", "float64")):
        worst = dict.fromkeys(backends, 0.0)
        for seed in range(REPEATS):
            rows = rows_of_all_sizes(dtype, NUM_ROWS, DIM, seed)
            for backend in backends:
                for epsilon in (0.0, 1e-12):
                    result, _ = backend.run(rows, epsilon=epsilon)
                    negligible = NEGLIGIBLE.get(dtype.name, 2.0**-70)
                    error = worst_ulp(result, rows, epsilon, negligible)
                    worst[backend] = max(worst[backend], error)
        errors = " | ".join(f"{error:.5f} ulp" for error in worst.values())
        print(f"| {dtype.name} | {errors} | {REPEATS * NUM_ROWS:,} |", flush=True)
    for backend in backends:
        backend.close()


if __name__ == "__main__":
    main()
