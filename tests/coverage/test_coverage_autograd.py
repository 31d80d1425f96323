"""Derivatives of coverage, log_coverage and confidence_weight."""

import numpy as np
import pytest
import torch
from high_precision import assert_close, grid, references

from passatn.coverage import confidence_weight, coverage, log_coverage

PROMISED = {np.float64: (1e-12, 1e-100), np.float32: (1e-5, 1e-6)}


def gradient(function, log_p, n):
    log_p = log_p.clone().requires_grad_()
    (grad,) = torch.autograd.grad(function(log_p, n).sum(), log_p)
    return grad


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_against_high_precision(dtype):
    log_p, n = grid(dtype)
    _, _, exact_weight, exact_slope = references(log_p, n)
    for function, exact in [(log_coverage, exact_weight), (coverage, exact_slope)]:
        grad = gradient(function, torch.from_numpy(log_p), torch.from_numpy(n))
        assert grad.numpy().dtype == dtype
        assert_close(grad, exact, *PROMISED[dtype])


@pytest.mark.parametrize("function", [coverage, log_coverage, confidence_weight])
@pytest.mark.parametrize("shape_n", [(), (5,), (3, 1)])
def test_gradcheck(function, shape_n):
    generator = torch.Generator().manual_seed(0)
    log_p = (-0.1 - 6 * torch.rand(5, generator=generator, dtype=torch.float64)).requires_grad_()
    n = 1 + 40 * torch.rand(shape_n, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: function(x, n), (log_p,))


@pytest.mark.parametrize("function", [coverage, log_coverage])
@pytest.mark.parametrize("n", [1.0, 1.5, 16.0, 256.0])
def test_second_derivative(function, n):
    log_p = torch.linspace(-8, -0.2, 9, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: function(x, n), (log_p,))


def test_a_derivative_too_many_is_refused_and_not_taken_to_be_zero():
    log_p = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(log_coverage(log_p, 16), log_p, create_graph=True)
    (second,) = torch.autograd.grad(first, log_p, create_graph=True)
    with pytest.raises(NotImplementedError, match="can be differentiated twice and confidence_weight once"):
        torch.autograd.grad(second, log_p)
    (slope,) = torch.autograd.grad(log_p**2 * confidence_weight(log_p, 16), log_p, create_graph=True)
    with pytest.raises(NotImplementedError, match="confidence_weight once"):
        torch.autograd.grad(slope, log_p)


@pytest.mark.parametrize("n", [1, 4, 16, 256, 4096])
def test_loss_gradient_is_the_weight_times_cross_entropys(n):
    torch.manual_seed(0)
    hidden, labels = torch.randn(6, 4, 8, dtype=torch.float64), torch.randint(11, (6, 4))
    head = torch.nn.Linear(8, 11, dtype=torch.float64)

    def log_p():
        return head(hidden).log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1).sum(-1)

    (of_loss,) = torch.autograd.grad(-log_coverage(log_p(), n).sum(), head.weight)
    weight = confidence_weight(log_p(), n).detach()
    (of_weighted,) = torch.autograd.grad((weight * -log_p()).sum(), head.weight)
    torch.testing.assert_close(of_loss, of_weighted, rtol=1e-12, atol=0)
    (of_cross_entropy,) = torch.autograd.grad(-log_p().sum(), head.weight)
    assert torch.equal(of_loss, of_cross_entropy) == (n == 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_sample_has_cross_entropys_gradient_to_the_bit(dtype):
    log_p = torch.tensor([0, -1e-12, -0.3, -1, -40, -1e4, -torch.inf], dtype=dtype)
    assert torch.equal(gradient(log_coverage, log_p, 1), torch.ones_like(log_p))
    assert torch.equal(gradient(coverage, log_p, 1), log_p.exp())
    assert torch.equal(gradient(confidence_weight, log_p, 1), torch.zeros_like(log_p))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1 + 2.0**-40, 1.01, 1.5, 2, 3, 64, 2**30])
def test_gradients_are_finite_at_the_edges(dtype, n):
    nearest = torch.nextafter(torch.zeros((), dtype=dtype), -torch.ones((), dtype=dtype)).item()
    log_p = torch.tensor([-torch.inf, -1e4, -700, nearest, 0], dtype=dtype)
    assert gradient(log_coverage, log_p, n)[[0, 1, 4]].tolist() == [1, 1, 0]
    assert gradient(coverage, log_p, n)[[0, 1, 4]].tolist() == [0, 0, 0]
    slope = gradient(confidence_weight, log_p, n)
    assert slope[[0, 1]].tolist() == [0, 0]
    for grad in (gradient(log_coverage, log_p, n), gradient(coverage, log_p, n), slope):
        assert torch.isfinite(grad).all()


def test_gradient_of_half_precision_input_and_of_broadcast_input():
    log_p = torch.tensor([[-1.0], [-2.0]], dtype=torch.bfloat16)
    n = torch.tensor([1.0, 4.0, 64.0])
    expected = confidence_weight(log_p.double(), n).sum(1, keepdim=True)
    grad = gradient(log_coverage, log_p, n)
    assert grad.dtype == torch.bfloat16
    torch.testing.assert_close(grad.double(), expected, rtol=2**-8, atol=0)


def test_n_gets_no_gradient():
    log_p = torch.tensor([-1.0], requires_grad=True)
    n = torch.tensor([4.0], requires_grad=True)
    log_coverage(log_p, n).sum().backward()
    assert log_p.grad is not None
    assert n.grad is None
