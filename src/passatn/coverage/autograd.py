"""Coverage in torch's differentiation, with the derivatives of eq. 4 instead of those of each elementary step.

Differentiating the steps would meet 0 * inf at p = 0 and p = 1. Here d log C^N / d log p = F and
d C^N / d log p = C^N F. Coverage and its logarithm are twice differentiable, the weight once; a further derivative
raises NotImplementedError. n is a constant.
"""

from collections.abc import Callable
from typing import Any

import torch

from passatn.coverage import formulas
from passatn.coverage.numerics import narrow, widen


def evaluate(formula: Callable[[Any, Any], Any], log_p: Any, n: Any) -> Any:
    """The formula in working precision, rounded once to log_p's dtype."""
    return narrow(formula(widen(log_p), n), log_p.dtype)


class LogCoverage(torch.autograd.Function):
    """log C^N, whose derivative is F."""

    @staticmethod
    def forward(ctx: Any, log_p: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(log_p, n)
        return evaluate(formulas.log_coverage, log_p, n)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        log_p, n = ctx.saved_tensors
        return (grad * ConfidenceWeight.apply(log_p, n)).sum_to_size(log_p.shape), None


class Coverage(torch.autograd.Function):
    """C^N, whose derivative is C^N F."""

    @staticmethod
    def forward(ctx: Any, log_p: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(log_p, n)
        # exp in log_p's own dtype, so that N = 1 is p to the bit and not p rounded twice.
        return torch.where(n == 1, log_p.exp(), evaluate(formulas.coverage, log_p, n))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        log_p, n = ctx.saved_tensors
        slope = Coverage.apply(log_p, n) * ConfidenceWeight.apply(log_p, n)
        return (grad * slope).sum_to_size(log_p.shape), None


class ConfidenceWeight(torch.autograd.Function):
    """F, with a derivative that is finite everywhere."""

    @staticmethod
    def forward(ctx: Any, log_p: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(log_p, n)
        return evaluate(formulas.confidence_weight, log_p, n)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        log_p, n = ctx.saved_tensors
        return (grad * ConfidenceWeightSlope.apply(log_p, n)).sum_to_size(log_p.shape), None


class ConfidenceWeightSlope(torch.autograd.Function):
    """dF/dlog p; it exists to refuse a further derivative, which torch would otherwise silently take to be 0."""

    @staticmethod
    def forward(ctx: Any, log_p: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        # Between N = 1 and 2 the slope near p = 1 can exceed what float32 holds.
        largest = torch.finfo(log_p.dtype).max
        return formulas.confidence_weight_slope(widen(log_p), n).clamp(-largest, largest).to(log_p.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, None]:
        raise NotImplementedError(
            "coverage and log_coverage can be differentiated twice and confidence_weight once, not further"
        )
