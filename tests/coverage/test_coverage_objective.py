"""Values of coverage, log_coverage and confidence_weight: against mpmath, at the edges, and what they refuse."""

import doctest
import importlib

import numpy as np
import pytest
import torch
from high_precision import assert_close, grid, references

from passatn.coverage import confidence_weight, coverage, log_coverage

FUNCTIONS = [coverage, log_coverage, confidence_weight]
PROMISED = {np.float64: (1e-12, 1e-100), np.float32: (1e-5, 1e-6)}


@pytest.mark.parametrize(
    ("log_p", "n", "loss", "weight"),
    [
        (-20, 256, 14.454823, 0.99999974),
        (-8, 256, 2.4972938, 0.95782898),
        (-4, 16, 1.3624241, 0.867388),
        (-4, 256, 0.0088454247, 0.042435667),
        (-1, 16, 6.5003957e-4, 6.0548939e-3),
    ],
)
def test_golden_values(log_p, n, loss, weight):
    assert -log_coverage(log_p, n) == pytest.approx(loss, rel=5e-8)
    assert confidence_weight(log_p, n) == pytest.approx(weight, rel=5e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("as_array", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_against_high_precision(dtype, as_array):
    log_p, n = grid(dtype)
    exact_coverage, exact_log_coverage, exact_weight, _ = references(log_p, n)
    for function, exact in zip(FUNCTIONS, [exact_coverage, exact_log_coverage, exact_weight], strict=True):
        values = np.asarray(function(as_array(log_p), as_array(n)))
        assert values.dtype == dtype
        assert_close(values, exact, *PROMISED[dtype])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("as_array", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_one_sample_is_exact_to_the_bit(dtype, as_array):
    values = -np.random.default_rng(0).exponential(5, size=1003).astype(dtype)
    log_p = as_array(np.concatenate([values, np.array([0, -1e-12, -1e4, -np.inf], dtype)]))
    for n in (1, 1.0, as_array(np.ones(1007)), as_array(np.ones((2, 1)))):
        shape = np.broadcast_shapes(log_p.shape, np.shape(n))
        for got, expected in [
            (coverage(log_p, n), log_p.exp() if isinstance(log_p, torch.Tensor) else np.exp(log_p)),
            (log_coverage(log_p, n), log_p),
            (confidence_weight(log_p, n), np.ones(1007)),
        ]:
            assert np.array_equal(np.asarray(got), np.broadcast_to(np.asarray(expected), shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1.0, 1.0000001, 2, 64, 2**30])
def test_edges_of_the_domain(dtype, n):
    edges = torch.tensor([-torch.inf, 0], dtype=dtype)
    for log_p in (edges, edges.numpy()):
        assert list(coverage(log_p, n)) == [0, 1]
        assert list(log_coverage(log_p, n)) == [-np.inf, 0]
        assert list(confidence_weight(log_p, n)) == [1, 1 if n == 1 else 0]


def test_monotone_in_samples_and_in_probability():
    log_p = -np.geomspace(1e4, 1e-3, 400)[:, None]
    n = np.geomspace(1, 2**30, 200)
    slack = 1e-14
    log_c = log_coverage(log_p, n)
    assert np.all(np.diff(log_c, axis=1) >= slack * log_c[:, 1:])
    assert np.all(np.diff(coverage(log_p, n), axis=1) >= -slack)
    assert np.all(np.diff(coverage(log_p, n), axis=0) >= -slack)
    weight = confidence_weight(log_p, n)
    assert np.all(np.diff(weight, axis=0) <= slack)
    assert np.all((weight >= 0) & (weight <= 1))
    assert np.all(np.diff(coverage(-3.0, n[:50])) > 0)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_numpy_and_torch_agree(function):
    log_p, n = grid(np.float64)
    from_torch = function(torch.from_numpy(log_p), torch.from_numpy(n)).numpy()
    from_numpy = function(log_p, n)
    visible = np.abs(from_numpy) > 1e-300
    np.testing.assert_allclose(from_torch[visible], from_numpy[visible], rtol=1e-12)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_kind_dtype_and_shape_follow_log_p(function):
    assert type(function(-1.0, 4)) is np.float64
    assert type(function(np.float32(-1), np.float64(4))) is np.float32
    assert function([-1, -2], 4).dtype == np.float64
    assert function(np.float16([-1]), 4).dtype == np.float32
    assert function(np.zeros((3, 1), np.float32), np.array([1.0, 2.0])).shape == (3, 2)
    assert function(np.zeros((3, 1), np.float32), np.array([1.0, 2.0])).dtype == np.float32
    for dtype, expected in [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2]:
        result = function(torch.full((3, 1), -1.0, dtype=dtype), torch.tensor([1, 2], dtype=torch.float64))
        assert result.dtype == expected
        assert result.shape == (3, 2)
    assert function(torch.tensor(-1.0), 4).shape == ()
    assert function(torch.empty(0, 3), 4).shape == (0, 3)
    assert function(np.empty((0, 3)), 4).shape == (0, 3)
    assert function(np.empty(0), np.empty(0)).shape == (0,)


def test_real_n_is_not_rounded_to_single_precision():
    n = 1.1
    expected = coverage(np.float64(-1), n)
    assert coverage(torch.tensor(-1.0, dtype=torch.float64), n).item() == pytest.approx(expected, rel=1e-14)
    assert coverage(torch.tensor(-1.0, dtype=torch.float64), [n])[0].item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.filterwarnings("error")
def test_no_warning_for_allowed_values():
    for function in FUNCTIONS:
        function(np.array([-np.inf, -1e4, -1e-12, 0.0], np.float32), np.array([[1.0], [2.0], [2.0**30]]))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("as_array", [np.array, torch.tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize(
    ("log_p", "n", "message"),
    [
        ([-1.0, 0.25], 4, "log_p must be a natural log-probability, at most 0, got 0.25"),
        ([-1.0, float("nan")], 4, "log_p .* got nan"),
        ([-1.0], 0.5, "n must be a finite number of samples, at least 1, got 0.5"),
        ([-1.0], 0, "n must .* got 0"),
        ([-1.0], float("nan"), "n must .* got nan"),
        ([-1.0], float("inf"), "n must .* got inf"),
        ([-1.0], [4.0, -3.0], "n must .* got -3.0"),
    ],
)
def test_refused_values_are_named(function, as_array, log_p, n, message):
    with pytest.raises(ValueError, match=message):
        function(as_array(log_p), n)


@pytest.mark.parametrize("module", ["objective", "estimator", "policy"])
def test_examples_in_docstrings(module):
    result = doctest.testmod(importlib.import_module(f"passatn.coverage.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
