"""Random numbers that belong to a sample, and the inverse of a cumulative distribution."""

import numpy as np
import pytest
import torch
from scipy import stats

from passatn.sample.draw import inverse_cdf, sample_uniforms


def test_uniforms_are_fixed_for_ever() -> None:
    """Philox and blake2b are standards: these numbers may never change, or stored runs could not be continued."""
    np.testing.assert_array_equal(sample_uniforms(0, "algebra/7", 3, 5)[:2], sample_uniforms(0, "algebra/7", 3, 2))
    np.testing.assert_allclose(
        sample_uniforms(0, "algebra/7", 3, 2), [0.9836233396588125, 0.6859612294800563], rtol=0, atol=0
    )


def test_uniforms_are_uniform_and_differ_in_every_key() -> None:
    numbers = np.stack([sample_uniforms(seed, name, k, 4) for seed in range(20) for name in "abcde" for k in range(50)])
    assert len(np.unique(numbers)) == numbers.size
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(numbers.T)[np.triu_indices(4, 1)]).max() < 5 / np.sqrt(len(numbers))


@pytest.mark.parametrize("width", [128, 384])
def test_inverse_cdf_equals_searchsorted(width: int) -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.exponential(size=(500, width)).astype(np.float32) ** 4
    probabilities[:, rng.integers(0, width, width // 2)] = 0
    uniforms = rng.random(500)
    cumulative = probabilities.astype(np.float64).cumsum(axis=1)
    expected = [int(np.searchsorted(c, u * c[-1], side="right")) for c, u in zip(cumulative, uniforms, strict=True)]
    found = inverse_cdf(torch.from_numpy(probabilities), torch.from_numpy(uniforms))
    assert found.tolist() == expected


@pytest.mark.parametrize("u", [0.0, 0.25, 0.5, 1 - 2.0**-52])
def test_inverse_cdf_never_returns_an_impossible_token(u: float) -> None:
    probabilities = torch.zeros(300, 256)
    rows = torch.arange(300) % 256
    probabilities[torch.arange(300), rows] = torch.logspace(-37, 30, 300)
    assert torch.equal(inverse_cdf(probabilities, torch.full((300,), u, dtype=torch.float64)), rows)
