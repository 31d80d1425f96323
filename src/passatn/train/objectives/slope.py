"""A function of log p whose derivative is known in closed form, so that torch does not differentiate its steps.

At p = 0 and p = 1 the steps would meet 0 · ∞. The result can be differentiated once.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOWEST_LOG_P = -1e4
"""Formulas of p are evaluated no lower than this, where they have reached their limit at p = 0 in any float."""


def with_slope(log_p: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """`value`, with `slope` as its derivative in log_p; all of one shape, the latter two without a graph."""
    return _WithSlope.apply(log_p, value, slope)


class _WithSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_p: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None
