"""The definitions, evaluated with 50 digits: what the tests of this folder compare with."""

from itertools import product

import mpmath
import numpy as np

NUM_SAMPLES = [1.0, 1 + 2.0**-30, 1.5, 2.0, 3.0, 7.25, 16.0, 64.0, 255.0, 4096.0, 1e5, 2.0**20, 2.0**30]
LOG_P = -np.concatenate([np.geomspace(1e-12, 1e4, 97), np.linspace(0.05, 60, 60), [np.log(2), 36.04, 36.05]])


def grid(dtype):
    """log_p and n, both [points], over the range the functions promise."""
    pairs = np.array(list(product(LOG_P.astype(dtype).astype(np.float64), NUM_SAMPLES)))
    return pairs[:, 0].astype(dtype), pairs[:, 1]


def _definitions(log_p, n):
    """coverage, its log, the weight and dC/dlog p at one point; log1p and expm1 only spare mpmath needless digits."""
    log_p, n = mpmath.mpf(float(log_p)), mpmath.mpf(float(n))
    p = mpmath.exp(log_p)
    log_miss_once = mpmath.log(-mpmath.expm1(log_p)) if p > 0.5 else mpmath.log1p(-p)
    covered = -mpmath.expm1(n * log_miss_once)
    log_covered = mpmath.log(covered) if covered < 0.5 else mpmath.log1p(-mpmath.exp(n * log_miss_once))
    slope = n * p * mpmath.exp((n - 1) * log_miss_once)
    return covered, log_covered, slope / covered, slope


def references(log_p, n):
    """Four lists of mpmath numbers over the points: coverage, log_coverage, confidence_weight, dC/dlog p."""
    with mpmath.workdps(50):
        return list(zip(*(_definitions(*point) for point in zip(log_p, n, strict=True)), strict=True))


def assert_close(values, exact, relative, smallest):
    """Relative error where the exact value is above `smallest` in size; below, finite and no larger than that."""
    values = np.asarray(values, dtype=np.float64)
    assert np.isfinite(values).all()
    with mpmath.workdps(50):
        above = np.array([abs(x) > smallest for x in exact])
        errors = [
            float(abs(mpmath.mpf(float(v)) / x - 1)) for v, x in zip(values, exact, strict=True) if abs(x) > smallest
        ]
    assert len(errors) > len(values) / 4
    assert max(errors) <= relative
    assert np.all(np.abs(values[~above]) <= smallest * (1 + relative))
