"""Coverage, its logarithm and the weight that the coverage loss puts on an example (arXiv 2502.07154, eq. 2 to 4).

With p the probability of one correct sample, C^N = 1 - (1 - p)^N is the probability that at least one of N
independent samples is correct. The loss of an example is -log_coverage(log_p, n); its gradient is that of
cross-entropy, -log p, times confidence_weight(log_p, n).

Common to all three functions:

- log_p: any shape, natural logarithm (nats), at most 0; -inf is allowed. numpy arrays, floats and lists give numpy;
  a tensor gives a tensor on its device. The result has log_p's dtype, float32 or float64, whatever the dtype of n;
  float16 and bfloat16 are upcast to float32, integers to the library's default.
- n: number of samples, scalar or any shape that broadcasts with log_p, real, at least 1. It is not differentiated.
- Accuracy for N up to 2^30 and log p from -1e4 to -1e-12: 1e-12 relative in float64 and 1e-5 in float32, first
  derivatives of coverage and log_coverage included; n = 1 is exact to the bit.
- ValueError, naming the value: log_p above 0 or NaN; n below 1, infinite or NaN.
"""

from collections.abc import Callable
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from passatn.coverage import formulas
from passatn.coverage.autograd import ConfidenceWeight, Coverage, LogCoverage, evaluate
from passatn.coverage.numerics import NumpyInput
from passatn.coverage.validation import checked_log_p, checked_n


@overload
def coverage(log_p: torch.Tensor, n: NumpyInput | torch.Tensor) -> torch.Tensor: ...
@overload
def coverage(log_p: NumpyInput, n: NumpyInput) -> npt.NDArray[np.floating]: ...
def coverage(log_p: Any, n: Any) -> Any:
    """Probability that at least one of n samples is correct: C^N = 1 - (1 - p)^N (eq. 2, for one problem).

    Differentiable for tensors: dC^N / dlog p = N p (1 - p)^(N - 1). Shapes, units and errors: see the module.

    >>> float(coverage(np.log(0.5), 2))
    0.75
    """
    log_p = checked_log_p(log_p)
    n = checked_n(n, beside=log_p)
    if isinstance(log_p, torch.Tensor):
        return Coverage.apply(log_p, n)
    # exp in log_p's own dtype, so that n = 1 is p to the bit and not p rounded twice.
    return np.where(n == 1, np.exp(log_p), _quietly(formulas.coverage, log_p, n))[()]


@overload
def log_coverage(log_p: torch.Tensor, n: NumpyInput | torch.Tensor) -> torch.Tensor: ...
@overload
def log_coverage(log_p: NumpyInput, n: NumpyInput) -> npt.NDArray[np.floating]: ...
def log_coverage(log_p: Any, n: Any) -> Any:
    """log C^N in nats; its negative is the coverage loss of one example (eq. 3).

    Differentiable for tensors: dlog C^N / dlog p = F(N, p), the confidence weight, so that `-log_coverage(log_p, n)`
    has F times the gradient of cross-entropy, and at n = 1 is cross-entropy. log_p = -inf gives -inf with gradient 1.
    Shapes, units and errors: see the module.

    >>> round(float(-log_coverage(-4.0, 16)), 6)
    1.362424
    """
    log_p = checked_log_p(log_p)
    n = checked_n(n, beside=log_p)
    if isinstance(log_p, torch.Tensor):
        return LogCoverage.apply(log_p, n)
    return _quietly(formulas.log_coverage, log_p, n)


@overload
def confidence_weight(log_p: torch.Tensor, n: NumpyInput | torch.Tensor) -> torch.Tensor: ...
@overload
def confidence_weight(log_p: NumpyInput, n: NumpyInput) -> npt.NDArray[np.floating]: ...
def confidence_weight(log_p: Any, n: Any) -> Any:
    """Weight of an example in the coverage gradient: F = N p (1 - p)^(N - 1) / (1 - (1 - p)^N) (eq. 4).

    Between 0 and 1, falling in p: 1 at n = 1 and at p = 0, near 0 once p is well above 1/n, 0 at p = 1 for n > 1.
    Training uses it detached; for tensors it is differentiable once, with a finite derivative.
    Shapes, units and errors: see the module.

    >>> round(float(confidence_weight(-4.0, 16)), 6)
    0.867388
    """
    log_p = checked_log_p(log_p)
    n = checked_n(n, beside=log_p)
    if isinstance(log_p, torch.Tensor):
        return ConfidenceWeight.apply(log_p, n)
    return _quietly(formulas.confidence_weight, log_p, n)


def _quietly(formula: Callable[[Any, Any], Any], log_p: Any, n: Any) -> Any:
    """The formula without numpy's warnings about the infinities that its branches discard."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return evaluate(formula, log_p, n)
